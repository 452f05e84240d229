#include "engine/backends/llama_measure.h"

#include <common.h>

#include <cstring>
#include <filesystem>

#include "base/text.h"
#include "engine/backends/llama_trial.h"
#include "engine/backends/llama_variant.h"

namespace lares::engine::llama {
namespace {

constexpr int64_t kInner = 2048;  // a row, as in models of one to three billion parameters
constexpr int64_t kRows = 2048;
constexpr int64_t kPrompt = 512;       // tokens of one step of a prompt
constexpr Bytes kStreamed = MiB(192);  // weights of one step of an answer: more than a cache
constexpr size_t kMatricesMax = 96;
constexpr double kPackMs = 50;  // what packing one matrix takes, about
constexpr auto kDecodeTime = std::chrono::milliseconds(60);
constexpr auto kPrefillTime = std::chrono::milliseconds(60);

// One matrix, packed. Its rows repeat, which changes no time.
std::vector<char> packed_matrix(ggml_type type) {
  constexpr int64_t kOwn = 16;
  const std::vector<float> values = random_values(static_cast<size_t>(kInner * kOwn), 1);
  const size_t row = ggml_row_size(type, kInner);
  std::vector<char> packed(row * kRows);
  if (type == GGML_TYPE_F32) {
    std::memcpy(packed.data(), values.data(), row * kOwn);
  } else {
    // formats of two bits and less want to know which values matter: all do, alike
    const std::vector<float> matters(static_cast<size_t>(kInner), 1.0F);
    ggml_quantize_chunk(type, values.data(), packed.data(), 0, kOwn, kInner, matters.data());
  }
  for (int64_t at = kOwn; at < kRows; at += kOwn)
    std::memcpy(packed.data() + static_cast<size_t>(at) * row, packed.data(), row * kOwn);
  return packed;
}

struct Rates {
  double decode_bytes_per_s = 0;
  double prefill_values_per_s = 0;
  double copied = 0;  // bytes for each of the file's, where the layout is one of the backend's own
};

Rates rates_of(Trial& trial, ggml_type type) {
  ggml_backend_buffer_type_t layout = nullptr;  // the first that takes it, as a loader chooses
  for (auto* const each : trial.layouts()) {
    if (!layout && trial.takes(each, type, kInner, kRows, kPrompt)) layout = each;
  }
  if (!layout) return {};
  std::vector<char> packed;
  trial.in_turn(kPackMs, [&] { packed = packed_matrix(type); });
  const size_t count = std::min<size_t>(kMatricesMax, kStreamed.n / packed.size() + 1);

  const Context weight_context = make_context(count + 1);
  std::vector<ggml_tensor*> weights;
  weights.reserve(count);
  for (size_t i = 0; i < count; i++)
    weights.push_back(ggml_new_tensor_2d(weight_context.get(), type, kInner, kRows));
  const Buffer buffer(ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), layout));
  if (!buffer) return {};
  ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  for (ggml_tensor* const matrix : weights)
    trial.in_turn(1, [&] { ggml_backend_tensor_set(matrix, packed.data(), 0, packed.size()); });

  Rates rates;
  if (!ggml_backend_buft_is_host(layout))
    rates.copied = static_cast<double>(ggml_backend_buft_get_alloc_size(layout, weights[0])) /
                   static_cast<double>(packed.size());

  // One token through all of them, each fed by the one before, as layers are.
  static const std::vector<float> input = random_values(static_cast<size_t>(kInner * kPrompt), 2);
  const auto seconds_for = [&](size_t matrices, int64_t columns, std::chrono::milliseconds limit) {
    const Context context = make_context(matrices * 2 + 8);
    ggml_tensor* const first = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kInner, columns);
    ggml_set_input(first);
    ggml_tensor* last = first;
    for (size_t i = 0; i < matrices; i++) last = ggml_mul_mat(context.get(), weights[i], last);
    double seconds = 0;
    const bool good = trial.compute(
        context.get(), last,
        [&] { ggml_backend_tensor_set(first, input.data(), 0, ggml_nbytes(first)); }, &seconds,
        limit);
    return good ? seconds : 0;
  };
  if (const double s = seconds_for(count, 1, kDecodeTime); s > 0)
    rates.decode_bytes_per_s = static_cast<double>(count * packed.size()) / s;
  if (const double s = seconds_for(1, kPrompt, kPrefillTime); s > 0)
    rates.prefill_values_per_s = static_cast<double>(kInner * kRows * kPrompt) / s;
  return rates;
}

// Keys and values of 2,048 tokens seen by one token, and by a step of a prompt.
Rates attention_rates(Trial& trial) {
  constexpr int64_t kWidth = 128;
  constexpr int64_t kPast = 2048;
  constexpr int64_t kHeads = 16;
  constexpr int64_t kKeyHeads = 4;
  Rates rates;
  for (const int64_t queries : {int64_t{1}, kPrompt}) {
    const Context context = make_context();
    ggml_context* const c = context.get();
    ggml_tensor* const q = ggml_new_tensor_3d(c, GGML_TYPE_F32, kWidth, queries, kHeads);
    ggml_tensor* const k = ggml_new_tensor_3d(c, GGML_TYPE_F16, kWidth, kPast, kKeyHeads);
    ggml_tensor* const v = ggml_new_tensor_3d(c, GGML_TYPE_F16, kWidth, kPast, kKeyHeads);
    ggml_tensor* const mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, kPast, queries);
    for (ggml_tensor* const each : {q, k, v, mask}) ggml_set_input(each);
    ggml_tensor* const result = ggml_flash_attn_ext(c, q, k, v, mask, 0.088F, 0, 0);
    double seconds = 0;
    const bool good = trial.compute(
        c, result,
        [&] {
          for (ggml_tensor* const each : {q, k, v, mask})
            ggml_backend_tensor_memset(each, 0, 0, ggml_nbytes(each));
        },
        &seconds, kDecodeTime);
    if (!good || seconds <= 0) continue;
    if (queries == 1)
      rates.decode_bytes_per_s = static_cast<double>(ggml_nbytes(k) + ggml_nbytes(v)) / seconds;
    else
      rates.prefill_values_per_s =
          static_cast<double>(2 * kWidth * kPast * kHeads * queries) / seconds;
  }
  return rates;
}

// Seconds of one step in a chain of norms and sums over so many tokens.
double step_seconds(Trial& trial, int64_t width, int64_t tokens) {
  const int pairs = tokens > 1 ? 4 : 100;
  const Context context = make_context(static_cast<size_t>(pairs) * 2 + 8);
  ggml_tensor* const first = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, width, tokens);
  ggml_set_input(first);
  ggml_tensor* last = first;
  for (int i = 0; i < pairs; i++) {
    last = ggml_rms_norm(context.get(), last, 1e-5F);
    last = ggml_add(context.get(), last, first);
  }
  const std::vector<float> input = random_values(static_cast<size_t>(width * tokens), 3);
  double seconds = 0;
  const bool good = trial.compute(
      context.get(), last,
      [&] { ggml_backend_tensor_set(first, input.data(), 0, ggml_nbytes(first)); }, &seconds,
      kDecodeTime);
  return good ? seconds / (2 * pairs) : 0;
}

// What is done with each logit: copied, and looked at.
double logit_ns() {
  const std::vector<float> logits = random_values(1u << 18, 4);
  double best = 1e9;
  volatile float kept = 0;
  for (int round = 0; round < 5; round++) {
    const auto from = std::chrono::steady_clock::now();
    std::vector<float> copy(logits.begin(), logits.end());
    std::swap(copy.front(),
              copy.back());  // a copy that is needed, so that no compiler leaves it out
    kept = *std::max_element(copy.begin(), copy.end());
    best = std::min(best,
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
  }
  (void)kept;
  return best * 1e9 / static_cast<double>(logits.size());
}

}  // namespace

Result<Json> measure(const std::string& file, unsigned threads, Lease& lease) {
  TRY_AS(ggml_backend_reg_t const reg, load_variant(file));
  Trial trial(reg, &lease);
  if (!trial.usable()) return Error{Code::Unsupported, cat("'", file, "' has no CPU device")};
  if (threads == 0) threads = static_cast<unsigned>(std::max(1, common_cpu_get_num_math()));
  trial.keep_threads(static_cast<int>(threads), 0);

  Json types = Json::object();
  for (const ggml_type type :
       {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
        GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K,
        GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_F32}) {
    const Rates rates = rates_of(trial, type);
    std::string name = ggml_type_name(type);
    for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    types[name] = {{"copied", rates.copied},
                   {"decode_bytes_per_s", rates.decode_bytes_per_s},
                   {"prefill_values_per_s", rates.prefill_values_per_s}};
  }
  const Rates attention = attention_rates(trial);
  const double step = step_seconds(trial, kInner, kPrompt);
  const double node = step_seconds(trial, 1024, 1);
  double logit = 0;
  trial.in_turn(kPackMs, [&] { logit = logit_ns(); });
  lease.rest();
  return Json{{"variant", std::filesystem::path(file).stem().string()},
              {"threads", threads},
              {"node_us", node * 1e6},
              {"step_values_per_s", step > 0 ? static_cast<double>(kInner * kPrompt) / step : 0},
              {"logit_ns", logit},
              {"types", std::move(types)},
              {"attention",
               {{"decode_bytes_per_s", attention.decode_bytes_per_s},
                {"prefill_values_per_s", attention.prefill_values_per_s}}}};
}

}  // namespace lares::engine::llama
