// Power: what feeds this machine, how hot it is, and how much of its processors others use. Reads
// /proc and /sys only; what the kernel does not tell is nullopt.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>

namespace lares::inventory {

struct Power {
  bool on_battery = false;            // a battery is being emptied
  std::optional<double> temperature;  // of the processor, in degrees Celsius; the hottest sensor
};

// `root` is "/" but in tests.
Power power(const std::filesystem::path& root = "/");

// Processor time until now, of all programs and the kernel, and of some processes of ours.
struct ProcessorTime {
  std::chrono::milliseconds all{};
  std::chrono::milliseconds ours{};
};
// A process that is gone counts nothing.
std::optional<ProcessorTime> processor_time(std::span<const pid_t> ours,
                                            const std::filesystem::path& root = "/");

}  // namespace lares::inventory
