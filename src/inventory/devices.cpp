#include "inventory/devices.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/text.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

std::string read_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return std::string(trimmed(line));
}

std::optional<uint64_t> read_number(const fs::path& file) {
  const std::string line = read_line(file);
  uint64_t number = 0;
  const auto [end, wrong] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (wrong != std::errc() || end == line.data()) return std::nullopt;
  return number;
}

// What the engine's CPU variants are built with (upstream's list), by /proc/cpuinfo's names, from
// the least to the most. The probe decides; this says what a CPU claims.
struct Variant {
  std::string_view name;
  std::vector<std::string_view> needs;
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> list = {
      {"x64", {}},
      {"sse42", {"sse4_2"}},
      {"sandybridge", {"sse4_2", "avx"}},
      {"ivybridge", {"sse4_2", "avx", "f16c"}},
      {"piledriver", {"sse4_2", "avx", "f16c", "fma"}},
      {"haswell", {"sse4_2", "avx", "f16c", "fma", "avx2", "bmi2"}},
      {"alderlake", {"sse4_2", "avx", "f16c", "fma", "avx2", "bmi2", "avx_vnni"}},
      {"skylakex",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw"}},
      {"cascadelake",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw", "avx512_vnni"}},
      {"icelake",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw", "avx512_vnni", "avx512vbmi"}},
      {"cooperlake",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw", "avx512_vnni", "avx512_bf16"}},
      {"zen4",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw", "avx512_vnni", "avx512vbmi", "avx512_bf16"}},
      {"sapphirerapids",
       {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl",
        "avx512dq", "avx512bw", "avx512_vnni", "avx512vbmi", "avx512_bf16", "amx_tile",
        "amx_int8"}},
  };
  return list;
}

// The CPU features that the engine has kernels for or that people ask about.
constexpr std::string_view kFeatures[] = {
    "sse4_2",      "avx",        "f16c",          "fma",         "avx2",     "bmi2",
    "avx_vnni",    "avx512f",    "avx512vl",      "avx512bw",    "avx512dq", "avx512cd",
    "avx512_vnni", "avx512vbmi", "avx512_bf16",   "avx512_fp16", "amx_tile", "amx_int8",
    "amx_bf16",    "amx_fp16",   "avx_vnni_int8", "avx10_1"};

const Variant* variant_named(std::string_view name) {
  for (const Variant& variant : variants()) {
    if (variant.name == name) return &variant;
  }
  return nullptr;
}

Device cpu_feature(std::string_view feature, const Variant* in_use) {
  Device device{"cpu-feature", std::string(feature), false, ""};
  if (in_use &&
      std::find(in_use->needs.begin(), in_use->needs.end(), feature) != in_use->needs.end()) {
    device.used = true;
    return device;
  }
  const bool built_for = std::any_of(variants().begin(), variants().end(), [&](const Variant& v) {
    return std::find(v.needs.begin(), v.needs.end(), feature) != v.needs.end();
  });
  if (!built_for) {
    device.why = "the engine has no kernels for it";
  } else if (in_use) {
    device.why =
        cat("the variant in use, '", in_use->name,
            "', is built without it; `lares doctor` lists how the others did in the probe");
  } else {
    device.why = "no CPU variant of the engine is in use yet";
  }
  return device;
}

std::string vendor_name(std::string_view id) {
  static const std::map<std::string_view, std::string_view> names = {
      {"0x10de", "NVIDIA"},
      {"0x1002", "AMD"},
      {"0x8086", "Intel"},
      {"0x1022", "AMD"},
      {"0x17cb", "Qualcomm"},
      {"0x1234", "a virtual machine's"},
      {"0x1af4", "a virtual machine's"},
      {"0x15ad", "a virtual machine's"}};
  const auto found = names.find(id);
  return found == names.end() ? std::string(id) : std::string(found->second);
}

// GPUs are PCI devices of class 0x03, NPUs of 0x12 (processing accelerators).
void add_pci(const fs::path& root, std::vector<Device>& devices) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(root / "sys/bus/pci/devices", failed)) {
    const std::string kind = read_line(entry.path() / "class");
    const bool gpu = kind.starts_with("0x03");
    const bool npu = kind.starts_with("0x12");
    if (!gpu && !npu) continue;
    const std::string name =
        cat(vendor_name(read_line(entry.path() / "vendor")), " ", gpu ? "GPU" : "NPU", " ",
            read_line(entry.path() / "device"), " (", entry.path().filename().string(), ")");
    devices.push_back({gpu ? "gpu" : "npu", name, false,
                       cat("this build has only CPU backends; a ", gpu ? "GPU" : "NPU",
                           " backend is a file of engine/backends")});
  }
}

// NPUs and GPUs that are no PCI devices: the kernel's accel class, and render nodes of a chip.
void add_platform(const fs::path& root, std::vector<Device>& devices) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(root / "sys/class/accel", failed)) {
    std::error_code ignored;
    const std::string target = fs::read_symlink(entry.path() / "device", ignored).string();
    if (target.find("pci") != std::string::npos || target.find(':') != std::string::npos) continue;
    devices.push_back({"npu", cat("NPU ", entry.path().filename().string()), false,
                       "this build has only CPU backends"});
  }
}

}  // namespace

Cpu cpu(const fs::path& root) {
  Cpu found;
  std::ifstream in(root / "proc/cpuinfo");
  std::string line;
  unsigned listed = 0;
  while (std::getline(in, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key(trimmed(line.substr(0, colon)));
    const std::string value(trimmed(line.substr(colon + 1)));
    if (key == "processor") listed++;
    if (key == "model name" && found.model.empty()) found.model = value;
    if ((key == "flags" || key == "Features") && found.flags.empty())
      found.flags = split(value, ' ');
  }
  found.cores = std::max(1u, listed);
  if (root == "/") {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
      found.cores = std::max(1u, static_cast<unsigned>(CPU_COUNT(&set)));
  }
  return found;
}

Memory memory(const fs::path& root) {
  Memory found{{}, {}, "machine"};
  std::ifstream in(root / "proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string key;
    uint64_t kib = 0;
    words >> key >> kib;
    if (key == "MemTotal:") found.total = KiB(kib);
    if (key == "MemAvailable:") found.available = KiB(kib);
  }
  // A control group can hold less than the machine. Version 2: memory.max of each group above us;
  // version 1: memory.limit_in_bytes, which is a huge number where there is no limit.
  const auto limit = [&](const fs::path& max_file, const fs::path& used_file, const char* source) {
    const auto max = read_number(max_file);
    if (!max || *max >= found.total.n) return;
    found.total = Bytes{*max};
    const uint64_t used = read_number(used_file).value_or(0);
    found.available = std::min(found.available, Bytes{*max > used ? *max - used : 0});
    found.limit_source = source;
  };
  std::ifstream groups(root / "proc/self/cgroup");
  while (std::getline(groups, line)) {
    const auto parts = split(line, ':');
    if (parts.size() != 3) continue;
    const bool version_2 = parts[0] == "0" && parts[1].empty();
    const bool version_1 = parts[1].find("memory") != std::string::npos;
    if (!version_2 && !version_1) continue;
    fs::path group = fs::path(parts[2]).relative_path();
    for (;;) {
      if (version_2) {
        const fs::path at = root / "sys/fs/cgroup" / group;
        limit(at / "memory.max", at / "memory.current", "cgroup v2");
      } else {
        const fs::path at = root / "sys/fs/cgroup/memory" / group;
        limit(at / "memory.limit_in_bytes", at / "memory.usage_in_bytes", "cgroup v1");
      }
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
  return found;
}

std::vector<Device> devices(const std::string& variant, const fs::path& root) {
  std::vector<Device> found;
  const Cpu processor = cpu(root);
  const std::set<std::string_view> flags(processor.flags.begin(), processor.flags.end());
  for (const std::string_view feature : kFeatures) {
    if (flags.contains(feature)) found.push_back(cpu_feature(feature, variant_named(variant)));
  }
  add_pci(root, found);
  add_platform(root, found);
  return found;
}

std::vector<std::string> claimed_variants(const Cpu& processor) {
  const std::set<std::string_view> flags(processor.flags.begin(), processor.flags.end());
  std::vector<std::string> claimed;
  for (const Variant& variant : variants()) {
    if (std::all_of(variant.needs.begin(), variant.needs.end(),
                    [&](std::string_view need) { return flags.contains(need); }))
      claimed.emplace_back(variant.name);
  }
  std::reverse(claimed.begin(), claimed.end());
  return claimed;
}

}  // namespace lares::inventory
