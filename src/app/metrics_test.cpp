#include "app/metrics.h"

#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "base/text.h"

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
  EXPECT_TRUE(has_line(text, "# TYPE lares_requests_total counter")) << text;
}

TEST(Metrics, CountTokensByLaneAsTheyCome) {
  Metrics metrics;
  metrics.read("m", Lane::Agent, 4, 4);
  metrics.read("m", Lane::Agent, 6, 0);
  metrics.wrote("m", Lane::Agent, 7, at(0));
  metrics.wrote("m", Lane::Interactive, 2, at(0));
  const std::string text = metrics.text({});
  const auto has = [&](const char* lane, const char* kind, int count) {
    return has_line(text, cat("lares_tokens_total{model=\"m\",lane=\"", lane, "\",kind=\"", kind,
                              "\"} ", count));
  };
  EXPECT_TRUE(has("agent", "prompt", 10)) << text;
  EXPECT_TRUE(has("agent", "prompt_reused", 4)) << text;
  EXPECT_TRUE(has("agent", "completion", 7)) << text;
  EXPECT_TRUE(has("interactive", "completion", 2)) << text;
  EXPECT_TRUE(has("background", "prompt", 0)) << text;
  EXPECT_TRUE(has_line(text, "# TYPE lares_tokens_total counter")) << text;
}

// As https://prometheus.io/docs/instrumenting/exposition_formats says: each family once, its head
// before its samples, and no sample twice.
TEST(Metrics, AreTextThatPrometheusReads) {
  Metrics metrics;
  metrics.ended(Lane::Agent, receipt("stop"));
  metrics.wrote("m", Lane::Agent, 7, at(0));
  Metrics::Now now;
  now.models.resize(2);
  now.models[0].id = "m";
  now.models[1].id = "n";
  const std::string text = metrics.text(now);
  ASSERT_TRUE(text.ends_with('\n'));
  std::set<std::string> families, samples;
  std::string family, kind;
  for (const std::string& line : split(text.substr(0, text.size() - 1), '\n')) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << line;
    } else if (line.starts_with("# TYPE ")) {
      kind = line.substr(line.rfind(' ') + 1);
      EXPECT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
      EXPECT_EQ(kind == "counter", family.ends_with("_total")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(family)) << line;
      EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
  EXPECT_GE(families.size(), 12u);
}

TEST(Metrics, AreAllDescribed) {
  const auto page = read_file(LARES_SOURCE_FOLDER "/docs/metrics.md", KiB(64));
  ASSERT_TRUE(page) << page.error().message;
  std::set<std::string> described, families;
  for (const std::string& line : split(*page, '\n')) {
    const auto cells = split(line, '|');
    if (cells.size() < 5 || !line.starts_with("| `lares_")) continue;
    const std::string family(trimmed(cells[1]));
    described.insert(cat(family.substr(1, family.size() - 2), " ", trimmed(cells[2])));
  }
  const std::string text = Metrics().text({});
  for (const std::string& line : split(text, '\n')) {
    if (line.starts_with("# TYPE ")) families.insert(line.substr(7));
  }
  EXPECT_EQ(described, families);
}

TEST(Metrics, SayWhatModelsHoldAndWaitFor) {
  Metrics::Now now;
  now.models.push_back({"a \"quoted\"\\ name", Bytes{1024}, {2, 0, 1}, {0, 0, 3}, {}, {}});
  now.models[0].lease.held = milliseconds(1500);
  now.models[0].longest_wait[2] = milliseconds(2500);
  now.lane_held[1] = milliseconds(750);
  now.memory_budget = Bytes{4096};
  const std::string text = Metrics().text(now);
  EXPECT_TRUE(has_line(text, R"(lares_model_memory_bytes{model="a \"quoted\"\\ name"} 1024)"))
      << text;
  EXPECT_TRUE(
      has_line(text, R"(lares_requests_waiting{model="a \"quoted\"\\ name",lane="background"} 3)"))
      << text;
  const auto of_lane = [&](const char* family, const char* lane, const char* value) {
    return has_line(text,
                    cat(family, R"({model="a \"quoted\"\\ name",lane=")", lane, "\"} ", value));
  };
  EXPECT_TRUE(of_lane("lares_requests_computing", "interactive", "2")) << text;
  EXPECT_TRUE(of_lane("lares_requests_computing", "background", "1")) << text;
  EXPECT_TRUE(of_lane("lares_waiting_seconds", "background", "2.5")) << text;
  EXPECT_TRUE(of_lane("lares_waiting_seconds", "interactive", "0")) << text;
  EXPECT_TRUE(has_line(text, "# TYPE lares_waiting_seconds gauge")) << text;
  EXPECT_TRUE(has_line(text, R"(lares_device_lane_seconds_total{lane="agent"} 0.75)")) << text;
  EXPECT_TRUE(has_line(text, R"(lares_device_seconds_total{model="a \"quoted\"\\ name"} 1.5)"))
      << text;
  EXPECT_TRUE(has_line(text, "lares_memory_budget_bytes 4096")) << text;
}

TEST(Metrics, TheRateIsThatOfTheLastSecondsAndFadesToNothing) {
  Metrics metrics;
  EXPECT_EQ(metrics.tokens_per_s("m", at(0)), 0);
  for (int ms = 0; ms < 10'000; ms += 100) metrics.wrote("m", Lane::Interactive, 2, at(ms));
  EXPECT_DOUBLE_EQ(metrics.tokens_per_s("m", at(10'000)), 20);
  EXPECT_DOUBLE_EQ(metrics.tokens_per_s("m", at(12'000)), 12);
  EXPECT_EQ(metrics.tokens_per_s("m", at(20'000)), 0);
  EXPECT_EQ(metrics.tokens_per_s("other", at(10'000)), 0);
}

}  // namespace
}  // namespace lares::app
