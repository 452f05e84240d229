#include "host/watchdog.h"

#include <algorithm>

#include "base/text.h"

namespace lares::host {
namespace {

std::string seconds(std::chrono::nanoseconds span) {
  const auto tenths = std::chrono::duration_cast<milliseconds>(span).count() / 100;
  return cat(tenths / 10, ".", tenths % 10, " s");
}

}  // namespace

void Watchdog::heard_beat(const wire::Beat& beat) {
  quiet_ = {};
  if (!beat.busy || !busy_ || beat.progress != progress_) {
    still_ = {};
    held_up_ = {};
  }
  busy_ = beat.busy;
  progress_ = beat.progress;
}

void Watchdog::look(SteadyTime now, milliseconds slept) {
  const Span passed = std::clamp<Span>(now - last_look_, Span{}, slept + kLateMax);
  last_look_ = now;
  quiet_ += passed;
  if (busy_) still_ += passed;
}

void Watchdog::excuse_held_up() {
  held_up_ += std::max(quiet_, still_);
  if (held_up_ < kHeldUpMax) quiet_ = still_ = {};
}

std::optional<std::string> Watchdog::verdict() const {
  if (quiet_ >= quiet_max())
    return ready_ ? cat("stood still for ", seconds(quiet_), ": not a sign of life")
                  : cat("did not get ready in ", seconds(quiet_));
  if (busy_ && still_ >= silence_max_)
    return cat("stood still for ", seconds(still_), ": busy, but without progress");
  return std::nullopt;
}

bool Watchdog::suspicious() const { return std::max(quiet_, still_) >= Span(silence_max_) / 3; }

milliseconds Watchdog::next() const {
  const Span third = Span(silence_max_) / 3;
  Span left = suspicious() ? quiet_max() - quiet_ : third - quiet_;
  if (busy_) left = std::min(left, (suspicious() ? Span(silence_max_) : third) - still_);
  return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(left));
}

}  // namespace lares::host
