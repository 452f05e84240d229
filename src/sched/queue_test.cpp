#include "sched/queue.h"

#include <gtest/gtest.h>

namespace lares::sched {
namespace {

Job job(JobId id, const char* model, Lane lane = Lane::Interactive, unsigned parts = 1) {
  return {id, model, lane, parts, Bytes{100}};
}

TEST(Queue, WhoeverCameFirstIsNext) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "m")));
  ASSERT_TRUE(q.add(job(2, "m")));
  ASSERT_TRUE(q.add(job(3, "other")));
  EXPECT_EQ(q.take("m"), 1u);
  EXPECT_EQ(q.take("m"), 2u);
  EXPECT_EQ(q.take("m"), std::nullopt);
  EXPECT_EQ(q.take("other"), 3u);
  EXPECT_EQ(q.size(), 0u);
  EXPECT_EQ(q.bytes(), Bytes{0});
}

TEST(Queue, LanesGoBeforeEachOther) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "m", Lane::Background)));
  ASSERT_TRUE(q.add(job(2, "m", Lane::Agent)));
  ASSERT_TRUE(q.add(job(3, "m", Lane::Interactive)));
  EXPECT_EQ(q.ahead_of(1), 2u);
  EXPECT_EQ(q.ahead_of(3), 0u);
  EXPECT_EQ(q.take("m"), 3u);
  EXPECT_EQ(q.take("m"), 2u);
  EXPECT_EQ(q.take("m"), 1u);
}

TEST(Queue, AJobIsTakenOncePerPart) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "m", Lane::Interactive, 3)));
  ASSERT_TRUE(q.add(job(2, "m")));
  for (int i = 0; i < 3; i++) EXPECT_EQ(q.take("m"), 1u);
  EXPECT_EQ(q.take("m"), 2u);
}

TEST(Queue, NobodyWaitsForEverBehindAStreamOfBetterJobs) {
  // which of a stream's parts goes to the background job that waits; 0: none of them
  const auto taken_at = [](Queue q) {
    EXPECT_TRUE(q.add(job(1, "m", Lane::Background)));
    for (unsigned part = 1; part <= 100; part++) {
      EXPECT_TRUE(q.add(job(1 + part, "m")));
      if (q.take("m") == 1u) return part;
    }
    return 0U;
  };
  EXPECT_EQ(taken_at(Queue()), 20U) << "5 %";
  EXPECT_EQ(taken_at(Queue(0.01)), 100U);
  EXPECT_EQ(taken_at(Queue(0.2)), 5U);
  EXPECT_EQ(taken_at(Queue(1)), 1U);
  EXPECT_EQ(taken_at(Queue(0)), 0U) << "without a share it waits for as long as others come";
}

TEST(Queue, BackgroundGetsItsShareOfTheParts) {
  for (const auto& [share, wanted] : {std::pair{0.05, 10}, {0.15, 30}, {0.5, 100}}) {
    Queue q(share);
    JobId next = 1;
    for (int i = 0; i < 110; i++) ASSERT_TRUE(q.add(job(next++, "m", Lane::Background)));
    int background = 0;
    for (int i = 0; i < 200; i++) {
      ASSERT_TRUE(q.add(job(next++, "m")));
      background += *q.take("m") <= 110 ? 1 : 0;
      // what others were not given is not to fill the queue
      for (const JobId id : q.waiting_for("m")) {
        if (id > 110) q.remove(id);
      }
    }
    EXPECT_NEAR(background, wanted, 1) << share;
  }
}

TEST(Queue, ARemovedJobIsNeverTaken) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "m", Lane::Interactive, 2)));
  EXPECT_EQ(q.take("m"), 1u);
  EXPECT_TRUE(q.remove(1));
  EXPECT_FALSE(q.remove(1));
  EXPECT_EQ(q.take("m"), std::nullopt);
}

TEST(Queue, ModelsStandInTheOrderOfTheirBestJob) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "slow", Lane::Background)));
  ASSERT_TRUE(q.add(job(2, "agent", Lane::Agent)));
  ASSERT_TRUE(q.add(job(3, "person")));
  ASSERT_TRUE(q.add(job(4, "slow")));
  EXPECT_EQ(q.models(), (std::vector<ModelId>{"person", "slow", "agent"}));
}

TEST(Queue, AFullQueueIsBusyAndNamesTheLimit) {
  Queue q;
  for (JobId id = 0; id < Queue::kWaitingPerModelMax; id++) ASSERT_TRUE(q.add(job(id, "m")));
  auto refused = q.add(job(1000, "m"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_EQ(refused.error().message,
            "the queue is full: 192 requests wait for 'm'; retry in a few seconds");
  for (JobId id = Queue::kWaitingPerModelMax; id < Queue::kWaitingMax; id++)
    ASSERT_TRUE(q.add(job(id, "n")));
  EXPECT_EQ(q.add(job(1001, "o")).error().message,
            "the queue is full: 256 requests wait; retry in a few seconds");
}

TEST(Queue, BackgroundWorkLeavesRoomForPeople) {
  Queue q;
  for (JobId id = 0; id < Queue::kWaitingBackgroundMax; id++)
    ASSERT_TRUE(q.add(job(id, "m", Lane::Background)));
  EXPECT_FALSE(q.add(job(1000, "n", Lane::Background)));
  EXPECT_TRUE(q.add(job(1000, "n", Lane::Interactive)));
}

TEST(Queue, LargePromptsFillItSooner) {
  Queue q;
  for (JobId id = 0; id < 8; id++) ASSERT_TRUE(q.add({id, "m", Lane::Interactive, 1, MiB(16)}));
  EXPECT_EQ(
      q.add(job(100, "m")).error().message,
      "the queue is full: prompts of 128 MiB wait, at most 128 MiB may; retry in a few seconds");
}

TEST(Lanes, HaveNames) {
  EXPECT_EQ(lane_named("agent"), Lane::Agent);
  EXPECT_EQ(lane_named("Agent"), std::nullopt);
  EXPECT_EQ(name(Lane::Background), "background");
}

Job job_of(const char* owner, JobId id, Lane lane = Lane::Interactive) {
  Job made = job(id, "m", lane);
  made.owner = owner;
  return made;
}

TEST(Queue, OwnersAreServedByWhatTheyWereCharged) {
  Queue q;
  for (JobId id = 1; id <= 4; id++) ASSERT_TRUE(q.add(job_of("greedy", id)));
  ASSERT_TRUE(q.add(job_of("modest", 5)));
  ASSERT_TRUE(q.add(job_of("modest", 6)));
  EXPECT_EQ(q.take("m"), 1u);
  q.charge("greedy", Lane::Interactive, 100);
  EXPECT_EQ(q.take("m"), 5u);
  q.charge("modest", Lane::Interactive, 40);
  EXPECT_EQ(q.take("m"), 6u);
  q.charge("modest", Lane::Interactive, 80);
  EXPECT_EQ(q.take("m"), 2u);
}

TEST(Queue, RestEarnsAnOwnerNothing) {
  Queue q;
  ASSERT_TRUE(q.add(job_of("busy", 1)));
  q.charge("busy", Lane::Interactive, 5'000);
  ASSERT_TRUE(q.add(job_of("rested", 2)));
  q.charge("rested", Lane::Interactive, 1);
  ASSERT_TRUE(q.add(job_of("rested", 3)));
  EXPECT_EQ(q.take("m"), 1u) << "the one that rested has had 1 ms more since it came";
}

// One that worked alone for long is not behind another that comes when nobody waits.
TEST(Queue, RestEarnsNothingWhereNobodyWaitsEither) {
  Queue q;
  for (JobId id = 1; id <= 50; id++) {
    ASSERT_TRUE(q.add(job_of("steady", id)));
    EXPECT_EQ(q.take("m"), id);
    q.charge("steady", Lane::Interactive, 100);
  }
  ASSERT_TRUE(q.add(job_of("rested", 51)));
  ASSERT_TRUE(q.add(job_of("rested", 52)));
  ASSERT_TRUE(q.add(job_of("rested", 53)));
  ASSERT_TRUE(q.add(job_of("steady", 54)));
  EXPECT_EQ(q.take("m"), 51u);
  q.charge("rested", Lane::Interactive, 101);
  EXPECT_EQ(q.take("m"), 54u);
}

// The places that there are may be for others; then its turn comes with the next that is for it.
TEST(Queue, TheOldestsTurnIsPutOffWhereThereIsNoPlaceForIt) {
  Queue q;
  ASSERT_TRUE(q.add(job(1, "m", Lane::Background)));
  for (JobId id = 2; id < 100; id++) ASSERT_TRUE(q.add(job(id, "m")));
  const auto not_for_it = [](JobId id) { return id != 1; };
  for (JobId id = 2; id < 50; id++) EXPECT_EQ(q.take("m", {}, not_for_it), id);
  EXPECT_EQ(q.take("m"), 1u);
  EXPECT_EQ(q.take("m"), 50u) << "once";
}

TEST(Queue, WhatWasChargedInOneLaneDoesNotCountInAnother) {
  Queue q;
  q.charge("a", Lane::Background, 10'000);
  ASSERT_TRUE(q.add(job_of("a", 1)));
  ASSERT_TRUE(q.add(job_of("b", 2)));
  EXPECT_EQ(q.take("m"), 1u);
}

// Two owners of whom one asks for ten times as much, both with more than is done at once.
TEST(Queue, DemandOfTenToOneGetsEqualTime) {
  Queue q;
  JobId next = 1;
  std::map<JobId, std::string> owner_of;
  std::map<std::string, double> time;
  const auto fill = [&](const char* owner, size_t want) {
    size_t have = 0;
    for (const JobId id : q.waiting_for("m")) have += owner_of[id] == owner ? 1 : 0;
    for (; have < want; have++) {
      owner_of[next] = owner;
      ASSERT_TRUE(q.add(job_of(owner, next++)));
    }
  };
  for (int i = 0; i < 2'000; i++) {
    fill("greedy", 20);
    fill("modest", 2);
    const JobId id = *q.take("m");
    const double ms = owner_of[id] == "greedy" ? 30 : 70;
    q.charge(owner_of[id], Lane::Interactive, ms);
    time[owner_of[id]] += ms;
  }
  EXPECT_NEAR(time["modest"] / (time["modest"] + time["greedy"]), 0.5, 0.01);
}

TEST(Queue, WhatIsGivenBackWaitsWhereItWasAndIsNeverTurnedAway) {
  Queue queue;
  const auto job = [](JobId id, unsigned parts = 1) {
    return Job{id, "m", Lane::Interactive, parts, MiB(100), ""};
  };
  ASSERT_TRUE(queue.add(job(1)));
  EXPECT_EQ(queue.take("m"), 1u);
  ASSERT_TRUE(queue.add(job(2, 2)));
  EXPECT_EQ(queue.take("m"), 2u);
  ASSERT_TRUE(queue.add({3, "m", Lane::Interactive, 1, {}, ""}));
  queue.give_back(job(2));
  queue.give_back(job(1));
  EXPECT_EQ(queue.bytes(), MiB(200));
  EXPECT_EQ(queue.waiting_for("m"), (std::vector<JobId>{1, 2, 3}));
  EXPECT_EQ(queue.take("m", [](JobId id) { return id != 1; }), 2u);
  EXPECT_EQ(queue.take("m"), 1u);
  EXPECT_EQ(queue.take("m"), 2u);
  EXPECT_FALSE(queue.take("m", [](JobId id) { return id != 3; }));
  EXPECT_EQ(queue.take("m"), 3u);
  EXPECT_FALSE(queue.take("m"));
  EXPECT_EQ(queue.bytes(), Bytes{});
}

}  // namespace
}  // namespace lares::sched
