// The llama engine: llama.cpp behind engine/model.h.
//
// One CPU variant is loaded from --variant=FILE before the sandbox is entered; the model is read
// and mapped from the descriptor that was handed over. State is one unified cache, so that
// sequences can share cells. Its own pool of threads does not spin while idle (see kPoll).
#include <common.h>
#include <llama-ext.h>
#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <thread>

#include "base/sha256.h"
#include "base/text.h"
#include "engine/backends/llama_adapters.h"
#include "engine/backends/llama_chat.h"
#include "engine/backends/llama_draft.h"
#include "engine/backends/llama_log.h"
#include "engine/backends/llama_measure.h"
#include "engine/backends/llama_media.h"
#include "engine/backends/llama_probe.h"
#include "engine/backends/llama_sampler.h"
#include "engine/backends/llama_structure.h"
#include "engine/backends/llama_tokens.h"
#include "engine/backends/llama_variant.h"
#include "engine/backends/llama_weights.h"
#include "engine/gguf.h"
#include "engine/gguf_facts.h"
#include "engine/log.h"
#include "engine/model.h"
#include "wire/draft_rows.h"

static_assert(GGML_MAX_NAME == 128, "every user of ggml must agree on the layout of ggml_tensor");

namespace lares::engine::llama {
namespace {

constexpr Tokens kEmbeddingContextMax =
    2048;  // the whole input is one batch, so its buffers grow with it
constexpr uint32_t kSequencesMax = 64;
// Of conversations that rest, outside of the cells; no more than the cells themselves take.
constexpr Bytes kParkedMax = MiB(256);
constexpr uint32_t kEmbeddingSequences = 16;
constexpr uint32_t kThreadsMax = 256;
// For pictures and sounds while they are read, beside what computes on them.
constexpr Bytes kMediaRoom = MiB(128);
constexpr Bytes kTemplateMax = KiB(24);  // longer ones are known by their hash alone
// How long the pool's threads spin for the next piece of work, 0 to 100. With 0, two workers that
// take turns lose nothing to each other's spinning.
constexpr uint32_t kPoll = 0;

struct Prepared {
  std::string variant;
  uint32_t threads = 1;
  decltype(&ggml_threadpool_new) make_pool = nullptr;
  decltype(&ggml_threadpool_free) free_pool = nullptr;
};
Prepared prepared;  // set once, before anything is loaded

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;
struct FreeModel {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
struct FreePool {
  void operator()(ggml_threadpool* pool) const { prepared.free_pool(pool); }
};

std::string metadata(const llama_model* model, const std::string& key, size_t most = 256) {
  std::string value(most + 1, '\0');
  const int32_t n = llama_model_meta_val_str(model, key.c_str(), value.data(), value.size());
  value.resize(n < 0 ? 0 : std::min(static_cast<size_t>(n), most));
  return utf8_repaired(value);
}

std::string pooling_name(const std::string& number) {
  if (number == "1") return "mean";
  if (number == "2") return "cls";
  if (number == "3") return "last";
  if (number == "4") return "rank";
  return "none";
}

struct Parts {
  uint64_t weights = 0;
  uint64_t copied = 0;  // of the weights, what lies in a layout of the backend's own
  uint64_t state = 0;
  uint64_t compute = 0;
};

Parts parts_of(const llama_context* context) {
  Parts parts;
  auto* const plain = ggml_backend_cpu_buffer_type();
  for (const auto& [type, bytes] : llama_get_memory_breakdown(context)) {
    parts.weights += bytes.model;
    if (type != plain && !ggml_backend_buft_is_host(type)) parts.copied += bytes.model;
    parts.state += bytes.context;
    parts.compute += bytes.compute;
  }
  return parts;
}

class LlamaModel final : public Model {
 public:
  LlamaModel(llama_model* model, int file, Pulse& pulse)
      : pulse_(pulse),
        model_(model),
        vocab_(llama_model_get_vocab(model)),
        weights_(model, file),
        template_(model, pulse),
        tokenizer_(model) {
    describe();
  }

  void describe_work(const gguf::Head& head);
  void take_adapters(const LoadOrder& order) {
    facts_.adapters = order.load.adapters;
    adapters_ = std::make_unique<Adapters>(model_.get(), order.load.adapters, order.adapters);
  }
  void keep_dry_run(Json parts) {
    if (parts.is_object()) facts_.info["dry_run"] = std::move(parts);
  }
  Json parts_if_loaded(const wire::Load& load);
  Result<> make_context(const wire::Load& load);
  Result<> draft_for(const LlamaModel& other);
  Result<> take_projector(const LoadOrder& order);

  const Facts& facts() const override { return facts_; }
  Result<std::vector<Token>> tokenize(std::string_view text, Special special) override {
    return tokenizer_.around(text, special);
  }
  Result<std::vector<Token>> tokenize_pair(std::string_view query,
                                           std::string_view document) override {
    return tokenizer_.pair(query, document);
  }
  Result<std::vector<Token>> tokenize_gap(const Gap& gap, size_t most) override {
    return tokenizer_.gap(gap, most);
  }
  std::string piece(Token token, Special special) const override;
  bool ends(Token token) const override { return llama_vocab_is_eog(vocab_, token); }
  Result<Rendered> render_chat(const Chat& chat) override {
    return template_.render(chat, projector_ ? projector_->marker() : "");
  }
  Result<std::vector<PromptPart>> tokenize_media(std::string_view prompt,
                                                 std::span<const Media> media) override {
    return projector_->tokenize(prompt, media);
  }
  Decoded encode(MediaPiece& piece) override { return projector_->encode(piece, threads_now()); }
  void forget_rows(MediaPiece& piece) override { Projector::forget(piece); }
  Decoded decode_media(const MediaRows& rows) override;
  Result<std::shared_ptr<const Constraint>> constrain(const Must& must) override;
  Result<std::unique_ptr<Sampler>> sampler(const Sampling& sampling,
                                           std::span<const Token> prompt) override {
    std::vector<Token> words(prompt.begin(), prompt.end());
    std::erase_if(words, is_media);
    return make_sampler(context_, facts_.cells, model_.get(), sampling, words);
  }
  Result<> load_adapter(size_t index) override { return adapters_->load(index); }
  void adapt(std::span<const Adapter> adapters) override {
    adapters_->use(context_.get(), adapters);
  }
  Decoded decode(std::span<const Row> rows) override;
  Likeliest likeliest(int row) const override {
    const float* const logits = llama_get_logits_ith(context_.get(), row);
    return logits ? likeliest_of({logits, facts_.vocabulary}) : Likeliest{};
  }
  bool cut(Sequence sequence, Position from) override {
    return llama_memory_seq_rm(memory(), sequence, from, -1);
  }
  void forget() override { llama_memory_clear(memory(), false); }
  void share(Sequence from, Sequence to, Position until) override {
    llama_memory_seq_cp(memory(), from, to, 0, until);
  }
  Position first_position(Sequence sequence) const override {
    return llama_memory_seq_pos_min(memory(), sequence);
  }
  size_t state_size(Sequence sequence) const override {
    if (first_position(sequence) < 0) return 0;
    return llama_state_seq_get_size(context_.get(), sequence);
  }
  bool save(Sequence sequence, std::span<std::byte> into) override {
    return llama_state_seq_get_data(context_.get(), reinterpret_cast<uint8_t*>(into.data()),
                                    into.size(), sequence) == into.size();
  }
  bool restore(Sequence to, std::span<const std::byte> state) override {
    return llama_state_seq_set_data(context_.get(), reinterpret_cast<const uint8_t*>(state.data()),
                                    state.size(), to) == state.size();
  }
  Result<> stand(Rung rung, bool for_others) override;
  uint64_t memory_on(Rung rung) const override;
  Result<std::vector<float>> embed(std::span<const std::span<const Token>> inputs) override;

 private:
  void describe();
  Tokens size_context(const wire::Load& load, bool embeddings);
  llama_context_params context_params(const wire::Load& load, bool embeddings, Tokens cells);
  Result<> open_context();
  llama_memory_t memory() const { return llama_get_memory(context_.get()); }
  static bool on_node(void* self) {
    auto* const model = static_cast<LlamaModel*>(self);
    model->pulse_.beat();
    // a recurrent state that was half computed could not be taken back
    return model->facts_.cuts && model->pulse_.aborting();
  }
  void put(Token token, Position position, Sequence sequence, bool output);
  int32_t run();
  unsigned threads_now() const {
    const unsigned wanted = pulse_.threads();
    return wanted == 0 ? threads_ : std::min<unsigned>(wanted, threads_);
  }

  Pulse& pulse_;
  Facts facts_;
  std::shared_ptr<ggml_threadpool> pool_;  // the same of a model and its draft model
  std::unique_ptr<llama_model, FreeModel> model_;
  const llama_vocab* vocab_;
  const Weights weights_;
  ChatTemplate template_;
  const Tokenizer tokenizer_;
  std::unique_ptr<Adapters> adapters_;
  llama_context_params params_{};  // of it, whenever it is made
  Context context_;
  Rung rung_ = Rung::Hot;
  std::unique_ptr<Projector> projector_;  // nullptr: text only
  bool has_memory_ = true;
  uint32_t threads_ = 1;  // of the pool

  // the batch, in the engine's shape
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<int32_t> sequence_counts_;
  std::vector<int8_t> outputs_;
};

// What the file says of itself: all of it foreign. Read from its metadata, as a file that is only
// inspected has nothing else.
void LlamaModel::describe() {
  const llama_model* const model = model_.get();
  const std::string architecture = metadata(model, "general.architecture");
  const auto own = [&](std::string_view key) {
    return metadata(model, cat(architecture, ".", key));
  };
  const auto count = [](const std::string& text) {
    uint32_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return std::min<uint32_t>(number, INT32_MAX);
  };
  const bool causal = own("attention.causal") != "false";
  const std::string pooling = pooling_name(own("pooling_type"));
  const auto file_type = static_cast<llama_ftype>(count(metadata(model, "general.file_type")));
  facts_.vocabulary = static_cast<Tokens>(llama_vocab_n_tokens(vocab_));
  facts_.cuts = !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model);
  facts_.generates = causal;
  facts_.pools = pooling == "mean" || pooling == "cls" || pooling == "last";
  facts_.ranks = pooling == "rank";
  facts_.fills = tokenizer_.fills();
  const auto kind = llama_vocab_type(vocab_);
  if (kind == LLAMA_VOCAB_TYPE_SPM || kind == LLAMA_VOCAB_TYPE_BPE) {
    for (Token token = 0; token < static_cast<Token>(facts_.vocabulary); token++) {
      facts_.piece_max =
          std::max(facts_.piece_max, std::strlen(llama_vocab_get_text(vocab_, token)));
    }
  } else {
    facts_.piece_max = 0;  // these leave out parts of a text, so its length says nothing
  }
  facts_.info = {{"architecture", architecture},
                 {"name", metadata(model, "general.name")},
                 {"parameters", llama_model_n_params(model)},
                 {"size_bytes", llama_model_size(model)},
                 {"quantization", utf8_repaired(llama_ftype_name(file_type))},
                 {"context_train", count(own("context_length"))},
                 {"context", 0},
                 {"vocabulary", facts_.vocabulary},
                 {"embedding_length", count(own("embedding_length"))},
                 {"layers", count(own("block_count"))},
                 {"sliding_window", count(own("attention.sliding_window"))},
                 {"pooling", pooling},
                 {"has_template", template_.present()},
                 {"template_sha256", template_.present() ? sha256_hex(template_.source()) : ""},
                 {"licence", metadata(model, "general.license")}};
  if (template_.present() && template_.source().size() <= kTemplateMax.n)
    facts_.info["template"] = utf8_repaired(template_.source());
}

Result<std::shared_ptr<const Constraint>> LlamaModel::constrain(const Must& must) {
  auto out = std::make_shared<LlamaConstraint>();
  TRY_AS(out->grammar, grammar_of(must));
  out->param = must.param;
  return std::shared_ptr<const Constraint>(std::move(out));
}

// What only the file's head says.
void LlamaModel::describe_work(const gguf::Head& head) {
  facts_.info["work"] = gguf::work_of(head);
  facts_.logit_rows = facts_.info["work"].value("logit_rows", 0.0);
  const Json licence = gguf::licence_of(head);
  if (licence.contains("link")) facts_.info["licence_link"] = licence["link"];
  if (licence.contains("name")) facts_.info["licence_name"] = licence["name"];
}

// Sets what the context will hold. Cells of state, for all sequences together.
Tokens LlamaModel::size_context(const wire::Load& load, bool embeddings) {
  const auto trained = static_cast<Tokens>(std::max(1, llama_model_n_ctx_train(model_.get())));
  const Tokens most = embeddings ? kEmbeddingContextMax : wire::kContextMax;
  const Tokens cells = load.context != 0 ? load.context : std::min(trained, most);
  facts_.context = std::min(cells, trained);
  facts_.sequences =
      embeddings ? kEmbeddingSequences : std::clamp(load.sequences, 1U, kSequencesMax);
  facts_.batch = embeddings ? facts_.context : std::clamp<Tokens>(load.batch, 32, 4096);
  return cells;
}

llama_context_params LlamaModel::context_params(const wire::Load& load, bool embeddings,
                                                Tokens cells) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = embeddings ? facts_.context : cells;
  params.n_batch = facts_.batch;
  params.n_ubatch = facts_.batch;
  params.n_seq_max = facts_.sequences;
  // a logit for each of the vocabulary is large: room for those that are looked at, no more
  const auto drafts = static_cast<uint32_t>(wire::draft_rows(facts_.vocabulary));
  params.n_outputs_max =
      embeddings ? 0 : std::min<uint32_t>(facts_.sequences + drafts, facts_.batch);
  const uint32_t threads =
      std::clamp(load.threads != 0 ? load.threads : prepared.threads, 1U, kThreadsMax);
  params.n_threads = static_cast<int32_t>(threads);
  params.n_threads_batch = static_cast<int32_t>(threads);
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
  params.kv_unified = true;
  params.swa_full = false;
  params.embeddings = embeddings;
  params.no_perf = true;
  params.abort_callback = on_node;
  params.abort_callback_data = this;
  return params;
}

// Of a model that was loaded without allocating.
Json LlamaModel::parts_if_loaded(const wire::Load& load) {
  const bool embeddings = load.embeddings || !facts_.generates;
  const Tokens cells = size_context(load, embeddings);
  context_.reset(llama_init_from_model(model_.get(), context_params(load, embeddings, cells)));
  if (!context_) return nullptr;
  const Parts parts = parts_of(context_.get());
  context_.reset();
  return {{"context", load.context},    {"sequences", load.sequences},
          {"batch", load.batch},        {"copied_bytes", parts.copied},
          {"state_bytes", parts.state}, {"compute_bytes", parts.compute}};
}

Result<> LlamaModel::make_context(const wire::Load& load) {
  const bool embeddings = load.embeddings || !facts_.generates;
  if (embeddings) facts_.generates = false;
  if (load.embeddings && !facts_.pools && !facts_.ranks) {
    return Error{Code::Invalid,
                 "this is a chat model without pooling; embeddings need an embedding model such as "
                 "all-minilm-l6-v2"};
  }
  facts_.pools = embeddings && facts_.pools;
  facts_.ranks = embeddings && facts_.ranks;

  const Tokens cells = size_context(load, embeddings);
  params_ = context_params(load, embeddings, cells);
  const auto threads = static_cast<uint32_t>(params_.n_threads);
  TRY(open_context());
  has_memory_ = memory() != nullptr;

  const bool drafts = pool_ != nullptr;
  if (!drafts) {
    ggml_threadpool_params pool = ggml_threadpool_params_default(static_cast<int>(threads));
    pool.poll = kPoll;
    pool_.reset(prepared.make_pool(&pool), FreePool());
    if (!pool_) return Error{Code::NoRoom, cat("making ", threads, " threads: the system refused")};
    threads_ = threads;
  }
  llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());

  facts_.cells = llama_n_ctx(context_.get());
  facts_.window = static_cast<Tokens>(std::max(0, llama_model_n_swa(model_.get())));
  facts_.info["context"] = facts_.context;
  facts_.info["embedding_length"] = std::max(0, llama_model_n_embd_out(model_.get()));
  const Parts parts = parts_of(context_.get());
  if (facts_.generates && !drafts) facts_.parked_bytes = std::min(parts.state, kParkedMax.n);
  facts_.memory_bytes = parts.weights + parts.state + parts.compute + facts_.parked_bytes;
  facts_.info["memory"] = {{"weights_bytes", parts.weights},
                           {"copied_bytes", parts.copied},
                           {"state_bytes", parts.state},
                           {"parked_bytes", facts_.parked_bytes},
                           {"compute_bytes", parts.compute}};
  return Unit{};
}

Result<> LlamaModel::open_context() {
  forget_last_error();
  context_.reset(llama_init_from_model(model_.get(), params_));
  if (context_) return Unit{};
  const std::string why = last_error();
  return Error{Code::NoRoom, cat("a context of ", params_.n_ctx, " tokens could not be made: ",
                                 why.empty() ? "the engine did not say why" : why,
                                 "; ask for a smaller context")};
}

// Pages come in while the context is made.
Result<> LlamaModel::stand(Rung rung, bool for_others) {
  Result<> fetched = Unit{};
  std::thread fetching;
  if (rung_ == Rung::Parked && rung > Rung::Parked)
    fetching = std::thread([&] { fetched = weights_.fetch([this] { pulse_.beat(); }); });
  Result<> opened = Unit{};
  if (rung < Rung::Hot && rung_ == Rung::Hot) {
    context_.reset();
    adapters_->forget_context();
  } else if (rung == Rung::Hot && rung_ < Rung::Hot) {
    opened = open_context();
    if (opened) llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
  }
  if (fetching.joinable()) fetching.join();
  TRY(std::move(opened));
  TRY(std::move(fetched));
  if (rung == Rung::Parked) weights_.drop(for_others);
  rung_ = rung;
  return Unit{};
}

uint64_t LlamaModel::memory_on(Rung rung) const {
  if (rung == Rung::Hot) return facts_.memory_bytes;
  const Json& parts = facts_.info["memory"];
  const uint64_t always = weights_.private_bytes() + parts.value("projector_bytes", uint64_t{0}) +
                          parts.value("projector_compute_bytes", uint64_t{0});
  return always + (rung == Rung::Warm ? weights_.mapped_bytes() : 0);
}

// It computes with the other's threads, one after the other.
Result<> LlamaModel::draft_for(const LlamaModel& other) {
  if (!facts_.generates)
    return Error{Code::Invalid, "it is a model for vectors or scores, and says no tokens"};
  if (!facts_.cuts)
    return Error{
        Code::Unsupported,
        "it is a recurrent model, from whose state nothing can be taken back; name another "
        "in models.draft"};
  TRY(check_same_vocabulary(other.model_.get(), model_.get()));
  pool_ = other.pool_;
  threads_ = other.threads_;
  return Unit{};
}

std::string LlamaModel::piece(Token token, Special special) const {
  std::string bytes(64, '\0');
  const auto call = [&] {
    return llama_token_to_piece(vocab_, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0,
                                special == Special::AsText);
  };
  int32_t n = call();
  if (n < 0) {
    bytes.resize(static_cast<size_t>(-n));
    n = call();
  }
  bytes.resize(static_cast<size_t>(std::max(n, 0)));
  return bytes;
}

void LlamaModel::put(Token token, Position position, Sequence sequence, bool output) {
  tokens_.push_back(token);
  positions_.push_back(position);
  sequences_.push_back(sequence);
  outputs_.push_back(output ? 1 : 0);
}

// Computes what was put, and forgets it.
int32_t LlamaModel::run() {
  sequence_pointers_.clear();
  for (auto& sequence : sequences_) sequence_pointers_.push_back(&sequence);
  sequence_counts_.assign(tokens_.size(), 1);
  llama_batch batch{};
  batch.n_tokens = static_cast<int32_t>(tokens_.size());
  batch.token = tokens_.data();
  batch.pos = positions_.data();
  batch.n_seq_id = sequence_counts_.data();
  batch.seq_id = sequence_pointers_.data();
  batch.logits = outputs_.data();
  int32_t status = -1;
  const unsigned threads = threads_now();
  try {
    llama_set_n_threads(context_.get(), static_cast<int32_t>(threads),
                        static_cast<int32_t>(threads));
    status = llama_decode(context_.get(), batch);
  } catch (const std::exception& e) {
    log_line(cat("decoding: ", e.what()));
  }
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  outputs_.clear();
  return status;
}

Decoded LlamaModel::decode(std::span<const Row> rows) {
  for (const Row& row : rows) put(row.token, row.position, row.sequence, row.wants_logits);
  switch (run()) {
    case 0: return Decoded::Ok;
    case 1: return Decoded::NoCells;
    case 2: break;
    default: return Decoded::Broken;
  }
  // rows of one sequence follow each other, so its first is where it was before
  Sequence last = -1;
  for (const Row& row : rows) {
    if (row.sequence != last) llama_memory_seq_rm(memory(), row.sequence, row.position, -1);
    last = row.sequence;
  }
  return Decoded::Aborted;
}

Decoded LlamaModel::decode_media(const MediaRows& rows) {
  const auto threads = static_cast<int32_t>(threads_now());
  llama_set_n_threads(context_.get(), threads, threads);
  switch (projector_->decode(context_.get(), rows)) {
    case 0: return Decoded::Ok;
    case 1: return Decoded::NoCells;
    case 2: break;
    default: return Decoded::Broken;
  }
  // in a grid all rows have the position of the first
  llama_memory_seq_rm(memory(), rows.sequence, rows.begin, -1);
  return Decoded::Aborted;
}

// After make_context(): it computes with the same threads, and is counted with the rest.
Result<> LlamaModel::take_projector(const LoadOrder& order) {
  facts_.info["inputs"] = Json::array({"text"});
  if (order.projector < 0) return Unit{};
  if (!facts_.generates) {
    return Error{Code::Invalid,
                 "this model does not answer, so that a projector is of no use to it; remove the "
                 "model, and add it without"};
  }
  TRY_AS(projector_, Projector::open(order.projector, model_.get(), facts_.batch, pulse_));
  projector_->use({pool_.get(), threads_});
  facts_.senses = projector_->senses();
  if (facts_.senses.sees) facts_.info["inputs"].push_back("image");
  if (facts_.senses.hears_hz > 0) facts_.info["inputs"].push_back("audio");
  const uint64_t weights = projector_->weights_bytes();
  const uint64_t compute = projector_->compute_bytes();
  facts_.memory_bytes += weights + compute + kMediaRoom.n;
  facts_.info["memory"]["projector_bytes"] = weights;
  facts_.info["memory"]["projector_compute_bytes"] = compute;
  return Unit{};
}

Result<std::vector<float>> LlamaModel::embed(std::span<const std::span<const Token>> inputs) {
  if (has_memory_) llama_memory_clear(memory(), false);
  for (size_t i = 0; i < inputs.size(); i++) {
    for (size_t at = 0; at < inputs[i].size(); at++) {
      put(inputs[i][at], static_cast<Position>(at), static_cast<Sequence>(i), true);
    }
  }
  const int32_t status = run();
  if (status == 2) return Error{Code::Cancelled, "the request was cancelled"};
  if (status != 0) {
    return Error{Code::Io, "computing: the engine gave an error; the worker's log has more"};
  }
  const auto length = facts_.info["embedding_length"].get<size_t>();
  std::vector<float> out;
  out.reserve(inputs.size() * length);
  for (size_t i = 0; i < inputs.size(); i++) {
    const float* const vector = llama_get_embeddings_seq(context_.get(), static_cast<Sequence>(i));
    if (!vector) return Error{Code::Io, "computing: the engine has no result for an input"};
    if (facts_.ranks) {  // the first of its classes: "yes", where there are more
      if (!std::isfinite(vector[0])) {
        return Error{Code::Corrupt,
                     "the model computed a score that is no number; its file may be damaged"};
      }
      out.push_back(vector[0]);
      continue;
    }
    double squares = 0;
    for (size_t k = 0; k < length; k++)
      squares += static_cast<double>(vector[k]) * static_cast<double>(vector[k]);
    if (!std::isfinite(squares) || squares == 0) {
      return Error{Code::Corrupt,
                   "the model computed something that is no direction; its file may be damaged"};
    }
    const auto scale = static_cast<float>(1 / std::sqrt(squares));
    for (size_t k = 0; k < length; k++) out.push_back(vector[k] * scale);
  }
  return out;
}

// "libggml-cpu-haswell.so" is "haswell".
std::string variant_name(const std::string& file) {
  std::string name = std::filesystem::path(file).stem().string();
  const std::string_view before = "ggml-cpu-";
  const size_t at = name.find(before);
  return at == std::string::npos ? name : name.substr(at + before.size());
}

Result<std::string> prepare(Options& options) {
  const auto variant = options.find("variant");
  if (variant == options.end()) {
    return Error{Code::Invalid, "--engine=llama needs --variant=FILE, a libggml-cpu-NAME.so"};
  }
  catch_log();
  llama_backend_init();
  TRY_AS(ggml_backend_reg_t const backend, load_variant(variant->second));
  prepared.make_pool = reinterpret_cast<decltype(prepared.make_pool)>(
      ggml_backend_reg_get_proc_address(backend, "ggml_threadpool_new"));
  prepared.free_pool = reinterpret_cast<decltype(prepared.free_pool)>(
      ggml_backend_reg_get_proc_address(backend, "ggml_threadpool_free"));
  if (!prepared.make_pool || !prepared.free_pool) {
    return Error{Code::Unsupported,
                 cat("'", variant->second, "' is no CPU backend of this engine")};
  }
  prepared.variant = variant_name(variant->second);
  prepared.threads = static_cast<uint32_t>(std::max(1, common_cpu_get_num_math()));
  ::tzset();  // templates ask for the date, and the file about it cannot be read later
  options.erase(variant);
  return prepared.variant;
}

// What the engine would take for the model and a context of that kind, by its own account: it goes
// through all of loading but for the allocations. Null when it does not get that far.
Json dry_run(FILE* file, const wire::Load& load, Pulse& pulse) {
  if (std::fseek(file, 0, SEEK_SET) != 0) return nullptr;
  llama_model_params params = llama_model_default_params();
  params.load_mode = LLAMA_LOAD_MODE_NONE;
  params.use_extra_bufts = true;
  params.no_alloc = true;
  try {
    llama_model* const loaded = llama_model_load_from_file_ptr(file, params);
    if (!loaded) return nullptr;
    const bool encodes = llama_model_has_encoder(loaded) || llama_model_is_diffusion(loaded);
    LlamaModel model(loaded, -1, pulse);
    if (encodes) return nullptr;
    return model.parts_if_loaded(load);
  } catch (const std::exception& e) {
    log_line(cat("estimating: ", e.what()));
    return nullptr;
  }
}

Result<std::unique_ptr<Model>> load(const LoadOrder& order, Pulse& pulse) {
  const int copy = ::dup(order.file);
  const File file(copy < 0 ? nullptr : ::fdopen(copy, "rb"));
  if (!file) return Error{Code::Io, "the model's descriptor is not open for reading"};
  // by our own reader first: what it refuses the engine never sees
  TRY_AS(const gguf::Head head, gguf::read_descriptor(order.file));
  if (const Json adapter = gguf::adapter_of(head); !adapter.is_null()) {
    return Error{Code::Invalid,
                 cat("this is an adapter for '", adapter["architecture"].get<std::string>(),
                     "' models and no model; ask such a model, and name the adapter in 'lora'")};
  }
  if (!gguf::projector_of(head).is_null()) {
    return Error{Code::Invalid,
                 "this is a projector, which gives a model eyes or ears, and no model; add the "
                 "model with `lares models add MODEL --projector FILE`"};
  }
  if (std::fseek(file.get(), 0, SEEK_SET) != 0)
    return Error{Code::Io, "the file cannot be read; look at the disk, or fetch it again"};

  struct Watch {
    const LoadOrder& order;
    Pulse& pulse;
    int told = -1;  // hundredths
  } watch{order, pulse};
  llama_model_params params = llama_model_default_params();
  params.load_mode = LLAMA_LOAD_MODE_MMAP;
  params.use_extra_bufts = true;
  params.vocab_only = order.inspect_only;
  params.progress_callback_user_data = &watch;
  params.progress_callback = [](float fraction, void* data) {
    auto* const w = static_cast<Watch*>(data);
    w->pulse.beat();
    const int now = static_cast<int>(fraction * 100);
    if (w->order.progress && now >= w->told + 5) {
      w->told = now;
      w->order.progress(static_cast<double>(fraction));
    }
    return true;
  };
  forget_last_error();
  std::unique_ptr<LlamaModel> model;
  try {
    llama_model* const loaded = llama_model_load_from_file_ptr(file.get(), params);
    if (!loaded) {
      const std::string why = last_error();
      return Error{Code::Corrupt, cat("the file cannot be used: ",
                                      why.empty() ? "the engine did not say why" : why,
                                      "; fetch it again, or use another")};
    }
    const bool encodes = llama_model_has_encoder(loaded) || llama_model_is_diffusion(loaded);
    model = std::make_unique<LlamaModel>(loaded, order.file, pulse);
    model->describe_work(head);
    model->take_adapters(order);
    if (order.inspect_only) model->keep_dry_run(dry_run(file.get(), order.load, pulse));
    if (order.inspect_only) return std::unique_ptr<Model>(std::move(model));
    if (encodes) {
      return Error{Code::Unsupported,
                   "models with an encoder, or that generate by diffusion, are not supported"};
    }
    if (order.drafts_for) TRY(model->draft_for(static_cast<const LlamaModel&>(*order.drafts_for)));
    TRY(model->make_context(order.load));
    TRY(model->take_projector(order));
  } catch (const std::exception& e) {
    return Error{Code::Corrupt, cat("the file cannot be used: ", e.what())};
  }
  return std::unique_ptr<Model>(std::move(model));
}

Result<Json> about_addition(int file) {
  TRY_AS(const gguf::Head head, gguf::read_descriptor(file));
  if (Json projector = gguf::projector_of(head); !projector.is_null()) {
    TRY(check_projector(head));
    return projector;
  }
  Json about = gguf::adapter_of(head);
  if (about.is_null()) return about;
  TRY(check_adapter(head, head.text("general.architecture")));
  return about;
}

const Backend backend{.name = "llama",
                      .prepare = prepare,
                      .load = load,
                      .addition = about_addition,
                      .probe = probe,
                      .measure = measure};
const Registered<Backend> registered{backend};

}  // namespace
}  // namespace lares::engine::llama
