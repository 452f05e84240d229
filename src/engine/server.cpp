#include "engine/server.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/mutex.h"
#include "base/text.h"
#include "engine/batcher.h"
#include "wire/lane_of.h"

namespace lares::engine {
namespace {

using wire::Type;

[[noreturn]] void end_process(std::string_view why) {
  const std::string line = cat("lares-worker: ending: ", why, "\n");
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) std::_Exit(kExitProtocol);
  std::_Exit(kExitProtocol);
}

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
    if (keep(std::move(frame))) return;
    line_.send(wire::to_frame(
        wire::Failed{{Code::Busy, "this model's worker has too much to read; retry later"}}, id));
  }

  // False: there is too much already. What cancels is kept nevertheless.
  bool keep(wire::Frame frame) {
    const MutexLock lock(mutex_);
    const bool cancel = frame.type == static_cast<uint8_t>(Type::Cancel);
    if (cancel && batcher_) batcher_->interrupt(frame.id);
    const auto lane = wire::lane_of(frame);
    if (inbox_.size() >= kInboxMax || inbox_bytes_ + frame.payload.size() > kInboxBytesMax) {
      if (inbox_.size() >= 4 * kInboxMax) end_process("more frames than can be answered");
      if (!cancel) return false;
    }
    inbox_bytes_ += frame.payload.size();
    inbox_.push_back(std::move(frame));
    if (lane && batcher_) batcher_->hurry(*lane);
    lease_.call();
    wake_.notify_one();
    return true;
  }

  // --- the beating thread
  // ----------------------------------------------------------------------------
  [[noreturn]] void send_beats() {
    for (;;) {
      std::this_thread::sleep_for(wire::kBeatEvery);
      if (pulse_.quiet_now()) pulse_.beat();
      line_.send(wire::to_frame(wire::Beat{pulse_.progress(), busy_.load()}));
    }
  }

  // --- the computing thread
  // --------------------------------------------------------------------------
  std::optional<wire::Frame> frame_if_any() {
    const MutexLock lock(mutex_);
    return pop_locked();
  }

  wire::Frame next_frame() {
    const MutexLock lock(mutex_);
    busy_ = false;
    while (inbox_.empty()) wake_.wait(mutex_);
    busy_ = true;
    return *pop_locked();
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

    std::random_device entropy;
    Batcher batcher(
        **model, pulse_, clock_, lease_,
        [this](uint64_t id, Batcher::Event event) { tell(id, std::move(event)); },
        [&entropy] { return entropy(); },
        {std::min<int64_t>(message->reasoning_budget, INT32_MAX),
         static_cast<double>(message->reasoning_seconds)});
    if (draft) batcher.draft_with(*draft);
    {
      const MutexLock lock(mutex_);
      batcher_ = &batcher;
    }
    for (;;) {
      while (auto frame = frame_if_any()) obey(batcher, *frame);
      if (!batcher.step()) {
        lease_.rest();
        obey(batcher, next_frame());
      }
    }
  }

  void obey(Batcher& batcher, const wire::Frame& frame) {
    const auto type = static_cast<Type>(frame.type);
    if (type == Type::Cancel) return batcher.cancel(frame.id);
    if (type == Type::StopThinking) return batcher.stop_thinking(frame.id);
    if (type != Type::Generate && type != Type::Embed && type != Type::Rank &&
        type != Type::Resume) {
      end_process(cat("frame of type ", frame.type, " after the model was loaded"));
    }
    if (frame.id == 0 || batcher.has(frame.id)) {
      end_process(cat("request id ", frame.id, frame.id == 0 ? " is not allowed" : " is in use"));
    }
    lease_.step_aside();  // reading and tokenising need no device
    service_.crime.at(Crime::Where::Request, frame.id, line_);
    const Pulse::Quiet quiet(pulse_, read_max(frame.payload.size()));
    if (type == Type::Generate) {
      auto message = wire::from_frame<wire::Generate>(frame);
      if (!message) end_process(message.error().message);
      batcher.generate(frame.id, *message);
    } else if (type == Type::Resume) {
      auto resume = wire::from_frame<wire::Resume>(frame);
      if (!resume) end_process(resume.error().message);
      auto message = wire::from_frame<wire::Generate>(
          {static_cast<uint8_t>(Type::Generate), frame.id, std::move(resume->generate)});
      if (!message) end_process(message.error().message);
      batcher.generate(frame.id, *message,
                       Batcher::Begun{resume->chance, resume->thinking_max, resume->ids});
    } else if (type == Type::Rank) {
      auto message = wire::from_frame<wire::Rank>(frame);
      if (!message) end_process(message.error().message);
      batcher.rank(frame.id, *message);
    } else {
      auto message = wire::from_frame<wire::Embed>(frame);
      if (!message) end_process(message.error().message);
      batcher.embed(frame.id, *message);
    }
  }

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
  Lease lease_;
  const SystemClock clock_;
  std::atomic<bool> busy_{true};

  Mutex mutex_;
  Condition wake_;
  std::deque<wire::Frame> inbox_ GUARDED_BY(mutex_);
  size_t inbox_bytes_ GUARDED_BY(mutex_) = 0;
  Batcher* batcher_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

int serve(Service service, int control) {
  // never destroyed: the two other threads use it until the process ends
  auto* const server = new Server(std::move(service), control);
  return server->run();
}

}  // namespace lares::engine
