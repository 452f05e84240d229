#include "host/vitals.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace lares::host {

using std::chrono::nanoseconds;

namespace vitals_detail {
namespace {

uint64_t number(const std::string& text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

// "pid (name) state ppid ...": the name may hold anything, so the fields count from its last
// bracket
std::optional<Stat> stat_of(std::string_view text) {
  const size_t bracket = text.rfind(") ");
  if (bracket == std::string_view::npos) return std::nullopt;
  constexpr size_t kMajorFaults = 9;  // counted from the state
  const std::vector<std::string> fields = split(text.substr(bracket + 2), ' ');
  if (fields.size() <= kMajorFaults || fields[0].size() != 1) return std::nullopt;
  return Stat{fields[0][0], number(fields[kMajorFaults])};
}

// "ran waited slices", in nanoseconds
std::optional<Times> times_of(std::string_view text) {
  const std::vector<std::string> fields = split(text, ' ');
  if (fields.size() < 3) return std::nullopt;
  return Times{nanoseconds(number(fields[0])), nanoseconds(number(fields[1]))};
}

// "cpu  user nice system idle iowait irq softirq steal ...", in ticks, before the lines of each
nanoseconds stolen_of(std::string_view text, long ticks_per_s) {
  constexpr size_t kSteal = 7;
  const std::string_view line = text.substr(0, text.find('\n'));
  if (!line.starts_with("cpu  ") || ticks_per_s <= 0) return {};
  const std::vector<std::string> fields = split(line.substr(5), ' ');
  if (fields.size() <= kSteal) return {};
  return nanoseconds(std::chrono::seconds(1)) * number(fields[kSteal]) /
         static_cast<uint64_t>(ticks_per_s);
}

}  // namespace vitals_detail

std::optional<Vitals> vitals(pid_t pid) {
  const std::string folder = cat("/proc/", pid);
  const auto whole = read_file(folder + "/stat", KiB(4));
  if (!whole) return std::nullopt;
  const auto stat = vitals_detail::stat_of(*whole);
  if (!stat) return std::nullopt;
  Vitals found;
  found.at = std::chrono::steady_clock::now();
  found.state = stat->state;
  found.major_faults = stat->major_faults;
  std::error_code gone;
  for (std::filesystem::directory_iterator task(folder + "/task", gone), end; !gone && task != end;
       task.increment(gone)) {
    const std::filesystem::path& path = task->path();
    const auto text = read_file(path / "stat", KiB(4));
    const auto its = text ? vitals_detail::stat_of(*text) : std::nullopt;
    if (!its) continue;                                            // it ended meanwhile
    const auto schedstat = read_file(path / "schedstat", KiB(4));  // not every kernel has it
    const auto times = schedstat ? vitals_detail::times_of(*schedstat) : std::nullopt;
    pid_t id = 0;
    const std::string name = path.filename().string();
    std::from_chars(name.data(), name.data() + name.size(), id);
    found.threads[id] = {its->state, times ? times->ran : nanoseconds(0),
                         times ? times->waited : nanoseconds(0)};
  }
  if (const auto machine = read_file("/proc/stat", MiB(1)))
    found.stolen = vitals_detail::stolen_of(*machine, ::sysconf(_SC_CLK_TCK));
  return found;
}

bool held_up(const Vitals& before, const Vitals& now) {
  const nanoseconds between = now.at - before.at;
  if (between <= nanoseconds(0)) return false;
  if (now.major_faults > before.major_faults || now.stolen - before.stolen >= between / 2)
    return true;
  return std::any_of(now.threads.begin(), now.threads.end(), [&](const auto& thread) {
    const auto& [id, its] = thread;
    if (its.state == 'D') return true;
    const auto found = before.threads.find(id);
    if (found == before.threads.end()) return false;
    const Vitals::Thread& was = found->second;
    if (its.waited - was.waited >= between * 4 / 5) return true;
    // A thread that hangs takes what it can get; one that the others wait for may get nothing.
    const bool known = its.ran > nanoseconds(0);
    return known && was.state == 'R' && its.state == 'R' && its.ran - was.ran < between / 10;
  });
}

}  // namespace lares::host
