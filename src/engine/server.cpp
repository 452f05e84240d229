#include "engine/server.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>

#include "base/mutex.h"
#include "base/text.h"
#include "engine/batcher.h"
#include "engine/intake.h"
#include "engine/log.h"
#include "wire/lane_of.h"

namespace lares::engine {
namespace {

using wire::Type;

[[noreturn]] void end_process(std::string_view why) {
  log_line(cat("lares-worker: ending: ", why));
  std::_Exit(kExitProtocol);
}

// Since when a thread has shown no sign of life, asked at every beat.
class Stillness {
 public:
  explicit Stillness(const Pulse& pulse) : pulse_(pulse) {}
  SteadyTime since(bool busy, SteadyTime now) {
    const uint64_t progress = pulse_.progress();
    if (!busy || pulse_.quiet_now() || progress != progress_) since_ = now;
    progress_ = progress;
    return since_;
  }

 private:
  const Pulse& pulse_;
  uint64_t progress_ = 0;
  SteadyTime since_{};
};

class Server {
 public:
  Server(Service service, int control)
      : service_(std::move(service)),
        line_(control),
        lease_(service_.lease, wire::kBellFd, [this] { pulse_.beat(); }) {
    pulse_.heed(lease_.abort_word(), lease_.threads_word());
  }

  int run() {
    service_.crime.at(Crime::Where::Hello, 0, line_);
    line_.send(wire::to_frame(service_.hello));
    std::thread([this] { read_frames(); }).detach();
    std::thread([this] { send_beats(); }).detach();
    for (;;) {
      const wire::Frame first = next_frame();
      if (first.type == static_cast<uint8_t>(Type::Inspect)) {
        if (!inspect()) return 1;
      } else if (first.type == static_cast<uint8_t>(Type::Load)) {
        return load_and_answer(first);
      } else {
        end_process(cat("frame of type ", first.type, " before a model was loaded"));
      }
    }
  }

 private:
  // --- the reader's thread
  // ---------------------------------------------------------------------------
  void read_frames() {
    wire::Decoder decoder;
    std::string bytes(64 << 10, '\0');
    for (;;) {
      const ssize_t n = ::read(line_.fd(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) std::_Exit(0);  // the daemon is gone
      decoder.feed(std::string_view(bytes).substr(0, static_cast<size_t>(n)));
      for (;;) {
        auto frame = decoder.next();
        if (!frame) end_process(frame.error().message);
        if (!*frame) break;
        take(**std::move(frame));
      }
    }
  }

  void take(wire::Frame frame) {
    if (frame.type == static_cast<uint8_t>(Type::Shutdown)) std::_Exit(0);
    const uint64_t id = frame.id;
    if (!keep(std::move(frame))) say_busy(id);
  }

  void say_busy(uint64_t id) {
    tell(id, wire::Failed{{Code::Busy, "this model's worker has too much to read; retry later"}});
  }

  // False: there is too much already. What cancels is kept nevertheless.
  bool keep(wire::Frame frame) {
    const MutexLock lock(mutex_);
    const bool cancel = frame.type == static_cast<uint8_t>(Type::Cancel);
    if (cancel && batcher_) batcher_->interrupt(frame.id);
    if (maker_ && is_request(frame)) return prepare_locked(std::move(frame));
    if (inbox_.size() >= kInboxMax || inbox_bytes_ + frame.payload.size() > kInboxBytesMax) {
      if (inbox_.size() >= 4 * kInboxMax) end_process("more frames than can be answered");
      if (!cancel) return false;
    }
    inbox_bytes_ += frame.payload.size();
    inbox_.push_back(std::move(frame));
    lease_.call();
    wake_.notify_one();
    return true;
  }

  static bool is_request(const wire::Frame& frame) {
    const auto type = static_cast<Type>(frame.type);
    return type == Type::Generate || type == Type::Resume || type == Type::Embed ||
           type == Type::Rank;
  }

  // False: there is too much already.
  bool prepare_locked(wire::Frame frame) REQUIRES(mutex_) {
    const uint64_t id = frame.id;
    if (id == 0 || intake_.has(id)) refuse_id(id);
    const size_t bytes = frame.payload.size();
    const auto there = intake_.load();
    if (there.requests >= kInboxMax || there.bytes + bytes > kInboxBytesMax) return false;
    const Lane lane = wire::lane_of(frame).value_or(Lane::Interactive);
    intake_.add(id, lane, bytes,
                [this, maker = maker_, asked = std::move(frame)] { return make(*maker, asked); });
    return true;
  }

  [[noreturn]] static void refuse_id(uint64_t id) {
    end_process(cat("request id ", id, id == 0 ? " is not allowed" : " is in use"));
  }

  // --- the beating thread
  // ----------------------------------------------------------------------------
  [[noreturn]] void send_beats() {
    Stillness computing(pulse_), preparing(preparing_);
    for (;;) {
      std::this_thread::sleep_for(wire::kBeatEvery);
      const bool computes = busy_, prepares = intake_.busy();
      const SteadyTime now = clock_.now();
      // of either: what one does is no sign that the other lives
      const SteadyTime since =
          std::min(computing.since(computes, now), preparing.since(prepares, now));
      const auto progress = static_cast<uint64_t>(since.time_since_epoch().count());
      line_.send(wire::to_frame(wire::Beat{progress, computes || prepares}));
    }
  }

  // --- the computing thread
  // --------------------------------------------------------------------------
  std::optional<wire::Frame> frame_if_any() {
    const MutexLock lock(mutex_);
    return pop_locked();
  }

  wire::Frame next_frame() {
    for (;;) {
      if (auto frame = frame_if_any()) return *std::move(frame);
      wait_for_news();
    }
  }

  // Until a frame comes, or a request is ready.
  void wait_for_news() {
    const MutexLock lock(mutex_);
    busy_ = false;
    while (inbox_.empty() && !ready_) wake_.wait(mutex_);
    ready_ = false;
    busy_ = true;
  }

  std::optional<wire::Frame> pop_locked() REQUIRES(mutex_) {
    if (inbox_.empty()) return std::nullopt;
    wire::Frame frame = std::move(inbox_.front());
    inbox_.pop_front();
    inbox_bytes_ -= frame.payload.size();
    return frame;
  }

  Result<std::unique_ptr<Model>> load(const wire::Load& message, bool inspect_only) {
    LoadOrder order;
    order.load = message;
    order.file = service_.model;
    order.inspect_only = inspect_only;
    order.projector = service_.projector;
    for (size_t i = 0; i < message.adapters.size(); i++)
      order.adapters.push_back(i < service_.adapters ? wire::kAdapterFd + static_cast<int>(i) : -1);
    order.progress = [this](double fraction) {
      pulse_.beat();
      line_.send(wire::to_frame(wire::Progress{"load", fraction}, 0));
    };
    const Pulse::Quiet quiet(pulse_, kLoadQuietMax);
    return service_.backend.load(order, pulse_);
  }

  // The model that drafts for another, in the same shape. Without it the other answers all the
  // same.
  Result<std::unique_ptr<Model>> load_draft(const wire::Load& message, const Model& drafts_for) {
    LoadOrder order;
    order.load = message;
    order.load.name = message.draft;
    order.load.adapters.clear();
    order.file = service_.draft ? wire::kAdapterFd + static_cast<int>(service_.adapters) : -1;
    order.drafts_for = &drafts_for;
    order.progress = [this](double) { pulse_.beat(); };
    const Pulse::Quiet quiet(pulse_, kLoadQuietMax);
    auto draft = service_.backend.load(order, pulse_);
    if (!draft) {
      return std::move(draft).error().within(
          cat("drafting for '", message.name, "' with '", message.draft, "'"));
    }
    return draft;
  }

  // False: the file is no model, and there is nothing more to do here.
  bool inspect() {
    if (service_.backend.addition) {
      auto about = service_.backend.addition(service_.model);
      if (about && !about->is_null()) {
        line_.send(wire::to_frame(wire::Loaded{*std::move(about), 0, 0}));
        return true;
      }
      if (!about) {
        line_.send(wire::to_frame(wire::Failed{std::move(about).error()}, 0));
        return false;
      }
    }
    auto model = load(wire::Load{}, true);
    if (!model) {
      line_.send(wire::to_frame(wire::Failed{std::move(model).error()}, 0));
      return false;
    }
    line_.send(wire::to_frame(wire::Loaded{(*model)->facts().info, 0, 0}));
    return true;
  }

  int load_and_answer(const wire::Frame& first) {
    auto message = wire::from_frame<wire::Load>(first);
    if (!message) end_process(message.error().message);
    if (message->adapters.size() > wire::kAdaptersMax)
      end_process(cat(message->adapters.size(), " adapters, at most ", wire::kAdaptersMax));
    service_.crime.at(Crime::Where::Load, 0, line_);
    const SteadyTime from = clock_.now();
    auto model = load(*message, false);
    if (!model) {
      Error error = std::move(model).error().within(cat("loading '", message->name, "'"));
      line_.send(wire::to_frame(wire::Failed{std::move(error)}, 0));
      return 1;
    }
    const Facts& facts = (*model)->facts();
    wire::Loaded loaded{facts.info, 0, facts.memory_bytes};
    std::unique_ptr<Model> draft;
    if (!message->draft.empty()) {
      auto made = load_draft(*message, **model);
      if (made) {
        draft = *std::move(made);
        loaded.draft_memory_bytes = draft->facts().memory_bytes;
      } else {
        loaded.draft_refused = std::move(made).error().message;
      }
    }
    loaded.load_ms = ms_between(from, clock_.now());
    line_.send(wire::to_frame(loaded));
    service_.crime.at(Crime::Where::Loaded, 0, line_);

    Batcher batcher(
        **model, pulse_, clock_, lease_,
        [this](uint64_t id, Batcher::Event event) { tell(id, std::move(event)); },
        [this] { return process_cpu_ms() - intake_.cpu_ms(); },
        [this](bool hold) { hold ? line_.hold() : line_.let_go(); });
    if (draft) batcher.draft_with(*draft);
    std::random_device entropy;
    RequestMaker maker(
        **model, preparing_, clock_, [&entropy] { return entropy(); },
        {std::min<int64_t>(message->reasoning_budget, INT32_MAX),
         static_cast<double>(message->reasoning_seconds)},
        [&batcher] { return batcher.token_ms(); });
    prepare_with(batcher, maker);
    for (;;) {
      while (auto frame = frame_if_any()) obey(batcher, *frame);
      while (auto made = intake_.take()) begin(batcher, *std::move(made));
      if (!batcher.step()) {
        lease_.rest();
        wait_for_news();
      }
    }
  }

  // From now on; with what was asked while the model was loaded.
  void prepare_with(Batcher& batcher, RequestMaker& maker) {
    const MutexLock lock(mutex_);
    batcher_ = &batcher;
    maker_ = &maker;
    std::deque<wire::Frame> others;
    while (auto frame = pop_locked()) {
      if (!is_request(*frame)) {
        others.push_back(*std::move(frame));
        continue;
      }
      const uint64_t id = frame->id;
      if (!prepare_locked(*std::move(frame))) say_busy(id);
    }
    for (wire::Frame& frame : others) {
      inbox_bytes_ += frame.payload.size();
      inbox_.push_back(std::move(frame));
    }
  }

  void obey(Batcher& batcher, const wire::Frame& frame) {
    const uint64_t id = frame.id;
    switch (static_cast<Type>(frame.type)) {
      case Type::Cancel:
        if (intake_.drop(id)) tell(id, wire::Failed{cancelled()});
        return batcher.cancel(id);
      case Type::Move: return move(batcher, read<wire::Move>(frame));
      case Type::StopThinking:
        if (intake_.has(id)) stops_.insert(id);
        return batcher.stop_thinking(id);
      default: end_process(cat("frame of type ", frame.type, " after the model was loaded"));
    }
  }

  void move(Batcher& batcher, const wire::Move& where) {
    if (where.rung < batcher.rung() && (!batcher.at_rest() || intake_.load().requests > 0))
      end_process("told to leave memory while it has requests");
    lease_.rest();
    const SteadyTime from = clock_.now();
    auto stood = [&] {
      const Pulse::Quiet quiet(pulse_, kLoadQuietMax);
      return batcher.stand(where.rung, where.for_others);
    }();
    if (!stood) {
      line_.send(wire::to_frame(
          wire::Failed{std::move(stood).error().within("coming back into memory")}, 0));
      std::_Exit(1);
    }
    line_.send(wire::to_frame(
        wire::Moved{batcher.rung(), exact_ms(from, clock_.now()), batcher.memory_bytes()}));
  }

  void begin(Batcher& batcher, Made made) {
    if (batcher.rung() != Rung::Hot)
      end_process(cat("a request while it is ", name(batcher.rung()), ", and not hot"));
    const uint64_t id = id_of(made);
    if (batcher.has(id)) refuse_id(id);
    batcher.add(std::move(made));
    if (stops_.erase(id) > 0) batcher.stop_thinking(id);
    if (intake_.load().requests == 0) stops_.clear();  // of requests that failed
  }

  // --- the preparing thread
  // ------------------------------------------------------------------------
  Result<Made> make(RequestMaker& maker, const wire::Frame& frame) {
    service_.crime.at(Crime::Where::Request, frame.id, line_);
    const Pulse::Quiet quiet(preparing_, read_max(frame.payload.size()));
    switch (static_cast<Type>(frame.type)) {
      case Type::Rank: return maker.rank(frame.id, read<wire::Rank>(frame));
      case Type::Embed: return maker.embed(frame.id, read<wire::Embed>(frame));
      case Type::Resume: {
        auto resume = read<wire::Resume>(frame);
        const wire::Frame asked{static_cast<uint8_t>(Type::Generate), frame.id,
                                std::move(resume.generate)};
        return maker.generate(frame.id, read<wire::Generate>(asked),
                              Begun{resume.chance, resume.thinking_max, resume.ids});
      }
      default: return maker.generate(frame.id, read<wire::Generate>(frame));
    }
  }

  template <typename Message>
  static Message read(const wire::Frame& frame) {
    auto message = wire::from_frame<Message>(frame);
    if (!message) end_process(message.error().message);
    return *std::move(message);
  }

  void hurry(Lane lane) {
    const MutexLock lock(mutex_);
    batcher_->hurry(lane);
  }
  void arrived(Lane lane) {
    const MutexLock lock(mutex_);
    batcher_->arrived(lane);
  }
  void request_is_ready() {
    const MutexLock lock(mutex_);
    ready_ = true;
    lease_.call();
    wake_.notify_one();
  }

  // --- any thread that has something to tell
  // ---------------------------------------------------------
  void tell(uint64_t id, Batcher::Event event) {
    if (auto* delta = std::get_if<wire::Delta>(&event)) {
      for (Tokens i = 0; i < delta->tokens; i++)
        service_.crime.at(Crime::Where::AtToken, id, line_);
    }
    std::visit([&](const auto& message) { line_.send(wire::to_frame(message, id)); }, event);
  }

  Service service_;
  Line line_;
  Pulse pulse_;
  Pulse preparing_;
  Lease lease_;
  const SystemClock clock_;
  std::atomic<bool> busy_{true};
  std::set<uint64_t> stops_;  // whose thoughts are to end as soon as they are computed

  Mutex mutex_;
  Condition wake_;
  std::deque<wire::Frame> inbox_ GUARDED_BY(mutex_);
  size_t inbox_bytes_ GUARDED_BY(mutex_) = 0;
  bool ready_ GUARDED_BY(mutex_) = false;             // the intake has something
  Batcher* batcher_ GUARDED_BY(mutex_) = nullptr;     // from when the model is loaded
  RequestMaker* maker_ GUARDED_BY(mutex_) = nullptr;  // the same

  Intake intake_{{[this](uint64_t id, Error error) { tell(id, wire::Failed{std::move(error)}); },
                  [this](Lane lane) { hurry(lane); }, [this](Lane lane) { arrived(lane); },
                  [this] { request_is_ready(); }}};
};

}  // namespace

int serve(Service service, int control) {
  // never destroyed: the two other threads use it until the process ends
  auto* const server = new Server(std::move(service), control);
  return server->run();
}

}  // namespace lares::engine
