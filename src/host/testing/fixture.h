// What this room's tests share: where host-child lies, and a worker with everything it said.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/text.h"
#include "host/worker.h"

namespace lares::host {

inline std::string child_program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "host-child").string();
}

// Runs the loop until `done`; false after `limit`, which is far above what is promised.
inline bool run_until(Loop& loop, const std::function<bool()>& done,
                      milliseconds limit = milliseconds(20'000)) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (loop.run_one()) continue;
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

struct Told {
  std::vector<wire::Hello> hellos;
  std::vector<wire::Loaded> loads;
  std::vector<wire::Progress> progress;
  std::vector<wire::Frame> frames;   // of answers
  std::vector<wire::Frame> prompts;  // how far they are computed
  std::vector<WorkerEnded> ends;
  bool out_of_order = false;

  void take(WorkerEvent event) {
    out_of_order = out_of_order || !ends.empty();
    if (auto* hello = std::get_if<wire::Hello>(&event)) hellos.push_back(std::move(*hello));
    if (auto* loaded = std::get_if<wire::Loaded>(&event)) loads.push_back(std::move(*loaded));
    if (auto* part = std::get_if<wire::Progress>(&event)) progress.push_back(*part);
    if (auto* frame = std::get_if<wire::Frame>(&event)) {
      const bool prompt = frame->type == static_cast<uint8_t>(wire::Type::Progress);
      (prompt ? prompts : frames).push_back(std::move(*frame));
    }
    if (auto* end = std::get_if<WorkerEnded>(&event)) ends.push_back(std::move(*end));
  }
};

// A host-child that is driven through the protocol by itself: Hello -> Load -> Generate.
class Play {
 public:
  // `spec`: what else it is handed.
  explicit Play(std::vector<std::string> arguments, Fd model = Fd(), WorkerSpec spec = {}) {
    spec.program = child_program();
    spec.arguments = std::move(arguments);
    spec.model = std::move(model);
    spec.name = "small";
    auto spawned = Worker::spawn(std::move(spec), loop, log,
                                 [this](WorkerEvent event) { on(std::move(event)); });
    EXPECT_TRUE(spawned) << (spawned ? "" : spawned.error().message);
    if (spawned) worker = *std::move(spawned);
  }

  void on(WorkerEvent event) {
    const bool hello = std::holds_alternative<wire::Hello>(event);
    const bool loaded = std::holds_alternative<wire::Loaded>(event);
    told.take(std::move(event));
    if (hello && drive) {
      // it may be dead already
      static_cast<void>(worker->send(wire::to_frame(wire::Load{"small"})));
    }
    if (loaded && drive) generate(7);
  }
  void generate(uint64_t id, int pieces = 3, Json more = Json::object()) {
    more["pieces"] = pieces;
    static_cast<void>(worker->send(wire::to_frame(wire::Generate{"chat", more}, id)));
  }
  bool until_end() {
    return run_until(loop, [&] { return !told.ends.empty(); });
  }
  bool until_done() {
    return run_until(loop, [&] {
      return !told.ends.empty() ||
             (!told.frames.empty() &&
              told.frames.back().type == static_cast<uint8_t>(wire::Type::Done));
    });
  }
  const Error& error() const { return told.ends.at(0).error; }

  SystemClock clock;
  Loop loop{clock};
  Log log = Log::silent();
  Told told;
  bool drive = true;
  std::unique_ptr<Worker> worker;
};

}  // namespace lares::host
