#include "inventory/power.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/text.h"

namespace lares::inventory {
namespace {

class PowerTest : public ::testing::Test {
 protected:
  PowerTest() : root(std::filesystem::path(::testing::TempDir()) / cat("power-", ::getpid())) {
    std::filesystem::remove_all(root);
  }
  ~PowerTest() override { std::filesystem::remove_all(root); }

  void put(const std::string& file, std::string_view text) const {
    std::filesystem::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text << "\n";
  }
  void supply(const std::string& name, const char* type, const char* field, const char* value) {
    put("sys/class/power_supply/" + name + "/type", type);
    put("sys/class/power_supply/" + name + "/" + field, value);
  }
  void zone(int number, const char* type, const char* temperature) {
    put(cat("sys/class/thermal/thermal_zone", number, "/type"), type);
    put(cat("sys/class/thermal/thermal_zone", number, "/temp"), temperature);
  }

  std::filesystem::path root;
};

TEST_F(PowerTest, AMachineThatTellsNothingIsPluggedIn) {
  const Power power = inventory::power(root);
  EXPECT_FALSE(power.on_battery);
  EXPECT_FALSE(power.temperature);
}

TEST_F(PowerTest, ABatteryThatIsEmptiedIsSeen) {
  supply("BAT0", "Battery", "status", "Discharging");
  supply("AC", "Mains", "online", "0");
  EXPECT_TRUE(power(root).on_battery);
  supply("AC", "Mains", "online", "1");
  EXPECT_FALSE(power(root).on_battery);
}

TEST_F(PowerTest, ABatteryThatIsFullOrOfAMouseDoesNotCount) {
  supply("BAT0", "Battery", "status", "Full");
  supply("hid-mouse", "Battery", "status", "Discharging");
  put("sys/class/power_supply/hid-mouse/scope", "Device");
  EXPECT_FALSE(power(root).on_battery);
}

TEST_F(PowerTest, TheHottestSensorOfTheProcessorCounts) {
  zone(0, "acpitz", "27800");
  zone(1, "x86_pkg_temp", "71000");
  zone(2, "iwlwifi_1", "99000");
  zone(3, "cpu-thermal", "-274000");
  zone(4, "cpu1-thermal", "nonsense");
  EXPECT_DOUBLE_EQ(power(root).temperature.value(), 71.0);
}

TEST_F(PowerTest, ProcessorTimeIsCountedInAllAndForOurs) {
  put("proc/stat", "cpu  100 20 30 9000 50 1 2 3 40 0\ncpu0 1 2 3 4 5 6 7 8 9 10");
  put("proc/42/stat", "42 (a (strange) name) S 1 42 42 0 -1 4194304 500 0 0 0 70 30 0 0 20 0 4 0");
  const long per_second = ::sysconf(_SC_CLK_TCK);
  const std::vector<pid_t> ours = {42, 43};
  const auto time = processor_time(ours, root);
  ASSERT_TRUE(time);
  EXPECT_EQ(time->all.count(), 156 * 1000 / per_second);
  EXPECT_EQ(time->ours.count(), 100 * 1000 / per_second);
}

TEST_F(PowerTest, WithoutProcThereIsNoTime) { EXPECT_FALSE(processor_time({}, root)); }

TEST(Power, ThisMachineTellsItsTime) {
  const std::vector<pid_t> ours = {::getpid()};
  const auto time = processor_time(ours);
  ASSERT_TRUE(time);
  EXPECT_GE(time->all, time->ours);
}

}  // namespace
}  // namespace lares::inventory
