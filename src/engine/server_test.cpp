#include "engine/server.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "engine/testing/child.h"

namespace lares::engine {
namespace {

using testing::Child;
using wire::Type;

// A worker with the fake engine.
int serve_fake(Options options, int control) {
  auto crime = Crime::from(options);
  if (!crime) return 90;
  const auto* const backend = Registered<Backend>::find("fake");
  if (!backend->prepare(options) || !options.empty()) return 91;
  return serve({*backend, {"fake", "fake", {}, {}}, -1, *std::move(crime)}, control);
}

class Served : public Child {
 public:
  explicit Served(const Options& options = {})
      : Child([options](int control) { return serve_fake(options, control); }) {}

  bool load(const wire::Load& load = {}) {
    if (!next_of(Type::Hello)) return false;
    send(wire::to_frame(load));
    return next_of(Type::Loaded).has_value();
  }
  void complete(uint64_t id, const std::string& prompt, Json more = Json::object()) {
    more["prompt"] = prompt;
    send(wire::to_frame(wire::Generate{"completion", std::move(more)}, id));
  }
  // The text of the next request that ends well; nullopt when it does not.
  std::optional<std::string> answer() {
    std::string text;
    while (auto frame = next()) {
      if (frame->type == static_cast<uint8_t>(Type::Delta)) {
        text += wire::from_frame<wire::Delta>(*frame)->text;
      }
      if (frame->type == static_cast<uint8_t>(Type::Done)) return text;
      if (frame->type == static_cast<uint8_t>(Type::Failed)) break;
    }
    return std::nullopt;
  }
  std::optional<Error> failure() {
    const auto frame = next_of(Type::Failed);
    if (!frame) return std::nullopt;
    return wire::from_frame<wire::Failed>(*frame)->error;
  }
};

TEST(Server, SaysHelloLoadsAnswersAndStops) {
  Served worker;
  const auto hello = worker.next();
  ASSERT_TRUE(hello);
  EXPECT_EQ(wire::from_frame<wire::Hello>(*hello)->engine, "fake");
  worker.send(wire::to_frame(wire::Load{}));
  const auto loaded = worker.next_of(Type::Loaded);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(wire::from_frame<wire::Loaded>(*loaded)->info["architecture"], "fake");
  worker.complete(7, "repeat: hello");
  EXPECT_EQ(worker.answer(), "hello");
  worker.send(wire::to_frame(Type::Shutdown, 0));
  EXPECT_EQ(worker.end(), 0);
}

TEST(Server, LoadsADraftModelBesideIt) {
  Served worker;
  worker.next_of(Type::Hello);
  wire::Load load{.name = "large"};
  load.draft = "small";
  worker.send(wire::to_frame(load));
  const auto loaded = wire::from_frame<wire::Loaded>(*worker.next_of(Type::Loaded));
  EXPECT_GT(loaded->draft_memory_bytes, 0U);
  EXPECT_EQ(loaded->draft_refused, "");
  worker.complete(1, "count: 150", {{"temperature", 0}, {"seed", 1}});
  std::optional<wire::Done> done;
  while (auto frame = worker.next()) {
    if (frame->type != static_cast<uint8_t>(Type::Done)) continue;
    done = *wire::from_frame<wire::Done>(*frame);
    break;
  }
  ASSERT_TRUE(done);
  EXPECT_GT(done->model_accepted_tokens, 50U);
  EXPECT_GE(done->accepted_tokens, done->model_accepted_tokens);
}

TEST(Server, AnswersWithoutADraftModelOfAnotherVocabulary) {
  Served worker;
  worker.next_of(Type::Hello);
  wire::Load load{.name = "large"};
  load.draft = "other-small";
  worker.send(wire::to_frame(load));
  const auto loaded = wire::from_frame<wire::Loaded>(*worker.next_of(Type::Loaded));
  EXPECT_EQ(loaded->draft_memory_bytes, 0U);
  EXPECT_TRUE(loaded->draft_refused.starts_with(
      "drafting for 'large' with 'other-small': its vocabulary is another"))
      << loaded->draft_refused;
  worker.complete(1, "count: 10", {{"temperature", 0}, {"seed", 1}});
  EXPECT_EQ(worker.answer(), "1 2 3 4 5 6 7 8 9 10");
}

TEST(Server, LeavesMemoryAndComesBackWithItsConversations) {
  Served worker;
  ASSERT_TRUE(worker.load());
  const std::string prompt = cat(std::string(300, 'x'), "\nrepeat: Hello.");
  worker.complete(1, prompt);
  ASSERT_EQ(worker.answer(), "Hello.");
  const auto moved_to = [&](Rung rung) {
    worker.send(wire::to_frame(wire::Move{rung}));
    const auto frame = worker.next_of(Type::Moved);
    return frame ? *wire::from_frame<wire::Moved>(*frame) : wire::Moved{Rung::Absent};
  };
  const wire::Moved parked = moved_to(Rung::Parked);
  EXPECT_EQ(parked.rung, Rung::Parked);
  const wire::Moved warm = moved_to(Rung::Warm);
  EXPECT_EQ(warm.rung, Rung::Warm);
  EXPECT_GT(warm.memory_bytes, parked.memory_bytes);
  // the request may be on its way before it has come back
  worker.send(wire::to_frame(wire::Move{Rung::Hot}));
  worker.complete(2, cat(prompt, "Hello.\nrepeat: Again."));
  const auto started = worker.next_of(Type::Started);
  ASSERT_TRUE(started);
  EXPECT_GE(wire::from_frame<wire::Started>(*started)->reused_tokens, 300U);
  EXPECT_EQ(worker.answer(), "Again.");
}

TEST(Server, ARequestBelowHotOrAMoveBesideOneIsNotOfTheProtocol) {
  Served below;
  ASSERT_TRUE(below.load());
  below.send(wire::to_frame(wire::Move{Rung::Warm}));
  ASSERT_TRUE(below.next_of(Type::Moved));
  below.complete(1, "repeat: hello");
  EXPECT_EQ(below.end(), kExitProtocol);
  Served beside;
  ASSERT_TRUE(beside.load());
  beside.complete(1, "count: 10000");
  ASSERT_TRUE(beside.next_of(Type::Started));
  beside.send(wire::to_frame(wire::Move{Rung::Parked}));
  EXPECT_EQ(beside.end(), kExitProtocol);
}

TEST(Server, TellsProgressOfLoading) {
  Served worker(Options{{"load-ms", "20"}});
  worker.next_of(Type::Hello);
  worker.send(wire::to_frame(wire::Load{}));
  const auto progress = worker.next_of(Type::Progress);
  ASSERT_TRUE(progress);
  EXPECT_EQ(wire::from_frame<wire::Progress>(*progress)->phase, "load");
  EXPECT_TRUE(worker.next_of(Type::Loaded));
}

TEST(Server, InspectsWithoutLoadingAndMayLoadAfterwards) {
  Served worker(Options{{"load-ms", "60000"}});
  worker.next_of(Type::Hello);
  worker.send(wire::to_frame(Type::Inspect, 0));
  const auto loaded = worker.next_of(Type::Loaded);
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(wire::from_frame<wire::Loaded>(*loaded)->info.contains("context_train"));
}

TEST(Server, EndsWhenTheDaemonIsGone) {
  Served idle;
  ASSERT_TRUE(idle.load());
  idle.hang_up();
  EXPECT_EQ(idle.end(), 0);
  Served busy(Options{{"tokens-per-s", "1"}});
  ASSERT_TRUE(busy.load());
  busy.complete(1, "count: 1000");
  ASSERT_TRUE(busy.next_of(Type::Started));
  busy.hang_up();
  EXPECT_EQ(busy.end(), 0);
}

TEST(Server, StopsWhileItLoads) {
  Served worker(Options{{"load-ms", "600000"}});
  worker.next_of(Type::Hello);
  worker.send(wire::to_frame(wire::Load{}));
  worker.send(wire::to_frame(Type::Shutdown, 0));
  EXPECT_EQ(worker.end(), 0);
}

TEST(Server, ALoadThatGoesWrongIsToldAndEndsTheProcess) {
  static constexpr auto kPrepare = [](Options&) -> Result<std::string> { return std::string("x"); };
  static constexpr auto kLoad = [](const LoadOrder&, Pulse&) -> Result<std::unique_ptr<Model>> {
    return Error{Code::Corrupt, "the file is empty; fetch it again"};
  };
  static const Backend broken{.name = "broken", .prepare = kPrepare, .load = kLoad};
  Child worker([](int control) { return serve({broken, {}, -1, {}}, control); });
  worker.send(wire::to_frame(wire::Load{.name = "m"}));
  const auto failed = worker.next_of(Type::Failed);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->id, 0U);
  const Error error = wire::from_frame<wire::Failed>(*failed)->error;
  EXPECT_EQ(error.code, Code::Corrupt);
  EXPECT_EQ(error.message, "loading 'm': the file is empty; fetch it again");
  EXPECT_EQ(worker.end(), 1);
}

TEST(Server, AFileThatIsNoModelEndsAnInspectionAtOnce) {
  static constexpr auto kPrepare = [](Options&) -> Result<std::string> { return std::string("x"); };
  static constexpr auto kLoad = [](const LoadOrder&, Pulse&) -> Result<std::unique_ptr<Model>> {
    return Error{Code::Corrupt, "the file is empty; fetch it again"};
  };
  static const Backend broken{.name = "broken", .prepare = kPrepare, .load = kLoad};
  Child worker([](int control) { return serve({broken, {}, -1, {}}, control); });
  worker.send(wire::to_frame(Type::Inspect, 0));
  const auto failed = worker.next_of(Type::Failed);
  ASSERT_TRUE(failed);
  EXPECT_EQ(wire::from_frame<wire::Failed>(*failed)->error.message,
            "the file is empty; fetch it again");
  EXPECT_EQ(worker.end(), 1);
}

TEST(Server, BeatsGoOnDuringALongStepAndTellIdleFromBusy) {
  Served worker(Options{{"tokens-per-s", "1"}});
  ASSERT_TRUE(worker.load());
  auto beat = worker.next_of(Type::Beat);
  ASSERT_TRUE(beat);
  EXPECT_FALSE(wire::from_frame<wire::Beat>(*beat)->busy);
  worker.complete(1, "count: 100");
  ASSERT_TRUE(worker.next_of(Type::Started));
  uint64_t before = 0;
  for (int i = 0; i < 4; i++) {
    beat = worker.next_of(Type::Beat);
    ASSERT_TRUE(beat);
    const auto read = wire::from_frame<wire::Beat>(*beat);
    EXPECT_TRUE(read->busy || i == 0);
    EXPECT_GT(read->progress, i == 0 ? 0 : before);
    before = read->progress;
  }
}

TEST(Server, CancelEndsALongPromptBeforeItIsComputed) {
  Served worker(Options{{"prompt-tokens-per-s", "10"}});
  ASSERT_TRUE(worker.load());
  worker.complete(1, std::string(500, 'x'));  // nearly a minute
  ASSERT_TRUE(worker.next_of(Type::Started));
  worker.send(wire::to_frame(Type::Cancel, 1));
  const auto error = worker.failure();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::Cancelled);
  worker.complete(2, "repeat: good", {{"max_tokens", 1}});
  EXPECT_EQ(worker.answer(), "g");
}

TEST(Server, CancelOfNothingIsNothing) {
  Served worker;
  ASSERT_TRUE(worker.load());
  worker.send(wire::to_frame(Type::Cancel, 12));
  worker.complete(1, "repeat: good");
  EXPECT_EQ(worker.answer(), "good");
}

TEST(Server, MoreThanItCanReadIsBusy) {
  Served worker(Options{{"load-ms", "1500"}});
  worker.next_of(Type::Hello);
  worker.send(wire::to_frame(wire::Load{}));
  for (uint64_t id = 1; id <= kInboxMax + 100; id++) worker.complete(id, "repeat: a");
  const auto error = worker.failure();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::Busy);
}

// Whatever is not our protocol ends the worker with a line that says why, and nothing else.
TEST(Server, AnUrgentRequestEndsALongStepOfALessUrgentOne) {
  Served worker(Options{{"prompt-tokens-per-s", "300"}});
  ASSERT_TRUE(worker.load());
  const Json slow = {{"prompt", std::string(400, 'x') + "\nrepeat: slow"}};  // more than a second
  worker.send(wire::to_frame(wire::Generate{"completion", slow, Lane::Background, 1}, 1));
  ASSERT_TRUE(worker.next_of(Type::Started));
  const Json urgent = {{"prompt", "repeat: now"}};
  worker.send(wire::to_frame(wire::Generate{"completion", urgent, Lane::Interactive, 2}, 2));
  double progress = 0;
  bool urgent_ended = false, slow_ended = false;
  while (!slow_ended) {
    const auto frame = worker.next();
    ASSERT_TRUE(frame);
    const auto type = static_cast<Type>(frame->type);
    ASSERT_NE(type, Type::Failed);
    if (type == Type::Progress && frame->id == 1 && !urgent_ended)
      progress = wire::from_frame<wire::Progress>(*frame)->fraction;
    if (type == Type::Delta && frame->id == 2) {
      EXPECT_LT(progress, 0.5);
    }
    if (type == Type::Done) (frame->id == 2 ? urgent_ended : slow_ended) = true;
  }
  EXPECT_TRUE(urgent_ended);
}

// A worker whose chats take `render_ms` to be made ready, with an answer that goes on meanwhile.
struct Preparing : Served {
  explicit Preparing(std::string render_ms)
      : Served(Options{{"render-ms", std::move(render_ms)}, {"tokens-per-s", "50"}}) {
    EXPECT_TRUE(load());
    complete(1, "count: 2000");
    EXPECT_TRUE(next_of(Type::Delta));
  }
  void chat(uint64_t id, const std::string& content) {
    const Json messages = Json::array({{{"role", "user"}, {"content", content}}});
    send(wire::to_frame(wire::Generate{"chat", {{"messages", messages}}}, id));
  }
  // Frames until one of that type and id; how many Deltas of the other answer were among them.
  std::pair<std::optional<wire::Frame>, int> until(Type type, uint64_t id) {
    for (int deltas = 0;;) {
      auto frame = next();
      if (!frame || (frame->type == static_cast<uint8_t>(type) && frame->id == id))
        return {std::move(frame), deltas};
      if (frame->type == static_cast<uint8_t>(Type::Delta) && frame->id == 1) deltas++;
    }
  }
};

TEST(Server, AnswersGoOnWhileARequestIsMadeReady) {
  Preparing worker("1000");
  worker.chat(2, "repeat: hello");
  const auto [started, deltas] = worker.until(Type::Started, 2);
  ASSERT_TRUE(started);
  EXPECT_GE(deltas, 15) << "of about 50";
}

TEST(Server, ARequestThatIsMadeReadyIsCancelledAtOnce) {
  Preparing worker("60000");
  worker.chat(2, "repeat: hello");
  worker.chat(3, "repeat: behind it");
  for (const uint64_t id : {2, 3}) {
    worker.send(wire::to_frame(Type::Cancel, id));
    const auto [failed, deltas] = worker.until(Type::Failed, id);
    ASSERT_TRUE(failed);
    EXPECT_EQ(wire::from_frame<wire::Failed>(*failed)->error.code, Code::Cancelled);
    EXPECT_LE(deltas, 50);
  }
  EXPECT_TRUE(worker.until(Type::Delta, 1).first) << "the other goes on";
}

TEST(Server, ThoughtsMayBeStoppedBeforeTheyBegin) {
  Preparing worker("500");
  worker.chat(2, cat("repeat: <think>", std::string(300, 'x'), "</think>four"));
  worker.send(wire::to_frame(Type::StopThinking, 2));
  std::string thought, text;
  for (;;) {
    const auto frame = worker.next();
    ASSERT_TRUE(frame);
    if (frame->id != 2) continue;
    if (frame->type == static_cast<uint8_t>(Type::Done)) break;
    if (frame->type != static_cast<uint8_t>(Type::Delta)) continue;
    const auto delta = wire::from_frame<wire::Delta>(*frame);
    thought += delta->reasoning;
    text += delta->text;
  }
  EXPECT_LT(thought.size(), 10U);
  EXPECT_EQ(text, "four");
}

// The answer that goes on is no sign that the other thread lives.
TEST(Server, AHangOfOneThreadIsSeenThoughTheOtherComputes) {
  Preparing worker("60000");
  worker.chat(2, "repeat: hello");
  wire::Beat last;
  int frames = 0, still = 0, deltas = 0;  // since the last beat with news
  while (still < 3) {
    ASSERT_LT(++frames, 10'000);
    const auto frame = worker.next(std::chrono::seconds(5), true);
    ASSERT_TRUE(frame);
    if (frame->type == static_cast<uint8_t>(Type::Delta)) deltas++;
    if (frame->type != static_cast<uint8_t>(Type::Beat)) continue;
    const auto beat = *wire::from_frame<wire::Beat>(*frame);
    EXPECT_TRUE(beat.busy);
    still = beat.progress == last.progress ? still + 1 : 0;
    if (still == 0) deltas = 0;
    last = beat;
  }
  EXPECT_GT(deltas, 0);
}

TEST(Server, EndsOnWhatDoesNotBelong) {
  const auto frame = [](Type type, uint64_t id, std::string payload) {
    return wire::encode({static_cast<uint8_t>(type), id, std::move(payload)});
  };
  std::string huge = frame(Type::Load, 0, "");
  huge.replace(4, 4, 4, '\xff');
  const wire::Generate good{"completion", {{"prompt", "count: 100000"}}};
  const std::string generate = wire::to_frame(good, 1).payload;
  const struct {
    std::string bytes;
    bool loaded;
    const char* says;
  } table[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, "magic"},
      {huge, false, "bytes, at most"},
      {frame(Type::Generate, 1, generate), false, "before a model was loaded"},
      {frame(Type::Hello, 0, ""), false, "before a model was loaded"},
      {frame(Type::Load, 0, "\xff\xff"), false, "reading a message"},
      {frame(Type::Load, 0, to_cbor({{"name", 5}})), false, "'name'"},
      {frame(Type::Load, 0, ""), true, "after the model was loaded"},
      {frame(Type::Generate, 0, generate), true, "id 0"},
      {frame(Type::Generate, 1, generate) + frame(Type::Generate, 1, generate), true, "in use"},
      {frame(Type::Generate, 1, to_cbor({{"kind", 1}})), true, "'kind'"},
      {frame(Type::Embed, 1, "x"), true, "reading a message"},
  };
  for (const auto& [bytes, loaded, says] : table) {
    Served worker;
    if (loaded) {
      ASSERT_TRUE(worker.load());
    } else {
      worker.next_of(Type::Hello);
    }
    worker.send_raw(bytes);
    EXPECT_EQ(worker.end(), kExitProtocol) << says;
    const std::string log = worker.log();
    EXPECT_NE(log.find(says), std::string::npos) << log;
  }
}

TEST(Server, SurvivesFramesCutAnywhere) {
  Served worker;
  ASSERT_TRUE(worker.load());
  const std::string bytes =
      wire::encode(wire::to_frame(wire::Generate{"completion", {{"prompt", "repeat: cut"}}}, 1));
  for (const char byte : bytes) worker.send_raw({&byte, 1});
  EXPECT_EQ(worker.answer(), "cut");
}

// --- crimes
// ------------------------------------------------------------------------------------------

TEST(Crime, HappensWhereItWasOrdered) {
  const struct {
    Options options;
    int end;
  } table[] = {
      {{{"crime", "exit0"}, {"crime-at", "hello"}}, 0},
      {{{"crime", "exit1"}, {"crime-at", "load"}}, 1},
      {{{"crime", "kill"}, {"crime-at", "loaded"}}, -SIGKILL},
      {{{"crime", "abort"}}, -SIGABRT},
      {{{"die-after", "3"}}, -SIGKILL},
      {{{"crime", "exit0"}, {"crime-at", "token:5"}}, 0},
  };
  for (const auto& [options, end] : table) {
    Served worker(options);
    worker.send(wire::to_frame(wire::Load{}));
    worker.complete(1, "count: 100");
    EXPECT_EQ(worker.end(), end);
  }
}

TEST(Crime, DieAfterLetsThatManyTokensOutLessOne) {
  Served worker(Options{{"die-after", "4"}});
  ASSERT_TRUE(worker.load());
  worker.complete(1, "repeat: abcdef");
  std::string text;
  while (auto frame = worker.next()) {
    if (frame->type == static_cast<uint8_t>(Type::Delta)) {
      text += wire::from_frame<wire::Delta>(*frame)->text;
    }
  }
  EXPECT_EQ(text, "abc");
}

TEST(Crime, SaysWhatItShouldNot) {
  const auto after_load = [](const char* name) {
    auto worker = std::make_unique<Served>(Options{{"crime", name}});
    EXPECT_TRUE(worker->load());
    worker->complete(1, "repeat: a");
    return worker;
  };
  EXPECT_EQ(after_load("wrong-id")->next()->id, 1'000'001U);
  EXPECT_EQ(after_load("wrong-type")->next()->type, 250);
  EXPECT_FALSE(after_load("bad-frame")->next());
  EXPECT_FALSE(after_load("huge-frame")->next());
  auto flood = after_load("flood");
  for (int i = 0; i < 100; i++) ASSERT_TRUE(flood->next());
  auto ends = after_load("two-ends");
  EXPECT_EQ(ends->next()->type, static_cast<uint8_t>(Type::Done));
  EXPECT_EQ(ends->next()->type, static_cast<uint8_t>(Type::Done));
}

TEST(Crime, AHangBeatsWithoutProgressAndSilenceDoesNotBeat) {
  Served hang(Options{{"crime", "hang"}});
  ASSERT_TRUE(hang.load());
  hang.complete(1, "x");
  hang.next_of(Type::Beat);
  const auto one = wire::from_frame<wire::Beat>(*hang.next_of(Type::Beat));
  const auto two = wire::from_frame<wire::Beat>(*hang.next_of(Type::Beat));
  EXPECT_TRUE(two->busy);
  EXPECT_EQ(one->progress, two->progress);

  Served silent(Options{{"crime", "silent"}, {"crime-at", "loaded"}});
  ASSERT_TRUE(silent.load());
  EXPECT_FALSE(silent.next(4 * wire::kBeatEvery, true));
}

TEST(Crime, RefusesWhatItDoesNotKnow) {
  for (const Options& bad : {Options{{"crime", "kil"}}, Options{{"crime-at", "noon"}},
                             Options{{"crime-at", "token:0"}}, Options{{"die-after", "x"}}}) {
    Options options = bad;
    EXPECT_FALSE(Crime::from(options));
  }
  Options near{{"crime", "kil"}};
  EXPECT_NE(Crime::from(near).error().message.find("'kill'"), std::string::npos);
}

}  // namespace
}  // namespace lares::engine
