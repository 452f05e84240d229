// How models walk up and down in memory: by others' need of room, by idleness, by a person's word
// and by the machine's need.
#include <gtest/gtest.h>

#include "app/testing/core_house.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::House;
using wire::Type;

// Two models of 300 MiB in a budget for one and a half.
struct Rungs : ::testing::Test {
  Rungs() : house({{"alpha", MiB(300)}, {"beta", MiB(300)}}, MiB(450)) {}

  static std::vector<Rung> moves(const FakeWorker& worker) {
    std::vector<Rung> rungs;
    for (const wire::Frame& frame : House::frames(worker, Type::Move))
      rungs.push_back(wire::from_frame<wire::Move>(frame)->rung);
    return rungs;
  }
  void complete(const std::string& model) {
    wire::Done done;
    done.reason = "stop";
    FakeWorker& worker = *house.worker(model);
    worker.answer(wire::Started{1, 0}, House::frames(worker, Type::Generate).back().id);
    worker.answer(done, House::frames(worker, Type::Generate).back().id);
    house.settle();
  }
  void answered(const std::string& model) {
    auto heard = house.chat(model);
    if (House::frames(*house.worker(model), Type::Generate).empty()) house.load(model);
    complete(model);
    ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  }
  Json seen(const std::string& model) {
    const Json all = *house.ask("ps");
    for (const Json& each : all) {
      if (each["model"] == model) return each;
    }
    return Json::object();
  }
  House house;
};

TEST_F(Rungs, OneThatMakesRoomKeepsItsProcessAndComesBackInIt) {
  answered("alpha");
  FakeWorker* const alpha = house.worker("alpha");
  answered("beta");
  EXPECT_EQ(house.worker("alpha"), alpha) << "it was not started again";
  EXPECT_EQ(moves(*alpha), std::vector{Rung::Warm}) << "no farther than is needed";
  EXPECT_EQ(seen("alpha")["rung"], "warm");
  EXPECT_GT(seen("alpha")["back_ms"], 0);

  auto heard = house.chat("alpha");
  EXPECT_EQ(moves(*house.worker("beta")), std::vector{Rung::Warm});
  EXPECT_EQ(moves(*alpha), (std::vector{Rung::Warm, Rung::Hot}));
  // the request follows at once: its prompt is made ready while the weights come
  EXPECT_EQ(alpha->sent.back().type, static_cast<uint8_t>(Type::Generate));
  complete("alpha");
  ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  const auto& why = heard->ended->receipt.why;
  EXPECT_TRUE(std::any_of(why.begin(), why.end(), [](const std::string& line) {
    return line == "memory: 'alpha' was warm and came back in 1 ms";
  }));
}

TEST_F(Rungs, NoneClimbsBeforeTheOthersHaveArrived) {
  answered("alpha");
  house.worker("alpha")->rooted = true;
  auto heard = house.chat("beta");
  EXPECT_FALSE(house.worker("beta")) << "the room is not there yet";
  house.worker("alpha")->moves_to(Rung::Warm);
  house.settle();
  EXPECT_TRUE(house.worker("beta"));
}

TEST_F(Rungs, WhatIsInUseStays) {
  answered("alpha");
  auto talking = house.chat("alpha");
  auto waiting = house.chat("beta");
  EXPECT_TRUE(moves(*house.worker("alpha")).empty());
  EXPECT_FALSE(house.worker("beta"));
  complete("alpha");
  EXPECT_EQ(moves(*house.worker("alpha")), std::vector{Rung::Warm});
  EXPECT_TRUE(house.worker("beta"));
}

TEST_F(Rungs, ARequestThatIsCancelledMakesNoRoomAnyMore) {
  answered("alpha");
  house.worker("alpha")->rooted = true;
  auto heard = house.chat("beta");
  house.core->cancel(house.last_work);
  house.settle();
  house.worker("alpha")->moves_to(Rung::Warm);
  house.settle();
  EXPECT_FALSE(house.worker("beta"));
  answered("alpha");
}

TEST_F(Rungs, IdleModelsWalkDownOneByOne) {
  answered("alpha");
  FakeWorker* const alpha = house.worker("alpha");
  house.advance(Residents::kIdleLook);  // from then on it counts
  house.advance(std::chrono::minutes(4));
  EXPECT_TRUE(moves(*alpha).empty());
  for (int i = 0; i < 4; i++) house.advance(std::chrono::minutes(1));
  EXPECT_EQ(moves(*alpha), std::vector{Rung::Warm});
  for (int i = 0; i < 10; i++) house.advance(std::chrono::minutes(1));
  EXPECT_EQ(moves(*alpha), (std::vector{Rung::Warm, Rung::Parked}));
  answered("alpha");  // comes back, and its time begins anew
  EXPECT_EQ(moves(*alpha).back(), Rung::Hot);
  for (int i = 0; i < 80; i++) house.advance(std::chrono::minutes(1));
  EXPECT_FALSE(house.worker("alpha"));
  EXPECT_EQ(house.core->ladder().used().n, 0U);
}

TEST_F(Rungs, ARequestSaysHowLongItsModelStays) {
  const auto ask_for = [&](int64_t seconds) {
    api::Work work;
    work.keep_alive_s = seconds;
    auto heard = house.chat("alpha", std::move(work));
    complete("alpha");
    EXPECT_TRUE(heard->ended && heard->ended->result) << heard->error();
  };
  answered("alpha");
  ask_for(-1);
  for (int i = 0; i < 120; i++) house.advance(std::chrono::minutes(1));
  EXPECT_TRUE(moves(*house.worker("alpha")).empty()) << "for ever";
  ask_for(0);
  for (int i = 0; i < 5; i++) house.advance(Residents::kIdleLook);
  EXPECT_FALSE(house.worker("alpha")) << "at once";
}

TEST_F(Rungs, APinnedOneKeepsItsRoomUntilItIsEvicted) {
  ASSERT_TRUE(house.ask("models.pin", {{"name", "alpha"}}));
  answered("alpha");
  auto heard = house.chat("beta");
  EXPECT_TRUE(moves(*house.worker("alpha")).empty());
  EXPECT_FALSE(house.worker("beta"));
  EXPECT_EQ(seen("alpha")["pinned"], true);
  const auto evicted = house.ask("models.evict", {{"name", "alpha"}, {"rung", "parked"}});
  ASSERT_TRUE(evicted) << evicted.error().message;
  EXPECT_EQ((*evicted)["from"], "hot");
  EXPECT_EQ((*evicted)["to"], "parked");
  house.settle();
  EXPECT_EQ(moves(*house.worker("alpha")), std::vector{Rung::Parked});
  EXPECT_TRUE(house.worker("beta"));
}

TEST_F(Rungs, WhatCannotBePinnedOrEvictedIsSaid) {
  EXPECT_EQ(house.ask("models.pin", {{"name", "nobody"}}).error().code, Code::NotFound);
  EXPECT_EQ(house.ask("models.evict", {{"name", "nobody"}}).error().code, Code::NotFound);
  for (const char* rung : {"hot", "hotter", ""})
    EXPECT_EQ(house.ask("models.evict", {{"name", "alpha"}, {"rung", rung}}).error().param, "rung");
  // one that is not there is as far down as it can be
  EXPECT_EQ((*house.ask("models.evict", {{"name", "alpha"}}))["to"], "absent");
  answered("alpha");
  auto talking = house.chat("alpha");
  const auto busy = house.ask("models.evict", {{"name", "alpha"}});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Code::Busy);
  House small{{{"huge", MiB(900)}}, MiB(450)};
  EXPECT_EQ(small.ask("models.pin", {{"name", "huge"}}).error().code, Code::NoRoom);
}

TEST_F(Rungs, WhenTheMachineLacksMemoryWhatRestsGivesItBack) {
  answered("alpha");
  house.core->relieve("a test says so");
  house.settle();
  const auto frames = House::frames(*house.worker("alpha"), Type::Move);
  ASSERT_EQ(frames.size(), 1U);
  const auto move = wire::from_frame<wire::Move>(frames[0]);
  EXPECT_EQ(move->rung, Rung::Parked);
  EXPECT_TRUE(move->for_others);
  answered("alpha");
  auto talking = house.chat("alpha");
  house.core->relieve("again");
  house.settle();
  EXPECT_EQ(moves(*house.worker("alpha")), (std::vector{Rung::Parked, Rung::Hot}));
}

TEST_F(Rungs, AWorkerThatSaysItIsElsewhereIsEnded) {
  answered("alpha");
  FakeWorker* const alpha = house.worker("alpha");
  alpha->rooted = true;
  auto heard = house.chat("beta");
  alpha->moves_to(Rung::Hot);
  house.settle();
  EXPECT_NE(house.worker("alpha"), alpha);
  EXPECT_TRUE(house.worker("beta")) << "its room is free now";
}

TEST_F(Rungs, OneThatHoldsMoreThanIsLeftForItGoesFartherDown) {
  answered("alpha");
  FakeWorker* const alpha = house.worker("alpha");
  alpha->rooted = true;
  auto heard = house.chat("beta");
  alpha->say(wire::Moved{Rung::Warm, 1, MiB(240).n});  // nothing of its own left it
  house.settle();
  EXPECT_EQ(moves(*alpha), (std::vector{Rung::Warm, Rung::Parked}));
  alpha->say(wire::Moved{Rung::Parked, 1, MiB(240).n});
  house.settle();
  EXPECT_FALSE(house.worker("alpha"));
  EXPECT_TRUE(house.worker("beta"));
}

}  // namespace
}  // namespace lares::app
