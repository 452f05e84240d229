// Which requests compute, upon what of earlier ones, and who makes way for whom.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "base/text.h"
#include "engine/testing/talk.h"
#include "engine/testing/timed_model.h"

namespace lares::engine {
namespace {

using testing::letters;
using testing::small;
using testing::Talk;
using testing::TimedModel;

// --- prefixes
// ------------------------------------------------------------------------------------

TEST(Batcher, AFollowUpReusesTheConversation) {
  Talk talk;
  Json messages = {{{"role", "user"}, {"content", "repeat: first"}}};
  talk.batcher.generate(1, {"chat", {{"messages", messages}}});
  ASSERT_TRUE(talk.run());
  messages.push_back({{"role", "assistant"}, {"content", talk[1].text}});
  messages.push_back({{"role", "user"}, {"content", "repeat: second"}});
  talk.batcher.generate(2, {"chat", {{"messages", messages}}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "second");
  // the prompt and the answer, but for the token that ended it
  EXPECT_EQ(talk[2].started->reused_tokens,
            talk[1].done->prompt_tokens + talk[1].done->completion_tokens);
  EXPECT_EQ(talk[2].done->reused_tokens, talk[2].started->reused_tokens);
}

TEST(Batcher, TheSamePromptAgainComputesOneToken) {
  Talk talk;
  talk.complete(1, "repeat: abc");
  ASSERT_TRUE(talk.run());
  talk.complete(2, "repeat: abc");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].started->reused_tokens, talk[2].started->prompt_tokens - 1);
  EXPECT_EQ(talk[2].text, "abc");
}

TEST(Batcher, SeveralAnswersToOnePromptPayForItOnce) {
  Talk talk({}, small(4096, 4, 64));
  const std::string prompt = letters(1000) + "\nrandom: 5";
  for (uint64_t id = 1; id <= 4; id++) talk.complete(id, prompt);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].started->reused_tokens, 0U);
  for (uint64_t id = 2; id <= 4; id++) {
    ASSERT_TRUE(talk[id].done);
    EXPECT_GE(talk[id].started->reused_tokens, 1000U) << id;
  }
}

TEST(Batcher, NobodyWaitsForThePromptOfALessUrgentOne) {
  Talk talk({}, small(8192, 4, 64));
  const std::string prompt = letters(3000) + "\nrandom: 5";
  talk.lane = Lane::Background;
  talk.complete(1, prompt);
  ASSERT_TRUE(talk.batcher.step());
  talk.lane = Lane::Interactive;
  talk.complete(2, prompt);
  while (!talk[2].done) ASSERT_TRUE(talk.batcher.step());
  EXPECT_LT(talk[2].started->reused_tokens, 1000U);
  EXPECT_FALSE(talk[1].done);
  ASSERT_TRUE(talk.run());
}

TEST(Batcher, AnotherConversationWithTheSameBeginningLeavesTheFirstWhole) {
  Talk talk;
  const std::string system = letters(200) + "\n";
  talk.complete(1, system + "repeat: " + letters(100, 'a'));
  ASSERT_TRUE(talk.run());
  talk.complete(2, system + "repeat: b");
  ASSERT_TRUE(talk.run());
  EXPECT_GE(talk[2].started->reused_tokens, 200U);
  talk.complete(3, system + "repeat: " + letters(100, 'a') + letters(100, 'a') + "\nrepeat: c");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "c");
  EXPECT_GE(talk[3].started->reused_tokens, 400U);
}

TEST(Batcher, WhatRestsLeavesTheCellsAndWhatWasUsedLongestAgoIsForgotten) {
  Talk talk({}, small(256, 4));
  const auto reused = [&](uint64_t id, char letter) {
    talk.complete(id, letters(80, letter), {{"max_tokens", 1}});
    EXPECT_TRUE(talk.run());
    return talk[id].started->reused_tokens;
  };
  for (uint64_t id = 1; id <= 8; id++) {  // six fit into what the fake keeps parked
    EXPECT_LE(reused(id, static_cast<char>('a' + id)), 1U);
    EXPECT_LE(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 82U);
  }
  EXPECT_EQ(reused(9, 'i'), 80U);
  EXPECT_EQ(reused(10, 'd'), 80U);
  EXPECT_LE(reused(11, 'b'), 1U);
}

TEST(Batcher, WhatRestsLeavesTheCellsWhileOthersCompute) {
  Talk talk({}, small(4096, 2));
  const std::string prompt = cat(letters(300), "\nrepeat: Hello.");
  talk.complete(1, prompt);
  talk.complete(2, "count: 900");
  while (!talk[1].ended()) ASSERT_TRUE(talk.batcher.step());
  EXPECT_GT(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 300U);
  for (uint64_t i = 0; i <= kRestMax; i++) talk.batcher.step();
  ASSERT_FALSE(talk[2].ended());
  EXPECT_EQ(talk.batcher.parked().count(), 1U);
  EXPECT_LT(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 300U);
  talk.complete(3, cat(prompt, "Hello.\nrepeat: Again."));
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "Again.");
  EXPECT_GE(talk[3].done->reused_tokens, 300U);
  EXPECT_TRUE(talk[2].text.ends_with(" 900"));
}

TEST(Batcher, ConversationsOutliveTheContext) {
  Talk talk({}, small(4096, 4));
  const std::string prompt = cat(letters(300), "\nrepeat: Hello.");
  talk.complete(1, prompt);
  talk.complete(2, "repeat: short");  // is too short to be kept
  ASSERT_TRUE(talk.run());
  const uint64_t hot = talk.batcher.memory_bytes();
  for (const Rung low : {Rung::Warm, Rung::Parked, Rung::Warm}) {
    ASSERT_TRUE(talk.batcher.at_rest());
    ASSERT_TRUE(talk.batcher.stand(low, false));
    EXPECT_EQ(talk.batcher.rung(), low);
    EXPECT_LT(talk.batcher.memory_bytes(), hot);
    EXPECT_EQ(talk.batcher.slots().cells_free(), talk.batcher.slots().cells_total());
  }
  ASSERT_TRUE(talk.batcher.stand(Rung::Hot, false));
  EXPECT_EQ(talk.batcher.memory_bytes(), hot);
  talk.complete(3, cat(prompt, "Hello.\nrepeat: Again."));
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "Again.");
  EXPECT_GE(talk[3].done->reused_tokens, 300U);
}

TEST(Batcher, WhatHasNoRoomOutsideTheCellsIsComputedAgainAfterwards) {
  Talk talk(Options{{"parked", "1000"}}, small(4096, 4));  // no room for 300 tokens
  const std::string prompt = cat(letters(300), "\nrepeat: Hello.");
  talk.complete(1, prompt);
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk.batcher.stand(Rung::Parked, false));
  ASSERT_TRUE(talk.batcher.stand(Rung::Hot, false));
  talk.complete(2, cat(prompt, "Hello.\nrepeat: Again."));
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "Again.");
  EXPECT_EQ(talk[2].done->reused_tokens, 0U);
}

TEST(Batcher, RestComesThoughNotAllThatRestsCanBeParked) {
  Talk talk(Options{{"parked", "1000"}}, small(1024, 8));  // for two of these six
  for (uint64_t id = 1; id <= 6; id++)
    talk.complete(id, letters(100, static_cast<char>('a' + id)), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run(1000));
  // nor does it keep a request from beginning that wants the cells empty
  talk.complete(7, "repeat: hello", {{"seed", 7}});
  ASSERT_TRUE(talk.run(1000));
  EXPECT_EQ(talk[7].text, "hello");
}

TEST(Batcher, AParkedConversationWithoutRoomLeavesWhatTheCellsHoldToBuildUpon) {
  Talk talk({}, small(256, 4));
  talk.complete(1, letters(150), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run());  // parked now
  talk.complete(2, letters(80) + "\ncount: 90");
  for (int i = 0; i < 3; i++) ASSERT_TRUE(talk.batcher.step());
  ASSERT_FALSE(talk[2].ended());
  // 150 tokens of the parked one would be its beginning, but beside the second there are no cells
  // for all of it; of the second's first 80 it needs none of its own
  talk.complete(3, letters(160) + "\nrepeat: c");
  ASSERT_TRUE(talk.batcher.step());
  ASSERT_TRUE(talk[3].started);
  EXPECT_GE(talk[3].started->reused_tokens, 80U);
  EXPECT_LT(talk[3].started->reused_tokens, 150U);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "c");
}

TEST(Batcher, WithAWindowOnlyAWholeOneIsBuiltUpon) {
  Talk talk(Options{{"window", "32"}}, small(1024));
  talk.complete(1, letters(100), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run());
  // goes on where the first ended: its window is there
  talk.complete(2, letters(100) + "\nrepeat: a");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "a");
  EXPECT_GE(talk[2].started->reused_tokens, 100U);
  // begins in the middle: what lies before it has been forgotten
  talk.complete(3, letters(50) + "\nrepeat: b");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "b");
  EXPECT_EQ(talk[3].started->reused_tokens, 0U);
}

// --- several
// -------------------------------------------------------------------------------------

TEST(Batcher, RequestsThatDoNotFitTogetherWaitAndAllEndWell) {
  Talk talk({}, small(256, 4));
  for (uint64_t id = 1; id <= 6; id++) {
    talk.complete(id, letters(120, static_cast<char>('a' + id)) +
                          "\nrepeat: " + letters(60, static_cast<char>('A' + id)));
  }
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 6; id++) {
    ASSERT_TRUE(talk[id].done) << id << ": " << talk[id].failed->message;
    EXPECT_EQ(talk[id].text, letters(60, static_cast<char>('A' + id)));
  }
}

TEST(Batcher, AnswersThatOutgrowTheCellsAreComputedAgainAndGoOnAsIfNothingWas) {
  Talk talk({}, small(256, 4));
  for (uint64_t id = 1; id <= 3; id++) {
    talk.complete(id, letters(10, static_cast<char>('a' + id)) + "\ncount: 90");
  }
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++) {
    ASSERT_TRUE(talk[id].done) << id << ": " << talk[id].failed->message;
    EXPECT_TRUE(talk[id].text.starts_with("1 2 3 "));
    EXPECT_EQ(talk[id].text, talk[1].text);
    EXPECT_EQ(talk[id].done->completion_tokens, talk[1].done->completion_tokens);
  }
}

TEST(Batcher, AShortPromptNeedNotWaitForALongOneToBeAnswered) {
  Talk talk({}, small(4096, 4, 64));
  talk.complete(1, letters(3000) + "\nrepeat: long");
  ASSERT_TRUE(talk.batcher.step());
  talk.complete(2, "repeat: short");
  for (int i = 0; i < 60 && !talk[2].ended(); i++) talk.batcher.step();
  EXPECT_TRUE(talk[2].done);
  EXPECT_FALSE(talk[1].ended());
  EXPECT_FALSE(talk[1].progress.empty());
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "long");
}

TEST(Batcher, TooManyWaitingAreTurnedAwayAsBusy) {
  Talk talk;
  for (uint64_t id = 1; id <= kWaitingMax + 1; id++) talk.complete(id, "repeat: a");
  ASSERT_TRUE(talk[kWaitingMax + 1].failed);
  EXPECT_EQ(talk[kWaitingMax + 1].failed->code, Code::Busy);
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[kWaitingMax].done);
}

// --- lanes
// ---------------------------------------------------------------------------------------

TEST(Batcher, AnUrgentRequestTakesThePlaceOfOneThatNobodyWaitsFor) {
  Talk talk({}, small(2048, 2));
  talk.lane = Lane::Background;
  talk.complete(1, cat(letters(100), "\ncount: 60"));
  talk.complete(2, cat(letters(100, 'y'), "\ncount: 50"));
  for (int i = 0; i < 12; i++) talk.batcher.step();
  ASSERT_TRUE(talk[1].started && talk[2].started);
  talk.lane = Lane::Interactive;
  talk.complete(3, "repeat: now");
  for (int i = 0; i < 6 && !talk[3].ended(); i++) talk.batcher.step();
  EXPECT_EQ(talk[3].text, "now");
  EXPECT_FALSE(talk[1].ended() || talk[2].ended());
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].text.ends_with(" 59 60")) << talk[1].text;
  EXPECT_TRUE(talk[2].text.ends_with(" 49 50")) << talk[2].text;
}

TEST(Batcher, WhoAsksForLittleHasAPlaceBesideOneWhoWouldFillThemAll) {
  Talk talk({}, small(2048, 2));
  talk.owner = 1;
  for (uint64_t id = 1; id <= 3; id++)
    talk.complete(id, cat(letters(100, static_cast<char>('a' + id)), "\ncount: 6", id));
  for (int i = 0; i < 12; i++) talk.batcher.step();
  talk.owner = 2;
  talk.complete(4, "repeat: now");
  talk.complete(5, "repeat: then");
  for (int i = 0; i < 20 && !talk[5].ended(); i++) talk.batcher.step();
  EXPECT_EQ(talk[4].text, "now");
  EXPECT_EQ(talk[5].text, "then");
  EXPECT_FALSE(talk[1].ended() || talk[2].ended() || talk[3].ended());
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++)
    EXPECT_TRUE(talk[id].text.ends_with(cat(" 6", id))) << talk[id].text;
}

// A long conversation that does not fit beside another keeps nobody waiting who would, and has its
// turn in the end.
TEST(Batcher, WhoLacksCellsLetsSmallerOnesPassAndThenTakesThem) {
  Talk talk({}, small(1024));
  talk.complete(1, letters(700), {{"ignore_eos", true}, {"max_tokens", 300}});
  talk.batcher.step();
  talk.complete(2, letters(900, 'y'), {{"max_tokens", 4}});
  for (uint64_t id = 3; id <= 5; id++) talk.complete(id, "count: 3");
  for (int i = 0; i < 60 && !talk[5].ended(); i++) talk.batcher.step();
  for (uint64_t id = 3; id <= 5; id++) EXPECT_TRUE(talk[id].done) << id;
  EXPECT_FALSE(talk[2].started);
  EXPECT_FALSE(talk[1].ended());
  talk.clock.advance(kBlockedMax);
  for (int i = 0; i < 60 && !talk[2].ended(); i++) talk.batcher.step();
  EXPECT_TRUE(talk[2].done);
  EXPECT_FALSE(talk[1].ended()) << "it gave way";
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].done->completion_tokens, 300U);
}

TEST(Batcher, RequestsOfOneOwnerDoNotTakeEachOthersPlaces) {
  Talk talk({}, small(2048, 1));
  talk.complete(1, "count: 20");
  talk.batcher.step();
  talk.complete(2, "repeat: later");
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].text.ends_with(" 20"));
  EXPECT_EQ(talk[2].text, "later");
  EXPECT_EQ(talk[1].progress.size(), 0U) << "its prompt was read once";
}

TEST(Batcher, AHurryGivesUpALessUrgentStepWhichIsComputedAgain) {
  Talk talk(Options{{"prompt-tokens-per-s", "20000"}}, small(4096, 2, 512));
  talk.lane = Lane::Background;
  talk.complete(1, letters(1'000) + "\nrepeat: good");
  talk.batcher.hurry(Lane::Interactive);  // read, but not yet obeyed
  talk.batcher.step();
  EXPECT_TRUE(talk[1].progress.empty()) << "nothing was kept of that step";
  talk.lane = Lane::Interactive;
  talk.complete(2, "repeat: first");
  talk.batcher.step();
  EXPECT_FALSE(talk.pulse.aborting()) << "it has come";
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
  EXPECT_EQ(talk[2].text, "first");
}

TEST(Batcher, AHurryOfOneLaneDoesNotDisturbThatLane) {
  Talk talk({}, small(4096, 2, 512));
  talk.lane = Lane::Agent;
  talk.complete(1, letters(400) + "\nrepeat: good");
  talk.batcher.hurry(Lane::Agent);
  talk.batcher.hurry(Lane::Background);
  talk.batcher.step();
  EXPECT_EQ(talk[1].progress.size(), 0U);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
}

TEST(Batcher, WhileOthersWaitItsStepsAreShort) {
  const auto steps = [](bool others_wait) {
    Pulse pulse;
    const SystemClock clock;
    auto model = testing::fake_model({{"prompt-tokens-per-s", "4000"}}, small(4096, 2, 512), pulse);
    bool done = false;
    const auto page = std::make_unique<wire::LeasePage>();
    page->state = wire::LeasePage::Holding;
    page->until_ns = wire::kUntilNever;
    page->pressed = others_wait ? 1 : 0;
    Lease lease(page.get(), -1, {});
    testing::OwnMaker batcher(
        *model, pulse, clock, lease,
        [&](uint64_t, const Batcher::Event& event) {
          done = std::holds_alternative<wire::Done>(event);
        },
        [] { return 1U; });
    batcher.generate(1, {"completion", {{"prompt", letters(2'000)}, {"max_tokens", 1}}});
    int count = 0;
    while (!done && batcher.step()) count++;
    return count;
  };
  EXPECT_LE(steps(false), 6);
  EXPECT_GE(steps(true), 7);  // of 60 ms, after a first of which nothing was known
}

// Seven answers that are asked for while another is read, each with a prompt of 60. Steps take
// 10 ms and 3 for each row.
struct Burst {
  double gap_ms = 0;    // the longest of the first answer, until the last of the others began
  double begun_ms = 0;  // until then
  int long_gaps = 0;    // of more than two short steps
};
Burst burst_beside_an_answer(bool of_the_same_app, size_t prompts = 7, size_t prompt = 60,
                             size_t read = kJustBegun + 4) {
  Talk talk([&](Pulse& pulse) {
    return std::make_unique<TimedModel>(testing::fake_model({}, small(16'384, 8, 512), pulse),
                                        talk.clock, 10, 3);
  });
  const auto now = [&] {
    return std::chrono::duration<double, std::milli>(talk.clock.now().time_since_epoch()).count();
  };
  talk.complete(1, "count: 400", {{"ignore_eos", true}});
  while (talk[1].tokens < read) EXPECT_TRUE(talk.batcher.step());
  if (!of_the_same_app) talk.owner = 7;
  for (uint64_t i = 0; i < prompts; i++)
    talk.complete(2 + i, cat(letters(prompt), i, "\ncount: 200"), {{"max_tokens", 40}});
  const double from = now();
  Burst found;
  double last = from;
  size_t told = talk[1].pieces.size();
  std::set<uint64_t> begun;
  while (begun.size() < prompts) {
    EXPECT_TRUE(talk.batcher.step());
    for (uint64_t i = 0; i < prompts; i++) {
      if (talk[2 + i].tokens > 0) begun.insert(i);
    }
    if (talk[1].pieces.size() == told) continue;
    told = talk[1].pieces.size();
    found.gap_ms = std::max(found.gap_ms, now() - last);
    found.long_gaps += now() - last > 2 * kStepSharedMs ? 1 : 0;
    last = now();
  }
  found.begun_ms = now() - from;
  return found;
}

TEST(Batcher, WhoAsksForSeveralAtOnceHasThemBeginTogether) {
  const Burst own = burst_beside_an_answer(true);
  const Burst others = burst_beside_an_answer(false);
  EXPECT_LE(own.gap_ms, kStepTogetherMs * 1.2);
  EXPECT_LE(others.gap_ms, kStepSharedMs * 1.5) << "what another app asks disturbs no answer";
  EXPECT_LT(own.begun_ms, others.begun_ms * 0.9);
  // what has only begun with it waits for the rest, but not beside what another app asks
  const Burst begun = burst_beside_an_answer(true, 7, 60, 2);
  EXPECT_GT(begun.gap_ms, kStepTogetherMs * 1.2);
  EXPECT_LE(begun.gap_ms, kStepBurstMs * 1.2);
  EXPECT_LE(burst_beside_an_answer(false, 7, 60, 2).gap_ms, kStepSharedMs * 1.5);
  // one prompt more does not make an answer stutter, nor do very long ones but at their end
  EXPECT_LE(burst_beside_an_answer(true, 1).gap_ms, kStepSharedMs * 1.5);
  EXPECT_LE(burst_beside_an_answer(true, 3, 1'500).long_gaps, kBurstMaxMs / kStepTogetherMs + 1);
}

TEST(Batcher, WhereTheMachineIsSparedOnlyBetterLanesCompute) {
  const auto page = std::make_unique<wire::LeasePage>();
  page->state = wire::LeasePage::Holding;
  page->until_ns = wire::kUntilNever;
  page->worst = static_cast<uint32_t>(Lane::Agent);
  Lease lease(page.get(), -1, {});
  Pulse pulse;
  const SystemClock clock;
  auto model = testing::fake_model({}, small(512, 4, 64), pulse);
  std::map<uint64_t, size_t> told;
  std::vector<uint64_t> ended;
  testing::OwnMaker batcher(
      *model, pulse, clock, lease,
      [&](uint64_t id, const Batcher::Event& event) {
        if (std::holds_alternative<wire::Delta>(event)) told[id]++;
        if (std::holds_alternative<wire::Done>(event)) ended.push_back(id);
      },
      [] { return 1U; });
  const auto ask = [&](uint64_t id, Lane lane) {
    wire::Generate request{"completion", {{"prompt", "count: 20"}}};
    request.lane = lane;
    batcher.generate(id, request);
  };
  ask(1, Lane::Background);
  ask(2, Lane::Agent);
  while (ended.empty()) ASSERT_TRUE(batcher.step());
  EXPECT_EQ(ended, std::vector<uint64_t>{2});
  EXPECT_EQ(told[1], 0U);
  page->worst = static_cast<uint32_t>(Lane::Background);
  while (ended.size() < 2) ASSERT_TRUE(batcher.step());
  EXPECT_GE(told[1], 20U);
}

TEST(Batcher, OfAThousandRequestsAtOnceAsManyAsItKeepsAreAnswered) {
  Talk talk({}, small(2048, 4));
  for (uint64_t id = 1; id <= 1000; id++) {
    talk.owner = static_cast<uint32_t>(id % 7);
    talk.complete(id, cat("count: ", id % 9 + 2));
  }
  ASSERT_TRUE(talk.run());
  size_t answered = 0;
  for (uint64_t id = 1; id <= 1000; id++) {
    ASSERT_EQ(talk[id].ends, 1) << id;
    if (talk[id].failed) {
      EXPECT_EQ(talk[id].failed->code, Code::Busy);
      continue;
    }
    answered++;
    EXPECT_TRUE(talk[id].text.ends_with(cat(" ", id % 9 + 2))) << talk[id].text;
  }
  EXPECT_EQ(answered, kWaitingMax);
}

}  // namespace
}  // namespace lares::engine
