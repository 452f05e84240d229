#include "route/receipt.h"

#include <gtest/gtest.h>

namespace lares::route {
namespace {

Receipt sample() {
  Receipt r;
  r.id = "r-00ff00ff00ff00ff";
  r.endpoint = "/v1/chat/completions";
  r.principal = "app:editor";
  r.model = "smollm2";
  r.why = {"'smollm2' was asked for by name", "it was in memory"};
  r.outcome = "stop";
  r.queue_ms = 3;
  r.ttft_ms = 41;
  r.cpu_ms = 80;
  r.prompt_tokens = 12;
  r.prompt_tokens_reused = 8;
  return r;
}

TEST(Receipt, AnAnswerCarriesEveryFieldOfTheContract) {
  const Json object = answer_object(sample());
  for (const char* name :
       {"id", "place", "model", "why", "outcome", "queue_ms", "load_ms", "ttft_ms", "cpu_ms",
        "prompt_tokens_reused", "bytes_left_device", "cost_usd", "fallbacks"})
    EXPECT_TRUE(object.contains(name)) << name;
  EXPECT_EQ(object["place"], "local");
  EXPECT_EQ(object["prompt_tokens_reused"], 8);
  EXPECT_EQ(object["why"].size(), 2u);
}

TEST(Receipt, AnAnswerDoesNotSayWhoAsked) {
  EXPECT_FALSE(answer_object(sample()).contains("principal"));
}

TEST(Receipt, TheWholeRecordNamesItsUnits) {
  const Json json = to_json(sample());
  EXPECT_EQ(json["principal"], "app:editor");
  EXPECT_EQ(json["queue_ms"], 3);
  EXPECT_EQ(json["cpu_ms"], 80);
  EXPECT_TRUE(json["error"].is_null());
  EXPECT_EQ(json["outcome"], "stop");
}

TEST(Receipt, AnErrorStandsInTheRecordOnly) {
  Receipt r = sample();
  r.outcome = "worker_died";
  r.error = "answering: the worker ended by signal 9";
  EXPECT_EQ(to_json(r)["error"], r.error);
  EXPECT_FALSE(answer_object(r).contains("error"));
}

}  // namespace
}  // namespace lares::route
