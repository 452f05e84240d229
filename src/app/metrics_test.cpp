#include "app/metrics.h"

#include <gtest/gtest.h>

namespace lares::app {
namespace {

constexpr SteadyTime at(int ms) { return SteadyTime{} + milliseconds(1'000'000 + ms); }

bool has_line(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

route::Receipt receipt(const char* outcome) {
  route::Receipt receipt;
  receipt.model = "m";
  receipt.outcome = outcome;
  receipt.queue_ms = 250;
  receipt.ttft_ms = 500;
  receipt.prompt_tokens = 10;
  receipt.prompt_tokens_reused = 4;
  receipt.completion_tokens = 7;
  return receipt;
}

TEST(Metrics, CountRequestsByLaneAndOutcome) {
  Metrics metrics;
  metrics.ended(Lane::Interactive, receipt("stop"));
  metrics.ended(Lane::Interactive, receipt("stop"));
  metrics.ended(Lane::Background, receipt("busy"));
  const std::string text = metrics.text({});
  EXPECT_TRUE(has_line(text, R"(lares_requests_total{lane="interactive",outcome="stop"} 2)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(lares_requests_total{lane="background",outcome="busy"} 1)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(lares_queue_seconds_sum{lane="interactive"} 0.5)")) << text;
  EXPECT_TRUE(has_line(text, R"(lares_first_token_seconds_count{lane="agent"} 0)")) << text;
  EXPECT_TRUE(has_line(text, R"(lares_tokens_total{model="m",kind="prompt_reused"} 12)")) << text;
  EXPECT_TRUE(has_line(text, "# TYPE lares_requests_total counter")) << text;
}

TEST(Metrics, SayWhatModelsHoldAndWaitFor) {
  Metrics::Now now;
  now.models.push_back({"a \"quoted\"\\ name", Bytes{1024}, 2, {0, 0, 3}, {}});
  now.models[0].lease.held = milliseconds(1500);
  now.memory_budget = Bytes{4096};
  const std::string text = Metrics().text(now);
  EXPECT_TRUE(has_line(text, R"(lares_model_memory_bytes{model="a \"quoted\"\\ name"} 1024)"))
      << text;
  EXPECT_TRUE(
      has_line(text, R"(lares_requests_waiting{model="a \"quoted\"\\ name",lane="background"} 3)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(lares_device_seconds_total{model="a \"quoted\"\\ name"} 1.5)"))
      << text;
  EXPECT_TRUE(has_line(text, "lares_memory_budget_bytes 4096")) << text;
}

TEST(Metrics, TheRateIsThatOfTheLastSecondsAndFadesToNothing) {
  Metrics metrics;
  EXPECT_EQ(metrics.tokens_per_s("m", at(0)), 0);
  for (int ms = 0; ms < 10'000; ms += 100) metrics.wrote("m", 2, at(ms));
  EXPECT_DOUBLE_EQ(metrics.tokens_per_s("m", at(10'000)), 20);
  EXPECT_DOUBLE_EQ(metrics.tokens_per_s("m", at(12'000)), 12);
  EXPECT_EQ(metrics.tokens_per_s("m", at(20'000)), 0);
  EXPECT_EQ(metrics.tokens_per_s("other", at(10'000)), 0);
}

}  // namespace
}  // namespace lares::app
