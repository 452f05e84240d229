#include "engine/backends/llama_probe.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <random>

#include "base/text.h"
#include "engine/backends/llama_log.h"

namespace lares::engine::llama {
namespace {

// Sum of squared differences over sum of squares. Kernels round activations to 8 bits: that costs
// about 1e-5.
constexpr double kErrorMax = 1e-3;
constexpr int64_t kInner = 1024;  // length of the sums
constexpr int64_t kRows = 512;    // of a weight matrix
constexpr int64_t kColumns = 64;  // a prompt's worth
constexpr auto kMeasure = std::chrono::milliseconds(10);

template <auto free>
struct Freed {
  template <class T>
  void operator()(T* thing) const {
    free(thing);
  }
};
using Context = std::unique_ptr<ggml_context, Freed<ggml_free>>;
using Buffer = std::unique_ptr<ggml_backend_buffer, Freed<ggml_backend_buffer_free>>;
using Engine = std::unique_ptr<ggml_backend, Freed<ggml_backend_free>>;
using Scheduler = std::unique_ptr<ggml_backend_sched, Freed<ggml_backend_sched_free>>;

Context make_context() {
  return Context(ggml_init({.mem_size = ggml_tensor_overhead() * 64 + ggml_graph_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true}));
}

std::vector<float> random_values(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  std::vector<float> out(count);
  for (float& value : out) value = values(random);
  return out;
}

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

// The backend under trial, with what it computes on.
class Trial {
 public:
  explicit Trial(ggml_backend_reg_t reg) : device_(ggml_backend_reg_dev_get(reg, 0)) {
    engine_.reset(ggml_backend_dev_init(device_, nullptr));
    if (!engine_) return;
    set_threads_ = reinterpret_cast<ggml_backend_set_n_threads_t>(
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"));
    ggml_backend_t engines[] = {engine_.get()};
    scheduler_.reset(
        ggml_backend_sched_new(engines, nullptr, 1, GGML_DEFAULT_GRAPH_SIZE, false, false));
    if (auto* const extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
            ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"))) {
      for (auto* type = extra(device_); type && *type; type++) layouts_.push_back(*type);
    }
    layouts_.push_back(ggml_backend_dev_buffer_type(device_));
  }
  bool usable() const { return engine_ && scheduler_; }
  const std::vector<ggml_backend_buffer_type_t>& layouts() const { return layouts_; }

  // May weights of this type lie in this layout, as a model's loader would ask?
  bool takes(ggml_backend_buffer_type_t layout, ggml_type type) const {
    const Context context = make_context();
    ggml_tensor* const weights = ggml_new_tensor_2d(context.get(), type, kInner, kRows);
    ggml_tensor* const columns = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kInner, kColumns);
    ggml_tensor* const product = ggml_mul_mat(context.get(), weights, columns);
    const Buffer empty(ggml_backend_buft_alloc_buffer(layout, 0));
    weights->buffer = empty.get();
    const bool takes = ggml_backend_dev_supports_op(device_, product);
    weights->buffer = nullptr;
    return takes;
  }

  // Computes `result`; `fill` gives the inputs their values before.
  template <class Fill>
  bool compute(ggml_context* context, ggml_tensor* result, Fill fill, double* seconds) {
    ggml_cgraph* const graph = ggml_new_graph(context);
    ggml_set_output(result);
    ggml_build_forward_expand(graph, result);
    ggml_backend_sched_reset(scheduler_.get());
    if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph)) return false;
    fill();
    // checked with two threads, measured with one: starting threads is not what is measured
    if (set_threads_) set_threads_(engine_.get(), 2);
    bool good = ggml_backend_sched_graph_compute(scheduler_.get(), graph) == GGML_STATUS_SUCCESS;
    if (!seconds) return good;
    using Steady = std::chrono::steady_clock;
    const auto begin = Steady::now();
    *seconds = 1e9;
    if (set_threads_) set_threads_(engine_.get(), 1);
    while (good && Steady::now() - begin < kMeasure) {
      const auto from = Steady::now();
      good = ggml_backend_sched_graph_compute(scheduler_.get(), graph) == GGML_STATUS_SUCCESS;
      *seconds = std::min(*seconds, std::chrono::duration<double>(Steady::now() - from).count());
    }
    return good;
  }

 private:
  ggml_backend_dev_t device_;
  Engine engine_;
  Scheduler scheduler_;
  ggml_backend_set_n_threads_t set_threads_ = nullptr;
  std::vector<ggml_backend_buffer_type_t> layouts_;
};

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
  catch_log();
  ggml_backend_reg_t const reg = ggml_backend_load(file.c_str());
  if (!reg) {
    const std::string why = last_error();
    return Error{Code::Unsupported, cat("loading the CPU backend '", file,
                                        "': ", why.empty() ? "this CPU cannot run it" : why)};
  }
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
      if (!trial.takes(layout, type)) continue;
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
