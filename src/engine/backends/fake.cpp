// The fake engine: no weights, no arithmetic, the same behaviour every time, so that nine tests in
// ten need no model. It really keeps the state that it is told to keep: each choice first compares
// what the sequence's cells hold with what the request said, so a batcher that mixes up
// conversations is caught.
//
// It answers what the prompt's last line orders:
//   repeat: TEXT    TEXT
//   count: N        "1 2 3 ... N"
//   bytes: HEX      those raw bytes
//   random: N       N letters, by the sampling options
//   clock: N        N tokens, each the moment at which it is made: nanoseconds of CLOCK_MONOTONIC
//   and a space
//   look            "N pieces in R rows" of the prompt's pictures and sounds
//   anything else   "The prompt has N words."
// With adapters the answer ends with the first one's number; one whose name begins with "broken"
// cannot be loaded.
// Its answers have a format: <think>THOUGHTS</think> at their beginning (thoughts that do not end
// go on with dots until they have to, and where no word follows them, a dot does), and with tools
// <tool_call>{"name": NAME, "arguments": {...}}</tool_call> at their end. Where a call is required
// and none is ordered, it calls the first tool with {}. Of what an answer must be it knows
// "choice", of which it says the first, and a schema, to which it says {}. Tokens are single bytes,
// some common words and numbers, and control tokens.
//
// Loaded to draft for another fake it says what that one's answers will say, but for some tokens
// (--draft-right=PERCENT of them are right), unless its name begins with "other": then its
// vocabulary is another.
//
// Options: --load-ms, --render-ms (what a chat takes to be rendered), --tokens-per-s,
// --prompt-tokens-per-s, --size (of memory that it says it has; "300MiB"),
// --context-train, --window, --parked (bytes for conversations that rest), --no-template,
// --pooling (=rank: it scores), --nan-after=N (logits are no numbers then),
// --break-after=N (decoding gives an error then), --draft-right, --adapter (the file is one),
// --projector-file (the file is one), --sees and --hears (it has a projector: 8 by 8 pixels are a
// row, and 10 ms).
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/text.h"
#include "engine/model.h"
#include "engine/thinking.h"

namespace lares::engine {
namespace {

using Steady = std::chrono::steady_clock;

struct Settings {
  uint64_t load_ms = 0;
  uint64_t render_ms = 0;
  uint64_t tokens_per_s = 0;  // 0: as fast as it goes
  uint64_t prompt_tokens_per_s = 0;
  uint64_t parked_bytes = 0;  // 0: for twice its cells
  uint64_t size_bytes = MiB(1).n;
  uint64_t context_train = 8192;
  uint64_t window = 0;
  uint64_t nan_after = UINT64_MAX;
  uint64_t break_after = UINT64_MAX;
  uint64_t draft_right = 100;
  bool has_template = true;
  bool pooling = false;
  bool ranks = false;
  bool adapter = false;
  bool projector = false;
  bool sees = false;
  bool hears = false;
};
Settings settings;  // set once by prepare(), before anything is loaded

constexpr uint32_t kVectorLength = 64;
constexpr std::array<std::string_view, 32> kWords = {
    " the", " The", " and",   " of",   " is",    " has",   " words", " prompt",
    " you", " one", " two",   "Hello", " hello", " world", "lares",  " house",
    " 1",   " 2",   " 3",     " 4",    " 5",     " 6",     " 7",     " 8",
    " 9",   " 10",  "repeat", "count", "random", "bytes",  "The",    "ing"};
enum Control : Token { kBegin = 256, kEnd, kSystem, kUser, kAssistant, kTool, kClock, kFirstWord };
constexpr std::array<std::string_view, 7> kControls = {
    "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|clock|>"};
constexpr Tokens kVocabulary = kFirstWord + kWords.size();

uint64_t mixed(uint64_t x) {  // splitmix64's finaliser
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr std::string_view kMarker = "<|fake media|>";
constexpr uint32_t kHearsHz = 16'000;

std::string raw_piece(Token token) {
  if (is_media(token)) return "";
  if (token < kBegin) return {static_cast<char>(token)};
  if (token == kClock) return cat(Steady::now().time_since_epoch().count(), " ");
  if (token < kFirstWord) return "";
  return std::string(kWords[token - kFirstWord]);
}

std::string text_of(std::span<const Token> tokens) {
  std::string text;
  for (const Token token : tokens) text += raw_piece(token);
  return text;
}

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

// What the prompt orders, as the tokens of the answer.
struct Script {
  std::vector<Token> answer;
  size_t random = 0;  // so many letters, chosen freely
};

class FakeConstraint final : public Constraint {
 public:
  std::string says;  // whatever is ordered; "": what is
};

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kThinkEnd = "</think>";

class FakeFormat final : public AnswerFormat {
 public:
  explicit FakeFormat(bool calls) : calls_(calls) {}
  Result<Said> read(const std::string& raw) const override {
    Said said;
    std::string_view rest = raw;
    if (rest.starts_with(kThink)) {
      rest.remove_prefix(kThink.size());
      const size_t end = rest.find(kThinkEnd);
      said.reasoning = up_to(rest, kThinkEnd);
      rest = end == std::string_view::npos ? "" : rest.substr(end + kThinkEnd.size());
    } else if (kThink.starts_with(rest)) {
      return said;
    }
    if (!calls_) {
      said.text = rest;
      return said;
    }
    said.text = up_to(rest, kCall);
    for (size_t at = rest.find(kCall); at != std::string_view::npos; at = rest.find(kCall)) {
      rest.remove_prefix(at + kCall.size());
      const size_t end = rest.find(kCallEnd);
      if (end == std::string_view::npos) break;
      const auto call = parse_json(rest.substr(0, end));
      if (!call || !call->is_object() || !call->contains("name") || !(*call)["name"].is_string())
        return Error{Code::Corrupt, "the call is no JSON"};
      said.calls.push_back(
          {"", (*call)["name"].get<std::string>(), dump(call->value("arguments", Json::object()))});
      rest.remove_prefix(end + kCallEnd.size());
    }
    return said;
  }

 private:
  static constexpr std::string_view kCall = "<tool_call>";
  static constexpr std::string_view kCallEnd = "</tool_call>";
  // All before the tag, and without what could be its beginning.
  static std::string up_to(std::string_view text, std::string_view tag) {
    const size_t at = text.find(tag);
    if (at != std::string_view::npos) return std::string(text.substr(0, at));
    size_t held = std::min(tag.size() - 1, text.size());
    while (held > 0 && !text.ends_with(tag.substr(0, held))) held--;
    return std::string(text.substr(0, text.size() - held));
  }
  const bool calls_;
};

class FakeModel;

class FakeSampler final : public Sampler {
 public:
  FakeSampler(FakeModel& model, const Sampling& sampling, std::span<const Token> prompt);
  ~FakeSampler() override;
  FakeSampler(const FakeSampler&) = delete;
  FakeSampler& operator=(const FakeSampler&) = delete;
  Result<Chosen> choose(int row, std::optional<unsigned> top) override {
    return next(row, top, std::nullopt);
  }
  Result<Chosen> take(int row, Token token, std::optional<unsigned> top) override {
    return next(row, top, token);
  }
  void stop_thinking() override { thinking_.stop(); }
  // What it is going to say after `said`; nullopt: this is not how its answer goes.
  std::optional<Token> foretold(std::span<const Token> said) const;

 private:
  Result<Chosen> next(int row, std::optional<unsigned> top, std::optional<Token> before);
  void go_on();
  void end_thoughts();
  std::vector<float> logits() const;
  Token scripted(size_t at) const;
  Token draw(std::vector<float> logits);

  FakeModel& model_;
  const Sampling sampling_;
  std::vector<Token> said_;  // prompt and answer
  const size_t prompt_;
  Script script_;
  std::mt19937_64 random_;
  Thinking thinking_;
  bool ended_thoughts_ = false;
  bool unanswered_ = false;  // its thoughts have ended, and no word has followed them
  const bool plain_;         // no option changes what the script says
};

class FakeModel final : public Model {
 public:
  FakeModel(const wire::Load& load, Pulse& pulse, const FakeModel* drafts_for)
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

  const Facts& facts() const override { return facts_; }

  Result<std::vector<Token>> tokenize(std::string_view text, Special special) override {
    std::vector<Token> tokens = {kBegin};
    while (!text.empty()) {
      const Token token = first_token(text, special);
      tokens.push_back(token);
      text.remove_prefix(token < kBegin       ? 1
                         : token < kFirstWord ? kControls[token - kBegin].size()
                                              : kWords[token - kFirstWord].size());
    }
    return tokens;
  }

  Result<std::vector<Token>> tokenize_pair(std::string_view query,
                                           std::string_view document) override {
    TRY_AS(std::vector<Token> tokens, tokenize(query, Special::AsText));
    tokens.push_back(kEnd);
    TRY_AS(const auto second, tokenize(document, Special::AsText));
    tokens.insert(tokens.end(), second.begin() + 1, second.end());
    return tokens;
  }

  // What the last line before the gap orders is what fills it.
  Result<std::vector<Token>> tokenize_gap(const Gap& gap, size_t most) override {
    std::string text;
    for (const Gap::Extra& extra : gap.extra) text += cat(extra.filename, "\n", extra.text, "\n");
    TRY_AS(std::vector<Token> tokens,
           tokenize(cat(text, gap.suffix, "\n", gap.prefix, gap.prompt), Special::AsText));
    if (tokens.size() > most)
      tokens.erase(tokens.begin() + 1, tokens.end() - static_cast<ptrdiff_t>(most - 1));
    return tokens;
  }

  std::string piece(Token token, Special special) const override {
    if (token >= kBegin && token < kFirstWord && special == Special::AsText) {
      return std::string(kControls[token - kBegin]);
    }
    return raw_piece(token);
  }

  bool ends(Token token) const override { return token == kEnd; }

  Result<Rendered> render_chat(const Chat& chat) override {
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

  Result<std::vector<PromptPart>> tokenize_media(std::string_view prompt,
                                                 std::span<const Media> media) override {
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
  Decoded encode(MediaPiece& piece) override {
    if (!pace(pulse_, piece.rows, settings.prompt_tokens_per_s)) return Decoded::Aborted;
    piece.encoded = true;
    return Decoded::Ok;
  }
  void forget_rows(MediaPiece& piece) override { piece.encoded = false; }
  Decoded decode_media(const MediaRows& media) override {
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

  Result<std::shared_ptr<const Constraint>> constrain(const Must& must) override {
    auto constraint = std::make_shared<FakeConstraint>();
    if (must.choice.empty() && must.schema.empty()) {
      return Error{Code::Unsupported,
                   cat("'", must.param, "' is what the fake engine cannot keep to"), must.param};
    }
    constraint->says = must.choice.empty() ? "{}" : must.choice[0];
    return std::shared_ptr<const Constraint>(std::move(constraint));
  }

  Result<std::unique_ptr<Sampler>> sampler(const Sampling& sampling,
                                           std::span<const Token> prompt) override {
    return std::unique_ptr<Sampler>(std::make_unique<FakeSampler>(*this, sampling, prompt));
  }

  Result<> load_adapter(size_t index) override {
    if (!facts_.adapters[index].starts_with("broken")) return Unit{};
    return Error{Code::Invalid, cat("adapter '", facts_.adapters[index], "': it is broken"),
                 "lora"};
  }
  void adapt(std::span<const Adapter> adapters) override {
    adapters_.assign(adapters.begin(), adapters.end());
    under_ = 0;
    for (const Adapter& adapter : adapters)
      under_ = mixed(under_ + adapter.index + 1) + std::bit_cast<uint32_t>(adapter.scale);
  }
  // The word with which an answer ends that was computed with adapters: " 1" for the first.
  std::optional<Token> mark() const {
    constexpr size_t kFirstNumber = 16;
    if (adapters_.empty()) return std::nullopt;
    return static_cast<Token>(kFirstWord + kFirstNumber + adapters_.front().index % 10);
  }

  Decoded decode(std::span<const Row> rows) override {
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

  Likeliest likeliest(int row) const override {
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
  void enter(const FakeSampler& sampler) {
    const MutexLock lock(samplers_mutex_);
    samplers_.push_back(&sampler);
  }
  void leave(const FakeSampler& sampler) {
    const MutexLock lock(samplers_mutex_);
    std::erase(samplers_, &sampler);
  }

  bool cut(Sequence sequence, Position from) override {
    auto& cells = cells_[sequence];
    cells.tokens.resize(std::min(cells.tokens.size(), static_cast<size_t>(from)));
    if (cells.tokens.empty()) cells.first = 0;
    return true;
  }

  void forget() override {
    for (auto& cells : cells_) cells = {};
  }

  void share(Sequence from, Sequence to, Position until) override {
    cells_[to] = cells_[from];
    cells_[to].tokens.resize(until);
  }

  size_t state_size(Sequence sequence) const override {
    const size_t tokens = cells_[sequence].tokens.size();
    return tokens == 0 ? 0 : kStateHead + tokens * sizeof(Token);
  }
  bool save(Sequence sequence, std::span<std::byte> into) override {
    const auto& cells = cells_[sequence];
    std::memcpy(into.data(), &cells.first, sizeof cells.first);
    std::memcpy(into.data() + sizeof cells.first, &cells.under, sizeof cells.under);
    std::memcpy(into.data() + kStateHead, cells.tokens.data(), into.size() - kStateHead);
    return true;
  }
  bool restore(Sequence to, std::span<const std::byte> state) override {
    auto& cells = cells_[to];
    if (!cells.tokens.empty()) return false;
    std::memcpy(&cells.first, state.data(), sizeof cells.first);
    std::memcpy(&cells.under, state.data() + sizeof cells.first, sizeof cells.under);
    cells.tokens.resize((state.size() - kStateHead) / sizeof(Token));
    std::memcpy(cells.tokens.data(), state.data() + kStateHead, state.size() - kStateHead);
    return true;
  }

  Position first_position(Sequence sequence) const override {
    return cells_[sequence].tokens.empty() ? -1 : cells_[sequence].first;
  }

  // The direction of a text is the sum of the directions of its tokens: like texts are near each
  // other.
  Result<std::vector<float>> embed(std::span<const std::span<const Token>> inputs) override {
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

  // What the sequence of a row of the last decode holds, and whether its window is whole.
  Result<std::span<const Token>> held(int row) const {
    const auto& cells = cells_[rows_[row].sequence];
    const Position next = rows_[row].position + 1;
    const Position needed =
        facts_.window > 0 ? std::max(0, next - static_cast<Position>(facts_.window)) : 0;
    if (firsts_[row] > needed) return Error{Code::Corrupt, "the fake's window has a hole"};
    return std::span<const Token>(cells.tokens).first(static_cast<size_t>(next));
  }
  bool numbers() const { return decoded_ < settings.nan_after; }

 private:
  struct Cells {
    std::vector<Token> tokens;
    Position first = 0;  // what is before it has been forgotten
    uint64_t under = 0;  // which adapters they were computed with
  };
  static constexpr size_t kStateHead = sizeof(Position) + sizeof(uint64_t);

  // The share of the query's tokens that the document has.
  static float score(std::span<const Token> pair) {
    const auto end = std::find(pair.begin(), pair.end(), Token{kEnd});
    size_t found = 0;
    for (auto at = pair.begin() + 1; at < end; ++at)
      found += std::find(end, pair.end(), *at) != pair.end() ? 1 : 0;
    return static_cast<float>(found) /
           static_cast<float>(std::max<ptrdiff_t>(1, end - pair.begin() - 1));
  }

  // With a marker in the place of each picture or sound.
  static Result<std::string> content_text(const Json& content) {
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

  static Token first_token(std::string_view text, Special special) {
    if (special == Special::Parsed && text[0] == '<') {
      for (size_t i = 0; i < kControls.size(); i++) {
        if (text.starts_with(kControls[i])) return static_cast<Token>(kBegin + i);
      }
    }
    size_t best = 0;
    Token token = static_cast<unsigned char>(text[0]);
    for (size_t i = 0; i < kWords.size(); i++) {
      if (kWords[i][0] == text[0] && kWords[i].size() > best && text.starts_with(kWords[i])) {
        best = kWords[i].size();
        token = static_cast<Token>(kFirstWord + i);
      }
    }
    return token;
  }

  Pulse& pulse_;
  const FakeModel* const drafts_for_;  // nullptr: it answers itself
  mutable Mutex samplers_mutex_;
  std::vector<const FakeSampler*> samplers_ GUARDED_BY(samplers_mutex_);
  Facts facts_;
  std::vector<Cells> cells_;
  std::vector<Row> rows_;
  std::vector<Position> firsts_;  // what each of them could still see
  uint64_t decoded_ = 0;
  std::vector<Adapter> adapters_;
  uint64_t under_ = 0;
};

size_t number_after(std::string_view text, size_t most) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return std::min(number, most);
}

Script script_for(FakeModel& model, std::span<const Token> prompt, const Constraint* constraint) {
  const auto* const fake = static_cast<const FakeConstraint*>(constraint);
  if (fake && !fake->says.empty()) {
    const auto said = model.tokenize(fake->says, Special::AsText);
    return {{said->begin() + 1, said->end()}, 0};
  }
  // the last message of a chat, from its last picture or sound on, or the last line of a text
  const bool chat = !prompt.empty() && prompt.back() == kAssistant;
  std::string order;
  if (chat) {
    auto end = prompt.size() - 1;
    while (end > 0 && prompt[end] != kEnd) end--;
    auto begin = end;
    while (begin > 0 && !is_media(prompt[begin - 1]) &&
           (prompt[begin - 1] < kBegin || prompt[begin - 1] >= kFirstWord))
      begin--;
    order = text_of(prompt.subspan(begin, end - begin));
  } else {
    order = text_of(prompt);
    if (const size_t line = order.rfind('\n'); line != std::string::npos) order.erase(0, line + 1);
  }
  std::string answer;
  const auto after = [&](std::string_view word) -> std::optional<std::string_view> {
    if (!order.starts_with(word)) return std::nullopt;
    return std::string_view(order).substr(word.size());
  };
  if (const auto text = after("repeat: ")) {
    answer = *text;
  } else if (const auto count = after("count: ")) {
    const size_t most = number_after(*count, 1'000'000);
    for (size_t i = 1; i <= most; i++) answer += cat(i == 1 ? "" : " ", i);
  } else if (const auto hex = after("bytes: ")) {
    for (size_t i = 0; i + 1 < hex->size(); i += 2) {
      unsigned byte = 0;
      std::from_chars(hex->data() + i, hex->data() + i + 2, byte, 16);
      answer += static_cast<char>(byte);
    }
    Script script;
    for (const char byte : answer) script.answer.push_back(static_cast<unsigned char>(byte));
    return script;
  } else if (const auto random = after("random: ")) {
    return {{}, number_after(*random, 1'000'000)};
  } else if (order == "look") {
    const auto pieces = std::count_if(prompt.begin(), prompt.end(), begins_media);
    answer =
        cat(pieces, " pieces in ", std::count_if(prompt.begin(), prompt.end(), is_media), " rows");
  } else if (const auto clock = after("clock: ")) {
    return {std::vector<Token>(number_after(*clock, 100'000), kClock), 0};
  } else {
    size_t words = 0;
    for (const auto& word : split(order, ' ')) words += word.empty() ? 0 : 1;
    answer = cat("The prompt has ", words, " words.");
  }
  auto tokens = model.tokenize(answer, Special::AsText);
  return {{tokens->begin() + 1, tokens->end()}, 0};  // without the begin
}

FakeSampler::FakeSampler(FakeModel& model, const Sampling& sampling, std::span<const Token> prompt)
    : model_(model),
      sampling_(sampling),
      said_(prompt.begin(), prompt.end()),
      prompt_(prompt.size()),
      script_(script_for(model, prompt, sampling.constraint.get())),
      random_(sampling.seed),
      thinking_(sampling.constraint ? Thinking::Tags{std::string(kThink), {std::string(kThinkEnd)}}
                                    : Thinking::Tags{},
                "", sampling.thinking_max),
      plain_(script_.random == 0 && sampling.logit_bias.empty() && !sampling.ignore_eos &&
             sampling.presence_penalty == 0 && sampling.frequency_penalty == 0 &&
             sampling.repeat_penalty == 1 && sampling.temperature <= 1) {
  model_.enter(*this);
}

FakeSampler::~FakeSampler() { model_.leave(*this); }

// By its script; what is chosen freely is not foretold.
std::optional<Token> FakeSampler::foretold(std::span<const Token> said) const {
  if (said.size() < said_.size() || !std::equal(said_.begin(), said_.end(), said.begin()))
    return std::nullopt;
  for (size_t at = said_.size(); at < said.size(); at++) {
    if (said[at] != scripted(at - prompt_)) return std::nullopt;
  }
  return scripted(said.size() - prompt_);
}

Token FakeSampler::scripted(size_t at) const {
  if (at < script_.answer.size()) return script_.answer[at];
  return at == script_.answer.size() ? model_.mark().value_or(kEnd) : Token{kEnd};
}

// Within thoughts, and right behind them, a script does not end.
void FakeSampler::go_on() {
  auto& answer = script_.answer;
  const bool has_to = thinking_.inside() || unanswered_;
  if (has_to && said_.size() - prompt_ == answer.size()) answer.push_back('.');
}

// The script goes on where its thoughts end.
void FakeSampler::end_thoughts() {
  if (ended_thoughts_ || !thinking_.over()) return;
  ended_thoughts_ = true;
  const size_t at = said_.size() - prompt_;
  auto& answer = script_.answer;
  answer.resize(std::max(at, answer.size()), Token{kEnd});
  const std::string rest = text_of(std::span(answer).subspan(at));
  if (rest.starts_with(kThinkEnd)) return;
  const size_t end = rest.find(kThinkEnd);
  const auto short_one = model_.tokenize(
      end == std::string::npos ? kThinkEnd : std::string_view(rest).substr(end), Special::AsText);
  answer.resize(at);
  answer.insert(answer.end(), short_one->begin() + 1, short_one->end());
}

std::vector<float> FakeSampler::logits() const {
  std::vector<float> out(kVocabulary);
  const size_t at = said_.size() - prompt_;
  for (Tokens t = 0; t < kVocabulary; t++) {
    out[t] = static_cast<float>(mixed(at * kVocabulary + t) >> 44) / static_cast<float>(1 << 20);
  }
  if (script_.random > 0) {
    if (at >= script_.random) {
      out[kEnd] = 40;
    } else {
      for (char c = 'a'; c <= 'z'; c++) out[static_cast<size_t>(c)] += 20;
    }
  } else {
    out[scripted(at)] = 40;
  }
  if (!model_.numbers()) out[0] = NAN;
  return out;
}

Token FakeSampler::draw(std::vector<float> logits) {
  for (const auto& [token, bias] : sampling_.logit_bias) logits[token] += bias;
  if (sampling_.ignore_eos) logits[kEnd] = -INFINITY;
  const size_t last =
      sampling_.repeat_last_n < 0 ? said_.size() : static_cast<size_t>(sampling_.repeat_last_n);
  std::vector<int> counts(logits.size());
  for (size_t i = said_.size() - std::min(last, said_.size()); i < said_.size(); i++) {
    if (!is_media(said_[i])) counts[said_[i]]++;
  }
  for (size_t t = 0; t < logits.size(); t++) {
    if (counts[t] == 0) continue;
    logits[t] =
        logits[t] > 0 ? logits[t] / sampling_.repeat_penalty : logits[t] * sampling_.repeat_penalty;
    logits[t] -=
        sampling_.presence_penalty + sampling_.frequency_penalty * static_cast<float>(counts[t]);
  }
  std::vector<Token> order(logits.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<Token>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](Token a, Token b) { return logits[a] > logits[b]; });
  if (sampling_.temperature <= 0) return order[0];

  std::vector<double> weights;
  double total = 0;
  for (const Token token : order) {
    weights.push_back(
        std::exp(static_cast<double>((logits[token] - logits[order[0]]) / sampling_.temperature)));
    total += weights.back();
  }
  size_t keep = sampling_.top_k > 0 ? static_cast<size_t>(sampling_.top_k) : order.size();
  keep = std::min(keep, order.size());
  double sum = 0;
  for (size_t i = 0; i < keep; i++) {
    if (i > 0 && (sum / total >= static_cast<double>(sampling_.top_p) ||
                  weights[i] < static_cast<double>(sampling_.min_p) * weights[0])) {
      keep = i;
      break;
    }
    sum += weights[i];
  }
  double at = std::uniform_real_distribution<double>(0, sum)(random_);
  for (size_t i = 0; i < keep; i++) {
    at -= weights[i];
    if (at <= 0) return order[i];
  }
  return order[keep - 1];
}

Result<Chosen> FakeSampler::next(int row, std::optional<unsigned> top,
                                 std::optional<Token> before) {
  TRY_AS(const auto held, model_.held(row));
  if (held.size() != said_.size() ||
      std::memcmp(held.data(), said_.data(), held.size_bytes()) != 0) {
    return Error{Code::Corrupt, "the fake's cells hold another conversation"};
  }
  go_on();
  // what the script did not say was said because its thoughts were stopped there
  if (before && plain_ && thinking_.inside() && *before != scripted(said_.size() - prompt_))
    thinking_.stop();
  end_thoughts();
  const bool inside = thinking_.inside();
  const auto took = [&](Chosen& chosen) {
    const std::string piece = raw_piece(chosen.token);
    thinking_.add(piece);
    chosen.thinking = inside && !ended_thoughts_;
    unanswered_ = (inside && !thinking_.inside()) || (unanswered_ && trimmed(piece).empty());
  };
  if (plain_ && !top && model_.numbers()) {  // what the long way would choose
    const size_t at = said_.size() - prompt_;
    said_.push_back(before.value_or(scripted(at)));
    Chosen plain{said_.back(), 0, {}};
    took(plain);
    return plain;
  }
  const std::vector<float> raw = logits();
  if (std::any_of(raw.begin(), raw.end(), [](float x) { return std::isnan(x); })) {
    return Error{Code::Corrupt, "the model computed something that is no number"};
  }
  Chosen chosen;
  chosen.token = draw(raw);  // also where it is known: chance moves on
  if (before) chosen.token = *before;
  said_.push_back(chosen.token);
  took(chosen);
  if (!top) return chosen;

  const float most = *std::max_element(raw.begin(), raw.end());
  double sum = 0;
  for (const float x : raw) sum += std::exp(static_cast<double>(x - most));
  const float log_sum = most + static_cast<float>(std::log(sum));
  chosen.logprob = raw[chosen.token] - log_sum;
  std::vector<Token> order(raw.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<Token>(i);
  const size_t count = std::min<size_t>(*top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [&](Token a, Token b) { return raw[a] > raw[b]; });
  for (size_t i = 0; i < count; i++) chosen.top.push_back({order[i], raw[order[i]] - log_sum});
  return chosen;
}

// Takes a count out of the options; sizes may have a unit.
Result<> take(Options& options, const char* name, uint64_t& out) {
  const auto found = options.find(name);
  if (found == options.end()) return Unit{};
  const std::string& text = found->second;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit == "KiB") out = KiB(out).n;
  if (unit == "MiB") out = MiB(out).n;
  if (unit == "GiB") out = GiB(out).n;
  if (problem != std::errc() ||
      (!unit.empty() && unit != "KiB" && unit != "MiB" && unit != "GiB")) {
    return Error{Code::Invalid, cat("--", name, "='", text, "' is not a count or a size")};
  }
  options.erase(found);
  return Unit{};
}

Result<std::string> prepare(Options& options) {
  settings = {};
  TRY(take(options, "load-ms", settings.load_ms));
  TRY(take(options, "render-ms", settings.render_ms));
  TRY(take(options, "tokens-per-s", settings.tokens_per_s));
  TRY(take(options, "prompt-tokens-per-s", settings.prompt_tokens_per_s));
  TRY(take(options, "size", settings.size_bytes));
  TRY(take(options, "context-train", settings.context_train));
  TRY(take(options, "window", settings.window));
  TRY(take(options, "parked", settings.parked_bytes));
  TRY(take(options, "nan-after", settings.nan_after));
  TRY(take(options, "break-after", settings.break_after));
  TRY(take(options, "draft-right", settings.draft_right));
  settings.has_template = options.erase("no-template") == 0;
  settings.adapter = options.erase("adapter") != 0;
  settings.projector = options.erase("projector-file") != 0;
  settings.sees = options.erase("sees") != 0;
  settings.hears = options.erase("hears") != 0;
  settings.ranks = options.contains("pooling") && options["pooling"] == "rank";
  settings.pooling = options.erase("pooling") != 0;
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
}  // namespace lares::engine
