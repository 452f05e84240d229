// Devices: what this machine can compute on, and what it has of memory. Reads /proc and /sys only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/units.h"

namespace lares::inventory {

// One thing that could compute: a CPU feature, a GPU, an NPU.
struct Device {
  std::string kind;  // "cpu-feature", "gpu", "npu"
  std::string name;  // "avx512_vnni", "NVIDIA GA102 (0000:01:00.0)"
  bool used = false;
  std::string why;  // when not used: "this build has no backend for it", ...
};

struct Memory {
  Bytes total;               // of the machine, or of the control group where that is less
  Bytes available;           // that could be had now without swapping
  std::string limit_source;  // "machine", "cgroup v1", "cgroup v2"
};

struct Cpu {
  std::string model;
  std::string architecture;  // "x86_64", "aarch64"; "" when the machine does not say
  unsigned cores = 0;        // that this process may use
  std::vector<std::string> flags;
};

// `root` is "/" but in tests.
Cpu cpu(const std::filesystem::path& root = "/");
Memory memory(const std::filesystem::path& root = "/");

// Every CPU feature that matters to a kernel of ours, every GPU and NPU found, each with whether
// `variant` (the CPU backend in use, upstream's name: "haswell") uses it, or why not.
std::vector<Device> devices(const std::string& variant, const std::filesystem::path& root = "/");

// The CPU variants (cpu_variants.inc) whose instructions this CPU claims, best first by instruction
// set. A claim only: a probe (engine) decides.
std::vector<std::string> claimed_variants(const Cpu& cpu);

}  // namespace lares::inventory
