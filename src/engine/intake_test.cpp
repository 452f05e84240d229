#include "engine/intake.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"

namespace lares::engine {
namespace {

Made made(uint64_t id, Lane lane = Lane::Interactive) {
  PooledRequest request;
  request.id = id;
  request.lane = lane;
  return request;
}

// An intake, and what it told, which is waited for.
class IntakeTest : public ::testing::Test {
 protected:
  void told(const std::string& what) {
    const MutexLock lock(mutex_);
    told_.push_back(what);
    wake_.notify_one();
  }
  void wait_for(size_t count) {
    const MutexLock lock(mutex_);
    while (told_.size() < count) wake_.wait(mutex_);
  }
  std::vector<std::string> all_told() {
    const MutexLock lock(mutex_);
    return told_;
  }
  // Work that does not end before it is allowed to; comes back when it has begun.
  void hold(uint64_t id, std::optional<Error> wrong = std::nullopt) {
    intake_.add(id, Lane::Interactive, 10, [this, id, wrong]() -> Result<Made> {
      const MutexLock lock(mutex_);
      begun_ = true;
      wake_.notify_one();
      while (!allowed_) gate_.wait(mutex_);
      if (wrong) return *wrong;
      return made(id);
    });
    const MutexLock lock(mutex_);
    while (!begun_) wake_.wait(mutex_);
  }
  void allow() {
    const MutexLock lock(mutex_);
    allowed_ = true;
    gate_.notify_one();
  }
  uint64_t taken() {
    auto got = intake_.take();
    return got ? std::get<PooledRequest>(*got).id : 0;
  }

  Mutex mutex_;
  Condition wake_, gate_;
  std::vector<std::string> told_ GUARDED_BY(mutex_);
  bool begun_ GUARDED_BY(mutex_) = false, allowed_ GUARDED_BY(mutex_) = false;
  Intake intake_{{[this](uint64_t id, const Error& e) { told(cat("failed ", id, " ", e.message)); },
                  [this](Lane lane) { told(cat("hurry ", static_cast<int>(lane))); },
                  [this](Lane lane) { told(cat("dropped ", static_cast<int>(lane))); },
                  [this] { told("ready"); }}};
};

using Told = std::vector<std::string>;

TEST_F(IntakeTest, WhatIsMadeIsAnnouncedAndThenTakenOnce) {
  EXPECT_FALSE(intake_.busy());
  EXPECT_FALSE(intake_.take());
  intake_.add(7, Lane::Agent, 1, [] { return made(7, Lane::Agent); });
  wait_for(2);
  EXPECT_EQ(all_told(), (Told{"hurry 1", "ready"}));
  EXPECT_TRUE(intake_.has(7));
  EXPECT_EQ(intake_.load().requests, 1U);
  EXPECT_EQ(taken(), 7U);
  EXPECT_FALSE(intake_.has(7));
  EXPECT_EQ(taken(), 0U);
  while (intake_.busy()) std::this_thread::yield();
}

TEST_F(IntakeTest, TheMostUrgentIsMadeFirstAndEqualsInTheirOrder) {
  hold(1);
  EXPECT_TRUE(intake_.busy());
  const auto add = [&](uint64_t id, Lane lane) {
    intake_.add(id, lane, 1, [id, lane] { return made(id, lane); });
  };
  add(2, Lane::Background);
  add(3, Lane::Agent);
  add(4, Lane::Interactive);
  add(5, Lane::Agent);
  add(6, Lane::Interactive);
  EXPECT_EQ(intake_.load().requests, 6U);
  EXPECT_EQ(intake_.load().bytes, 15U);
  allow();
  wait_for(12);
  std::vector<uint64_t> order;
  while (const uint64_t id = taken()) order.push_back(id);
  EXPECT_EQ(order, (std::vector<uint64_t>{1, 4, 6, 3, 5, 2}));
  EXPECT_EQ(intake_.load().bytes, 0U);
}

TEST_F(IntakeTest, WhatIsWrongIsToldAtOnceAndNotTaken) {
  intake_.add(1, Lane::Interactive, 1,
              []() -> Result<Made> { return Error{Code::Invalid, "no", "prompt"}; });
  wait_for(1);
  EXPECT_EQ(all_told(), Told{"failed 1 no"});
  EXPECT_FALSE(intake_.has(1));
  EXPECT_FALSE(intake_.drop(1));
  EXPECT_EQ(taken(), 0U);
}

TEST_F(IntakeTest, WhatIsDroppedIsNeverToldOfWhereverItIs) {
  hold(1);
  std::atomic<bool> began = false;
  intake_.add(2, Lane::Interactive, 1, [&]() -> Result<Made> {
    began = true;
    return made(2);
  });
  EXPECT_TRUE(intake_.drop(2)) << "it waits";
  EXPECT_FALSE(intake_.drop(2));
  EXPECT_TRUE(intake_.drop(1)) << "it is being made";
  EXPECT_EQ(intake_.load().requests, 0U);
  EXPECT_EQ(intake_.load().bytes, 10U) << "what is being made is still kept";
  EXPECT_EQ(all_told(), Told{});
  allow();
  wait_for(2);
  EXPECT_EQ(all_told(), (Told{"hurry 0", "dropped 0"}));
  EXPECT_FALSE(began);
  EXPECT_EQ(taken(), 0U);
  intake_.add(3, Lane::Background, 1, [] { return made(3, Lane::Background); });
  wait_for(4);
  EXPECT_TRUE(intake_.drop(3)) << "it is ready";
  EXPECT_EQ(all_told().back(), "dropped 2");
  EXPECT_EQ(taken(), 0U);
}

TEST_F(IntakeTest, AFailureOfWhatWasDroppedIsNobodysConcern) {
  hold(1, Error{Code::Invalid, "no"});
  EXPECT_TRUE(intake_.drop(1));
  allow();
  while (intake_.busy()) std::this_thread::yield();
  EXPECT_EQ(all_told(), Told{});
}

TEST_F(IntakeTest, ItsThreadsTimeIsItsOwn) {
  const double before = intake_.cpu_ms();
  intake_.add(1, Lane::Interactive, 1, [] {
    const double from = thread_cpu_ms();
    while (thread_cpu_ms() - from < 20) {
    }
    return made(1);
  });
  wait_for(2);
  EXPECT_GE(intake_.cpu_ms() - before, 20);
}

}  // namespace
}  // namespace lares::engine
