// HouseDay: a house of a few models in a small budget, and a day in it from a seed: apps of
// different demand ask, in all lanes, cancel, set deadlines and flood; workers load slowly, die
// while loading or in the middle of an answer, hang until they are noticed, ignore cancelling, talk
// nonsense and take more memory than they said. Time is a FakeClock, so a day takes milliseconds,
// and a seed is the same every time.
//
// Held after every step: the budget is never exceeded, no model is there twice; deadlines fire no
// earlier than they are due, no later than the next look at the clock, and in order.
// Held at each handing out, by a book that is kept here:
//   - a worse lane's request goes before a better one's of the same model once in kOldestEvery;
//   - of one app and lane, whoever came first;
//   - nobody is passed over more often than those before him and kOldestEvery explain: that is the
//     background's share;
//   - in a contest, where one app floods a model and others ask now and then: nobody is given more
//     of the device than whoever waits beside him, but for what is computed at once, and no app is
//     without a place while another has more than its part;
//   - in a crowd, where people ask two models of which only one has room, background work for a
//     third has its turn within kPatience.
// Held at the end: every request ended exactly once, and those of healthy models that nobody
// cancelled were answered whole.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "app/testing/fake_house.h"
#include "base/places.h"
#include "base/text.h"

namespace lares::sim {

using app::testing::FakeWorker;
using app::testing::Heard;
using app::testing::House;
using wire::Type;

// Of so many parts of a model one is the oldest request's, in whatever lane: Queue's share of 5 %.
constexpr uint64_t kOldestEvery = 20;

class HouseDay {
 public:
  enum class Telling { No, Yes };  // what happens, on standard output

  HouseDay(uint64_t seed, Telling telling) : telling_(telling == Telling::Yes), random_(seed) {
    const uint64_t kind = chance(6);
    contest_ = kind < 2;
    crowded_ = kind == 2;
    const Bytes budget = MiB(400 + chance(600));
    const uint64_t count = crowded_ ? 4 : 2 + chance(4);
    std::vector<House::ModelSpec> specs;
    for (uint64_t i = 0; i < count; i++) {
      const Bytes size = crowded_ ? Bytes{budget.n * (6 + chance(3)) / 10} : MiB(80 + chance(300));
      specs.push_back({cat("model-", i), size, /*embedding=*/i == count - 1});
      names_.push_back(specs.back().id);
      piece_ms_[specs.back().id] = 2 + static_cast<double>(chance(7));
    }
    const uint64_t apps = contest_ ? 2 + chance(4) : 1 + chance(4);
    for (uint64_t i = 0; i < apps; i++) apps_.push_back(cat("app:", i));
    troubled_ = !crowded_ && chance(4) != 0;
    const bool preload = chance(2) == 0;
    house_.emplace(specs, budget, preload, 1 + static_cast<uint32_t>(chance(8)),
                   [this](FakeWorker& worker) { born_.push_back(&worker); });
    settle();
  }

  // Nothing wrong: "".
  std::string live() {
    const uint64_t steps = 100 + chance(300);
    const auto lane = static_cast<Lane>(chance(3));
    const size_t flood_most = 20 + chance(130);
    const uint64_t flood_from = chance(2) == 0 ? 0 : chance(steps);
    for (uint64_t step = 0; step < steps && wrong_.empty(); step++) {
      if (crowded_) {
        crowd(step);
      } else if (contest_) {
        compete(lane, step < flood_from ? 0 : flood_most);
      } else {
        do_something();
      }
      turn(milliseconds(chance(crowded_ ? 1'500 : 60)));
    }
    // the day ends: time passes until nothing is left to do
    for (int step = 0; step < 6'000 && house_->core->in_progress() > 0 && wrong_.empty(); step++)
      turn(milliseconds(100));
    if (wrong_.empty()) judge();
    if (wrong_.empty()) leave();
    return wrong_;
  }

 private:
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

  struct Answer {
    size_t asked = 0;  // whose part it is
    Lane lane = Lane::Interactive;
    uint32_t owner = 0;
    unsigned left = 0;
    bool computes = false;  // it has a place
    bool started = false;
    bool embed = false;
    Tokens said = 0;    // by it and the workers before it
    double cpu_ms = 0;  // here
  };
  struct Played {  // a worker as the simulator plays it
    Fate fate = Fate::Healthy;
    milliseconds load_ms{0};
    SteadyTime loads_at{};
    SteadyTime killed_at = SteadyTime::max();  // when the host would notice that it hangs
    bool said_hello = false;
    bool said_loaded = false;
    size_t read = 0;                     // frames of `sent` that were looked at
    std::map<uint64_t, Answer> answers;  // in order of arrival
    uint64_t admitted = 0;
  };

  struct Asked {
    std::shared_ptr<Heard> heard;
    api::WorkId work = 0;
    std::string model;
    size_t app = 0;
    Lane lane = Lane::Interactive;
    bool cancelled = false;
    std::optional<SteadyTime> due;
    unsigned choices = 1;
    bool accepted = false;
    SteadyTime arrived{};
    unsigned out = 0;         // parts with workers
    unsigned done = 0;        // parts that came back whole
    unsigned deaths = 0;      // of workers that had parts of it
    uint64_t passed = 0;      // parts of others that were handed out while it waited
    uint64_t passed_max = 0;  // since when it is starved
    bool waits() const { return accepted && !heard->ended && out + done < choices; }
  };
  struct Book {                    // of a model
    SteadyTime served{};           // a part of it was handed out last
    uint64_t since_inversion = 0;  // parts that were handed out
    std::map<std::pair<size_t, Lane>, std::map<size_t, double>> waits_since;  // see note_waiting()
  };

  // Notes when it is told the end.
  struct Witness final : api::Sink {
    Witness(HouseDay& day, size_t asked) : day_(day), asked_(asked) {}
    void on(api::Event event) override {
      const auto heard = day_.asked_[asked_].heard;
      const bool ends = std::holds_alternative<api::Ended>(event);
      heard->on(std::move(event));
      if (ends) day_.ended(asked_);
    }
    HouseDay& day_;
    const size_t asked_;
  };

  static constexpr milliseconds kLookEvery{100};  // the longest turn: how late a deadline may fire
  // In a crowd that is healthy: how long a model for which somebody waits is without a turn.
  static constexpr milliseconds kPatience{120'000};

  uint64_t chance(uint64_t of) { return random_() % of; }
  template <class... Parts>
  void tell(const Parts&... parts) const {
    if (telling_) std::printf("%s\n", cat(parts...).c_str());
  }
  SteadyTime now() const { return house_->clock.now(); }
  size_t slots() const { return house_->options.residents.shape.sequences; }

  // ---- people and apps

  void do_something() {
    const uint64_t what = chance(100);
    if (what < 25) {
      ask_anything();
    } else if (what < 26) {
      tell("flood");
      const size_t app = chance(apps_.size());
      for (uint64_t i = chance(300); i > 0; i--) ask_anything(app);
    } else if (what < 30) {
      cancel();
    } else if (what < 31) {
      house_->core->ask("ps", Json::object(),
                        [this](const Result<Json>& answer) { tell("ps: ", dump(*answer)); });
    }
  }
  void ask_anything(std::optional<size_t> app = {}) {
    const uint64_t lane = chance(10);
    ask(app ? *app : chance(apps_.size()),
        lane < 6   ? Lane::Interactive
        : lane < 8 ? Lane::Agent
                   : Lane::Background,
        names_[chance(names_.size())], chance(8) == 0 ? 2 + static_cast<unsigned>(chance(7)) : 1,
        chance(10) == 0 ? 1 + static_cast<int64_t>(chance(3'000)) : 0);
  }

  // The first app has many requests that wait, from some time on; each other has one at most, and
  // not all the time.
  void compete(Lane lane, size_t flood_most) {
    std::vector<size_t> open(apps_.size());
    for (const Asked& one : asked_) {
      if (!one.heard->ended) open[one.app]++;
    }
    for (size_t app = 0; app < apps_.size(); app++) {
      const size_t most = app == 0 ? flood_most : 1;
      for (int more = 0; more < 20 && open[app] < most; more++, open[app]++) {
        if (app > 0 && chance(3) != 0) break;
        const unsigned choices = chance(20) == 0 ? 2 + static_cast<unsigned>(chance(3)) : 1;
        ask(app, lane, names_.front(), choices, chance(30) == 0 ? 1 + chance(3'000) : 0);
      }
    }
  }

  // People ask two models of which only one has room at a time, again and again, and once in a
  // while there is background work for a third.
  void crowd(uint64_t step) {
    for (size_t model = 0; model < 2; model++) {
      if (chance(2) == 0) ask(0, Lane::Interactive, names_[model], 1, 0);
    }
    if (step == 10 || chance(100) == 0)
      ask(chance(apps_.size()), Lane::Background, names_[2], 1 + static_cast<unsigned>(chance(3)),
          0);
  }

  void ask(size_t app, Lane lane, const std::string& model, unsigned choices,
           uint64_t deadline_ms) {
    const bool embedding = model == names_.back();
    const std::string number = cat(asked_.size());
    api::Work work;
    work.endpoint = "/v1/chat/completions";
    work.lane = name(lane);
    work.who.id = apps_[app];
    work.model = model;
    work.kind = embedding ? api::Work::Kind::Embedding : api::Work::Kind::Chat;
    work.body = embedding ? Json{{"inputs", {number, "b"}}}
                          : Json{{"messages", Json::array()}, {"user", number}};
    work.choices = embedding ? 1 : choices;
    work.deadline_ms = static_cast<int64_t>(deadline_ms);
    Asked asked;
    asked.model = model;
    asked.app = app;
    asked.lane = lane;
    asked.choices = work.choices;
    asked.arrived = now();
    if (deadline_ms > 0) asked.due = now() + milliseconds(deadline_ms);
    asked.heard = std::make_shared<Heard>();
    asked_.push_back(std::move(asked));
    const size_t index = asked_.size() - 1;
    asked_[index].passed_max = kOldestEvery * (1 + waiting_parts(model));
    open_.insert(index);
    asked_[index].work =
        house_->core->submit(std::move(work), std::make_shared<Witness>(*this, index));
    tell("ask #", asked_[index].work, " of ", model, " by ", apps_[app], ", ", name(lane));
    settle();
    accept(index);
    look_at_places();
  }

  uint64_t waiting_parts(const std::string& model) const {
    uint64_t parts = 0;
    for (const size_t index : open_) {
      const Asked& one = asked_[index];
      if (one.model == model && one.waits()) parts += one.choices - one.done - one.out;
    }
    return parts;
  }

  // It has been let in, or has ended; its first part may be on its way already.
  void accept(size_t index) {
    Asked& one = asked_[index];
    if (one.accepted || one.heard->ended) return;
    one.accepted = true;
    note_waiting(one);
  }

  void cancel() {
    if (asked_.empty()) return;
    Asked& one = asked_[chance(asked_.size())];
    tell("cancel #", one.work);
    one.cancelled = true;
    house_->core->cancel(one.work);
  }

  void ended(size_t index) {
    Asked& one = asked_[index];
    open_.erase(index);
    const auto& result = one.heard->ended->result;
    tell("#", one.work, " ended: ", result ? "well" : result.error().message);
    const bool timed_out = !result && result.error().param == "lares.deadline_ms";
    if (timed_out) {
      if (!one.due || now() < *one.due)
        complain(cat("#", one.work, " met its deadline before it was due"));
      else if (*one.due < last_due_)
        complain(cat("#", one.work, " met its deadline after one that was due later"));
      else
        last_due_ = *one.due;
    }
    if (one.due && now() > *one.due + kLookEvery)
      complain(cat("#", one.work, " ended ", (now() - *one.due) / milliseconds(1),
                   " ms after its deadline"));
    if (!result && one.out > 0) unsettled_ += one.out;
    note_waiting(one);
  }

  // ---- handing out

  static Json generate_of(const std::string& payload) {
    wire::Frame frame{static_cast<uint8_t>(Type::Generate), 0, payload};
    auto generate = wire::from_frame<wire::Generate>(frame);
    return generate ? std::move(generate->body) : Json::object();
  }

  // A part is given to a worker.
  void handed(FakeWorker& worker, const wire::Frame& frame) {
    Answer answer;
    std::string number;
    switch (static_cast<Type>(frame.type)) {
      case Type::Generate: {
        const auto generate = wire::from_frame<wire::Generate>(frame);
        number = generate->body.value("user", "");
        answer.lane = generate->lane;
        answer.owner = generate->owner;
        break;
      }
      case Type::Embed: {
        const auto embed = wire::from_frame<wire::Embed>(frame);
        number = embed->inputs.at(0).get<std::string>();
        answer.lane = embed->lane;
        answer.owner = embed->owner;
        answer.embed = true;
        break;
      }
      case Type::Resume: {
        const auto resume = wire::from_frame<wire::Resume>(frame);
        number = generate_of(resume->generate).value("user", "");
        answer.lane = resume->lane;
        answer.owner = resume->owner;
        answer.said = static_cast<Tokens>(resume->ids.size() / 4);
        if (answer.said == 0) complain("an answer of which nothing was said was resumed");
        break;
      }
      default: return;
    }
    answer.left = 1 + static_cast<unsigned>(chance(12));
    answer.asked = std::strtoull(number.c_str(), nullptr, 10);
    accept(answer.asked);
    check_order(answer.asked, held(worker));
    asked_[answer.asked].out++;
    asked_[answer.asked].passed = 0;
    books_[worker.name].served = now();
    note_waiting(asked_[answer.asked]);
    played_.at(&worker).answers[frame.id] = answer;
    check_places(worker);
  }
  size_t held(const FakeWorker& worker) const { return played_.at(&worker).answers.size(); }

  // Whether it was this one's turn.
  void check_order(size_t index, size_t held) {
    Asked& one = asked_[index];
    tell("hand out #", one.work);
    if (one.heard->ended) return complain(cat("#", one.work, " was handed out after its end"));
    if (!one.waits()) return complain(cat("#", one.work, " was handed out once too often"));
    Book& book = books_[one.model];
    book.since_inversion++;
    bool inversion = false;
    for (const size_t other : open_) {
      Asked& waiting = asked_[other];
      if (other == index || waiting.model != one.model || !waiting.waits()) continue;
      // one whose workers died may be held back
      if (waiting.deaths > 0) continue;
      if (other < index && waiting.app == one.app && waiting.lane == one.lane)
        complain(cat("#", one.work, " goes before #", waiting.work, ", which came first"));
      if (contest_ && waiting.lane == one.lane && waiting.app != one.app) check_fair(one, waiting);
      // beyond the slots a part takes another's place, which this one may have no right to
      if (held >= slots()) continue;
      const uint64_t most = waiting.passed_max + kOldestEvery * returned_;
      if (++waiting.passed > most)
        complain(cat("#", waiting.work, " was passed over ", waiting.passed, " times, at most ",
                     most, " it may"));
      inversion = inversion || waiting.lane < one.lane;
    }
    if (!inversion) return;
    if (book.since_inversion < kOldestEvery)
      complain(cat("#", one.work, " went before a more urgent one, ", book.since_inversion,
                   " parts after the last that did"));
    book.since_inversion = 0;
  }

  // What was computed for each app when this one began to wait, as long as it does.
  void note_waiting(const Asked& one) {
    auto& since = books_[one.model].waits_since;
    const bool waits = std::any_of(open_.begin(), open_.end(), [&](size_t other) {
      const Asked& each = asked_[other];
      return each.app == one.app && each.lane == one.lane && each.model == one.model &&
             each.waits();
    });
    const std::pair key{one.app, one.lane};
    if (!waits) {
      since.erase(key);
    } else if (!since.contains(key)) {
      for (size_t app = 0; app < apps_.size(); app++) since[key][app] = served_ms_[{app, one.lane}];
    }
  }

  // `one` is given a part of the device while `waiting` waits.
  void check_fair(const Asked& one, const Asked& waiting) {
    const auto& since = books_[one.model].waits_since[{waiting.app, one.lane}];
    if (since.empty()) return;
    const auto had = [&](size_t app) { return served_ms_[{app, one.lane}] - since.at(app); };
    double all = 0;
    for (size_t app = 0; app < apps_.size(); app++) all += had(app);
    // what was handed out at once, of both, is charged by what was thought
    const double part_ms = 12 * piece_ms_[one.model];
    const double at_once = static_cast<double>(2 * slots() + 2 + unsettled_) * part_ms;
    const double most = had(waiting.app) + at_once + all / kOldestEvery;
    if (had(one.app) > most)
      complain(cat(apps_[one.app], " had ", had(one.app), " ms of the device while ",
                   apps_[waiting.app], " waited and had ", had(waiting.app), " ms"));
  }

  // More parts than it has slots for are at a worker only where they take others' places.
  void check_places(const FakeWorker& worker) {
    size_t most = slots();
    for (size_t app = 1; app < apps_.size(); app++)
      most += std::max<size_t>(1, slots() / (app + 1));
    if (held(worker) > kLaneNames.size() * most)
      complain("more answers at once than a worker has slots for each lane");
  }

  // In a contest all wait for one model: no app is without a place while another has more than its
  // part.
  void look_at_places() {
    if (!contest_) return;
    for (const FakeWorker* worker : house_->workers) {
      const auto found = played_.find(worker);
      if (found == played_.end() || worker->dead || worker->stopped) continue;
      if (worker->name != names_.front() || !found->second.said_loaded || just_loaded_) continue;
      std::map<size_t, size_t> has;
      for (const auto& [id, answer] : found->second.answers) has[asked_[answer.asked].app]++;
      std::set<size_t> wants;
      for (const size_t index : open_) {
        if (asked_[index].waits() && asked_[index].deaths == 0) wants.insert(asked_[index].app);
      }
      std::set<size_t> there = wants;
      size_t most = 0;
      for (const auto& [app, count] : has) {
        there.insert(app);
        most = std::max(most, count);
      }
      if (there.empty() || there.size() > slots() || most <= slots() / there.size()) continue;
      for (const size_t app : wants) {
        if (has[app] == 0)
          complain(cat(apps_[app], " has no place while another app has ", most, " of ", slots()));
      }
    }
  }

  // ---- workers

  void play(FakeWorker& worker) {
    Played played;
    if (troubled_ && chance(4) == 0) {
      played.fate = static_cast<Fate>(1 + chance(8));
      ill_[worker.name]++;
    }
    played.load_ms =
        milliseconds(played.fate == Fate::SlowLoad ? 5'000 + chance(20'000) : chance(400));
    worker.stubborn = played.fate == Fate::Stubborn;
    played.loads_at = now() + played.load_ms;
    tell("spawn ", worker.name, " fate ", static_cast<int>(played.fate), " load ",
         played.load_ms.count());
    worker.on_sent = [this](FakeWorker& to, const wire::Frame& frame) { handed(to, frame); };
    worker.on_gone = [this, before = worker.on_gone](FakeWorker& gone) {
      bury(gone);
      before(gone);
    };
    played_[&worker] = std::move(played);
  }

  // What it did not end is given back, where anybody still wants it.
  void bury(FakeWorker& worker) {
    for (const auto& [id, answer] : played_.at(&worker).answers) give_back(answer);
    played_.erase(&worker);
  }
  void give_back(const Answer& answer) {
    Asked& one = asked_[answer.asked];
    one.out--;
    one.deaths++;
    returned_++;
    unsettled_++;
    note_waiting(one);
  }

  // Workers that were started a moment ago get their fate.
  void welcome() {
    for (FakeWorker* worker : std::exchange(born_, {})) play(*worker);
  }

  // Lets some time pass and every worker do something.
  void turn(milliseconds by) {
    house_->clock.advance(by);
    settle();
    for (const size_t index : open_) {
      const Asked& one = asked_[index];
      const SteadyTime since = std::max(one.arrived, books_[one.model].served);
      if (crowded_ && one.waits() && now() > since + kPatience)
        complain(cat("#", one.work, " waits for ", one.model, ", which had no turn for ",
                     (now() - since) / milliseconds(1), " ms"));
      if (asked_[index].due && now() > *asked_[index].due + kLookEvery)
        complain(cat("#", asked_[index].work, " did not end at its deadline"));
    }
    const std::vector<FakeWorker*> living = house_->workers;
    for (FakeWorker* worker : living) {
      if (std::find(house_->workers.begin(), house_->workers.end(), worker) ==
          house_->workers.end())
        continue;
      if (!worker->dead) work(*worker, played_.at(worker));
      settle();
      just_loaded_ = false;
    }
    look_at_places();
  }

  void work(FakeWorker& worker, Played& played) {
    if (worker.stopped) {  // a stubborn one: the host kills it after the grace
      if (played.killed_at == SteadyTime::max()) played.killed_at = now() + host::kStopGrace;
      if (now() >= played.killed_at) worker.kill();
      return;
    }
    if (now() >= played.killed_at) return worker.die({Code::WorkerDied, "hung and was killed"});
    if (!played.said_hello) {
      played.said_hello = true;
      return worker.hello();
    }
    if (worker.sent.empty()) return;  // Load is the first
    if (!played.said_loaded) {
      if (now() < played.loads_at) return;
      if (played.fate == Fate::DiesLoading)
        return worker.die({Code::WorkerDied, "died while loading"});
      played.said_loaded = just_loaded_ = true;
      const Bytes usual = house_->memory.at(worker.name);
      const Bytes bytes = played.fate == Fate::Bloats ? usual + MiB(chance(300)) : usual;
      return worker.loaded(bytes,
                           app::testing::measured_info(house_->options.residents.shape, usual,
                                                       house_->embeds.at(worker.name)));
    }
    if (played.fate == Fate::Hangs) {
      if (worker.sent.size() > 1 && played.killed_at == SteadyTime::max())
        played.killed_at = now() + host::kSilenceMax;
      return;
    }
    read(worker, played);
    admit(played);
    compute(worker, played);
  }

  void read(FakeWorker& worker, Played& played) {
    for (; played.read < worker.sent.size(); played.read++) {
      const wire::Frame& frame = worker.sent[played.read];
      if (static_cast<Type>(frame.type) != Type::Cancel || played.fate == Fate::IgnoresCancel)
        continue;
      const auto found = played.answers.find(frame.id);
      if (found == played.answers.end()) continue;
      asked_[found->second.asked].out--;
      played.answers.erase(found);
      worker.answer(wire::Failed{{Code::Cancelled, "cancelled"}}, frame.id);
    }
  }

  // Who has a place, as the engine's batcher gives them: the better lanes', and each app its part.
  // What is behind them keeps a share.
  void admit(Played& played) {
    size_t computing = 0;
    for (const auto& [id, answer] : played.answers) computing += answer.computes ? 1 : 0;
    for (;;) {
      Places<uint32_t> places(slots());
      for (const auto& [id, answer] : played.answers) {
        if (answer.computes)
          places.has_one(answer.lane, answer.owner);
        else
          places.waits(answer.lane, answer.owner);
      }
      Answer* next = nullptr;
      for (auto& [id, answer] : played.answers) {
        if (answer.computes) continue;
        const bool may = computing < slots() || places.giver(answer.lane, answer.owner);
        if (may && (!next || answer.lane < next->lane)) next = &answer;
        if (may && computing < slots() && played.admitted % 20 == 19) break;
      }
      if (!next) return;
      if (computing == slots()) {
        const auto giver = places.giver(next->lane, next->owner);
        for (auto it = played.answers.rbegin(); it != played.answers.rend(); ++it) {
          Answer& other = it->second;
          if (!other.computes || other.lane != giver->lane || other.owner != giver->owner) continue;
          other.computes = false;
          computing--;
          break;
        }
      }
      next->computes = true;
      played.admitted++;
      computing++;
    }
  }

  void compute(FakeWorker& worker, Played& played) {
    for (auto it = played.answers.begin(); it != played.answers.end();) {
      auto& [id, answer] = *it;
      if (!answer.computes && chance(20) != 0) {
        ++it;
        continue;
      }
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
      const double ms = piece_ms_[worker.name];
      answer.cpu_ms += ms;
      served_ms_[{asked_[answer.asked].app, answer.lane}] += ms;
      if (--answer.left > 0) {
        if (!answer.embed) {
          wire::Delta delta{cat(answer.said, " "), nullptr, 1};
          delta.ids = {answer.said++};
          worker.answer(delta, id);
        }
        ++it;
        continue;
      }
      worker.answer(done(answer), id);
      asked_[answer.asked].out--;
      asked_[answer.asked].done++;
      it = played.answers.erase(it);
    }
  }
  static wire::Done done(const Answer& answer) {
    wire::Done done;
    done.reason = answer.embed ? "embedded" : "stop";
    done.prompt_tokens = 5;
    done.reused_tokens = 1;
    done.completion_tokens = 3;
    done.cpu_ms = answer.cpu_ms;
    if (answer.embed) {
      done.vectors = std::string(2 * 4 * sizeof(float), 'v');
      done.input_tokens = {1, 2};
    }
    return done;
  }

  void settle() {
    welcome();
    while (house_->loop.run_one()) {
      welcome();
      const auto& ladder = house_->core->ladder();
      if (ladder.used() > ladder.budget()) complain("more memory than the budget");
    }
    std::map<std::string, int> living;
    for (const FakeWorker* worker : house_->workers) {
      if (!worker->dead && ++living[worker->name] > 1)
        complain(cat("two workers of ", worker->name));
    }
  }

  // ---- the end

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
                            (one.due && code == Code::Timeout) || code == Code::Busy ||
                            code == Code::NoRoom || (troubled_ && ill_[one.model] > 0);
      if (!expected)
        complain(cat("#", one.work, " of ", one.model, " ended with: ", heard.error()));
    }
    if (house_->core->waiting() > 0) complain("somebody still waits in the queue");
  }

  void leave() {
    contest_ = false;
    for (int i = 0; i < 5; i++) ask_anything();
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
    tell("WRONG: ", what);
    if (wrong_.empty()) wrong_ = std::move(what);
  }

  const bool telling_;
  std::mt19937_64 random_;
  bool contest_ = false;
  bool crowded_ = false;
  bool troubled_ = false;
  std::vector<std::string> names_, apps_;
  std::map<std::string, double> piece_ms_;  // of the device, that a piece of an answer takes
  std::map<const FakeWorker*, Played> played_;
  std::vector<FakeWorker*> born_;
  bool just_loaded_ = false;
  std::map<std::string, int> ill_;  // workers of a model that did not stay healthy
  std::vector<Asked> asked_;
  std::set<size_t> open_;  // of those, which have not ended
  std::map<std::string, Book> books_;
  std::map<std::pair<size_t, Lane>, double> served_ms_;
  uint64_t returned_ = 0;   // parts, by workers that went
  uint64_t unsettled_ = 0;  // parts of which nobody said what they took
  SteadyTime last_due_{};
  std::string wrong_;
  std::optional<House> house_;  // last: its workers tell the others that they go
};

}  // namespace lares::sim
