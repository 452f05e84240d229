// The fake engine: no weights, no arithmetic, the same behaviour every time, so that nine tests in
// ten need no model. It really keeps the state that it is told to keep: each choice first compares
// what the sequence's cells hold with what the request said, so a batcher that mixes up
// conversations is caught.
//
// Its options are told in fake_settings.h, what a prompt can order it to say in fake_script.h, and
// how it chooses tokens in fake_sampler.h. Here is its model, and how that is found and loaded.
//
// With adapters the answer ends with the first one's number; one whose name begins with "broken"
// cannot be loaded.
//
// Loaded to draft for another fake it says what that one's answers will say, but for some tokens
// (--draft-right=PERCENT of them are right), unless its name begins with "other": then its
// vocabulary is another.
#include "engine/backends/fake.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "base/text.h"
#include "engine/backends/fake_sampler.h"
#include "engine/backends/fake_script.h"
#include "engine/backends/fake_settings.h"

namespace lares::engine::fake {
namespace {

using Steady = std::chrono::steady_clock;

Settings settings;  // set once by prepare(), before anything is loaded

constexpr uint32_t kVectorLength = 64;
constexpr std::string_view kMarker = "<|fake media|>";
constexpr uint32_t kHearsHz = 16'000;
constexpr size_t kStateHead = sizeof(Position) + sizeof(uint64_t);

// Pauses for `rows` tokens at a rate; false: the pulse aborted.
bool pace(Pulse& pulse, size_t rows, uint64_t per_second) {
  if (per_second == 0) return !pulse.aborting();
  const auto until = Steady::now() + std::chrono::microseconds(rows * 1'000'000 / per_second);
  while (Steady::now() < until) {
    if (pulse.aborting()) return false;
    pulse.beat();
    const std::chrono::nanoseconds left = until - Steady::now();
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, milliseconds(2)));
  }
  return true;
}

// The share of the query's tokens that the document has.
float score(std::span<const Token> pair) {
  const auto end = std::find(pair.begin(), pair.end(), Token{kEnd});
  size_t found = 0;
  for (auto at = pair.begin() + 1; at < end; ++at)
    found += std::find(end, pair.end(), *at) != pair.end() ? 1 : 0;
  return static_cast<float>(found) /
         static_cast<float>(std::max<ptrdiff_t>(1, end - pair.begin() - 1));
}

// With a marker in the place of each picture or sound.
Result<std::string> content_text(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  const Error wrong{Code::Invalid, "'messages' has one whose content is not text", "messages"};
  if (!content.is_array()) return wrong;
  std::string text;
  for (const Json& part : content) {
    const auto type = part.is_object() ? part.value("type", Json()) : Json();
    if (type == "media") {
      text += kMarker;
    } else if (type == "text" && part.contains("text") && part["text"].is_string()) {
      text += part["text"].get_ref<const std::string&>();
    } else {
      return wrong;
    }
  }
  return text;
}

}  // namespace

FakeModel::FakeModel(const wire::Load& load, Pulse& pulse, const FakeModel* drafts_for)
    : pulse_(pulse), drafts_for_(drafts_for) {
  Facts& f = facts_;
  f.context =
      load.context != 0
          ? load.context
          : static_cast<Tokens>(std::min<uint64_t>(settings.context_train, wire::kContextMax));
  f.cells = f.context;
  f.context = static_cast<Tokens>(std::min<uint64_t>(f.context, settings.context_train));
  f.batch = std::max<Tokens>(load.batch, 1);
  f.sequences = std::max<uint32_t>(load.sequences, 1);
  f.vocabulary = kVocabulary;
  f.window = static_cast<Tokens>(settings.window);
  f.ranks = settings.ranks;
  f.pools = !f.ranks && (settings.pooling || load.embeddings);
  f.fills = true;
  f.adapters = load.adapters;
  f.generates = !load.embeddings;
  f.senses = {settings.sees, settings.hears ? kHearsHz : 0};
  for (const auto word : kWords) f.piece_max = std::max(f.piece_max, word.size());
  f.memory_bytes = settings.size_bytes;
  f.parked_bytes = settings.parked_bytes > 0 ? settings.parked_bytes
                                             : static_cast<uint64_t>(f.cells) * sizeof(Token) * 2;
  f.info = {{"architecture", "fake"},
            {"name", load.name.empty() ? "fake" : load.name},
            {"parameters", 0},
            {"size_bytes", settings.size_bytes},
            {"quantization", "none"},
            {"context_train", settings.context_train},
            {"context", f.context},
            {"vocabulary", kVocabulary},
            {"embedding_length", kVectorLength},
            {"layers", 1},
            {"sliding_window", settings.window},
            {"pooling", f.ranks   ? "rank"
                        : f.pools ? "mean"
                                  : "none"},
            {"has_template", settings.has_template},
            {"template_sha256", ""},
            {"licence", "Apache-2.0"},
            {"inputs", Json::array({"text"})}};
  if (settings.sees) f.info["inputs"].push_back("image");
  if (settings.hears) f.info["inputs"].push_back("audio");
  if (drafts_for_) {
    f.parked_bytes = 0;
    f.info["size_bytes"] = settings.size_bytes / 10;
  }
  cells_.resize(f.sequences);
}

bool FakeModel::ends(Token token) const { return token == kEnd; }

Result<std::vector<Token>> FakeModel::tokenize(std::string_view text, Special special) {
  return tokens_of(text, special);
}

Result<std::vector<Token>> FakeModel::tokenize_pair(std::string_view query,
                                                    std::string_view document) {
  TRY_AS(std::vector<Token> tokens, tokenize(query, Special::AsText));
  tokens.push_back(kEnd);
  TRY_AS(const auto second, tokenize(document, Special::AsText));
  tokens.insert(tokens.end(), second.begin() + 1, second.end());
  return tokens;
}

// What the last line before the gap orders is what fills it.
Result<std::vector<Token>> FakeModel::tokenize_gap(const Gap& gap, size_t most) {
  std::string text;
  for (const Gap::Extra& extra : gap.extra) text += cat(extra.filename, "\n", extra.text, "\n");
  TRY_AS(std::vector<Token> tokens,
         tokenize(cat(text, gap.suffix, "\n", gap.prefix, gap.prompt), Special::AsText));
  if (tokens.size() > most)
    tokens.erase(tokens.begin() + 1, tokens.end() - static_cast<ptrdiff_t>(most - 1));
  return tokens;
}

std::string FakeModel::piece(Token token, Special special) const {
  if (token >= kBegin && token < kFirstWord && special == Special::AsText) {
    return std::string(kControls[token - kBegin]);
  }
  return raw_piece(token);
}

Result<Rendered> FakeModel::render_chat(const Chat& chat) {
  const Json& messages = chat.messages;
  const Json& kwargs = chat.kwargs;
  const auto wrong = [](std::string_view what) {
    return Error{Code::Invalid, cat("'messages' ", what), "messages"};
  };
  if (!settings.has_template) {
    return wrong("cannot be used: this model has no chat template; use /v1/completions");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(settings.render_ms));
  std::string prompt;
  for (const Json& message : messages) {
    const auto role = message.is_object() ? message.value("role", Json()) : Json();
    const auto content = message.is_object() ? message.value("content", Json()) : Json();
    if (!role.is_string()) return wrong("has one without a role");
    const std::string name = role == "developer" ? "system" : role.get<std::string>();
    if (name != "system" && name != "user" && name != "assistant" && name != "tool") {
      return wrong(cat("has the unknown role '", utf8_repaired(name.substr(0, 32)), "'"));
    }
    TRY_AS(const std::string text, content_text(content));
    prompt += cat("<|", name, "|>", text, "<|end|>\n");
  }
  if (kwargs.is_object() && kwargs.contains("suffix")) prompt += dump(kwargs["suffix"]);
  Rendered rendered{prompt + "<|assistant|>", {}};
  const Structure& structure = chat.structure;
  if (!structure.must.empty()) {
    TRY_AS(rendered.constraint, constrain(structure.must));
  }
  const bool ordered = prompt.find("<tool_call>") != std::string::npos;
  if (structure.tool_choice == ToolChoice::Required && !structure.tools.empty() && !ordered) {
    auto constraint = std::make_shared<FakeConstraint>();
    constraint->says = cat("<tool_call>{\"name\": ", dump(structure.tools[0].name),
                           ", \"arguments\": {}}</tool_call>");
    rendered.constraint = std::move(constraint);
  }
  const bool thinks = prompt.find(kThink) != std::string::npos;
  if (thinks && !rendered.constraint) rendered.constraint = std::make_shared<FakeConstraint>();
  if (thinks) rendered.thought_tags = kThink.size() + kThinkEnd.size();
  if (thinks || !structure.tools.empty())
    rendered.format = std::make_shared<FakeFormat>(!structure.tools.empty());
  return rendered;
}

Result<std::vector<PromptPart>> FakeModel::tokenize_media(std::string_view prompt,
                                                          std::span<const Media> media) {
  std::vector<PromptPart> parts;
  for (size_t i = 0;; i++) {
    const size_t end = prompt.find(kMarker);
    TRY_AS(std::vector<Token> tokens, tokenize(prompt.substr(0, end), Special::Parsed));
    if (i > 0) tokens.erase(tokens.begin());
    parts.push_back({std::move(tokens)});
    if (end == std::string_view::npos) return parts;
    prompt.remove_prefix(end + kMarker.size());
    auto piece = std::make_shared<MediaPiece>();
    const Media& each = media[i];
    piece->identity = cat(each.digest, " ", i);
    piece->rows = each.kind == Media::Kind::Image ? (each.width + 7) / 8 * ((each.height + 7) / 8)
                                                  : each.samples.size() / 160 + 1;
    piece->positions = piece->rows;
    parts.push_back({{}, std::move(piece)});
  }
}

Decoded FakeModel::encode(MediaPiece& piece) {
  if (!pace(pulse_, piece.rows, settings.prompt_tokens_per_s)) return Decoded::Aborted;
  piece.encoded = true;
  return Decoded::Ok;
}

Decoded FakeModel::decode_media(const MediaRows& media) {
  if (!media.piece.encoded) return Decoded::Broken;
  std::vector<Row> rows;
  for (size_t i = 0; i < media.tokens.size(); i++) {
    rows.push_back({media.tokens[i], media.begin + static_cast<Position>(media.from + i),
                    media.sequence, media.wants_logits && i + 1 == media.tokens.size()});
  }
  const Decoded done = decode(rows);
  if (done == Decoded::Aborted) cut(media.sequence, media.begin);
  return done;
}

Result<std::shared_ptr<const Constraint>> FakeModel::constrain(const Must& must) {
  auto constraint = std::make_shared<FakeConstraint>();
  if (must.choice.empty() && must.schema.empty()) {
    return Error{Code::Unsupported,
                 cat("'", must.param, "' is what the fake engine cannot keep to"), must.param};
  }
  constraint->says = must.choice.empty() ? "{}" : must.choice[0];
  return std::shared_ptr<const Constraint>(std::move(constraint));
}

Result<std::unique_ptr<Sampler>> FakeModel::sampler(const Sampling& sampling,
                                                    std::span<const Token> prompt) {
  return std::unique_ptr<Sampler>(std::make_unique<FakeSampler>(*this, sampling, prompt));
}

Result<> FakeModel::load_adapter(size_t index) {
  if (!facts_.adapters[index].starts_with("broken")) return Unit{};
  return Error{Code::Invalid, cat("adapter '", facts_.adapters[index], "': it is broken"), "lora"};
}

void FakeModel::adapt(std::span<const Adapter> adapters) {
  adapters_.assign(adapters.begin(), adapters.end());
  under_ = 0;
  for (const Adapter& adapter : adapters)
    under_ = mixed(under_ + adapter.index + 1) + std::bit_cast<uint32_t>(adapter.scale);
}

std::optional<Token> FakeModel::mark() const {
  constexpr size_t kFirstNumber = 16;
  if (adapters_.empty()) return std::nullopt;
  return static_cast<Token>(kFirstWord + kFirstNumber + adapters_.front().index % 10);
}

Decoded FakeModel::decode(std::span<const Row> rows) {
  if (!pace(pulse_, rows.size(),
            rows.size() > facts_.sequences ? settings.prompt_tokens_per_s
                                           : settings.tokens_per_s * rows.size())) {
    return Decoded::Aborted;
  }
  if (decoded_ + rows.size() > settings.break_after) return Decoded::Broken;
  decoded_ += rows.size();
  rows_.assign(rows.begin(), rows.end());
  firsts_.clear();
  for (const Row& row : rows) {
    auto& cells = cells_[row.sequence];
    if (row.position != static_cast<Position>(cells.tokens.size())) return Decoded::Broken;
    if (cells.tokens.empty()) cells.under = under_;
    if (cells.under != under_) return Decoded::Broken;  // its beginning was computed otherwise
    cells.tokens.push_back(row.token);
    const auto next = row.position + 1;
    if (facts_.window > 0) {
      cells.first = std::max(cells.first, next - static_cast<Position>(facts_.window));
    }
    firsts_.push_back(cells.first);
  }
  return Decoded::Ok;
}

Likeliest FakeModel::likeliest(int row) const {
  constexpr float kMargin = 3;
  const auto said = held(row);
  if (!said || !numbers()) return {};
  const FakeModel& answers = drafts_for_ ? *drafts_for_ : *this;
  const MutexLock lock(answers.samplers_mutex_);
  for (const FakeSampler* const sampler : answers.samplers_) {
    const auto token = sampler->foretold(*said);
    if (!token) continue;
    const bool right = mixed(said->size()) % 100 < settings.draft_right;
    return {right ? *token : (*token + 1) % static_cast<Token>(kBegin), kMargin};
  }
  return {Token{0}, kMargin};
}

void FakeModel::enter(const FakeSampler& sampler) {
  const MutexLock lock(samplers_mutex_);
  samplers_.push_back(&sampler);
}

void FakeModel::leave(const FakeSampler& sampler) {
  const MutexLock lock(samplers_mutex_);
  std::erase(samplers_, &sampler);
}

bool FakeModel::cut(Sequence sequence, Position from) {
  auto& cells = cells_[sequence];
  cells.tokens.resize(std::min(cells.tokens.size(), static_cast<size_t>(from)));
  if (cells.tokens.empty()) cells.first = 0;
  return true;
}

Result<> FakeModel::stand(Rung rung, bool /*for_others*/) {
  if (rung < Rung::Hot) {
    forget();
    adapters_.clear();
    under_ = 0;
  }
  rung_ = rung;
  return Unit{};
}

uint64_t FakeModel::memory_on(Rung rung) const {
  switch (rung) {
    case Rung::Absent: return 0;
    case Rung::Parked: return facts_.memory_bytes / 8;
    case Rung::Warm: return facts_.memory_bytes / 2;
    case Rung::Hot: break;
  }
  return facts_.memory_bytes;
}

void FakeModel::forget() {
  for (auto& cells : cells_) cells = {};
}

void FakeModel::share(Sequence from, Sequence to, Position until) {
  cells_[to] = cells_[from];
  cells_[to].tokens.resize(until);
}

size_t FakeModel::state_size(Sequence sequence) const {
  const size_t tokens = cells_[sequence].tokens.size();
  return tokens == 0 ? 0 : kStateHead + tokens * sizeof(Token);
}

bool FakeModel::save(Sequence sequence, std::span<std::byte> into) {
  const auto& cells = cells_[sequence];
  std::memcpy(into.data(), &cells.first, sizeof cells.first);
  std::memcpy(into.data() + sizeof cells.first, &cells.under, sizeof cells.under);
  std::memcpy(into.data() + kStateHead, cells.tokens.data(), into.size() - kStateHead);
  return true;
}

bool FakeModel::restore(Sequence to, std::span<const std::byte> state) {
  auto& cells = cells_[to];
  if (!cells.tokens.empty()) return false;
  std::memcpy(&cells.first, state.data(), sizeof cells.first);
  std::memcpy(&cells.under, state.data() + sizeof cells.first, sizeof cells.under);
  cells.tokens.resize((state.size() - kStateHead) / sizeof(Token));
  std::memcpy(cells.tokens.data(), state.data() + kStateHead, state.size() - kStateHead);
  return true;
}

Position FakeModel::first_position(Sequence sequence) const {
  return cells_[sequence].tokens.empty() ? -1 : cells_[sequence].first;
}

// The direction of a text is the sum of the directions of its tokens: like texts are near each
// other.
Result<std::vector<float>> FakeModel::embed(std::span<const std::span<const Token>> inputs) {
  std::vector<float> out;
  for (const auto& input : inputs) {
    if (!pace(pulse_, input.size(), settings.prompt_tokens_per_s)) {
      return Error{Code::Cancelled, "the request was cancelled"};
    }
    if (facts_.ranks) {
      out.push_back(score(input));
      continue;
    }
    std::vector<float> sum(kVectorLength);
    for (const Token token : input) {
      for (uint32_t i = 0; i < kVectorLength; i++) {
        const uint64_t bits = mixed(static_cast<uint64_t>(token) * kVectorLength + i + 1);
        sum[i] += static_cast<float>(bits >> 40) / static_cast<float>(1 << 24) - 0.5F;
      }
    }
    float squares = 0;
    for (const float x : sum) squares += x * x;
    const float length = squares > 0 ? std::sqrt(squares) : 1;
    for (const float x : sum) out.push_back(x / length);
  }
  return out;
}

Result<std::span<const Token>> FakeModel::held(int row) const {
  const auto& cells = cells_[rows_[row].sequence];
  const Position next = rows_[row].position + 1;
  const Position needed =
      facts_.window > 0 ? std::max(0, next - static_cast<Position>(facts_.window)) : 0;
  if (firsts_[row] > needed) return Error{Code::Corrupt, "the fake's window has a hole"};
  return std::span<const Token>(cells.tokens).first(static_cast<size_t>(next));
}

bool FakeModel::numbers() const { return decoded_ < settings.nan_after; }

namespace {

Result<std::string> prepare(Options& options) {
  TRY_AS(settings, take_settings(options));
  return std::string("fake");
}

Result<std::unique_ptr<Model>> load(const LoadOrder& order, Pulse& pulse) {
  constexpr uint64_t kParts = 10;
  for (uint64_t part = 0; part < kParts && settings.load_ms > 0 && !order.inspect_only; part++) {
    const auto until = Steady::now() + std::chrono::microseconds(settings.load_ms * 1000 / kParts);
    while (Steady::now() < until) {
      std::this_thread::sleep_for(milliseconds(1));
      pulse.beat();
    }
    if (order.progress) order.progress(static_cast<double>(part + 1) / kParts);
  }
  if (order.drafts_for && order.load.name.starts_with("other"))
    return Error{Code::Invalid, "its vocabulary is another: the fake was told so"};
  return std::unique_ptr<Model>(std::make_unique<FakeModel>(
      order.load, pulse, static_cast<const FakeModel*>(order.drafts_for)));
}

Result<Json> about_addition(int /*file*/) {
  if (settings.projector) {
    return Json{{"type", "projector"},
                {"architecture", "clip"},
                {"name", "fake"},
                {"projector",
                 {{"kind", "fake"}, {"sees", true}, {"hears", false}, {"embedding_length", 64}}}};
  }
  if (!settings.adapter) return Json();
  return Json{{"type", "adapter"}, {"architecture", "fake"}, {"name", "fake"}};
}

const Backend backend{.name = "fake", .prepare = prepare, .load = load, .addition = about_addition};
const Registered<Backend> registered{backend};

}  // namespace
}  // namespace lares::engine::fake
