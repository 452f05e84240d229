// Nothing computes outside of a lease: whatever a Batcher has its models compute lies between
// Lease::enter() and step_over(). The page is due all the time, so that each step gives it back.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/testing/media_files.h"
#include "engine/testing/talk.h"
#include "engine/testing/timed_model.h"

namespace lares::engine {
namespace {

using namespace testing;
using wire::LeasePage;

constexpr double kModelMs = 20;
constexpr double kDraftMs = 2;

struct Leased {
  explicit Leased(Options options)
      : talk([&](Pulse& pulse) {
          return std::make_unique<TimedModel>(fake_model(std::move(options), {}, pulse), talk.clock,
                                              kModelMs, 1);
        }) {
    page.worst = 2;
    page.until_ns = 0;
    std::destroy_at(&talk.lease);  // the batcher knows it by its place
    std::construct_at(&talk.lease, &page, bell, [this] {
      EXPECT_EQ(page.state, LeasePage::Waiting);
      turns++;
      page.state = LeasePage::Holding;
    });
    watch(model(), "");
  }
  ~Leased() { ::close(bell); }
  Leased(const Leased&) = delete;
  Leased& operator=(const Leased&) = delete;

  TimedModel& model() { return static_cast<TimedModel&>(*talk.model); }
  void watch(TimedModel& which, const std::string& name) {
    which.on_compute = [this, name](std::string_view what) {
      EXPECT_EQ(page.state, LeasePage::Holding) << name << what << " computes without a lease";
      computed[name + std::string(what)]++;
    };
  }
  void draft_with_another() {
    LoadOrder order;
    order.load.name = "small";
    order.drafts_for = &model().inner();
    auto made = Registered<Backend>::find("fake")->load(order, talk.pulse);
    ASSERT_TRUE(made);
    draft = std::make_unique<TimedModel>(*std::move(made), talk.clock, kDraftMs, 0.1);
    draft->said.info["size_bytes"] = 0.1 * model().said.info["size_bytes"].get<double>();
    watch(*draft, "draft's ");
    talk.batcher.draft_with(*draft);
  }
  // Runs to the end; how often each was computed.
  std::map<std::string, int> run() {
    EXPECT_TRUE(talk.run());
    EXPECT_EQ(page.state, LeasePage::Resting) << "there is nothing to do";
    return computed;
  }

  // not in this object: GCC 12's frames under AddressSanitizer may lie at 32 bytes
  const std::unique_ptr<LeasePage> memory = std::make_unique<LeasePage>();
  LeasePage& page = *memory;
  int bell = ::eventfd(0, EFD_NONBLOCK);
  int turns = 0;
  std::map<std::string, int> computed;
  std::unique_ptr<TimedModel> draft;  // before the Talk, whose batcher uses it to its end
  Talk talk;
};

TEST(BatcherLease, AnswersComputeInTheirTurns) {
  Leased leased(Options{});
  for (uint64_t id = 1; id <= 3; id++) leased.talk.complete(id, "count: 8");
  const auto computed = leased.run();
  EXPECT_GT(computed.at("decode"), 8);
  EXPECT_EQ(leased.turns, computed.at("decode")) << "each step is a turn";
  EXPECT_TRUE(leased.talk[3].text.ends_with(" 8"));
}

TEST(BatcherLease, SoDoesADraftModel) {
  Leased leased(Options{{"draft-right", "100"}});
  leased.draft_with_another();
  leased.talk.complete(1, "count: 40", {{"temperature", 0}});
  const auto computed = leased.run();
  EXPECT_GT(computed.at("draft's decode"), 3);
  EXPECT_EQ(leased.turns, computed.at("decode")) << "in the steps of the other";
  EXPECT_TRUE(leased.talk[1].text.ends_with(" 40"));
}

TEST(BatcherLease, SoDoPicturesAndWhatIsSaidOfThem) {
  Leased leased(Options{{"sees", ""}});
  const Json image = {{"type", "image"},
                      {"data", base64(png(80, 80, plain({1, 2, 3})))},
                      {"param", "messages[0].content[0].image_url.url"}};
  Json content = {image, {{"type", "text"}, {"text", "look"}}};
  leased.talk.batcher.generate(
      1, {"chat",
          {{"messages", Json::array({{{"role", "user"}, {"content", std::move(content)}}})}},
          Lane::Interactive,
          0});
  leased.talk.complete(2, "count: 6");
  const auto computed = leased.run();
  EXPECT_EQ(computed.at("encode"), 1);
  EXPECT_GE(computed.at("decode_media"), 1);
  EXPECT_GT(computed.at("decode"), 1);
  EXPECT_EQ(leased.talk[1].text, "1 pieces in 100 rows");
}

TEST(BatcherLease, SoDoVectors) {
  Leased leased(Options{{"pooling", ""}});
  leased.talk.batcher.embed(1, {Json::array({"one", "two", "three"}), Lane::Background, 0});
  leased.talk.batcher.embed(2, {Json::array({"four"}), Lane::Interactive, 0});
  const auto computed = leased.run();
  EXPECT_GE(computed.at("embed"), 1);
  EXPECT_EQ(leased.turns, computed.at("embed"));
  EXPECT_TRUE(leased.talk[1].done && leased.talk[2].done);
}

TEST(BatcherLease, WhatIsCancelledOrPreemptedComputesInItsTurnsToo) {
  Leased leased(Options{});
  leased.talk.lane = Lane::Background;
  for (uint64_t id = 1; id <= 6; id++) leased.talk.complete(id, "count: 8");
  for (int i = 0; i < 6; i++) leased.talk.batcher.step();
  leased.talk.batcher.cancel(2);
  leased.talk.lane = Lane::Interactive;
  for (uint64_t id = 7; id <= 9; id++) leased.talk.complete(id, "count: 4");
  EXPECT_GT(leased.run().at("decode"), 8);
  for (const uint64_t id : {1, 3, 4, 5, 6, 7, 8, 9}) EXPECT_TRUE(leased.talk[id].done) << id;
}

}  // namespace
}  // namespace lares::engine
