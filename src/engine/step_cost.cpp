#include "engine/step_cost.h"

#include <algorithm>
#include <bit>
#include <ctime>

namespace lares::engine {
namespace {

// Of the newest measurement against those before.
constexpr double kNewest = 0.3;
constexpr size_t kRowsMax = size_t{1} << 16;

}  // namespace

double process_cpu_ms() { return cpu_ms(CLOCK_PROCESS_CPUTIME_ID); }
double thread_cpu_ms() { return cpu_ms(CLOCK_THREAD_CPUTIME_ID); }

double cpu_ms(clockid_t clock) {
  std::timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void StepCost::learn(double rows, double ms) {
  if (!(rows >= 1) || !(ms > 0)) return;
  const auto bucket = std::min<size_t>(std::bit_width(static_cast<size_t>(rows)) - 1, kBuckets - 1);
  Measured& known = measured_[bucket];
  const double weight = known.rows > 0 ? kNewest : 1;
  known.rows += weight * (rows - known.rows);
  known.ms += weight * (ms - known.ms);
  for (size_t fewer = 0; fewer < bucket; fewer++)
    measured_[fewer].ms = std::min(measured_[fewer].ms, known.ms);
}

bool StepCost::known() const {
  return std::any_of(measured_.begin(), measured_.end(),
                     [](const Measured& each) { return each.rows > 0; });
}

// What was measured, without what claims that more rows take less. How many points that are.
size_t StepCost::line(Line& out) const {
  size_t count = 0;
  for (const Measured& each : measured_) {
    if (each.rows == 0) continue;
    out[count] = each;
    if (count > 0) out[count].ms = std::max(each.ms, out[count - 1].ms);
    count++;
  }
  return count;
}

double StepCost::at(const Line& line, size_t count, double rows) {
  if (count == 0) return 0;
  if (count == 1) return line[0].ms * rows / line[0].rows;
  size_t next = 1;
  while (next + 1 < count && line[next].rows < rows) next++;
  const Measured& a = line[next - 1];
  const Measured& b = line[next];
  const double slope = (b.ms - a.ms) / (b.rows - a.rows);
  return std::max(0.0, a.ms + slope * (rows - a.rows));
}

double StepCost::ms(double rows) const {
  Line known;
  const size_t count = line(known);
  return at(known, count, rows);
}

size_t StepCost::rows_within(double ms) const {
  Line known;
  const size_t count = line(known);
  if (count == 0) return 0;
  size_t fits = 0;
  for (size_t step = kRowsMax; step > 0; step /= 2) {
    if (at(known, count, static_cast<double>(fits + step)) <= ms) fits += step;
  }
  return fits;
}

double StepCost::share(double rows, double rows_all, size_t requests) const {
  if (!(rows_all > 0) || requests == 0) return 0;
  const double part = rows / rows_all;
  const double whole = ms(rows_all);
  if (!(whole > 0)) return part;
  const double fixed = std::min(1.0, ms(0) / whole);
  return fixed / static_cast<double>(requests) + (1 - fixed) * part;
}

}  // namespace lares::engine
