#include "inventory/devices.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/text.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found = split(text, ' ');
  std::erase(found, "");
  return found;
}

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

// What the engine's CPU variants are built with. The probe decides; this says what a CPU claims.
struct Variant {
  std::string_view architecture;
  std::string_view name;
  std::vector<std::string> needs;
};

// Best first.
const std::vector<Variant>& variants() {
  static const std::vector<Variant> list = {
#define VARIANT(architecture, name, needs) {architecture, name, words(needs)},
#include "inventory/cpu_variants.inc"
#undef VARIANT
  };
  return list;
}

// The CPU features that the engine has kernels for or that people ask about, by the names that
// kernels show: what theirs hide (amx_fp16, avx_vnni_int8, avx10) cannot be found.
constexpr std::string_view kFeatures[] = {
    // x86-64
    "sse4_2", "avx", "f16c", "fma", "avx2", "bmi2", "avx_vnni", "gfni", "vaes", "vpclmulqdq",
    "avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd", "avx512ifma", "avx512_vnni",
    "avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq", "avx512_vp2intersect",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    // aarch64
    "asimd", "asimddp", "fphp", "asimdhp", "i8mm", "bf16", "sve", "svei8mm", "svebf16", "sve2",
    "sme", "sme2"};

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
    device.why = "no CPU variant of the engine is built with it";
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

// The folder of the device behind an entry of a class: ".../pci0000:00/0000:c4:00.1",
// ".../platform/fdab0000.npu".
fs::path device_behind(const fs::path& entry) {
  std::error_code none;
  return fs::canonical(entry / "device", none);
}

std::vector<fs::path> entries(const fs::path& folder, std::string_view prefix = "") {
  std::vector<fs::path> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// AMD's XDNA calls itself a signal processing controller (0x1180), as other things of AMD's do; its
// driver (drivers/accel/amdxdna) knows it by number.
bool is_xdna(std::string_view vendor, std::string_view device) {
  constexpr std::string_view kDevices[] = {"0x1502", "0x17f0", "0x17f1", "0x17f2", "0x17f3"};
  return vendor == "0x1022" &&
         std::find(std::begin(kDevices), std::end(kDevices), device) != std::end(kDevices);
}

Device found_device(bool gpu, const std::string& name) {
  return {gpu ? "gpu" : "npu", name, false,
          cat("this build has only CPU backends; a ", gpu ? "GPU" : "NPU",
              " backend is a file of engine/backends")};
}

// GPUs are PCI devices of class 0x03; NPUs those of 0x12 (processing accelerators), XDNA, and
// whatever a driver has put into the kernel's class of accelerators.
void add_pci(const fs::path& root, std::vector<Device>& devices) {
  std::set<std::string> accelerators;
  for (const fs::path& entry : entries(root / "sys/class/accel"))
    accelerators.insert(device_behind(entry).filename().string());
  for (const fs::path& entry : entries(root / "sys/bus/pci/devices")) {
    const std::string kind = read_line(entry / "class");
    const std::string vendor = read_line(entry / "vendor");
    const std::string device = read_line(entry / "device");
    const std::string address = entry.filename().string();
    const bool gpu = kind.starts_with("0x03");
    if (!gpu && !kind.starts_with("0x12") && !is_xdna(vendor, device) &&
        !accelerators.contains(address))
      continue;
    devices.push_back(found_device(
        gpu, cat(vendor_name(vendor), " ", gpu ? "GPU" : "NPU", " ", device, " (", address, ")")));
  }
}

// NPUs and GPUs that are no PCI devices, but parts of a chip: the kernel's class of accelerators,
// and render nodes.
void add_platform(const fs::path& root, std::vector<Device>& devices) {
  const auto add = [&](bool gpu, const std::vector<fs::path>& nodes) {
    for (const fs::path& node : nodes) {
      const fs::path behind = device_behind(node);
      if (behind.empty() || behind.string().find("/pci") != std::string::npos) continue;
      devices.push_back(
          found_device(gpu, cat(gpu ? "GPU" : "NPU", " of the chip, ", behind.filename().string(),
                                " (", node.filename().string(), ")")));
    }
  };
  add(true, entries(root / "sys/class/drm", "renderD"));
  add(false, entries(root / "sys/class/accel"));
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
    if ((key == "flags" || key == "Features") && found.flags.empty()) {
      found.architecture = key == "flags" ? "x86_64" : "aarch64";
      found.flags = words(value);
    }
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
    if (variant.architecture == processor.architecture &&
        std::all_of(variant.needs.begin(), variant.needs.end(),
                    [&](std::string_view need) { return flags.contains(need); }))
      claimed.emplace_back(variant.name);
  }
  return claimed;
}

}  // namespace lares::inventory
