#include "inventory/power.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/text.h"

namespace lares::inventory {
namespace {

constexpr Bytes kFileMax = KiB(64);

std::string line_of(const std::filesystem::path& file) {
  auto text = read_file(file, kFileMax);
  return text ? std::string(trimmed(*text)) : std::string();
}

std::optional<int64_t> number_in(std::string_view text) {
  int64_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc() || text.empty()) return std::nullopt;
  return number;
}

template <class Do>
void each_in(const std::filesystem::path& folder, const Do& what) {
  std::error_code refused;
  auto it = std::filesystem::directory_iterator(folder, refused);
  for (; !refused && it != std::filesystem::directory_iterator(); it.increment(refused))
    what(it->path());
}

// Sensors of the processor by the names that drivers give their zones; not those of disks or
// radios.
bool of_processor(std::string_view zone) {
  static constexpr std::array<std::string_view, 5> kBeginnings = {"x86_pkg_temp", "cpu", "soc",
                                                                  "acpitz", "TCPU"};
  return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [&](std::string_view beginning) { return zone.starts_with(beginning); });
}

std::chrono::milliseconds of_ticks(uint64_t ticks) {
  static const auto per_second = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  return std::chrono::milliseconds(ticks * 1000 / per_second);
}

// The sum of some of a line's numbers, counted from 0.
uint64_t sum_of(std::string_view numbers, std::span<const size_t> which) {
  const auto fields = split(numbers, ' ');
  uint64_t sum = 0;
  for (const size_t at : which) {
    if (at >= fields.size()) continue;
    sum += static_cast<uint64_t>(std::max<int64_t>(0, number_in(fields[at]).value_or(0)));
  }
  return sum;
}

}  // namespace

Power power(const std::filesystem::path& root) {
  Power found;
  bool discharging = false;
  bool plugged = false;
  each_in(root / "sys/class/power_supply", [&](const std::filesystem::path& supply) {
    const std::string type = line_of(supply / "type");
    // a mouse has a battery too
    if (type == "Battery" && line_of(supply / "scope") != "Device")
      discharging = discharging || line_of(supply / "status") == "Discharging";
    if (type == "Mains" || type == "USB") plugged = plugged || line_of(supply / "online") == "1";
  });
  found.on_battery = discharging && !plugged;
  each_in(root / "sys/class/thermal", [&](const std::filesystem::path& zone) {
    if (!of_processor(line_of(zone / "type"))) return;
    const auto milli = number_in(line_of(zone / "temp"));
    if (!milli || *milli < 1'000 || *milli > 150'000) return;  // a sensor that does not work
    const double degrees = static_cast<double>(*milli) / 1000;
    found.temperature = std::max(found.temperature.value_or(degrees), degrees);
  });
  return found;
}

std::optional<ProcessorTime> processor_time(std::span<const pid_t> ours,
                                            const std::filesystem::path& root) {
  const auto stat = read_file(root / "proc/stat", MiB(1));
  if (!stat || !stat->starts_with("cpu ")) return std::nullopt;
  const std::string first(trimmed(std::string_view(*stat).substr(4, stat->find('\n') - 4)));
  // user, nice, system, irq, softirq, stolen by the machine below; guests are within user
  static constexpr std::array<size_t, 6> kBusy = {0, 1, 2, 5, 6, 7};
  ProcessorTime time;
  time.all = of_ticks(sum_of(first, kBusy));
  for (const pid_t pid : ours) {
    const std::string line = line_of(root / "proc" / std::to_string(pid) / "stat");
    const size_t name_end = line.rfind(')');  // a program's name may have anything in it
    if (name_end == std::string::npos || name_end + 2 > line.size()) continue;
    static constexpr std::array<size_t, 2> kUserAndSystem = {11, 12};  // behind the name
    time.ours += of_ticks(sum_of(std::string_view(line).substr(name_end + 2), kUserAndSystem));
  }
  return time;
}

}  // namespace lares::inventory
