// CoreHouse: what tests of the Core begin with, a House of three models and words for its workers.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/core.h"
#include "app/testing/fake_house.h"

namespace lares::app::testing {

// Two models of 300 MiB and an embedder in a budget for two.
struct CoreHouse : ::testing::Test {
  House house{{{"alpha", MiB(300)}, {"beta", MiB(300)}, {"vectors", MiB(100), true}}, MiB(600)};

  // The ids of the frames that ask for an answer.
  std::vector<uint64_t> asked(const std::string& model, wire::Type type = wire::Type::Generate) {
    std::vector<uint64_t> ids;
    for (const wire::Frame& frame : House::frames(*house.worker(model), type))
      ids.push_back(frame.id);
    return ids;
  }
  void say(const std::string& model, uint64_t id, const std::string& text) {
    house.worker(model)->answer(wire::Started{10, 4}, id);
    house.worker(model)->answer(wire::Delta{text, nullptr, 1}, id);
    house.settle();
  }
  // A piece of an answer, with the ids that stand behind it.
  static wire::Delta piece(const std::string& text, std::vector<Tokens> ids) {
    wire::Delta delta{text, nullptr, static_cast<Tokens>(ids.size())};
    delta.ids = std::move(ids);
    return delta;
  }
  void die(const std::string& model, Error error = {Code::WorkerDied, "signal 9"}) {
    house.worker(model)->die(std::move(error));
    house.settle();
  }
  wire::Resume resumed(const std::string& model, size_t which = 0) {
    const auto frames = House::frames(*house.worker(model), wire::Type::Resume);
    EXPECT_GT(frames.size(), which);
    return *wire::from_frame<wire::Resume>(frames.at(which));
  }
  void complete(const std::string& model, uint64_t id, const std::string& text = "yes") {
    say(model, id, text);
    wire::Done done;
    done.reason = "stop";
    done.prompt_tokens = 10;
    done.completion_tokens = 3;
    done.reused_tokens = 4;
    done.prefill_ms = 6;
    done.decode_ms = 30;
    done.cpu_ms = 70.4;
    house.worker(model)->answer(done, id);
    house.settle();
  }
  // It gave its room to another, and kept its process.
  bool went_down(const std::string& model) {
    const FakeWorker* const worker = house.worker(model);
    const auto moves =
        worker ? House::frames(*worker, wire::Type::Move) : std::vector<wire::Frame>();
    return !moves.empty() && wire::from_frame<wire::Move>(moves.back())->rung < Rung::Hot;
  }
  void load(const std::string& model) {
    auto first = house.chat(model);
    house.load(model);
    complete(model, asked(model).back());
    ASSERT_TRUE(first->ended && first->ended->result);
  }
};

}  // namespace lares::app::testing
