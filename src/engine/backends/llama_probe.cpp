#include "engine/backends/llama_probe.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/text.h"
#include "engine/backends/llama_trial.h"
#include "engine/backends/llama_variant.h"

namespace lares::engine::llama {
namespace {

// Sum of squared differences over sum of squares. Kernels round activations to 8 bits: that costs
// about 1e-5.
constexpr double kErrorMax = 1e-3;
constexpr int64_t kInner = 1024;  // length of the sums
constexpr int64_t kRows = 512;    // of a weight matrix
constexpr int64_t kColumns = 64;  // a prompt's worth

double error_of(const std::vector<float>& got, const std::vector<double>& wanted) {
  double wrong = 0;
  double all = 0;
  for (size_t i = 0; i < wanted.size(); i++) {
    const double off = static_cast<double>(got[i]) - wanted[i];
    wrong += off * off;
    all += wanted[i] * wanted[i];
  }
  const double error = wrong / all;
  return std::isfinite(error) ? error : 1e9;
}

struct Measured {
  double error = 1e9;
  double gflops = 0;
};

Measured product(Trial& trial, ggml_backend_buffer_type_t layout, ggml_type type, int64_t columns) {
  const size_t weight_count = kInner * kRows;
  const std::vector<float> values = random_values(weight_count, 1);
  const std::vector<float> inputs = random_values(static_cast<size_t>(kInner * columns), 2);
  std::vector<char> packed(ggml_row_size(type, kInner) * kRows);
  ggml_quantize_chunk(type, values.data(), packed.data(), 0, kRows, kInner, nullptr);
  std::vector<float> unpacked(weight_count);
  ggml_get_type_traits(type)->to_float(packed.data(), unpacked.data(),
                                       static_cast<int64_t>(weight_count));

  const Context weight_context = make_context();
  ggml_tensor* const weights = ggml_new_tensor_2d(weight_context.get(), type, kInner, kRows);
  const Buffer buffer(ggml_backend_alloc_ctx_tensors_from_buft(weight_context.get(), layout));
  if (!buffer) return {};
  ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  ggml_backend_tensor_set(weights, packed.data(), 0, packed.size());

  const Context context = make_context();
  ggml_tensor* const input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kInner, columns);
  ggml_set_input(input);
  ggml_tensor* const result = ggml_mul_mat(context.get(), weights, input);
  double seconds = 0;
  const bool good = trial.compute(
      context.get(), result,
      [&] { ggml_backend_tensor_set(input, inputs.data(), 0, ggml_nbytes(input)); }, &seconds);
  if (!good) return {};
  std::vector<float> got(static_cast<size_t>(kRows * columns));
  ggml_backend_tensor_get(result, got.data(), 0, ggml_nbytes(result));

  // Some columns stand for all: first, last, and one in each tile of four.
  std::vector<double> wanted;
  std::vector<float> checked;
  for (int64_t column = 0; column < columns;
       column += column < 4 || column + 2 >= columns ? 1 : 5) {
    const float* const in = inputs.data() + column * kInner;
    for (int64_t row = 0; row < kRows; row++) {
      const float* const weight = unpacked.data() + row * kInner;
      double sum = 0;
      for (int64_t i = 0; i < kInner; i++) {
        sum += static_cast<double>(weight[i]) * static_cast<double>(in[i]);
      }
      wanted.push_back(sum);
      checked.push_back(got[static_cast<size_t>(column * kRows + row)]);
    }
  }
  return {error_of(checked, wanted),
          2e-9 * static_cast<double>(kInner * kRows * columns) / std::max(seconds, 1e-9)};
}

// Attention as a model with grouped heads asks for it.
double attention_error(Trial& trial, int64_t queries) {
  constexpr int64_t kWidth = 64;
  constexpr int64_t kPast = 256;
  constexpr int64_t kHeads = 4;
  constexpr int64_t kKeyHeads = 2;
  const auto make_half = [](const std::vector<float>& values) {
    std::vector<ggml_fp16_t> half(values.size());
    ggml_fp32_to_fp16_row(values.data(), half.data(), static_cast<int64_t>(values.size()));
    return half;
  };
  const std::vector<float> q = random_values(static_cast<size_t>(kWidth * queries * kHeads), 3);
  const auto k = make_half(random_values(kWidth * kPast * kKeyHeads, 4));
  const auto v = make_half(random_values(kWidth * kPast * kKeyHeads, 5));
  const auto mask = make_half(std::vector<float>(static_cast<size_t>(kPast * queries)));

  const Context context = make_context();
  ggml_context* const c = context.get();
  ggml_tensor* const tq = ggml_new_tensor_3d(c, GGML_TYPE_F32, kWidth, queries, kHeads);
  ggml_tensor* const tk = ggml_new_tensor_3d(c, GGML_TYPE_F16, kWidth, kPast, kKeyHeads);
  ggml_tensor* const tv = ggml_new_tensor_3d(c, GGML_TYPE_F16, kWidth, kPast, kKeyHeads);
  ggml_tensor* const tm = ggml_new_tensor_2d(c, GGML_TYPE_F16, kPast, queries);
  for (ggml_tensor* tensor : {tq, tk, tv, tm}) ggml_set_input(tensor);
  const float scale = 1 / std::sqrt(static_cast<float>(kWidth));
  ggml_tensor* const result = ggml_flash_attn_ext(c, tq, tk, tv, tm, scale, 0, 0);
  const bool good = trial.compute(
      c, result,
      [&] {
        ggml_backend_tensor_set(tq, q.data(), 0, ggml_nbytes(tq));
        ggml_backend_tensor_set(tk, k.data(), 0, ggml_nbytes(tk));
        ggml_backend_tensor_set(tv, v.data(), 0, ggml_nbytes(tv));
        ggml_backend_tensor_set(tm, mask.data(), 0, ggml_nbytes(tm));
      },
      nullptr);
  if (!good) return 1e9;
  std::vector<float> got(q.size());
  ggml_backend_tensor_get(result, got.data(), 0, ggml_nbytes(result));

  // the result's order is width, heads, queries
  std::vector<double> wanted(q.size());
  for (int64_t head = 0; head < kHeads; head++) {
    const size_t base = static_cast<size_t>(head / (kHeads / kKeyHeads) * kPast * kWidth);
    for (int64_t query = 0; query < queries; query++) {
      const float* const asked = &q[static_cast<size_t>((head * queries + query) * kWidth)];
      double* const out = &wanted[static_cast<size_t>((query * kHeads + head) * kWidth)];
      double total = 0;
      for (size_t at = 0; at < kPast; at++) {
        double dot = 0;
        for (size_t i = 0; i < kWidth; i++) {
          dot += static_cast<double>(asked[i]) *
                 static_cast<double>(ggml_fp16_to_fp32(k[base + at * kWidth + i]));
        }
        const double weight = std::exp(dot * static_cast<double>(scale));
        total += weight;
        for (size_t i = 0; i < kWidth; i++) {
          out[i] += weight * static_cast<double>(ggml_fp16_to_fp32(v[base + at * kWidth + i]));
        }
      }
      for (size_t i = 0; i < kWidth; i++) out[i] /= total;
    }
  }
  return error_of(got, wanted);
}

Json features_of(ggml_backend_reg_t reg) {
  Json names = Json::array();
  const auto all = reinterpret_cast<ggml_backend_get_features_t>(
      ggml_backend_reg_get_proc_address(reg, "ggml_backend_get_features"));
  if (!all) return names;
  for (const ggml_backend_feature* feature = all(reg); feature && feature->name; feature++) {
    if (std::string_view(feature->value) == "1") names.push_back(feature->name);
  }
  return names;
}

}  // namespace

Result<Json> probe(const std::string& file) {
  TRY_AS(ggml_backend_reg_t const reg, load_variant(file));
  Trial trial(reg);
  if (!trial.usable()) return Error{Code::Unsupported, cat("'", file, "' has no CPU device")};

  Json checks = Json::array();
  double worst = 0;
  double prefill_s = 0;
  double decode_s = 0;
  double prefill_work = 0;
  double decode_work = 0;
  const auto note = [&](const std::string& name, double error) {
    checks.push_back({{"name", name}, {"error", error}});
    worst = std::max(worst, error);
  };
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_F16}) {
    bool first = true;  // the layout that a model would get
    for (auto* const layout : trial.layouts()) {
      if (!trial.takes(layout, type, kInner, kRows, kColumns)) continue;
      for (const int64_t columns : {int64_t{1}, kColumns}) {
        const Measured measured = product(trial, layout, type, columns);
        note(cat(ggml_type_name(type), " x ", columns, " in ", ggml_backend_buft_name(layout)),
             measured.error);
        if (!first || type == GGML_TYPE_F16 || measured.gflops <= 0) continue;
        (columns == 1 ? decode_s : prefill_s) += 1 / measured.gflops;
        (columns == 1 ? decode_work : prefill_work) += 1;
      }
      first = false;
    }
  }
  note("attention x 1", attention_error(trial, 1));
  note("attention x 32", attention_error(trial, 32));

  std::string variant = std::filesystem::path(file).stem().string();
  if (const size_t at = variant.find("ggml-cpu-"); at != std::string::npos)
    variant.erase(0, at + 9);
  return Json{{"variant", variant},
              {"ok", worst <= kErrorMax},
              {"error_max", worst},
              {"gflops_prefill", prefill_s > 0 ? prefill_work / prefill_s : 0},
              {"gflops_decode", decode_s > 0 ? decode_work / decode_s : 0},
              {"features", features_of(reg)},
              {"checks", checks}};
}

}  // namespace lares::engine::llama
