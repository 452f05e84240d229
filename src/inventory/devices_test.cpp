#include "inventory/devices.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/text.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

// A machine made of files.
struct DevicesTest : testing::Test {
  DevicesTest() {
    char name[] = "/tmp/lares-devices-XXXXXX";
    root = mkdtemp(name);
    put("proc/meminfo", "MemTotal:       8388608 kB\nMemAvailable:   4194304 kB\n");
    put("proc/cpuinfo",
        "processor : 0\nmodel name : A CPU\nflags : sse4_2 avx f16c fma avx2 bmi2 "
        "avx_vnni\nprocessor : 1\n");
  }
  ~DevicesTest() override { fs::remove_all(root); }
  void put(const fs::path& file, const std::string& content) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << content;
  }
  // An entry of a class in sysfs, with its link to the device.
  void link(const fs::path& node, const fs::path& device) {
    fs::create_directories(root / node);
    fs::create_directories(root / "sys/devices" / device);
    fs::create_symlink(root / "sys/devices" / device, root / node / "device");
  }
  void put_pci(const std::string& address, const std::string& kind, const std::string& vendor,
               const std::string& device) {
    const fs::path folder = fs::path("sys/bus/pci/devices") / address;
    put(folder / "class", kind + "\n");
    put(folder / "vendor", vendor + "\n");
    put(folder / "device", device + "\n");
  }
  std::vector<std::string> names(std::string_view kind) {
    std::vector<std::string> found;
    for (const Device& device : devices("", root)) {
      if (device.kind == kind) found.push_back(device.name);
    }
    return found;
  }
  fs::path root;
};

TEST_F(DevicesTest, ReadsMemoryAndCpu) {
  EXPECT_EQ(memory(root).total, GiB(8));
  EXPECT_EQ(memory(root).available, GiB(4));
  EXPECT_EQ(memory(root).limit_source, "machine");
  EXPECT_EQ(cpu(root).model, "A CPU");
  EXPECT_EQ(cpu(root).cores, 2u);
}

TEST_F(DevicesTest, HoldsTheLimitOfTheControlGroup) {
  put("proc/self/cgroup", "0::/user.slice/app.scope\n");
  put("sys/fs/cgroup/user.slice/memory.max", "2147483648\n");
  put("sys/fs/cgroup/user.slice/memory.current", "1073741824\n");
  put("sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n");
  EXPECT_EQ(memory(root).total, GiB(2));
  EXPECT_EQ(memory(root).available, GiB(1));
  EXPECT_EQ(memory(root).limit_source, "cgroup v2");
  put("proc/self/cgroup", "5:memory:/box\n0::/\n");
  put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
  put("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "0\n");
  EXPECT_EQ(memory(root).total, GiB(1));
  EXPECT_EQ(memory(root).limit_source, "cgroup v1");
}

TEST_F(DevicesTest, OrdersTheVariantsThatTheCpuClaims) {
  EXPECT_EQ(claimed_variants(cpu(root)).front(), "alderlake");
  EXPECT_EQ(claimed_variants(cpu(root)).back(), "x64");
  put("proc/cpuinfo", "processor : 0\nflags : sse2\n");
  EXPECT_EQ(claimed_variants(cpu(root)), (std::vector<std::string>{"x64"}));
}

TEST_F(DevicesTest, OrdersTheVariantsOfAVX512AsTheEngineScoresThem) {
  put("proc/cpuinfo",
      "processor : 0\nflags : sse4_2 avx f16c fma avx2 bmi2 avx512f avx512cd avx512vl avx512dq "
      "avx512bw avx512vbmi avx512_vnni avx512_bf16\n");
  EXPECT_EQ(claimed_variants(cpu(root)),
            (std::vector<std::string>{"zen4", "cooperlake", "icelake", "cascadelake", "cannonlake",
                                      "skylakex", "haswell", "piledriver", "ivybridge",
                                      "sandybridge", "sse42", "x64"}));
}

TEST_F(DevicesTest, KnowsTheVariantsOfArm) {
  put("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd fphp asimdhp asimddp\n\n");
  EXPECT_EQ(claimed_variants(cpu(root)),
            (std::vector<std::string>{"armv8.2_2", "armv8.2_1", "armv8.0_1"}));
  EXPECT_EQ(names("cpu-feature"),
            (std::vector<std::string>{"asimd", "asimddp", "fphp", "asimdhp"}));
}

TEST_F(DevicesTest, ClaimsNothingForACpuThatSaysNothing) {
  put("proc/cpuinfo", "processor : 0\nisa : rv64imafdc\n");
  EXPECT_TRUE(claimed_variants(cpu(root)).empty());
}

TEST_F(DevicesTest, ListsTheFeaturesThatNoKernelUses) {
  put("proc/cpuinfo",
      "processor : 0\nflags : gfni vaes avx512ifma avx512_vbmi2 avx512_bitalg avx512_vpopcntdq\n");
  EXPECT_EQ(names("cpu-feature"),
            (std::vector<std::string>{"gfni", "vaes", "avx512ifma", "avx512_vbmi2", "avx512_bitalg",
                                      "avx512_vpopcntdq"}));
}

TEST_F(DevicesTest, ShowsAllThatAVariantNeedsAsUsedByIt) {
  const std::vector<std::array<const char*, 3>> variants = {
#define VARIANT(architecture, name, needs) {architecture, name, needs},
#include "inventory/cpu_variants.inc"
#undef VARIANT
  };
  for (const auto& [architecture, name, needs] : variants) {
    const bool is_x86 = architecture == std::string("x86_64");
    put("proc/cpuinfo", cat("processor : 0\n", is_x86 ? "flags" : "Features", " : ", needs, "\n"));
    size_t used = 0;
    for (const Device& device : devices(name, root))
      used += device.kind == "cpu-feature" && device.used;
    std::istringstream words(needs);
    const auto wanted = std::distance(std::istream_iterator<std::string>(words), {});
    EXPECT_EQ(used, static_cast<size_t>(wanted)) << name;
  }
}

TEST_F(DevicesTest, OfAFeatureWithoutAVariantSaysNothingOfKernels) {
  put("proc/cpuinfo",
      "processor : 0\nflags : gfni\n");  // the engine has some, and no variant with them
  const auto found = devices("x64", root);
  EXPECT_EQ(found.front().why, "no CPU variant of the engine is built with it");
}

TEST_F(DevicesTest, FindsTheNpuThatCallsItselfASignalProcessor) {
  put_pci("0000:c4:00.1", "0x118000", "0x1022", "0x17f0");  // AMD's XDNA, its driver loaded
  link("sys/class/accel/accel0", "pci0000:00/0000:c4:00.1");
  put_pci("0000:c5:00.1", "0x118000", "0x1022", "0x1502");  // and one without a driver
  put_pci("0000:c6:00.7", "0x118000", "0x1022", "0x15e4");  // AMD's hub of sensors
  EXPECT_EQ(names("npu"), (std::vector<std::string>{"AMD NPU 0x17f0 (0000:c4:00.1)",
                                                    "AMD NPU 0x1502 (0000:c5:00.1)"}));
}

TEST_F(DevicesTest, ListsWhatADriverCallsAnAcceleratorWhateverItsClass) {
  put_pci("0000:01:00.0", "0xff0000", "0x17cb", "0xa100");
  link("sys/class/accel/accel0", "pci0000:00/0000:01:00.0");
  EXPECT_EQ(names("npu"), (std::vector<std::string>{"Qualcomm NPU 0xa100 (0000:01:00.0)"}));
}

TEST_F(DevicesTest, FindsTheGpuAndTheNpuOfAChip) {
  link("sys/class/drm/renderD128", "platform/fb000000.gpu");
  link("sys/class/drm/card0", "platform/fb000000.gpu");
  link("sys/class/drm/renderD129", "pci0000:00/0000:01:00.0");
  put_pci("0000:01:00.0", "0x030000", "0x1002", "0x73bf");
  link("sys/class/accel/accel0", "platform/fdab0000.npu");
  EXPECT_EQ(names("gpu"), (std::vector<std::string>{"AMD GPU 0x73bf (0000:01:00.0)",
                                                    "GPU of the chip, fb000000.gpu (renderD128)"}));
  EXPECT_EQ(names("npu"), (std::vector<std::string>{"NPU of the chip, fdab0000.npu (accel0)"}));
}

TEST_F(DevicesTest, SaysOfEachDeviceWhetherItIsUsedOrWhyNot) {
  put("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n");
  put("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
  put("sys/bus/pci/devices/0000:01:00.0/device", "0x2204\n");
  put("sys/bus/pci/devices/0000:02:00.0/class", "0x120000\n");
  put("sys/bus/pci/devices/0000:02:00.0/vendor", "0x8086\n");
  put("sys/bus/pci/devices/0000:03:00.0/class", "0x020000\n");
  size_t gpus = 0;
  size_t npus = 0;
  for (const Device& device : devices("haswell", root)) {
    EXPECT_TRUE(device.used || !device.why.empty()) << device.name;
    gpus += device.kind == "gpu";
    npus += device.kind == "npu";
    if (device.name == "avx2") {
      EXPECT_TRUE(device.used);
    }
    if (device.name == "avx_vnni") {
      EXPECT_FALSE(device.used);
    }
  }
  EXPECT_EQ(gpus, 1u);
  EXPECT_EQ(npus, 1u);
}

TEST_F(DevicesTest, SurvivesAMachineWithoutAnyOfTheFiles) {
  const fs::path nothing = root / "nothing";
  EXPECT_EQ(memory(nothing).total, Bytes{});
  EXPECT_EQ(cpu(nothing).cores, 1u);
  EXPECT_TRUE(devices("", nothing).empty());
}

}  // namespace
}  // namespace lares::inventory
