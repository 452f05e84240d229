// Talk: a model with a batcher, and everything that came out of it, for tests. No processes, no
// wire.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>

#include "engine/batcher.h"

namespace lares::engine::testing {

// What became of one request.
struct Heard {
  std::optional<wire::Started> started;
  std::string text;
  std::vector<std::string> pieces;  // the text of each Delta
  Json logprobs = Json::array();
  std::string reasoning;
  Json calls = Json::array();  // {name, arguments} of each, put together
  Tokens tokens = 0;           // as the Deltas counted them
  std::vector<double> progress;
  std::optional<wire::Done> done;
  std::optional<Error> failed;
  int ends = 0;
  bool ended() const { return ends > 0; }
};

inline wire::Load small(Tokens context, uint32_t sequences = 4, Tokens batch = 512) {
  wire::Load load;
  load.context = context;
  load.sequences = sequences;
  load.batch = batch;
  return load;
}
inline std::string letters(size_t count, char letter = 'x') { return std::string(count, letter); }

// A fake model by its options: {"window", "16"}, ...
inline std::unique_ptr<Model> fake_model(Options options, wire::Load load, Pulse& pulse) {
  const auto* const backend = Registered<Backend>::find("fake");
  EXPECT_TRUE(backend->prepare(options));
  EXPECT_TRUE(options.empty());
  LoadOrder order;
  order.load = std::move(load);
  auto model = backend->load(order, pulse);
  EXPECT_TRUE(model);
  return *std::move(model);
}

// A batcher that makes its requests itself, all in one thread.
class OwnMaker : public Batcher {
 public:
  OwnMaker(Model& model, Pulse& pulse, const Clock& clock, Lease& lease, Out out,
           RequestMaker::Seeds seeds, ThinkingMax thinking = {})
      : Batcher(model, pulse, clock, lease, out),
        out_(std::move(out)),
        maker_(model, pulse, clock, std::move(seeds), thinking, [this] { return token_ms(); }) {}

  void generate(uint64_t id, const wire::Generate& message,
                const std::optional<Begun>& begun = std::nullopt) {
    take(id, maker_.generate(id, message, begun));
  }
  void embed(uint64_t id, const wire::Embed& message) { take(id, maker_.embed(id, message)); }
  void rank(uint64_t id, const wire::Rank& message) { take(id, maker_.rank(id, message)); }

 private:
  void take(uint64_t id, Result<Made> made) {
    if (made)
      add(*std::move(made));
    else
      out_(id, wire::Failed{std::move(made).error()});
  }
  const Out out_;
  RequestMaker maker_;
};

class Talk {
 public:
  explicit Talk(Options options = {}, wire::Load load = {})
      : Talk([&](Pulse& p) { return fake_model(std::move(options), std::move(load), p); }) {}
  explicit Talk(const std::function<std::unique_ptr<Model>(Pulse&)>& make)
      : model(make(pulse)),
        batcher(
            *model, pulse, clock, lease,
            [this](uint64_t id, Batcher::Event e) { hear(id, std::move(e)); },
            [this] { return seed++; }) {}

  void complete(uint64_t id, Json prompt, Json more = Json::object()) {
    more["prompt"] = std::move(prompt);
    batcher.generate(id, {"completion", std::move(more), lane, owner});
  }
  // One message of the person's.
  void chat(uint64_t id, const std::string& content, Json more = Json::object()) {
    more["messages"] = Json::array({{{"role", "user"}, {"content", content}}});
    batcher.generate(id, {"chat", std::move(more), lane, owner});
  }
  // Steps until there is nothing to do; false when that does not come.
  bool run(int steps_max = 100'000) {
    while (batcher.step()) {
      if (--steps_max == 0) return false;
    }
    return true;
  }
  Heard& operator[](uint64_t id) { return heard[id]; }

  Pulse pulse;
  FakeClock clock;
  std::unique_ptr<Model> model;
  std::map<uint64_t, Heard> heard;
  uint32_t seed = 1;
  Lane lane = Lane::Interactive;  // of what is asked next
  uint32_t owner = 0;
  Lease lease;
  OwnMaker batcher;

 private:
  void hear(uint64_t id, Batcher::Event event) {
    Heard& h = heard[id];
    EXPECT_EQ(h.ends, 0) << "request " << id << " speaks after its end";
    if (const auto* started = std::get_if<wire::Started>(&event)) {
      EXPECT_FALSE(h.started) << "request " << id << " starts twice";
      h.started = *started;
    } else if (const auto* delta = std::get_if<wire::Delta>(&event)) {
      h.text += delta->text;
      h.pieces.push_back(delta->text);
      h.tokens += delta->tokens;
      h.reasoning += delta->reasoning;
      for (const Json& one : delta->tool_calls) {
        const auto index = one["index"].get<size_t>();
        ASSERT_LE(index, h.calls.size());
        ASSERT_EQ(index == h.calls.size(), one["name"] != "");
        if (index == h.calls.size()) h.calls.push_back({{"name", one["name"]}, {"arguments", ""}});
        h.calls[index]["arguments"].get_ref<std::string&>() += one["arguments"].get<std::string>();
      }
      for (const Json& one : delta->logprobs) h.logprobs.push_back(one);
    } else if (const auto* done = std::get_if<wire::Done>(&event)) {
      h.done = *done;
      h.ends++;
    } else if (const auto* failed = std::get_if<wire::Failed>(&event)) {
      h.failed = failed->error;
      h.ends++;
    } else {
      h.progress.push_back(std::get<wire::Progress>(event).fraction);
    }
  }
};

}  // namespace lares::engine::testing
