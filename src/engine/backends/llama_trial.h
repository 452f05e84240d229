// A CPU backend under trial: weights of every packing in the layouts that a model's loader would
// give them, computed through the scheduler that a model would use. For the probe (is it right?)
// and for measuring (how fast?). Measured is in turns, as a member of the gang (engine/lease.h).
// Included by those two alone; one thread.
#pragma once

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "engine/lease.h"

namespace lares::engine::llama {

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

inline Context make_context(size_t tensors = 64) {
  return Context(ggml_init({.mem_size = ggml_tensor_overhead() * tensors + ggml_graph_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true}));
}

inline std::vector<float> random_values(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  std::vector<float> out(count);
  for (float& value : out) value = values(random);
  return out;
}

class Trial {
 public:
  static constexpr auto kMeasure = std::chrono::milliseconds(10);

  // `lease`, where turns are given out, outlives it.
  explicit Trial(ggml_backend_reg_t reg, Lease* lease = nullptr)
      : reg_(reg), device_(ggml_backend_reg_dev_get(reg, 0)), lease_(lease) {
    engine_.reset(ggml_backend_dev_init(device_, nullptr));
    if (!engine_) return;
    heed_aborts();
    set_threads_ = function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads");
    ggml_backend_t engines[] = {engine_.get()};
    scheduler_.reset(
        ggml_backend_sched_new(engines, nullptr, 1, GGML_DEFAULT_GRAPH_SIZE, false, false));
    if (auto* const extra =
            function<ggml_backend_dev_get_extra_bufts_t>("ggml_backend_dev_get_extra_bufts")) {
      for (auto* type = extra(device_); type && *type; type++) layouts_.push_back(*type);
    }
    layouts_.push_back(ggml_backend_dev_buffer_type(device_));
  }
  ~Trial() {
    engine_.reset();  // before the pool that it uses
    if (pool_) function<decltype(&ggml_threadpool_free)>("ggml_threadpool_free")(pool_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  bool usable() const { return engine_ && scheduler_; }
  const std::vector<ggml_backend_buffer_type_t>& layouts() const { return layouts_; }

  // From now on computes with a pool of so many threads that stays, as a model does.
  void keep_threads(int threads, uint32_t poll) {
    auto* const make = function<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
    auto* const use =
        function<decltype(&ggml_backend_cpu_set_threadpool)>("ggml_backend_cpu_set_threadpool");
    ggml_threadpool_params pool = ggml_threadpool_params_default(threads);
    pool.poll = poll;
    if (make && use) pool_ = make(&pool);
    if (pool_) use(engine_.get(), pool_);
    if (set_threads_) set_threads_(engine_.get(), threads);
    measuring_threads_ = threads;
  }

  // Computes something of our own, when it is our turn; `ms`: how long that will take.
  template <class Work>
  void in_turn(double ms, Work work) {
    while (lease_ && !lease_->enter({Lane::Background, /*decode=*/false, ms})) {
    }
    work();
    if (lease_) lease_->step_over();
  }

  // May weights of this type lie in this layout, as a model's loader would ask?
  bool takes(ggml_backend_buffer_type_t layout, ggml_type type, int64_t inner, int64_t rows,
             int64_t columns) const {
    const Context context = make_context();
    ggml_tensor* const weights = ggml_new_tensor_2d(context.get(), type, inner, rows);
    ggml_tensor* const input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, inner, columns);
    ggml_tensor* const product = ggml_mul_mat(context.get(), weights, input);
    const Buffer empty(ggml_backend_buft_alloc_buffer(layout, 0));
    weights->buffer = empty.get();
    const bool takes = ggml_backend_dev_supports_op(device_, product);
    weights->buffer = nullptr;
    return takes;
  }

  // Computes `result`; `fill` gives the inputs their values before. `seconds`: the best of what
  // fits into `limit`, at least one.
  template <class Fill>
  bool compute(ggml_context* context, ggml_tensor* result, Fill fill, double* seconds,
               std::chrono::milliseconds limit = kMeasure) {
    ggml_cgraph* const graph = ggml_new_graph(context);
    ggml_set_output(result);
    ggml_build_forward_expand(graph, result);
    return compute_graph(graph, fill, seconds, limit);
  }
  template <class Fill>
  bool compute_graph(ggml_cgraph* graph, Fill fill, double* seconds,
                     std::chrono::milliseconds limit) {
    ggml_backend_sched_reset(scheduler_.get());
    if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph)) return false;
    fill();
    // checked with two threads, measured with one where threads do not stay: starting them is not
    // what is measured
    if (set_threads_ && !pool_) set_threads_(engine_.get(), 2);
    double took = 0;
    bool good = step(graph, took);
    if (!seconds) return good;
    double spent = 0;  // without waiting for a turn
    *seconds = 1e9;
    if (set_threads_ && !pool_) set_threads_(engine_.get(), measuring_threads_);
    do {
      good = step(graph, took);
      *seconds = std::min(*seconds, took);
      spent += took;
    } while (good && spent < std::chrono::duration<double>(limit).count());
    return good;
  }

 private:
  // Once, again when it had to be given up. `seconds`: what it took the time before, and then now.
  bool step(ggml_cgraph* graph, double& seconds) {
    using Steady = std::chrono::steady_clock;
    ggml_status status = GGML_STATUS_ABORTED;
    while (status == GGML_STATUS_ABORTED) {
      in_turn(seconds * 1e3, [&] {
        const auto from = Steady::now();
        status = ggml_backend_sched_graph_compute(scheduler_.get(), graph);
        seconds = std::chrono::duration<double>(Steady::now() - from).count();
      });
    }
    return status == GGML_STATUS_SUCCESS;
  }
  // A step ends early where it is not worth waiting for.
  void heed_aborts() {
    auto* const set =
        function<ggml_backend_set_abort_callback_t>("ggml_backend_set_abort_callback");
    if (!set || !lease_ || !lease_->abort_word()) return;
    set(
        engine_.get(),
        [](void* lease) {
          return static_cast<Lease*>(lease)->abort_word()->load(std::memory_order_relaxed) != 0;
        },
        lease_);
  }
  template <class Function>
  Function function(const char* name) const {
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(reg_, name));
  }
  ggml_backend_reg_t reg_;
  ggml_backend_dev_t device_;
  Lease* lease_;
  Engine engine_;
  Scheduler scheduler_;
  ggml_backend_set_n_threads_t set_threads_ = nullptr;
  ggml_threadpool_t pool_ = nullptr;
  int measuring_threads_ = 1;
  std::vector<ggml_backend_buffer_type_t> layouts_;
};

}  // namespace lares::engine::llama
