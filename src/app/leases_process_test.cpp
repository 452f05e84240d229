#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "app/leases.h"

namespace lares::app {
namespace {

using wire::LeasePage;

// A worker's end of its page, played by the test.
class Worker {
 public:
  explicit Worker(Leases& turns) : turns_(turns) {
    auto joined = turns.join();
    EXPECT_TRUE(joined);
    member = joined->first;
    ends_ = std::move(joined->second);
    page = static_cast<LeasePage*>(::mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE,
                                          MAP_SHARED, ends_.page.get(), 0));
    EXPECT_NE(page, MAP_FAILED);
  }
  ~Worker() {
    turns_.leave(member);
    ::munmap(page, sizeof(LeasePage));
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void say(LeasePage::State state) {
    page->state = state;
    ring();
  }
  void want(uint32_t lane, uint32_t work = 0, uint32_t step_us = 5'000) {
    page->lane = lane;
    page->work = work;
    page->step_us = step_us;
    say(LeasePage::Waiting);
  }
  void ring() const {
    const uint64_t one = 1;
    EXPECT_EQ(::write(ends_.bell.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }
  // Waits for what the other thread does; false: it does not come.
  template <class What>
  static bool soon(What what) {
    const SteadyTime until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!what()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool gets_it() const {
    return soon([&] { return page->state == LeasePage::Holding; });
  }

  Leases::Member member = 0;
  LeasePage* page = nullptr;

 private:
  Leases& turns_;
  Leases::Ends ends_;
};

class TurnsTest : public ::testing::Test {
 protected:
  const SystemClock clock;
  Leases turns{clock, {}};
};

TEST_F(TurnsTest, WhoIsAloneGetsItAtOnceAndForGood) {
  Worker one(turns);
  turns.allow(one.member, Lane::Interactive);
  one.want(0);
  ASSERT_TRUE(one.gets_it());
  EXPECT_EQ(one.page->until_ns, wire::kUntilNever);
  EXPECT_EQ(one.page->pressed, 0U);
  one.say(LeasePage::Resting);
  EXPECT_TRUE(Worker::soon([&] { return !turns.seen(one.member).holds; }));
  EXPECT_EQ(turns.seen(one.member).turns, 1U);
}

TEST_F(TurnsTest, ABetterLaneAsksForItAndGetsItWhenItIsGivenBack) {
  Worker low(turns);
  Worker high(turns);
  turns.allow(low.member, Lane::Background);
  turns.allow(high.member, Lane::Interactive);
  low.want(2, 1, 900'000);
  ASSERT_TRUE(low.gets_it());
  high.want(0);
  ASSERT_TRUE(Worker::soon([&] { return low.page->abort == 1; })) << "its step takes too long";
  EXPECT_NE(low.page->until_ns, wire::kUntilNever);
  EXPECT_NE(high.page->state, LeasePage::Holding) << "one at a time";
  low.say(LeasePage::Waiting);
  ASSERT_TRUE(high.gets_it());
  EXPECT_EQ(low.page->state, LeasePage::Waiting);
  high.say(LeasePage::Resting);
  ASSERT_TRUE(low.gets_it());
  EXPECT_EQ(low.page->abort, 0U) << "the next step is not the one that was abandoned";
}

TEST_F(TurnsTest, AWorkerIsNotBelievedABetterLaneThanItsRequestsHave) {
  Worker liar(turns);
  Worker person(turns);
  turns.allow(liar.member, Lane::Background);
  turns.allow(person.member, Lane::Interactive);
  liar.want(0);
  ASSERT_TRUE(liar.gets_it());
  person.want(0);
  ASSERT_TRUE(Worker::soon([&] { return liar.page->until_ns != wire::kUntilNever; }));
  liar.say(LeasePage::Waiting);
  ASSERT_TRUE(person.gets_it());
  EXPECT_EQ(person.page->pressed, 0U) << "whoever waits counts as background";
}

TEST_F(TurnsTest, NonsenseOnThePageHarmsNobodyElse) {
  Worker bad(turns);
  Worker good(turns);
  turns.allow(good.member, Lane::Interactive);
  bad.page->lane = 4'000'000'000U;
  bad.page->work = 77;
  bad.page->step_us = UINT32_MAX;
  bad.say(LeasePage::Holding);  // it was not given it
  good.want(0);
  ASSERT_TRUE(good.gets_it());
  bad.say(static_cast<LeasePage::State>(99));
  good.say(LeasePage::Resting);
  good.want(0);
  ASSERT_TRUE(good.gets_it());
}

TEST_F(TurnsTest, WhoDiesWithItLeavesItToTheNext) {
  Worker next(turns);
  turns.allow(next.member, Lane::Interactive);
  {
    Worker dies(turns);
    turns.allow(dies.member, Lane::Interactive);
    dies.want(0);
    ASSERT_TRUE(dies.gets_it());
    next.want(0);
  }
  EXPECT_TRUE(next.gets_it());
}

TEST_F(TurnsTest, WhoDoesNotGiveItBackLosesIt) {
  Worker keeps(turns);
  Worker next(turns);
  turns.allow(keeps.member, Lane::Interactive);
  turns.allow(next.member, Lane::Interactive);
  keeps.want(0);
  ASSERT_TRUE(keeps.gets_it());
  next.want(0);
  EXPECT_TRUE(next.gets_it());
  EXPECT_EQ(keeps.page->state, LeasePage::Holding) << "it still computes";
  keeps.say(LeasePage::Waiting);
  next.say(LeasePage::Resting);
  EXPECT_TRUE(keeps.gets_it()) << "and may come again";
}

TEST_F(TurnsTest, ACalledWorkerStillGetsItsTurn) {
  Worker one(turns);
  turns.allow(one.member, Lane::Interactive);
  Worker other(turns);
  turns.allow(other.member, Lane::Interactive);
  one.want(0);
  ASSERT_TRUE(one.gets_it());
  other.want(0);
  other.page->state = LeasePage::Called;
  one.say(LeasePage::Resting);
  EXPECT_TRUE(other.gets_it());
}

TEST_F(TurnsTest, TheNumberOfThreadsIsSaidToAllAndToThoseWhoComeLater) {
  Worker one(turns);
  turns.restrain(3, Lane::Agent);
  Worker two(turns);
  EXPECT_EQ(one.page->threads, 3U);
  EXPECT_EQ(two.page->threads, 3U);
}

}  // namespace
}  // namespace lares::app
