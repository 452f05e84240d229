#include "app/pressure_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"

namespace lares::app {
namespace {

// Of our own control group where it has one (version 2), else of the machine.
std::filesystem::path pressure_file(const std::filesystem::path& root) {
  if (const auto groups = read_file(root / "proc/self/cgroup", KiB(64))) {
    for (const std::string& line : split(*groups, '\n')) {
      if (!line.starts_with("0::/") || line == "0::/") continue;
      const auto file = root / "sys/fs/cgroup" / line.substr(4) / "memory.pressure";
      std::error_code none;
      if (std::filesystem::exists(file, none)) return file;
    }
  }
  return root / "proc/pressure/memory";
}

}  // namespace

std::optional<std::chrono::microseconds> some_stalled(std::string_view text) {
  if (!text.starts_with("some ")) return std::nullopt;
  const std::string_view line = text.substr(0, text.find('\n'));
  const size_t at = line.find("total=");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = line.substr(at + 6);
  int64_t number = 0;
  const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (wrong != std::errc() || number < 0) return std::nullopt;
  return std::chrono::microseconds(number);
}

std::optional<std::chrono::microseconds> StallCount::more(
    std::optional<std::chrono::microseconds> now) {
  const auto before = std::exchange(last_, now);
  if (!before || !now) return std::nullopt;
  return *now - *before;
}

PressureWatch::PressureWatch(Pressed pressed, Look look)
    : pressed_(std::move(pressed)),
      look_(std::move(look)),
      file_(pressure_file(look_.root)),
      end_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!end_) return;
  const auto known = read_file(file_, KiB(4));
  if (!known || !some_stalled(*known)) return;
  way_ = "looks";
  if (look_.trigger) {
    pressure_ = Fd(::open(file_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    using std::chrono::microseconds;
    const std::string wish =
        cat("some ", microseconds(look_.stalled).count(), " ", microseconds(look_.every).count());
    // with its terminating zero, as the kernel wants it
    if (pressure_ && ::write(pressure_.get(), wish.c_str(), wish.size() + 1) > 0) way_ = "trigger";
  }
  thread_ = std::thread([this] { run(); });
}

PressureWatch::~PressureWatch() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(end_.get(), &one, sizeof one);
  thread_.join();
}

void PressureWatch::run() {
  ::pthread_setname_np(::pthread_self(), "pressure");
  if (way_ == "trigger") wait_for_trigger();
  look_again_and_again();
}

// Returns when it ends, or when the trigger is gone with its control group.
void PressureWatch::wait_for_trigger() {
  for (;;) {
    std::array<pollfd, 2> waits{{{pressure_.get(), POLLPRI, 0}, {end_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    if (waits[1].revents != 0 || (waits[0].revents & POLLERR) != 0) return;
    if ((waits[0].revents & POLLPRI) == 0) continue;
    pressed_(cat("programs waited for memory for ", look_.stalled.count(), " ms within ",
                 look_.every.count() / 1000, " s"));
  }
}

void PressureWatch::look_again_and_again() {
  StallCount count;
  for (;;) {
    const auto text = read_file(file_, KiB(4));
    const auto more = count.more(text ? some_stalled(*text) : std::nullopt);
    if (more && *more >= look_.stalled)
      pressed_(cat("programs waited for memory for ",
                   std::chrono::duration_cast<milliseconds>(*more).count(), " ms within ",
                   look_.every.count() / 1000, " s"));
    if (ended_within(look_.every)) return;
  }
}

bool PressureWatch::ended_within(milliseconds time) const {
  pollfd wait{end_.get(), POLLIN, 0};
  return ::poll(&wait, 1, static_cast<int>(time.count())) > 0;
}

}  // namespace lares::app
