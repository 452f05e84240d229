// Answers that a draft model says ahead. Both are fakes on a clock that moves by what each of their
// steps takes, so that what pays is known.
#include <gtest/gtest.h>

#include "base/text.h"
#include "engine/testing/talk.h"
#include "engine/testing/timed_model.h"

namespace lares::engine {
namespace {

using testing::fake_model;
using testing::Heard;
using testing::Talk;
using testing::TimedModel;

wire::Load shape(Tokens context, uint32_t sequences = 4) {
  wire::Load load;
  load.context = context;
  load.sequences = sequences;
  return load;
}

// A model of 20 ms a step, 1 ms a row; a draft model of `draft_ms` a step.
struct Drafted {
  struct With {
    double draft_ms = 2;
    double draft_share = 0.1;   // its size, of the other's
    std::string right = "100";  // percent
    Tokens context = 4096;
    Tokens draft_context = 0;  // 0: the same
    uint32_t sequences = 4;
    bool drafts = true;
    Options more = {};  // of both fakes
  };
  explicit Drafted(With with)
      : talk([&](Pulse& pulse) {
          Options options = with.more;
          options["draft-right"] = with.right;
          return std::make_unique<TimedModel>(
              fake_model(options, shape(with.context, with.sequences), pulse), talk_clock(), 20, 1);
        }) {
    if (!with.drafts) return;
    LoadOrder order;
    order.load = shape(with.draft_context > 0 ? with.draft_context : with.context, with.sequences);
    order.load.name = "small";
    order.drafts_for = &model().inner();
    auto made = Registered<Backend>::find("fake")->load(order, talk.pulse);
    EXPECT_TRUE(made);
    draft = std::make_unique<TimedModel>(*std::move(made), talk.clock, with.draft_ms,
                                         with.draft_ms / 20);
    draft->said.info["size_bytes"] =
        with.draft_share * model().said.info["size_bytes"].get<double>();
    talk.batcher.draft_with(*draft);
  }
  FakeClock& talk_clock() { return talk.clock; }
  TimedModel& model() { return static_cast<TimedModel&>(*talk.model); }
  Heard& run(uint64_t id) {
    EXPECT_TRUE(talk.run());
    EXPECT_TRUE(talk[id].done) << (talk[id].failed ? talk[id].failed->message : "");
    return talk[id];
  }

  std::unique_ptr<TimedModel> draft;  // before the Talk, whose batcher uses it to its end
  Talk talk;
};

// Nothing in it has been said before, so that lookup finds nothing.
const std::string kNew = "count: 120";

TEST(BatcherDrafts, ADraftModelThatIsRightMakesAnAnswerFaster) {
  const auto ms = [](Drafted::With with) {
    Drafted drafted(std::move(with));
    drafted.talk.complete(1, kNew, {{"temperature", 0}});
    const Heard& heard = drafted.run(1);
    EXPECT_TRUE(heard.text.ends_with(" 119 120")) << heard.text;
    return std::pair(heard.done->decode_ms, *heard.done);
  };
  const auto [plain, none] = ms({.drafts = false});
  const auto [fast, done] = ms({});
  EXPECT_LT(fast * 2, plain);
  EXPECT_EQ(none.model_drafted_tokens, 0U);
  EXPECT_GT(done.model_drafted_tokens, done.completion_tokens / 2);
  EXPECT_EQ(done.model_accepted_tokens, done.model_drafted_tokens);
  EXPECT_GE(done.accepted_tokens, done.model_accepted_tokens);
  EXPECT_LT(done.accepted_tokens, done.completion_tokens);
}

TEST(BatcherDrafts, ADraftModelThatIsWrongIsAskedLessAndLess) {
  Drafted wrong({.right = "0"});
  wrong.talk.complete(1, "count: 400", {{"temperature", 0}});
  const Heard& heard = wrong.run(1);
  EXPECT_TRUE(heard.text.ends_with(" 399 400"));
  const auto& done = *heard.done;
  EXPECT_EQ(done.model_accepted_tokens, 0U);
  EXPECT_GT(done.model_drafted_tokens, 0U) << "it was tried";
  EXPECT_LT(done.model_drafted_tokens, done.completion_tokens / 10);

  Drafted plain({.drafts = false});
  plain.talk.complete(1, "count: 400", {{"temperature", 0}});
  EXPECT_LT(done.decode_ms, plain.run(1).done->decode_ms * 1.05) << "trying costs little";
}

TEST(BatcherDrafts, ADraftModelThatSaysTheEndEachTimeIsAskedLessAndLess) {
  Drafted ending({});
  Token end = 0;
  while (!ending.draft->ends(end)) end++;
  ending.draft->always = Likeliest{end, 8};
  ending.talk.complete(1, "count: 400", {{"temperature", 0}});
  EXPECT_TRUE(ending.run(1).text.ends_with(" 399 400"));
  EXPECT_GT(ending.draft->steps, 0U);
  EXPECT_LT(ending.draft->steps * 10, ending.model().steps);
}

TEST(BatcherDrafts, ADraftModelThatIsSlowIsNotAsked) {
  Drafted slow({.draft_ms = 25});
  slow.talk.complete(1, "count: 300", {{"temperature", 0}});
  const auto& done = *slow.run(1).done;
  // by its size it should be fast: that it is not is measured once
  EXPECT_LE(done.model_drafted_tokens, 12U);
}

TEST(BatcherDrafts, OneThatIsFastIsAskedWhateverItsSize) {
  Drafted drafted({.draft_share = 1});
  drafted.talk.complete(1, kNew, {{"temperature", 0}});
  EXPECT_GT(drafted.run(1).done->model_accepted_tokens, 100U);
}

TEST(BatcherDrafts, IsAskedAgainWhenItHasBecomeRight) {
  Drafted drafted({.right = "0"});
  drafted.talk.complete(1, "count: 200", {{"temperature", 0}});
  const auto before = drafted.run(1).done->model_drafted_tokens;
  Options right{{"draft-right", "100"}};
  ASSERT_TRUE(Registered<Backend>::find("fake")->prepare(right));
  drafted.talk.complete(2, "count: 900", {{"temperature", 0}});
  const auto& done = *drafted.run(2).done;
  EXPECT_GT(done.model_accepted_tokens, 10 * before);
}

TEST(BatcherDrafts, ChangesNothingOfAnAnswer) {
  const std::string text = "one two three one two three four one two three four five one two";
  for (const char* window : {"0", "16", "40"}) {
    for (const char* right : {"100", "60", "0"}) {
      for (const Json& more : std::vector<Json>{
               Json::object(),
               {{"seed", 7}},
               {{"max_tokens", 1}},
               {{"max_tokens", 7}},
               {{"max_tokens", 24}},
               {{"stop", "four one"}},
               {{"stop", "e f"}},
               {{"logprobs", true}, {"top_logprobs", 2}},
               {{"temperature", 1.5}},
               {{"temperature", 0}},
               {{"repeat_penalty", 1.3}, {"frequency_penalty", 0.5}},
               {{"stop_repeating", true}},
           }) {
        const auto said = [&](bool drafts) {
          Drafted drafted({.right = right,
                           .context = 256,
                           .sequences = 2,
                           .drafts = drafts,
                           .more = {{"window", window}}});
          drafted.talk.seed = 7;
          drafted.talk.complete(1, "repeat: " + text, more);
          const Heard& heard = drafted.run(1);
          return std::tuple(heard.text, heard.tokens, heard.logprobs, heard.done->reason,
                            heard.done->completion_tokens);
        };
        EXPECT_EQ(said(true), said(false)) << window << " " << right << " " << dump(more);
      }
    }
  }
}

TEST(BatcherDrafts, ASeededAnswerDraftsWhateverStepsTake) {
  const auto counts = [](double draft_ms) {
    Drafted drafted({.draft_ms = draft_ms, .right = "90"});
    drafted.talk.complete(1, kNew, {{"seed", 1}});
    const auto& done = *drafted.run(1).done;
    return std::tuple(done.model_drafted_tokens, done.model_accepted_tokens, done.drafted_tokens,
                      drafted.model().steps, drafted.model().rows);
  };
  EXPECT_EQ(counts(1), counts(50));
  EXPECT_GT(std::get<1>(counts(1)), 50U);
}

TEST(BatcherDrafts, SeveralAnswersAreDraftedTogether) {
  Drafted drafted({});
  for (uint64_t id = 1; id <= 4; id++) drafted.talk.complete(id, cat("count: ", 60 + id));
  ASSERT_TRUE(drafted.talk.run());
  for (uint64_t id = 1; id <= 4; id++) {
    EXPECT_TRUE(drafted.talk[id].text.ends_with(cat(" ", 60 + id))) << drafted.talk[id].text;
    EXPECT_GT(drafted.talk[id].done->model_accepted_tokens, 10U) << id;
  }
}

// Eight answers whose rows cost as much each as a step of them does for each: a draft takes the
// time of the token that it brings, and that of those that are wrong. Rows of a prompt are cheaper,
// as nothing is chosen from them, and do not make it seem that drafts are.
TEST(BatcherDrafts, ManyAnswersDraftOnlyWhatIsWorthItsRow) {
  const auto drafted = [](double logit_ms, double logit_rows) {
    Talk talk([&](Pulse& pulse) {
      auto model =
          std::make_unique<TimedModel>(fake_model({}, shape(8192, 8), pulse), talk.clock, 1, 4);
      model->logit_ms = logit_ms;
      model->said.logit_rows = logit_rows;
      return model;
    });
    for (uint64_t id = 1; id <= 8; id++)
      talk.complete(id, cat("repeat: one two three one two four one two ", id, " two five one two"),
                    {{"temperature", 0}});
    EXPECT_TRUE(talk.run());
    uint32_t count = 0;
    for (uint64_t id = 1; id <= 8; id++) count += talk[id].done->drafted_tokens;
    return count;
  };
  EXPECT_EQ(drafted(4, 1), 0U);
  EXPECT_GT(drafted(4, 0), 0U) << "so it would be otherwise";
}

TEST(BatcherDrafts, MoreAnswersThanSequencesTakeTurns) {
  Drafted drafted({.sequences = 2});
  for (uint64_t id = 1; id <= 7; id++) drafted.talk.complete(id, cat("count: ", 40 + id));
  ASSERT_TRUE(drafted.talk.run());
  for (uint64_t id = 1; id <= 7; id++)
    EXPECT_TRUE(drafted.talk[id].text.ends_with(cat(" ", 40 + id))) << drafted.talk[id].text;
}

TEST(BatcherDrafts, AnAnswerThatFillsItsContextEndsThere) {
  for (const Tokens draft_context : {0U, 40U}) {
    Drafted drafted({.context = 80, .draft_context = draft_context, .sequences = 1});
    drafted.talk.complete(1, kNew, {{"temperature", 0}});
    const auto& done = *drafted.run(1).done;
    EXPECT_EQ(done.reason, "length");
    EXPECT_EQ(done.prompt_tokens + done.completion_tokens, 81U);
    EXPECT_GT(done.model_accepted_tokens, 0U);
    // one whose context is shorter drafts as far as that goes
    if (draft_context > 0) {
      EXPECT_LE(done.model_accepted_tokens, draft_context);
    }
  }
}

TEST(BatcherDrafts, ALongPromptIsReadByTheDraftModelInPieces) {
  Drafted drafted({.draft_ms = 4, .context = 4096});
  std::string prompt;
  for (int i = 0; i < 1500; i++) prompt += static_cast<char>('a' + i * i % 23);
  drafted.talk.complete(1, prompt + "\ncount: 600", {{"temperature", 0}});
  double longest = 0;
  SteadyTime last = drafted.talk.clock.now();
  bool generating = false;
  drafted.model().on_step = [&] {
    const double ms =
        std::chrono::duration<double, std::milli>(drafted.talk.clock.now() - last).count();
    if (generating) longest = std::max(longest, ms);
    generating = !drafted.talk[1].text.empty();
    last = drafted.talk.clock.now();
  };
  const auto& done = *drafted.run(1).done;
  EXPECT_GT(done.model_accepted_tokens, 300U);
  EXPECT_GT(drafted.draft->rows, 1500U);
  EXPECT_LT(longest, 2 * kStepTogetherMs);
}

TEST(BatcherDrafts, AShortAnswerDoesNotHaveALongPromptRead) {
  Drafted drafted({.draft_ms = 10, .context = 4096});
  std::string prompt;
  for (int i = 0; i < 2000; i++) prompt += static_cast<char>('a' + i * i % 23);
  drafted.talk.complete(1, prompt + "\ncount: 600", {{"temperature", 0}, {"max_tokens", 5}});
  EXPECT_EQ(drafted.run(1).done->model_drafted_tokens, 0U);
  EXPECT_EQ(drafted.draft->rows, 0U);
}

TEST(BatcherDrafts, AFollowUpHasOnlyWhatIsNewRead) {
  Drafted drafted({.context = 4096});
  std::string prompt;
  for (int i = 0; i < 600; i++) prompt += static_cast<char>('a' + i * i % 23);
  drafted.talk.complete(1, prompt + "\ncount: 300", {{"temperature", 0}});
  const std::string answer = drafted.run(1).text;
  const size_t before = drafted.draft->rows;
  drafted.talk.complete(2, prompt + "\ncount: 300" + answer + "\ncount: 200", {{"temperature", 0}});
  const auto& done = *drafted.run(2).done;
  EXPECT_GT(done.model_accepted_tokens, 50U);
  EXPECT_LT(drafted.draft->rows - before, 600U + done.completion_tokens);
}

TEST(BatcherDrafts, ACancelledAnswerLeavesItsPlace) {
  Drafted drafted({.sequences = 2});
  for (uint64_t round = 0; round < 5; round++) {
    const uint64_t first = 2 * round + 1;
    drafted.talk.complete(first, "count: 500");
    drafted.talk.complete(first + 1, "count: 40");
    for (int i = 0; i < 8; i++) drafted.talk.batcher.step();
    EXPECT_FALSE(drafted.talk[first].ended());
    drafted.talk.batcher.cancel(first);
    ASSERT_TRUE(drafted.talk.run());
    EXPECT_EQ(drafted.talk[first].failed->code, Code::Cancelled);
    EXPECT_TRUE(drafted.talk[first + 1].text.ends_with(" 40"));
  }
}

// The pulse aborts while the draft model computes: the step is given up and computed again.
TEST(BatcherDrafts, AStepThatIsAbortedWhileItIsDraftedIsComputedAgain) {
  Drafted drafted({});
  size_t aborts = 0;
  drafted.draft->on_step = [&] {
    // more steps of the draft model apart than one draft has, or no step would ever be whole
    if (drafted.draft->steps % (2 * kDraftMax) != 7) return;
    drafted.talk.pulse.abort();
    aborts++;
  };
  drafted.talk.complete(1, kNew, {{"temperature", 0}});
  const Heard& heard = drafted.run(1);
  EXPECT_TRUE(heard.text.ends_with(" 119 120")) << heard.text;
  EXPECT_GT(aborts, 3U);
}

TEST(BatcherDrafts, AnInterruptedAnswerEndsWhileItIsDrafted) {
  Drafted drafted({});
  drafted.talk.complete(1, "count: 500", {{"temperature", 0}});
  for (int i = 0; i < 8; i++) drafted.talk.batcher.step();
  std::string before;
  bool once = false;
  drafted.draft->on_step = [&] {
    if (once) return;
    once = true;
    before = drafted.talk[1].text;
    drafted.talk.batcher.interrupt(1);
  };
  while (!once) drafted.talk.batcher.step();
  EXPECT_EQ(drafted.talk[1].text, before) << "nothing of that step is said";
  drafted.talk.batcher.cancel(1);
  ASSERT_TRUE(drafted.talk.run());
  EXPECT_EQ(drafted.talk[1].ends, 1);
}

TEST(BatcherDrafts, AnUrgentAnswerTakesThePlaceOfOneThatIsDrafted) {
  Drafted drafted({.sequences = 1});
  drafted.talk.lane = Lane::Background;
  drafted.talk.complete(1, "count: 150", {{"temperature", 0}});
  for (int i = 0; i < 12; i++) drafted.talk.batcher.step();
  drafted.talk.lane = Lane::Interactive;
  drafted.talk.complete(2, "count: 50", {{"temperature", 0}});
  ASSERT_TRUE(drafted.talk.run());
  EXPECT_TRUE(drafted.talk[2].text.ends_with(" 49 50"));
  EXPECT_TRUE(drafted.talk[1].text.ends_with(" 149 150"));
}

TEST(BatcherDrafts, ADraftModelThatBreaksIsLeftOut) {
  Drafted drafted({});
  Options breaks{{"break-after", "40"}};
  ASSERT_TRUE(Registered<Backend>::find("fake")->prepare(breaks));
  // the fakes read their settings as they go: the model itself has them back before its own step
  drafted.model().on_step = [] {
    Options good;
    ASSERT_TRUE(Registered<Backend>::find("fake")->prepare(good));
  };
  drafted.draft->on_step = [] {
    Options bad{{"break-after", "40"}};
    ASSERT_TRUE(Registered<Backend>::find("fake")->prepare(bad));
  };
  drafted.talk.complete(1, kNew, {{"temperature", 0}});
  const Heard& heard = drafted.run(1);
  EXPECT_TRUE(heard.text.ends_with(" 119 120"));
  EXPECT_LT(drafted.draft->rows, 60U);
}

TEST(BatcherDrafts, AnotherVocabularyIsRefused) {
  Talk talk;
  LoadOrder order;
  order.load.name = "other";
  order.drafts_for = talk.model.get();
  const auto refused = Registered<Backend>::find("fake")->load(order, talk.pulse);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("vocabulary"), std::string::npos);
}

}  // namespace
}  // namespace lares::engine
