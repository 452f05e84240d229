#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace lares {
namespace {

std::string logged(Level lowest, void (*speak)(Log&)) {
  testing::internal::CaptureStderr();
  {
    Log log("prog", lowest);
    speak(log);
  }
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesAnEventAndItsValuesOnOneLine) {
  const std::string line = logged(Level::Info, [](Log& log) {
    log.info("model resident", {{"model", "m"}, {"load_ms", 12}, {"of", "a b"}, {"none", ""}});
  });
  EXPECT_NE(line.find("prog: model resident model=m load_ms=12 of=\"a b\" none=\"\"\n"),
            std::string::npos)
      << line;
}

TEST(Log, CannotBeMadeToWriteALineThatNobodyWrote) {
  const std::string line = logged(
      Level::Info, [](Log& log) { log.warn("x\ny", {{"name", "evil\n2024 fake line\x1B[31m"}}); });
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.find('\x1B'), std::string::npos);
}

TEST(Log, KeepsSilentBelowItsLevel) {
  EXPECT_EQ(logged(Level::Warn, [](Log& log) { log.info("x"); }), "");
  EXPECT_NE(logged(Level::Debug, [](Log& log) { log.debug("x"); }), "");
  testing::internal::CaptureStderr();
  Log silent = Log::silent();
  silent.error("x", {{"y", 1}});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Log, TakesBracesAsTheyAre) {
  EXPECT_NE(
      logged(Level::Info, [](Log& log) { log.info("{} {0}", {{"v", "{}"}}); }).find("{} {0} v={}"),
      std::string::npos);
}

}  // namespace
}  // namespace lares
