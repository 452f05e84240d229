// PressureWatch: is told by the kernel when programs of this machine, or of our control group, wait
// for memory (PSI, https://docs.kernel.org/accounting/psi.html), and passes it on. A thread of its
// own that sleeps until then. Where the kernel takes no trigger it looks at the counter itself;
// where it counts no pressure, nothing is ever told.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/file.h"

namespace lares::app {

class PressureWatch {
 public:
  using Pressed = std::function<void(std::string why)>;  // on its thread

  struct Look {
    std::filesystem::path root = "/";  // of /proc and /sys
    bool trigger = true;               // false: look, every `every`
    // Whoever is not root may set triggers over multiples of two seconds only.
    milliseconds every{2'000};
    milliseconds stalled{150};  // in that time
  };

  PressureWatch(Pressed pressed, Look look);
  explicit PressureWatch(Pressed pressed) : PressureWatch(std::move(pressed), Look()) {}
  ~PressureWatch();
  PressureWatch(const PressureWatch&) = delete;
  PressureWatch& operator=(const PressureWatch&) = delete;

  // How it learns of pressure: "trigger", "looks", or "" where this kernel counts none.
  std::string_view way() const { return way_; }

 private:
  void run();
  void wait_for_trigger();
  void look_again_and_again();
  bool ended_within(milliseconds time) const;

  const Pressed pressed_;
  const Look look_;
  std::filesystem::path file_;
  Fd pressure_;
  Fd end_;
  std::string_view way_;
  std::thread thread_;  // last: it uses the others
};

// The time that some have waited until now, from a file of the kernel's: "some ... total=N" in
// microseconds. nullopt: that is none.
std::optional<std::chrono::microseconds> some_stalled(std::string_view text);

// From one look at it to the next.
class StallCount {
 public:
  // What has come since the look before; nullopt where either found none.
  std::optional<std::chrono::microseconds> more(std::optional<std::chrono::microseconds> now);

 private:
  std::optional<std::chrono::microseconds> last_;
};

}  // namespace lares::app
