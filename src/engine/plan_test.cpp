#include "engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace lares::engine {
namespace {

// How many rows each gets.
std::vector<size_t> rows(const std::vector<Want>& wants, const Shares& shares, const StepCost& cost,
                         const StepLimits& limits) {
  std::vector<size_t> rows(wants.size());
  for (const Turn& turn : plan_step(wants, shares, cost, limits)) rows[turn.want] += turn.rows;
  return rows;
}

// A worker whose steps take what this says, and whose requests never end.
class Simulated {
 public:
  Simulated(double fixed_ms, double row_ms, double target_ms)
      : fixed_ms_(fixed_ms), row_ms_(row_ms), target_ms_(target_ms) {}

  // `prompt` tokens over and over again, or an answer without end.
  void add(Lane lane, uint32_t owner, size_t prompt = 0) {
    shares_.enter(lane, owner);
    order_.push_back(all_.size());
    all_.push_back({lane, owner, prompt, prompt});
  }

  double step() {
    std::vector<Want> wants;
    for (const size_t i : order_) {
      const Stream& stream = all_[i];
      wants.push_back({stream.lane, stream.owner, stream.prompt > 0 ? stream.left : 1,
                       stream.prompt > 0, stream.served});
    }
    shares_.step_begins();
    const auto turns = plan_step(wants, shares_, cost_, {512, target_ms_, 2});
    size_t total = 0;
    for (const Turn& turn : turns) total += turn.rows;
    EXPECT_GT(total, 0U);
    const double ms = fixed_ms_ + row_ms_ * static_cast<double>(total);
    now_ms_ += ms;
    steps_++;
    for (const auto& [want, rows] : turns) {
      Stream& stream = all_[order_[want]];
      EXPECT_LE(rows, wants[want].rows);
      EXPECT_GT(rows, 0U);
      const double cpu =
          2 * ms * cost_.share(static_cast<double>(rows), static_cast<double>(total), turns.size());
      shares_.charge(stream.lane, stream.owner, cpu);
      stream.rows += rows;
      cpu_[{stream.lane, stream.owner}] += cpu;
      lanes_[stream.lane] += cpu;
      stream.gap_ms = std::max(stream.gap_ms, now_ms_ - stream.last_ms);
      stream.last_ms = now_ms_;
      stream.served = ++served_;
      stream.step = steps_;
      if (stream.prompt > 0) {
        stream.left -= rows;
        if (stream.left == 0) stream.left = stream.prompt;
      }
    }
    // a prompt that was read through comes again as a new one
    std::stable_partition(order_.begin(), order_.end(), [&](size_t i) {
      const Stream& stream = all_[i];
      return stream.step != steps_ || stream.prompt == 0 || stream.left < stream.prompt;
    });
    cost_.learn(static_cast<double>(total), ms);
    return ms;
  }
  void run(double ms) {
    while (now_ms_ < ms) step();
  }

  double part(Lane lane) const {
    double all = 0;
    for (const auto& [each, cpu] : lanes_) all += cpu;
    return lanes_.at(lane) / all;
  }
  // Of the CPU time of the owners of one lane: 1 where all have had the same.
  double jain(Lane lane) const {
    double sum = 0, squares = 0, count = 0;
    for (const auto& [key, cpu] : cpu_) {
      if (key.first != lane) continue;
      sum += cpu;
      squares += cpu * cpu;
      count++;
    }
    return sum * sum / (count * squares);
  }
  double cpu(Lane lane, uint32_t owner) const { return cpu_.at({lane, owner}); }
  bool every_owner_had_some() const {
    return std::all_of(all_.begin(), all_.end(), [&](const Stream& stream) {
      return cpu_.contains({stream.lane, stream.owner});
    });
  }
  double gap(size_t stream) const { return all_[stream].gap_ms; }
  size_t rows(size_t stream) const { return all_[stream].rows; }

 private:
  struct Stream {
    Lane lane;
    uint32_t owner;
    size_t prompt;
    size_t left;
    uint64_t served = 0, step = 0;
    double last_ms = 0, gap_ms = 0;
    size_t rows = 0;
  };
  const double fixed_ms_, row_ms_, target_ms_;
  double now_ms_ = 0;
  uint64_t steps_ = 0, served_ = 0;
  Shares shares_;
  StepCost cost_;
  std::vector<Stream> all_;
  std::vector<size_t> order_;  // of arrival
  std::map<std::pair<Lane, uint32_t>, double> cpu_;
  std::map<Lane, double> lanes_;
};

TEST(Plan, AnAppWithTenStreamsAndOneWithOneHaveTheSameCpuTime) {
  for (const double row_ms : {0.3, 1.0, 5.0, 12.0}) {
    Simulated worker(8, row_ms, 60);
    for (int i = 0; i < 10; i++) worker.add(Lane::Interactive, 1);
    worker.add(Lane::Interactive, 2);
    worker.run(30'000);
    const double ratio = worker.cpu(Lane::Interactive, 1) / worker.cpu(Lane::Interactive, 2);
    EXPECT_NEAR(ratio, 1, 0.05) << row_ms;
    EXPECT_GE(worker.jain(Lane::Interactive), 0.98) << row_ms;
    for (size_t i = 1; i < 10; i++)  // and the ten have it in turns
      EXPECT_LE(worker.rows(0) - worker.rows(i) + 2, 4U) << row_ms;
  }
}

TEST(Plan, OwnersOfPromptsAndOwnersOfAnswersHaveTheSameCpuTime) {
  Simulated worker(8, 1, 60);
  worker.add(Lane::Agent, 1, 4'000);
  worker.add(Lane::Agent, 1, 300);
  for (int i = 0; i < 4; i++) worker.add(Lane::Agent, 2);
  worker.add(Lane::Agent, 3, 40);
  worker.run(60'000);
  EXPECT_GE(worker.jain(Lane::Agent), 0.98);
}

TEST(Plan, BackgroundHasItsPartWhileSomebodyWaitsForTokens) {
  Simulated worker(70, 20, 60);  // each step alone is late already
  worker.add(Lane::Interactive, 1);
  worker.add(Lane::Background, 2);
  worker.add(Lane::Background, 2, 3'000);
  worker.run(300'000);
  EXPECT_NEAR(worker.part(Lane::Background), kBackgroundShare, 0.01);
}

TEST(Plan, AgentsGoBeforeBackgroundWhichStillHasItsPart) {
  Simulated worker(70, 20, 60);
  worker.add(Lane::Interactive, 1);
  worker.add(Lane::Agent, 2);
  worker.add(Lane::Background, 3);
  worker.run(120'000);
  EXPECT_NEAR(worker.part(Lane::Agent), kAgentShare, 0.015);
  EXPECT_NEAR(worker.part(Lane::Background), kBackgroundShare, 0.015);
  Simulated without(8, 70, 60);
  without.add(Lane::Agent, 2, 1'000);
  without.add(Lane::Background, 3, 1'000);
  without.run(900'000);
  EXPECT_NEAR(without.part(Lane::Background), kBackgroundShare, 0.015);
}

TEST(Plan, BackgroundJoinsWhereItMakesNoTokenLate) {
  Simulated worker(10, 1, 60);
  worker.add(Lane::Interactive, 1);
  for (int i = 0; i < 7; i++) worker.add(Lane::Background, 2);
  worker.run(10'000);
  EXPECT_LE(worker.gap(0), 30);
  EXPECT_LE(worker.gap(1), 60);
  EXPECT_GT(worker.part(Lane::Background), 0.5);
}

TEST(Plan, AStepWithAnAnswerKeepsToItsTimeHoweverLongThePromptsAre) {
  Simulated worker(10, 0.7, 60);
  worker.add(Lane::Interactive, 1);
  worker.add(Lane::Interactive, 1, 4'000);
  worker.add(Lane::Background, 2, 4'000);
  for (int i = 0; i < 20; i++) worker.step();  // learns how fast it is
  for (int i = 0; i < 500; i++) EXPECT_LE(worker.step(), 75);
}

TEST(Plan, BackgroundMakesNoReaderMuchSlowerWhereRowsAreDear) {
  Simulated worker(2, 8, 60);  // several rows would be in time, and a second one is a step more
  worker.add(Lane::Interactive, 1);
  for (int i = 0; i < 7; i++) worker.add(Lane::Background, 2);
  worker.run(60'000);
  EXPECT_NEAR(worker.part(Lane::Background), kBackgroundShare, 0.02);
  EXPECT_GE(static_cast<double>(worker.rows(0)), 0.9 * 60'000 / 10);
}

TEST(Plan, AChunkMakesAStepLateByNoMoreThanAStepsTime) {
  Shares shares;
  StepCost cost;
  cost.learn(1, 50);
  cost.learn(20, 400);
  const std::vector<Want> wants = {{}, {Lane::Interactive, 0, 1'000, true}};
  EXPECT_EQ(rows(wants, shares, cost, {512, 60, 2}), (std::vector<size_t>{1, 3}));  // 110 ms
  cost.learn(1, 1'000);  // and always goes on
  for (int i = 0; i < 40; i++) cost.learn(20, 20'000);
  EXPECT_EQ(rows(wants, shares, cost, {512, 60, 2}), (std::vector<size_t>{1, 1}));
}

TEST(Plan, BeforeAnySpeedIsKnownPromptsBesideAnswersAreShort) {
  const Shares shares;
  const StepCost cost;
  const Want prompt{Lane::Interactive, 0, 1'000, true};
  EXPECT_EQ(rows({{}, prompt}, shares, cost, {512, 60, 2})[1], kChunkUnknown);
  EXPECT_EQ(rows({prompt}, shares, cost, {512, 60, 2})[0], 512U);
}

TEST(Plan, HalfOfTheRoomIsTheOldestPromptsAndShortOnesComeNext) {
  const Shares shares;
  const StepCost cost;
  const auto prompt = [](size_t rows) { return Want{Lane::Interactive, 0, rows, true}; };
  const std::vector<Want> wants = {prompt(900), prompt(800), prompt(30)};
  EXPECT_EQ(rows(wants, shares, cost, {200, 60, 2}), (std::vector<size_t>{100, 70, 30}));
}

// Anything at all: everybody has a turn within a bounded time, and no step is empty.
TEST(Plan, NobodyStarvesWhateverCompetes) {
  for (unsigned seed = 0; seed < 40; seed++) {
    std::mt19937 random(seed);
    const auto upto = [&](uint32_t most) { return static_cast<uint32_t>(random() % (most + 1)); };
    Simulated worker(2 + upto(60), 0.1 + 0.1 * upto(150), upto(1) == 0 ? 60 : 250);
    const size_t streams = 2 + upto(6);
    for (size_t i = 0; i < streams; i++) {
      const auto lane = static_cast<Lane>(upto(2));
      const uint32_t owner = upto(3);
      worker.add(lane, owner, upto(1) == 0 ? 0 : 1 + upto(4'000));
    }
    worker.run(200'000);
    // 5 % of a chunk of the least size, among those that wait for it
    for (size_t i = 0; i < streams; i++) EXPECT_LE(worker.gap(i), 90'000) << seed << " " << i;
    EXPECT_TRUE(worker.every_owner_had_some()) << seed;
  }
}

TEST(Plan, WhatTakesLongToChooseJoinsNoReadersStep) {
  StepCost cost;
  cost.learn(1, 10);
  cost.learn(8, 11);
  Shares shares;
  shares.enter(Lane::Interactive, 0);
  shares.enter(Lane::Background, 1);
  std::vector<Want> wants(2);
  wants[1] = {.lane = Lane::Background, .owner = 1};
  EXPECT_EQ(rows(wants, shares, cost, {512, 60, 2}), (std::vector<size_t>{1, 1}));
  wants[1].choosing_ms = 200;
  EXPECT_EQ(rows(wants, shares, cost, {512, 60, 2}), (std::vector<size_t>{1, 0}));
  wants[0].choosing_ms = 900;  // beside one that takes long itself it costs little
  EXPECT_EQ(rows(wants, shares, cost, {512, 2'000, 2}), (std::vector<size_t>{1, 1}));
}

}  // namespace
}  // namespace lares::engine
