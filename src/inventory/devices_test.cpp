#include "inventory/devices.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

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
