// lares-sim: the real core, run from a seed.
//
//   lares-sim                  300 seeds, from seed 1 on
//   lares-sim --seed=N         one seed; says what happens
//   lares-sim --seeds=N --from=M   that many, from seed M on
//   lares-sim --gang           only the days of the gang (gang_day.h), which take no house
//
// A seed makes a day of turns on one device (gang_day.h), and then a house of a few models in a
// small budget, and a day in it: people, agents and background jobs ask, cancel, set deadlines and
// flood; workers load slowly, die while loading or in the middle of an answer, hang until they are
// noticed, ignore cancelling, talk nonsense and take more memory than they said. Time is a
// FakeClock, so a day takes milliseconds, and a seed is the same every time.
//
// Held after every step: the budget is never exceeded, no model is there twice. Held at the end:
// every request ended exactly once, and those of healthy models that nobody cancelled were answered
// whole.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "app/testing/fake_house.h"
#include "base/text.h"
#include "gang_day.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::Heard;
using testing::House;
using wire::Type;

bool telling = false;

#define TELL(...)                                               \
  do {                                                          \
    if (telling) std::printf("%s\n", cat(__VA_ARGS__).c_str()); \
  } while (0)

// What the fates hold for one worker, decided when it is started.
enum class Fate {
  Healthy,
  SlowLoad,
  DiesLoading,
  DiesAnswering,
  Hangs,
  IgnoresCancel,
  Nonsense,
  Bloats,
  Stubborn
};

struct Played {  // a worker as the simulator plays it
  Fate fate = Fate::Healthy;
  milliseconds load_ms{0};
  SteadyTime loads_at{};
  SteadyTime killed_at = SteadyTime::max();  // when the host would notice that it hangs
  bool said_hello = false;
  bool said_loaded = false;
  size_t read = 0;  // frames of `sent` that were looked at
  struct Answer {
    unsigned left = 0;
    bool started = false;
    bool embed = false;
    Tokens said = 0;  // by it and the workers before it
  };
  std::map<uint64_t, Answer> answers;
};

struct Asked {
  std::shared_ptr<Heard> heard;
  api::WorkId work = 0;
  std::string model;
  bool cancelled = false;
  bool deadline = false;
  unsigned choices = 1;
};

class Day {
 public:
  explicit Day(uint64_t seed) : random_(seed) {
    budget_ = MiB(400 + chance(600));
    const uint64_t count = 2 + chance(4);
    std::vector<House::ModelSpec> specs;
    for (uint64_t i = 0; i < count; i++) {
      specs.push_back({cat("model-", i), MiB(80 + chance(300)), /*embedding=*/i == count - 1});
    }
    troubled_ = chance(4) != 0;
    for (const auto& spec : specs) names_.push_back(spec.id);
    const bool preload = chance(2) == 0;
    house_.emplace(specs, budget_, preload, 1 + static_cast<uint32_t>(chance(8)),
                   [this](FakeWorker& worker) { born_.push_back(&worker); });
    settle();
  }

  // Nothing wrong: "".
  std::string live() {
    const uint64_t steps = 100 + chance(400);
    for (uint64_t step = 0; step < steps && wrong_.empty(); step++) {
      const uint64_t what = chance(100);
      if (what < 25) {
        ask();
      } else if (what < 26) {
        flood();
      } else if (what < 30) {
        cancel();
      } else if (what < 31) {
        house_->core->ask("ps", Json::object(),
                          [](const Result<Json>& answer) { TELL("ps: ", dump(*answer)); });
      }
      turn(milliseconds(chance(60)));
    }
    // the day ends: time passes until nothing is left to do
    for (int step = 0; step < 6'000 && house_->core->in_progress() > 0 && wrong_.empty(); step++)
      turn(milliseconds(100));
    if (wrong_.empty()) judge();
    if (wrong_.empty()) leave();
    return wrong_;
  }

 private:
  uint64_t chance(uint64_t of) { return random_() % of; }

  void play(FakeWorker& worker) {
    Played played;
    if (troubled_ && chance(4) == 0) {
      played.fate = static_cast<Fate>(1 + chance(8));
      ill_[worker.name]++;
    }
    played.load_ms =
        milliseconds(played.fate == Fate::SlowLoad ? 5'000 + chance(20'000) : chance(400));
    worker.stubborn = played.fate == Fate::Stubborn;
    played.loads_at = house_->clock.now() + played.load_ms;
    TELL("spawn ", worker.name, " fate ", static_cast<int>(played.fate), " load ",
         played.load_ms.count());
    worker.on_gone = [this, before = worker.on_gone](FakeWorker& gone) {
      played_.erase(&gone);
      before(gone);
    };
    played_[&worker] = std::move(played);
  }

  // Workers that were started a moment ago get their fate.
  void welcome() {
    for (FakeWorker* worker : std::exchange(born_, {})) play(*worker);
  }

  void ask() {
    api::Work work;
    work.endpoint = "/v1/chat/completions";
    const uint64_t lane = chance(10);
    work.lane = lane < 6 ? "interactive" : lane < 8 ? "agent" : "background";
    Asked asked;
    asked.model = names_[chance(names_.size())];
    const bool embedding = asked.model == names_.back();
    work.kind = embedding ? api::Work::Kind::Embedding : api::Work::Kind::Chat;
    work.body = embedding ? Json{{"inputs", {"a", "b"}}} : Json{{"messages", Json::array()}};
    if (!embedding && chance(8) == 0) work.choices = 2 + static_cast<unsigned>(chance(7));
    if (chance(10) == 0) {
      work.deadline_ms = 1 + static_cast<int64_t>(chance(3'000));
      asked.deadline = true;
    }
    asked.choices = work.choices;
    work.model = asked.model;
    asked.heard = std::make_shared<Heard>();
    asked.work = house_->core->submit(std::move(work), asked.heard);
    TELL("ask #", asked.work, " of ", asked.model);
    asked_.push_back(std::move(asked));
  }
  void flood() {
    TELL("flood");
    for (uint64_t i = chance(300); i > 0; i--) ask();
  }
  void cancel() {
    if (asked_.empty()) return;
    Asked& one = asked_[chance(asked_.size())];
    TELL("cancel #", one.work);
    one.cancelled = true;
    house_->core->cancel(one.work);
  }

  // Lets some time pass and every worker do something.
  void turn(milliseconds by) {
    house_->clock.advance(by);
    settle();
    const std::vector<FakeWorker*> living = house_->workers;
    for (FakeWorker* worker : living) {
      if (std::find(house_->workers.begin(), house_->workers.end(), worker) ==
          house_->workers.end())
        continue;
      if (!worker->dead) work(*worker, played_.at(worker));
      settle();
    }
  }

  void work(FakeWorker& worker, Played& played) {
    const SteadyTime now = house_->clock.now();
    if (worker.stopped) {  // a stubborn one: the host kills it after the grace
      if (played.killed_at == SteadyTime::max()) played.killed_at = now + host::kStopGrace;
      if (now >= played.killed_at) worker.kill();
      return;
    }
    if (now >= played.killed_at) return worker.die({Code::WorkerDied, "hung and was killed"});
    if (!played.said_hello) {
      played.said_hello = true;
      return worker.hello();
    }
    if (worker.sent.empty()) return;  // Load is the first
    if (!played.said_loaded) {
      if (now < played.loads_at) return;
      if (played.fate == Fate::DiesLoading)
        return worker.die({Code::WorkerDied, "died while loading"});
      played.said_loaded = true;
      const Bytes usual = house_->memory.at(worker.name);
      const Bytes bytes = played.fate == Fate::Bloats ? usual + MiB(chance(300)) : usual;
      return worker.loaded(bytes, testing::measured_info(house_->options.residents.shape, usual,
                                                         house_->embeds.at(worker.name)));
    }
    if (played.fate == Fate::Hangs) {
      if (worker.sent.size() > 1 && played.killed_at == SteadyTime::max())
        played.killed_at = now + host::kSilenceMax;
      return;
    }
    read(worker, played);
    compute(worker, played);
  }

  void read(FakeWorker& worker, Played& played) {
    for (; played.read < worker.sent.size(); played.read++) {
      const wire::Frame& frame = worker.sent[played.read];
      const auto type = static_cast<Type>(frame.type);
      if (type == Type::Generate || type == Type::Embed) {
        played.answers[frame.id] = {1 + static_cast<unsigned>(chance(12)), false,
                                    type == Type::Embed};
        // beyond its slots only for whoever is more urgent than those in them
        const size_t slots = house_->options.residents.shape.sequences;
        if (played.answers.size() > kLaneNames.size() * slots)
          complain("more answers at once than a worker has slots for each lane");
      } else if (type == Type::Resume) {
        const auto resume = wire::from_frame<wire::Resume>(frame);
        const auto said = static_cast<Tokens>(resume ? resume->ids.size() / 4 : 0);
        if (said == 0) complain("an answer of which nothing was said was resumed");
        played.answers[frame.id] = {1 + static_cast<unsigned>(chance(12)), false, false, said};
      } else if (type == Type::Cancel && played.fate != Fate::IgnoresCancel) {
        if (played.answers.erase(frame.id))
          worker.answer(wire::Failed{{Code::Cancelled, "cancelled"}}, frame.id);
      }
    }
  }

  void compute(FakeWorker& worker, Played& played) {
    for (auto it = played.answers.begin(); it != played.answers.end();) {
      auto& [id, answer] = *it;
      if (!answer.started) {
        answer.started = true;
        worker.answer(wire::Started{5, 1}, id);
      }
      if (played.fate == Fate::DiesAnswering && chance(6) == 0)
        return worker.die({Code::WorkerDied, "died in the middle of an answer"});
      if (played.fate == Fate::Nonsense && chance(6) == 0) {
        worker.say(wire::Frame{static_cast<uint8_t>(chance(20)), id, "\xFFnonsense"});
        return;
      }
      if (--answer.left > 0) {
        if (!answer.embed) {
          wire::Delta delta{cat(answer.said, " "), nullptr, 1};
          delta.ids = {answer.said++};
          worker.answer(delta, id);
        }
        ++it;
        continue;
      }
      wire::Done done;
      done.reason = answer.embed ? "embedded" : "stop";
      done.prompt_tokens = 5;
      done.reused_tokens = 1;
      done.completion_tokens = 3;
      if (answer.embed) {
        done.vectors = std::string(2 * 4 * sizeof(float), 'v');
        done.input_tokens = {1, 2};
      }
      worker.answer(done, id);
      it = played.answers.erase(it);
    }
  }

  void settle() {
    welcome();
    while (house_->loop.run_one()) {
      welcome();
      const auto& residency = house_->core->residency();
      if (residency.used() > residency.budget()) complain("more memory than the budget");
    }
    std::map<std::string, int> present;
    for (const FakeWorker* worker : house_->workers) {
      if (++present[worker->name] > 1 && !worker->dead) {
        int living = 0;
        for (const FakeWorker* other : house_->workers)
          living += other->name == worker->name && !other->dead;
        if (living > 1) complain(cat("two workers of ", worker->name));
      }
    }
  }

  void judge() {
    for (const Asked& one : asked_) {
      const Heard& heard = *one.heard;
      if (heard.twice) complain(cat("#", one.work, " was told something after its end"));
      if (!heard.ended) {
        complain(cat("#", one.work, " of ", one.model, " never ended"));
        continue;
      }
      for (const std::string& text : heard.texts) {
        std::string counted;
        for (Tokens i = 0; counted.size() < text.size(); i++) counted += cat(i, " ");
        if (counted != text) complain(cat("#", one.work, " was told '", text, "'"));
      }
      if (heard.ended->result) {
        const bool whole = one.model == names_.back()
                               ? heard.vector_length == 4
                               : heard.choices_done == static_cast<int>(one.choices);
        if (!whole) complain(cat("#", one.work, " ended well without its whole answer"));
        if (heard.starts != 1)
          complain(cat("#", one.work, " was started ", heard.starts, " times"));
        continue;
      }
      const Code code = heard.ended->result.error().code;
      const bool expected = (one.cancelled && code == Code::Cancelled) ||
                            (one.deadline && code == Code::Timeout) || code == Code::Busy ||
                            code == Code::NoRoom || (troubled_ && ill_[one.model] > 0);
      if (!expected)
        complain(cat("#", one.work, " of ", one.model, " ended with: ", heard.error()));
    }
    if (house_->core->waiting() > 0) complain("somebody still waits in the queue");
  }

  void leave() {
    for (int i = 0; i < 5; i++) ask();
    bool done = false;
    house_->core->shut_down([&] { done = true; });
    for (int step = 0; step < 100 && !done; step++) turn(milliseconds(100));
    if (!done) complain("the daemon did not end");
    for (const Asked& one : asked_) {
      if (!one.heard->ended || one.heard->twice)
        complain(cat("#", one.work, " was lost at the end"));
    }
  }

  void complain(std::string what) {
    TELL("WRONG: ", what);
    if (wrong_.empty()) wrong_ = std::move(what);
  }

  std::mt19937_64 random_;
  Bytes budget_;
  bool troubled_ = false;
  std::vector<std::string> names_;
  std::map<const FakeWorker*, Played> played_;
  std::vector<FakeWorker*> born_;
  std::map<std::string, int> ill_;  // workers of a model that did not stay healthy
  std::vector<Asked> asked_;
  std::string wrong_;
  std::optional<House> house_;  // last: its workers tell the others that they go
};

}  // namespace
}  // namespace lares::app

int main(int argc, char** argv) {
  uint64_t first = 1;
  uint64_t count = 300;
  bool gang_only = false;
  for (int i = 1; i < argc; i++) {
    if (std::strncmp(argv[i], "--seed=", 7) == 0) {
      first = std::strtoull(argv[i] + 7, nullptr, 10);
      count = 1;
      lares::app::telling = true;
    } else if (std::strncmp(argv[i], "--seeds=", 8) == 0) {
      count = std::strtoull(argv[i] + 8, nullptr, 10);
    } else if (std::strncmp(argv[i], "--from=", 7) == 0) {
      first = std::strtoull(argv[i] + 7, nullptr, 10);
    } else if (std::strcmp(argv[i], "--gang") == 0) {
      gang_only = true;
    } else {
      std::fprintf(stderr,
                   "lares-sim: '%s' is not an option; there are --seed=N, --seeds=N, --from=N and "
                   "--gang\n",
                   argv[i]);
      return 2;
    }
  }
  for (uint64_t seed = first; seed < first + count; seed++) {
    std::string wrong = lares::sim::GangDay(seed).live();
    if (wrong.empty() && !gang_only) wrong = lares::app::Day(seed).live();
    if (wrong.empty()) continue;
    std::fprintf(stderr, "seed %llu: %s\nto see it again: ./dev sim --seed=%llu\n",
                 static_cast<unsigned long long>(seed), wrong.c_str(),
                 static_cast<unsigned long long>(seed));
    return 1;
  }
  std::printf("%llu seeds held\n", static_cast<unsigned long long>(count));
  return 0;
}
