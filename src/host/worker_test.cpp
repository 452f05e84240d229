#include "host/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <set>

#include "host/probe.h"
#include "host/process.h"
#include "host/testing/fixture.h"
#include "host/vitals.h"

namespace lares::host {
namespace {

using wire::Type;

// The end of a misdeed must be told by then. Two seconds are promised; the rest is for a loaded
// machine.
constexpr milliseconds kPromised{2000};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr milliseconds kSpare{10'000};
#else
constexpr milliseconds kSpare{1500};
#endif

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}
bool no_child_is_left() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (has_children()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}
size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    count++;
  return count;
}

TEST(Worker, AnswersAndStopsWhenAsked) {
  Play play({});
  ASSERT_TRUE(play.until_done());
  ASSERT_EQ(play.told.hellos.size(), 1U);
  EXPECT_EQ(play.told.hellos[0].engine, "child");
  ASSERT_EQ(play.told.loads.size(), 1U);
  ASSERT_EQ(play.told.progress.size(), 1U) << "that of the prompt is not the load's";
  ASSERT_EQ(play.told.frames.size(), 5U);
  ASSERT_EQ(play.told.prompts.size(), 1U);
  EXPECT_EQ(play.told.prompts[0].id, 7U);
  EXPECT_EQ(play.told.frames[0].type, static_cast<uint8_t>(Type::Started));
  EXPECT_EQ(wire::from_frame<wire::Delta>(play.told.frames[2])->text, "1 ");
  for (const auto& frame : play.told.frames) EXPECT_EQ(frame.id, 7U);
  play.worker->stop();
  EXPECT_EQ(play.worker->send(wire::to_frame(Type::Cancel, 7)).error().code, Code::WorkerDied);
  ASSERT_TRUE(play.until_end());
  EXPECT_TRUE(play.told.ends[0].asked);
  EXPECT_EQ(play.error().message, "worker 'small' was stopped");
  EXPECT_TRUE(no_child_is_left());
}

TEST(Worker, HasExactlyTheDescriptorsAndTheEnvironmentThatAreSaid) {
  // what must not be inherited
  const Fd leak(::open("/etc/passwd", O_RDONLY));
  const Fd high(::fcntl(leak.get(), F_DUPFD, 200));
  ::setenv("LARES_TEST_SECRET", "sk-1234", 1);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, nullptr);
  Play play({}, Fd(::open("/etc/hostname", O_RDONLY)));
  pthread_sigmask(SIG_UNBLOCK, &term, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::unsetenv("LARES_TEST_SECRET");
  ASSERT_TRUE(play.until_done());
  const Json& self = play.told.loads.at(0).info;
  EXPECT_EQ(self["descriptors"],
            (Json{{"0", "null"}, {"1", "pipe"}, {"2", "pipe"}, {"3", "socket"}, {"4", "file"}}));
  std::set<std::string> names;
  for (const std::string entry : self["environment"])
    names.insert(entry.substr(0, entry.find('=')));
  for (const char* for_tests : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"})
    names.erase(for_tests);
  EXPECT_EQ(names, (std::set<std::string>{"LANG", "GGML_NO_BACKTRACE"}));
  EXPECT_EQ(self["blocks_term"], false);
  EXPECT_EQ(self["ignores_pipe"], false);
  EXPECT_EQ(self["death_signal"], SIGKILL);
  EXPECT_EQ(self["own_session"], true);
  EXPECT_EQ(self["own_group"], true);
  EXPECT_EQ(self["folder"], "/");
  EXPECT_EQ(self["model_writable"], false);
  EXPECT_GE(std::stoi(self["oom_score"].get<std::string>()), 600);
}

TEST(Worker, WithoutAModelThereIsNoSuchDescriptor) {
  Play play({});
  ASSERT_TRUE(play.until_done());
  EXPECT_FALSE(play.told.loads.at(0).info["descriptors"].contains("4"));
}

TEST(Worker, WhatItIsNotHandedIsClosedBelowWhatItIsHandedToo) {
  std::vector<Fd> leaks;
  for (int i = 0; i < 8; i++) leaks.emplace_back(::open("/etc/passwd", O_RDONLY));
  const auto file = [] { return Fd(::open("/etc/hostname", O_RDONLY)); };
  const auto descriptors = [](Fd model, WorkerSpec spec) -> Json {
    Play play({}, std::move(model), std::move(spec));
    EXPECT_TRUE(play.until_done());
    return play.told.loads.at(0).info["descriptors"];
  };
  Json expected{{"0", "null"}, {"1", "pipe"}, {"2", "pipe"}, {"3", "socket"}};
  WorkerSpec leased;
  leased.lease = file();
  leased.bell = file();
  Json with_lease = expected;
  with_lease.update({{"5", "file"}, {"6", "file"}});
  EXPECT_EQ(descriptors(Fd(), std::move(leased)), with_lease);
  WorkerSpec adapted;
  adapted.adapters.push_back(file());
  adapted.adapters.push_back(file());
  Json with_adapters = expected;
  with_adapters.update({{"4", "file"}, {"8", "file"}, {"9", "file"}});
  EXPECT_EQ(descriptors(file(), std::move(adapted)), with_adapters);
  WorkerSpec drafted;
  drafted.adapters.push_back(file());
  drafted.draft = file();
  EXPECT_EQ(descriptors(file(), std::move(drafted)), with_adapters) << "behind the adapters";
  WorkerSpec seeing;
  seeing.projector = file();
  seeing.adapters.push_back(file());
  Json with_projector = expected;
  with_projector.update({{"4", "file"}, {"7", "file"}, {"8", "file"}});
  EXPECT_EQ(descriptors(file(), std::move(seeing)), with_projector);
}

TEST(Worker, LivesInItsSandbox) {
  Play play({"--sandboxed"});
  ASSERT_TRUE(play.until_done());
  ASSERT_TRUE(play.told.ends.empty()) << play.error().message;
  EXPECT_EQ(play.told.hellos.at(0).sandbox.at(0), "seccomp");
}

TEST(Worker, AMissingProgramIsSaidAtOnce) {
  SystemClock clock;
  Loop loop(clock);
  Log log = Log::silent();
  const auto spawned = Worker::spawn({"/nowhere/lares-worker", {}, Fd(), "small"}, loop, log,
                                     [](const WorkerEvent&) { FAIL(); });
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error().code, Code::Io);
  EXPECT_EQ(
      spawned.error().message,
      "starting worker 'small': starting '/nowhere/lares-worker': No such file or directory; is "
      "the installation complete? 'lares doctor' checks it");
  EXPECT_TRUE(no_child_is_left());
}

struct Misdeed {
  std::string crime;
  Code code;
  std::string says;  // part of the error
};
struct Case {
  std::string place;
  Misdeed misdeed;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.place << " " << c.misdeed.crime;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  std::vector<Misdeed> misdeeds;
  for (const int signal :
       {SIGHUP,  SIGINT,  SIGQUIT,   SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,
        SIGKILL, SIGUSR1, SIGSEGV,   SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT,
        SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR,  SIGSYS})
    misdeeds.push_back({cat("signal:", signal), Code::WorkerDied, signal_name(signal)});
  misdeeds.push_back({"exit:0", Code::WorkerDied, "exited with status 0"});
  misdeeds.push_back({"exit:3", Code::WorkerDied, "exited with status 3"});
  for (const std::string place : {"spawn", "hello", "load", "request", "answer"}) {
    for (const Misdeed& misdeed : misdeeds) list.push_back({place, misdeed});
    list.push_back({place, {cat("signal:", SIGSTOP), Code::Timeout, "stood still"}});
    if (place == "spawn") continue;
    list.push_back({place, {"silence", Code::Timeout, "not a sign of life"}});
    list.push_back({place, {"stand-still", Code::Timeout, "busy, but without progress"}});
    list.push_back({place, {"half-frame", Code::Timeout, "not a sign of life"}});
    list.push_back({place, {"bad-magic", Code::Corrupt, "the magic number is wrong"}});
    list.push_back({place, {"huge-frame", Code::Corrupt, "2147483647 bytes, at most"}});
    list.push_back({place, {"wrong-id", Code::Corrupt, "which is not open"}});
    list.push_back({place, {"wrong-type", Code::Corrupt, "sent type 77"}});
    list.push_back({place, {"hello-twice", Code::Corrupt, "Hello twice"}});
    list.push_back({place, {"bad-beat", Code::Corrupt, "reading a message"}});
    list.push_back({place, {"beat-flood", Code::Corrupt, "beats in a second"}});
    list.push_back({place, {"log-flood", Code::Corrupt, "into its log"}});
    list.push_back(
        {place, {"close", Code::WorkerDied, "closed its connection and went on running"}});
    if (place == "answer")
      list.push_back({place, {"loaded-unasked", Code::Corrupt, "Loaded without being asked"}});
    if (place == "answer")
      list.push_back({place, {"delta-flood", Code::Corrupt, "sent more than"}});
  }
  return list;
}

class Crime : public testing::TestWithParam<Case> {};

TEST_P(Crime, CostsATypedErrorWithinTwoSeconds) {
  const auto& [place, misdeed] = GetParam();
  Play play({cat("--at=", place), cat("--do=", misdeed.crime)});
  const auto started = std::chrono::steady_clock::now();
  ASSERT_TRUE(play.until_end());
  const auto took = std::chrono::steady_clock::now() - started;
  EXPECT_LT(took, kPromised + kSpare);
  EXPECT_EQ(play.error().code, misdeed.code) << play.error().message;
  EXPECT_NE(play.error().message.find(misdeed.says), std::string::npos) << play.error().message;
  EXPECT_EQ(play.error().message.find("worker 'small' "), 0U) << play.error().message;
  if (misdeed.crime != "log-flood") {
    EXPECT_NE(play.error().message.find(cat("its last lines: about to ", misdeed.crime)),
              std::string::npos)
        << play.error().message;
  }
  EXPECT_EQ(play.told.ends.size(), 1U);
  EXPECT_FALSE(play.told.ends[0].asked);
  EXPECT_FALSE(play.told.out_of_order);
  if (place == "answer") {
    EXPECT_GE(play.told.frames.size(), 3U) << "what came before still counts";
  }
  EXPECT_EQ(play.worker->send(wire::to_frame(Type::Cancel, 7)).error().code, Code::WorkerDied);
  EXPECT_TRUE(no_child_is_left());
}

INSTANTIATE_TEST_SUITE_P(Worker, Crime, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case>& which) {
                           std::string name =
                               cat(which.param.place, "_", which.param.misdeed.crime);
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(Worker, AnswersLongerThanTheQueueArriveWhole) {
  Play play({});
  play.drive = false;
  ASSERT_TRUE(run_until(play.loop, [&] { return !play.told.hellos.empty(); }));
  constexpr int kPieces = 12'000;  // three answers are more than kEventsWaitingMax
  for (const uint64_t id : {1, 2, 3}) play.generate(id, kPieces);
  // the loop rests until the worker has long been held back
  std::this_thread::sleep_for(milliseconds(500));
  ASSERT_TRUE(run_until(play.loop, [&] {
    return !play.told.ends.empty() || play.told.frames.size() == size_t{3} * (kPieces + 2);
  }));
  ASSERT_TRUE(play.told.ends.empty()) << play.error().message;
  size_t at = 0;
  for (const uint64_t id : {1, 2, 3}) {
    at++;  // Started
    for (int i = 0; i < kPieces; i++, at++) {
      ASSERT_EQ(play.told.frames[at].id, id);
      ASSERT_EQ(wire::from_frame<wire::Delta>(play.told.frames[at])->text, cat(i, " "));
    }
    at++;  // Done
  }
}

TEST(Worker, ALoopThatDoesNotKeepUpHoldsTheWorkerBackAndLosesNothing) {
  SystemClock clock;
  Loop loop(clock, 2);  // two tasks at most
  Log log = Log::silent();
  Told told;
  auto worker = *Worker::spawn({child_program(), {}, Fd(), "small"}, loop, log,
                               [&](WorkerEvent event) { told.take(std::move(event)); });
  ASSERT_TRUE(run_until(loop, [&] { return !told.hellos.empty(); }));
  ASSERT_TRUE(loop.post([] {}));
  ASSERT_TRUE(loop.post([] {}));
  ASSERT_TRUE(worker->send(wire::to_frame(wire::Generate{"chat", {{"pieces", 5000}}}, 1)));
  std::this_thread::sleep_for(
      milliseconds(2500));  // longer than kSilenceMax: it is not silent, we are deaf
  ASSERT_TRUE(run_until(loop, [&] { return told.frames.size() == 5002 || !told.ends.empty(); }));
  EXPECT_TRUE(told.ends.empty()) << told.ends[0].error.message;
}

TEST(Worker, DeltasBeyondMaxTokensEndIt) {
  Play play({});
  play.drive = false;
  ASSERT_TRUE(run_until(play.loop, [&] { return !play.told.hellos.empty(); }));
  play.generate(1, 500, {{"max_tokens", 10}});
  ASSERT_TRUE(play.until_end());
  EXPECT_EQ(play.error().code, Code::Corrupt);
  EXPECT_NE(play.error().message.find("pieces of text"), std::string::npos);
}

TEST(Worker, WhatDoesNotReadMakesItsSenderBusy) {
  Play play({"--at=hello", "--do=never-read"});
  play.drive = false;
  ASSERT_TRUE(run_until(play.loop, [&] { return !play.told.hellos.empty(); }));
  const std::string payload(8u << 20, 'x');
  Code code = Code::Io;
  for (uint64_t id = 1; id < 20; id++) {
    auto sent = play.worker->send({static_cast<uint8_t>(Type::Embed), id, payload});
    if (sent) continue;
    code = sent.error().code;
    EXPECT_LE(id, kOutMax / payload.size() + 2);
    break;
  }
  EXPECT_EQ(code, Code::Busy);
}

TEST(Worker, GivingUpIsToldAtOnceAndIsTheEndsError) {
  Play play({"--at=load", "--do=give-up"});
  ASSERT_TRUE(play.until_end());
  EXPECT_EQ(play.error().code, Code::NoRoom);
  EXPECT_EQ(play.error().message, "loading 'x': ?[31mneeds 2 GiB");  // its log says nothing more
  ASSERT_EQ(play.told.frames.size(), 1U);
  EXPECT_EQ(play.told.frames[0].id, 0U);
  EXPECT_EQ(play.told.frames[0].type, static_cast<uint8_t>(Type::Failed));
}

TEST(Worker, LogLinesAreBoundedAndPrint) {
  Play play({"--at=hello", "--do=strange-log"});
  ASSERT_TRUE(play.until_end());
  const auto& lines = play.told.ends[0].last_log;
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[1], "one");
  EXPECT_EQ(lines[2], "?[31mtwo??");
  EXPECT_EQ(lines[3], std::string(300, 'y'));
  EXPECT_EQ(lines[4], "four, not ended");
  EXPECT_NE(play.error().message.find("exited with status 3"), std::string::npos);
}

TEST(Worker, TheLastLinesInItsErrorAreNoOlderThanTheRequest) {
  const auto said = [](const std::string& crime) {
    Play play({"--chatty", "--at=request", "--at-id=9", cat("--do=", crime)});
    EXPECT_TRUE(play.until_done());
    play.generate(9);
    EXPECT_TRUE(play.until_end());
    EXPECT_GE(play.told.ends[0].last_log.size(), 3U) << "all are kept";
    const std::string& message = play.error().message;
    const size_t at = message.find("; its last lines: ");
    return at == std::string::npos ? "" : message.substr(at);
  };
  EXPECT_EQ(said("signal:9"), "; its last lines: about to signal:9");
  EXPECT_EQ(said("exit:3"), "; its last lines: about to exit:3");

  Play play({"--chatty"});
  ASSERT_TRUE(play.until_done());
  ::kill(play.worker->pid(), SIGKILL);
  ASSERT_TRUE(play.until_end());
  EXPECT_EQ(play.error().message.find("its last lines"), std::string::npos)
      << "it died in no request: " << play.error().message;
}

TEST(Worker, OneThatDoesNotStopIsKilledAfterTheGrace) {
  Play play({"--at=shutdown", "--do=never-read"});
  ASSERT_TRUE(play.until_done());
  const auto started = std::chrono::steady_clock::now();
  play.worker->stop();
  ASSERT_TRUE(play.until_end());
  EXPECT_GE(std::chrono::steady_clock::now() - started, kStopGrace);
  EXPECT_TRUE(play.told.ends[0].asked);
  EXPECT_EQ(play.error().message, "worker 'small' was stopped");
}

TEST(Worker, KillAndCondemnEndItAtOnce) {
  Play killed({});
  ASSERT_TRUE(killed.until_done());
  killed.worker->kill();
  ASSERT_TRUE(killed.until_end());
  EXPECT_EQ(killed.error().code, Code::WorkerDied);
  EXPECT_FALSE(killed.told.ends[0].asked);
  Play condemned({});
  ASSERT_TRUE(condemned.until_done());
  condemned.worker->condemn({Code::Corrupt, "worker 'small' sent a Delta without text"});
  ASSERT_TRUE(condemned.until_end());
  EXPECT_EQ(condemned.error().code, Code::Corrupt);
  EXPECT_EQ(condemned.error().message, "worker 'small' sent a Delta without text");
  EXPECT_TRUE(no_child_is_left());
}

TEST(Worker, NothingIsToldAfterItIsDestroyed) {
  Play play({});
  ASSERT_TRUE(play.until_done());
  play.generate(8, 1000);
  const size_t before = play.told.frames.size();
  std::this_thread::sleep_for(milliseconds(50));  // events are posted by then
  play.worker.reset();
  while (play.loop.run_one()) {
  }
  EXPECT_EQ(play.told.frames.size(), before);
  EXPECT_TRUE(play.told.ends.empty());
  EXPECT_TRUE(no_child_is_left());
  while (play.loop.run_one()) {
  }
  EXPECT_TRUE(play.told.ends.empty());
}

TEST(Worker, MayBeDestroyedWhileItTells) {
  SystemClock clock;
  Loop loop(clock);
  Log log = Log::silent();
  std::unique_ptr<Worker> worker;
  int told = 0;
  const auto kept = std::make_shared<int>(1);
  worker = *Worker::spawn({child_program(), {}, Fd(), "small"}, loop, log,
                          [&, kept](const WorkerEvent&) {
                            told += *kept;
                            worker.reset();
                            told += *kept;  // the function outlives its own worker
                          });
  ASSERT_TRUE(run_until(loop, [&] { return told == 2; }));
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_TRUE(no_child_is_left());
}

TEST(Worker, TwoHundredLivesLeaveNothingBehind) {
  {
    Play warm({});
  }
  ASSERT_TRUE(no_child_is_left());
  const size_t before = open_descriptors();
  for (int i = 0; i < 200; i++) {
    Play play({});
    if (i % 4 == 0) {
      ASSERT_TRUE(run_until(play.loop, [&] { return !play.told.hellos.empty(); }));
    }
    if (i % 4 == 1) play.worker->kill();
    if (i % 4 == 2) play.worker->stop();
  }
  EXPECT_TRUE(no_child_is_left());
  // the last reader closes its own a moment after the child is reaped
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (open_descriptors() > before && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Worker, DiesWithTheDaemon) {
  // a daemon that is killed, with a worker in its sandbox
  for (const int signal : {SIGKILL, SIGTERM, SIGSEGV}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd out(ends[0]);
    Fd in(ends[1]);
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto daemon = start_process({child_program(),
                                 {"--spawn"},
                                 {{null.get(), 0}, {in.get(), 1}, {null.get(), 2}},
                                 child_environment()});
    ASSERT_TRUE(daemon) << daemon.error().message;
    in.reset();
    std::string said;
    std::array<char, 100> block{};
    while (said.find("sealed\n") == std::string::npos) {
      const ssize_t got = ::read(out.get(), block.data(), block.size());
      ASSERT_GT(got, 0) << said;
      said.append(block.data(), static_cast<size_t>(got));
    }
    const pid_t worker = std::stoi(said);
    ASSERT_TRUE(vitals(worker));
    ::kill(daemon->pid, signal);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    const auto lives = [&] {
      const auto seen = vitals(worker);
      return seen && seen->state != 'Z' && seen->state != 'X';
    };
    while (lives() && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(milliseconds(1));
    EXPECT_FALSE(lives());
    while (!try_reap(daemon->pid)) std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST(Probe, GivesWhatItPrinted) {
  const auto answer = probe(child_program(), {"--print={\"a\": [1, 2]}"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(dump(*answer), R"({"a":[1,2]})");
}

TEST(Probe, NamesTheSignalAndTheLastLines) {
  const auto answer = probe(child_program(), {cat("--crime=signal:", SIGILL)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::WorkerDied);
  EXPECT_NE(answer.error().message.find("was ended by SIGILL"), std::string::npos);
  EXPECT_NE(answer.error().message.find("| about to signal:4"), std::string::npos);
  EXPECT_EQ(probe(child_program(), {"--crime=exit:3"}).error().code, Code::WorkerDied);
}

TEST(Probe, HandsOnWhatItIsGivenAndSaysWhichProcessItIs) {
  const Fd given(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  pid_t pid = 0;
  const auto answer =
      probe("/bin/sh", {"-c", "echo \"[$$, \\\"$(readlink /proc/self/fd/5)\\\"]\""},
            {.handed = {{given.get(), 5}}, .started = [&](pid_t started) { pid = started; }});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ((*answer)[0], pid);
  EXPECT_EQ((*answer)[1], "/dev/zero");
}

TEST(Probe, EndsWhenItIsNotWantedAnyMore) {
  std::stop_source stop;
  const auto answer =
      probe(child_program(), {"--crime=silence"},
            {.started = [&](pid_t) { stop.request_stop(); }, .stop = stop.get_token()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Cancelled);
  EXPECT_TRUE(no_child_is_left());
}

TEST(Probe, IsBoundedInTimeAndOutput) {
  const auto slow = probe(child_program(), {"--crime=silence"}, {.limit = milliseconds(100)});
  EXPECT_EQ(slow.error().code, Code::Timeout);
  const auto flood = probe(child_program(), {"--crime=log-flood"}, {.limit = milliseconds(300)});
  EXPECT_EQ(flood.error().code, Code::Timeout);
  EXPECT_EQ(probe(child_program(), {"--print=no JSON"}).error().code, Code::Corrupt);
  EXPECT_EQ(probe("/nowhere/program", {}).error().code, Code::Io);
  EXPECT_TRUE(no_child_is_left());
}

}  // namespace
}  // namespace lares::host
