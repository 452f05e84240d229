// StepCost: how long a step takes by how many rows it has, as this model on this machine has shown.
// A line is too simple: few rows cost what reading the weights costs, many what their arithmetic
// does. So what was measured is kept by the power of two below the rows, the newest counting most
// (longer conversations make every step dearer), and what lies between is interpolated. A row that
// a token is chosen from costs more than one of a prompt (Facts::logit_rows), so rows are counted
// as so many of a prompt, and need not be whole. Pure; the Batcher's thread.
#pragma once

#include <array>
#include <cstddef>
#include <ctime>

namespace lares::engine {

// CPU time until now, in ms: of this process with all its threads, of this thread, of a clock.
double process_cpu_ms();
double thread_cpu_ms();
double cpu_ms(clockid_t clock);

class StepCost {
 public:
  // A step of `rows` took `ms`. Below 1 row, or 0 ms, nothing is learnt. What fewer rows took once
  // is no more than that.
  void learn(double rows, double ms);

  bool known() const;
  // Of a step with so many rows; never less for more rows. 0: nothing is known yet.
  double ms(double rows) const;
  // The most rows that take no longer; 0: not even one, or nothing is known yet.
  size_t rows_within(double ms) const;

  // What part of a step's cost is that of one of its `requests`, which has `rows` of its
  // `rows_all`: rows cost by their number, and what a step costs without any is everyone's alike.
  double share(double rows, double rows_all, size_t requests) const;

 private:
  struct Measured {
    double rows = 0;  // 0: nothing
    double ms = 0;
  };
  static constexpr size_t kBuckets = 16;  // 1, 2-3, 4-7, ... rows
  using Line = std::array<Measured, kBuckets>;

  size_t line(Line& out) const;
  static double at(const Line& line, size_t count, double rows);

  Line measured_{};
};

}  // namespace lares::engine
