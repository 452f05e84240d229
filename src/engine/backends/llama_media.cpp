#include "engine/backends/llama_media.h"

#include <mtmd_backends.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "engine/backends/llama_log.h"
#include "engine/gguf_facts.h"
#include "engine/log.h"

namespace lares::engine::llama {
namespace {

constexpr uint64_t kSideMax = 1u << 14;  // of the pictures that a projector wants, in pixels

template <class Function>
Function function_of(ggml_backend_t backend, const char* name) {
  ggml_backend_reg_t const registry =
      ggml_backend_dev_backend_reg(ggml_backend_get_device(backend));
  return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(registry, name));
}

Error refused(std::string_view otherwise) {
  const std::string why = last_error();
  return {Code::Invalid, cat("the projector cannot be used: ", why.empty() ? otherwise : why,
                             "; give the one that was made for this model")};
}

}  // namespace

// What mtmd keeps of a piece, and its rows once they are there.
class Projector::Piece final : public MediaPiece {
 public:
  explicit Piece(const mtmd_input_chunk* chunk) : chunk_(mtmd_input_chunk_copy(chunk)) {}
  const mtmd_input_chunk* chunk() const { return chunk_.get(); }
  std::vector<float> embeddings;

 private:
  const mtmd::input_chunk_ptr chunk_;
};

Result<> check_projector(const gguf::Head& head) {
  const Json about = gguf::projector_of(head);
  if (about.is_null())
    return Error{Code::Invalid,
                 "the file given as projector is none; its name is usually mmproj-*"};
  if (!about["projector"]["sees"].get<bool>() && !about["projector"]["hears"].get<bool>())
    return Error{Code::Invalid, "the projector says that it neither sees nor hears"};
  if (!about["projector"]["sees"].get<bool>()) return Unit{};
  const uint64_t side = head.count("clip.vision.image_size");
  const uint64_t patch = head.count("clip.vision.patch_size");
  const uint64_t heads = head.count("clip.vision.attention.head_count");
  if (side == 0 || side > kSideMax || patch == 0 || patch > side || heads == 0)
    return Error{Code::Corrupt,
                 cat("the projector wants pictures of ", side, " pixels in patches of ", patch,
                     " for ", heads, " heads, which cannot be; fetch it again")};
  return Unit{};
}

Projector::Projector(const llama_model* model, Tokens batch, Pulse& pulse)
    : pulse_(pulse),
      model_(model),
      batch_(batch),
      width_(static_cast<size_t>(llama_model_n_embd_inp(model))),
      marker_(cat("<__media_", random_hex(16), "__>")) {}

Projector::~Projector() = default;

Result<std::unique_ptr<Projector>> Projector::open(int file, const llama_model* model, Tokens batch,
                                                   Pulse& pulse) {
  {
    auto head = gguf::read_descriptor(file);
    if (!head) return std::move(head).error().within("the projector");
    TRY(check_projector(*head));
  }
  std::unique_ptr<Projector> projector(new Projector(model, batch, pulse));
  mtmd_context_params params = mtmd_context_params_default();
  params.use_gpu = false;
  params.print_timings = false;
  params.media_marker = projector->marker_.c_str();
  params.progress_callback = [](float, void* data) {
    static_cast<Pulse*>(data)->beat();
    return true;
  };
  params.progress_callback_user_data = &pulse;
  catch_log_of_media();
  forget_last_error();
  try {
    projector->context_.reset(mtmd_init_from_file(cat(file).c_str(), model, params));
  } catch (const std::exception& e) {
    return refused(e.what());
  }
  if (!projector->context_) return refused("the engine did not say why");
  return projector;
}

Senses Projector::senses() const {
  const int rate =
      mtmd_support_audio(context_.get()) ? mtmd_get_audio_sample_rate(context_.get()) : 0;
  return {mtmd_support_vision(context_.get()), static_cast<uint32_t>(std::max(rate, 0))};
}

uint64_t Projector::weights_bytes() const { return mtmd_memory(context_.get()).weights; }
uint64_t Projector::compute_bytes() const { return mtmd_memory(context_.get()).compute; }

Result<std::vector<PromptPart>> Projector::tokenize(std::string_view prompt,
                                                    std::span<const Media> media) {
  std::vector<mtmd::bitmap> bitmaps;
  for (const Media& each : media) {
    bitmaps.emplace_back(
        each.kind == Media::Kind::Image
            ? mtmd_bitmap_init(each.width, each.height, each.rgb.data())
            : mtmd_bitmap_init_from_audio(each.samples.size(), each.samples.data()));
    bitmaps.back().set_id(each.digest.c_str());
  }
  std::vector<const mtmd_bitmap*> pointers;
  for (const mtmd::bitmap& bitmap : bitmaps) pointers.push_back(bitmap.ptr.get());
  size_t markers = 0;
  for (size_t at = prompt.find(marker_); at != std::string_view::npos;
       at = prompt.find(marker_, at + marker_.size()))
    markers++;
  if (markers != media.size()) {
    return Error{Code::Invalid,
                 cat("this model's chat template shows ", markers, " of the ", media.size(),
                     " pictures and sounds in 'messages'; put them into the person's messages, or "
                     "leave them out"),
                 "messages"};
  }
  const mtmd_input_text text{prompt.data(), prompt.size(), true, true};
  const mtmd::input_chunks chunks(mtmd_input_chunks_init());
  forget_last_error();
  const int32_t status =
      mtmd_tokenize(context_.get(), chunks.ptr.get(), &text, pointers.data(), pointers.size());
  if (status != 0) {
    const std::string why = last_error();
    return Error{Code::Invalid,
                 cat("a picture or sound in 'messages' cannot be made ready for this model: ",
                     why.empty() ? "the engine did not say why" : why),
                 "messages"};
  }
  std::vector<PromptPart> parts;
  for (size_t i = 0; i < chunks.size(); i++) {
    const mtmd_input_chunk* const chunk = chunks[i];
    if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
      size_t count = 0;
      const llama_token* const tokens = mtmd_input_chunk_get_tokens_text(chunk, &count);
      parts.push_back({{tokens, tokens + count}});
      continue;
    }
    auto piece = std::make_shared<Piece>(chunk);
    const auto positions = mtmd_input_chunk_get_n_pos(chunk);
    piece->rows = mtmd_input_chunk_get_n_tokens(chunk);
    piece->positions = static_cast<size_t>(std::max(positions, 1));
    piece->at_once = mtmd_decode_use_non_causal(context_.get(), chunk);
    const char* const id = mtmd_input_chunk_get_id(chunk);
    // pieces of one file come in its order, so that their places tell them apart
    piece->identity = cat(id ? id : "", " ", i, " ", piece->rows, " ", piece->positions);
    if (piece->rows == 0) continue;
    if (piece->positions > piece->rows)
      return Error{Code::Corrupt, "the projector gives a picture more positions than rows"};
    if (piece->at_once && piece->rows > batch_) {
      return Error{Code::Unsupported,
                   cat("a picture is ", piece->rows,
                       " tokens to this model, which must be computed "
                       "at once, but a step has at most ",
                       batch_),
                   "messages"};
    }
    parts.push_back({{}, std::move(piece)});
  }
  return parts;
}

// What computes its graphs stops and beats as the model's own does.
void Projector::attach() {
  if (std::exchange(attached_, true)) return;
  for (ggml_backend_t const backend : mtmd_backends(context_.get())) {
    if (const auto set = function_of<ggml_backend_set_abort_callback_t>(
            backend, "ggml_backend_set_abort_callback")) {
      set(
          backend,
          [](void* data) {
            auto* const pulse = static_cast<Pulse*>(data);
            pulse->beat();
            return pulse->aborting();
          },
          &pulse_);
    }
    using SetPool = void (*)(ggml_backend_t, ggml_threadpool*);
    if (const auto set = function_of<SetPool>(backend, "ggml_backend_cpu_set_threadpool"))
      set(backend, threads_.pool);
  }
}

Decoded Projector::encode(MediaPiece& which, unsigned threads) {
  auto& piece = static_cast<Piece&>(which);
  attach();
  if (pulse_.aborting()) return Decoded::Aborted;
  mtmd_use_threads(context_.get(), static_cast<int>(std::min(threads, threads_.count)));
  int32_t status = 1;
  try {
    status = mtmd_encode_chunk(context_.get(), piece.chunk());
  } catch (const std::exception& e) {
    log_line(cat("encoding: ", e.what()));
  }
  if (status != 0) return pulse_.aborting() ? Decoded::Aborted : Decoded::Broken;
  const float* const rows = mtmd_get_output_embd(context_.get());
  piece.embeddings.assign(rows, rows + piece.rows * width_);
  if (!std::all_of(piece.embeddings.begin(), piece.embeddings.end(),
                   [](float value) { return std::isfinite(value); })) {
    log_line("encoding: the projector computed something that is no number");
    return Decoded::Broken;
  }
  piece.encoded = true;
  return Decoded::Ok;
}

void Projector::forget(MediaPiece& which) {
  auto& piece = static_cast<Piece&>(which);
  piece.embeddings = {};
  piece.encoded = false;
}

int32_t Projector::decode(llama_context* context, const MediaRows& rows) {
  auto& piece = static_cast<Piece&>(rows.piece);
  const size_t count = rows.tokens.size();
  // four positions for each row where places in a picture count: time, row, column, and none
  const bool grid = mtmd_decode_use_mrope(context_.get());
  std::vector<llama_pos> positions((grid ? 4 : 1) * count);
  const mtmd_image_tokens* const image =
      mtmd_input_chunk_get_type(piece.chunk()) == MTMD_INPUT_CHUNK_TYPE_IMAGE
          ? mtmd_input_chunk_get_tokens_image(piece.chunk())
          : nullptr;
  for (size_t i = 0; i < count; i++) {
    const auto plain = static_cast<llama_pos>(static_cast<size_t>(rows.begin) + rows.from + i);
    if (!grid) {
      positions[i] = plain;
    } else if (!image) {
      for (size_t dimension = 0; dimension < 4; dimension++)
        positions[dimension * count + i] = plain;
    } else {
      const mtmd_decoder_pos at =
          mtmd_image_tokens_get_decoder_pos(image, rows.begin, rows.from + i);
      positions[i] = static_cast<llama_pos>(at.t);
      positions[count + i] = static_cast<llama_pos>(at.y);
      positions[2 * count + i] = static_cast<llama_pos>(at.x);
      positions[3 * count + i] = static_cast<llama_pos>(at.z);
    }
  }
  llama_seq_id sequence = rows.sequence;
  std::vector<llama_seq_id*> sequences(count, &sequence);
  std::vector<int32_t> sequence_counts(count, 1);
  std::vector<int8_t> outputs(count, 0);
  if (rows.wants_logits) outputs.back() = 1;
  llama_batch batch{};
  batch.n_tokens = static_cast<int32_t>(count);
  batch.embd = piece.embeddings.data() + rows.from * width_;
  batch.pos = positions.data();
  batch.n_seq_id = sequence_counts.data();
  batch.seq_id = sequences.data();
  batch.logits = outputs.data();
  if (piece.at_once) llama_set_causal_attn(context, false);
  int32_t status = -1;
  try {
    status = llama_decode(context, batch);
  } catch (const std::exception& e) {
    log_line(cat("decoding: ", e.what()));
  }
  if (piece.at_once) llama_set_causal_attn(context, true);
  return status;
}

}  // namespace lares::engine::llama
