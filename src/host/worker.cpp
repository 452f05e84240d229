#include "host/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <latch>
#include <map>
#include <optional>
#include <system_error>
#include <thread>

#include "base/mutex.h"
#include "base/text.h"
#include "host/conduct.h"
#include "host/last_lines.h"
#include "host/process.h"
#include "host/vitals.h"
#include "host/watchdog.h"
#include "wire/lease_page.h"

namespace lares::host {
namespace {

constexpr size_t kReadAtOnce = 64u << 10;
constexpr int kReadsInARow = 16;       // then logs, orders and the watchdog have their turn
constexpr size_t kBatchMax = 64;       // events for one task of the run loop
constexpr size_t kLinesInMessage = 3;  // of kLogLinesKept: a message is read by a person
static_assert(kEventsWaitingMax > kDeltasPerSecondMax);
constexpr milliseconds kTick{250};
constexpr milliseconds kTickBlind{50};  // where no pidfd tells of an end
constexpr milliseconds kLoopFullRetry{10};
constexpr milliseconds kClosedGrace{250};  // from a closed connection to SIGKILL
constexpr milliseconds kStoppedMax{
    1000};  // seen as stopped after it was quiet for a third of kSilenceMax
constexpr milliseconds kUnreadMax{
    10'000};  // that long nothing of what waits for a worker is read by it

SteadyTime now() { return std::chrono::steady_clock::now(); }

using Batch = std::vector<WorkerEvent>;

// What the owner's thread and the reader thread both know. Lives until the last task and the thread
// end.
struct Shared {
  Shared(std::string called, Loop& its_loop, Log& its_log, Worker::OnEvent tell)
      : name(std::move(called)), loop(&its_loop), log(&its_log), on_event(std::move(tell)) {}

  const std::string name;
  Fd socket, logs, wake;  // ours; unchanged after spawn
  Process process;        // unchanged after spawn

  Mutex mutex;
  Loop* loop GUARDED_BY(mutex);  // nullptr: the owner is gone, nothing is told to anybody
  Log* log GUARDED_BY(mutex);
  Conduct conduct GUARDED_BY(mutex);
  std::deque<wire::Frame> out GUARDED_BY(mutex);
  size_t out_bytes GUARDED_BY(mutex) = 0;
  size_t waiting_events GUARDED_BY(mutex) = 0;  // posted, not run
  size_t waiting_bytes GUARDED_BY(mutex) = 0;
  bool paused GUARDED_BY(mutex) = false;  // the reader waits for `waiting` to shrink
  bool asked GUARDED_BY(mutex) = false;
  bool killed GUARDED_BY(mutex) = false;
  bool reaped GUARDED_BY(mutex) = false;
  bool ended GUARDED_BY(mutex) = false;
  std::optional<Error> condemned GUARDED_BY(mutex);

  // Only on the run loop.
  Worker::OnEvent on_event;
  bool dispatching = false;
  bool gone = false;

  void poke() const {
    const uint64_t one = 1;
    // full or not: it is readable then
    static_cast<void>(::write(wake.get(), &one, sizeof(one)) < 0);
  }

  // Run loop: hands events to the owner, who may destroy the Worker while it takes one.
  void dispatch(Batch& batch) {
    dispatching = true;
    for (WorkerEvent& event : batch) {
      if (gone) break;
      on_event(std::move(event));
    }
    dispatching = false;
    if (gone) on_event = nullptr;
  }
};

size_t size_of(const WorkerEvent& event) {
  const auto* frame = std::get_if<wire::Frame>(&event);
  return frame ? frame->payload.size() : sizeof(event);
}

// The thread of one worker: starts it, carries bytes both ways, and sees its end.
class Reader {
 public:
  explicit Reader(std::shared_ptr<Shared> shared)
      : shared_(*shared), keep_(std::move(shared)), watchdog_(now(), kSilenceMax) {}

  void run() {
    while (!shared_reaped()) {
      const milliseconds timeout = wait();
      watchdog_.look(now(), timeout);
      take_orders();
      write_out();
      read_logs();
      read_socket();
      hand_over();
      watch();
      see_end();
    }
  }

 private:
  bool shared_reaped() {
    const MutexLock lock(shared_.mutex);
    return shared_.reaped;
  }

  bool condemned() const { return verdict_.has_value(); }
  bool listening() const { return !closed_ && !condemned() && !pending_ && !paused_; }

  milliseconds wait() {
    std::array<pollfd, 4> fds{};
    bool writing = !current_.empty();
    {
      const MutexLock lock(shared_.mutex);
      writing = (writing || !shared_.out.empty()) && !deaf_ && !condemned();
    }
    const short socket_events =
        static_cast<short>((listening() ? POLLIN : 0) | (writing ? POLLOUT : 0));
    fds[0] = {shared_.wake.get(), POLLIN, 0};
    fds[1] = {socket_events != 0 ? shared_.socket.get() : -1, socket_events, 0};
    fds[2] = {logs_closed_ ? -1 : shared_.logs.get(), POLLIN, 0};
    fds[3] = {shared_.process.pidfd.get(), POLLIN, 0};

    milliseconds timeout = shared_.process.pidfd ? kTick : kTickBlind;
    const auto by = [&](std::optional<SteadyTime> due) {
      if (due) timeout = std::min(timeout, std::chrono::ceil<milliseconds>(*due - now()));
    };
    if (pending_) timeout = std::min(timeout, kLoopFullRetry);
    if (listening()) timeout = std::min(timeout, watchdog_.next());
    by(stop_by_);
    by(closed_by_);
    by(told_by_);
    if (listening() && left_over_) timeout = milliseconds(0);
    timeout = std::max(timeout, milliseconds(0));
    // an error here can only be EINTR or ENOMEM: both are a reason to look around
    static_cast<void>(::poll(fds.data(), fds.size(), static_cast<int>(timeout.count())) < 0);
    readable_ = left_over_ || (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
    writable_ = (fds[1].revents & (POLLOUT | POLLHUP | POLLERR)) != 0;
    log_readable_ = fds[2].revents != 0;
    if (fds[0].revents != 0) {
      uint64_t count = 0;
      static_cast<void>(::read(shared_.wake.get(), &count, sizeof(count)) < 0);
      writable_ = readable_ = true;  // something new waits, or there is room again
    }
    return timeout;
  }

  void take_orders() {
    bool stop = false;
    {
      const MutexLock lock(shared_.mutex);
      stop = shared_.asked;
      if (shared_.condemned && !condemned()) verdict_ = std::move(shared_.condemned);
      shared_.condemned.reset();
      paused_ = paused_ && (shared_.waiting_events > kEventsWaitingMax / 2 ||
                            shared_.waiting_bytes > kBytesWaitingMax / 2);
      shared_.paused = paused_;
      if ((shared_.killed || !shared_.loop) && !told_by_) expect_death();
    }
    if (stop && !stop_by_) stop_by_ = now() + kStopGrace;
    if (stop_by_ && now() >= *stop_by_ && !told_by_) kill();
  }

  void expect_death() {
    told_by_ = now() + kReapMax;
    stop_by_.reset();
    closed_by_.reset();
  }
  void kill() {
    kill_group(shared_.process.pid);  // not reaped: only this thread reaps
    expect_death();
  }
  void condemn(Error why) {
    if (condemned()) return;
    verdict_ = std::move(why);
    kill();
  }
  void condemn(Code code, std::string_view what) {
    condemn(Error{code, cat("worker '", shared_.name, "' ", what)});
  }

  // To the worker.

  void write_out() {
    if (deaf_ || condemned() || (!writable_ && current_.empty())) return;
    for (;;) {
      if (current_at_ == current_.size() && !next_frame()) return;
      const ssize_t put = ::send(shared_.socket.get(), current_.data() + current_at_,
                                 current_.size() - current_at_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && errno == EAGAIN) return;
      if (put < 0) {  // it closed its end: reading tells, after what it said last
        deaf_ = true;
        return;
      }
      current_at_ += static_cast<size_t>(put);
      sent_ = now();
    }
  }
  bool next_frame() {
    wire::Frame frame;
    {
      const MutexLock lock(shared_.mutex);
      shared_.out_bytes -= current_.size();
      current_.clear();
      current_at_ = 0;
      if (shared_.out.empty()) return false;
      frame = std::move(shared_.out.front());
      shared_.out.pop_front();
    }
    begin(frame);
    if (frame.type == static_cast<uint8_t>(wire::Type::Generate) ||
        frame.type == static_cast<uint8_t>(wire::Type::Resume)) {
      const uint64_t most = deltas_allowed(frame);
      const MutexLock lock(shared_.mutex);
      shared_.conduct.allow_deltas(frame.id, most);
    }
    if (frame.type == static_cast<uint8_t>(wire::Type::Load)) {
      const uint64_t most = deltas_allowed_by(frame);
      const MutexLock lock(shared_.mutex);
      shared_.conduct.allow_deltas(most);
    }
    current_ = wire::encode(frame);
    sent_ = now();
    return true;
  }

  // Which lines belong to a request: those that come after it was sent.

  void begin(const wire::Frame& frame) {
    const auto type = static_cast<wire::Type>(frame.type);
    if (type != wire::Type::Generate && type != wire::Type::Embed && type != wire::Type::Rank &&
        type != wire::Type::Resume)
      return;
    begun_[frame.id] = lines_so_far();
  }
  void end_of(const wire::Frame& frame) {
    const auto type = static_cast<wire::Type>(frame.type);
    if (type != wire::Type::Done && type != wire::Type::Failed) return;
    if (begun_.erase(frame.id) > 0 && begun_.empty()) rests_since_ = lines_so_far();
  }
  size_t lines_so_far() {
    log_readable_ = true;
    read_logs();  // what waits in the pipe is among them
    return lines_.count();
  }
  size_t first_line() const {
    size_t first = begun_.empty() ? rests_since_ : lines_.count();
    for (const auto& [id, line] : begun_) first = std::min(first, line);
    return first;
  }

  // From the worker.

  void read_logs() {
    if (logs_closed_ || !log_readable_) return;
    std::array<char, 16384> block;
    for (int i = 0; i < kReadsInARow; i++) {
      const ssize_t got = ::read(shared_.logs.get(), block.data(), block.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return;
      if (got == 0) {
        logs_closed_ = true;
        return;
      }
      lines_.feed({block.data(), static_cast<size_t>(got)}, [&](const std::string& line) {
        const MutexLock lock(shared_.mutex);
        if (shared_.log)
          shared_.log->debug("worker says", {{"worker", shared_.name}, {"line", line}});
      });
      if (now() - window_ >= std::chrono::seconds(1)) {
        window_ = now();
        log_bytes_ = 0;
      }
      log_bytes_ += static_cast<size_t>(got);
      if (log_bytes_ > kLogBytesPerSecondMax)
        return condemn(Code::Corrupt, cat("was ended: it wrote more than ",
                                          Bytes{kLogBytesPerSecondMax}, " a second into its log"));
    }
  }

  void read_socket() {
    if (!readable_) return;
    thread_local std::string block(kReadAtOnce, '\0');
    for (int i = 0; i < kReadsInARow; i++) {
      cut_frames();
      if (!listening()) return;
      const ssize_t got = ::recv(shared_.socket.get(), block.data(), block.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        closed_ = deaf_ = true;
        closed_by_ = now() + kClosedGrace;
        return;
      }
      decoder_.feed({block.data(), static_cast<size_t>(got)});
    }
    cut_frames();
  }

  void cut_frames() {
    left_over_ = false;
    for (;;) {
      if (condemned()) return;
      if (pending_ || paused_) {
        left_over_ = true;
        return;
      }
      auto frame = decoder_.next();
      if (!frame) return condemn(Code::Corrupt, cat("was ended: ", frame.error().message));
      if (!*frame) return;
      judge(**std::move(frame));
    }
  }

  void judge(wire::Frame frame) {
    Result<Conduct::Meaning> meaning = Conduct::Meaning::Beat;
    {
      const MutexLock lock(shared_.mutex);
      meaning = shared_.conduct.hears(frame, now());
    }
    if (!meaning) return condemn(Code::Corrupt, cat("was ended: it ", meaning.error().message));
    switch (*meaning) {
      case Conduct::Meaning::Beat:
        return read<wire::Beat>(frame, [&](wire::Beat beat) { watchdog_.heard_beat(beat); });
      case Conduct::Meaning::Hello:
        return read<wire::Hello>(frame, [&](wire::Hello hello) {
          watchdog_.heard_hello();
          tell(std::move(hello));
        });
      case Conduct::Meaning::Loaded:
        return read<wire::Loaded>(frame, [&](wire::Loaded loaded) {
          rests_since_ = lines_so_far();
          tell(std::move(loaded));
        });
      case Conduct::Meaning::Moved:
        return read<wire::Moved>(frame, [&](wire::Moved moved) { tell(std::move(moved)); });
      case Conduct::Meaning::Progress:
        if (frame.id != 0) return tell(std::move(frame));  // of a prompt
        return read<wire::Progress>(frame,
                                    [&](wire::Progress progress) { tell(std::move(progress)); });
      case Conduct::Meaning::Answer: end_of(frame); return tell(std::move(frame));
      case Conduct::Meaning::GivesUp:
        return read<wire::Failed>(frame, [&](wire::Failed failed) {
          last_words_ = std::move(failed.error);
          last_words_->message = cleaned(last_words_->message, kWordsMax);
          last_words_->param = cleaned(last_words_->param, kWordsMax);
          if (!stop_by_) stop_by_ = now() + kStopGrace;
          tell(std::move(frame));  // nobody waits for the end to know
        });
    }
  }

  template <class Message, class Use>
  void read(const wire::Frame& frame, Use use) {
    auto message = wire::from_frame<Message>(frame);
    if (!message) return condemn(Code::Corrupt, cat("was ended: ", message.error().message));
    use(*std::move(message));
  }

  // To the run loop.

  void tell(WorkerEvent event) {
    if (!batch_) batch_ = std::make_shared<Batch>();
    batch_->push_back(std::move(event));
    if (batch_->size() >= kBatchMax) hand_over();
  }

  void hand_over() {
    if (!pending_) pending_ = std::move(batch_);
    batch_.reset();
    if (!pending_) return;
    const MutexLock lock(shared_.mutex);
    if (!shared_.loop) return pending_.reset();
    size_t bytes = 0;
    for (const WorkerEvent& event : *pending_) bytes += size_of(event);
    const size_t count = pending_->size();
    auto task = [keep = keep_, batch = pending_, count, bytes] {
      keep->dispatch(*batch);
      const MutexLock inner(keep->mutex);
      keep->waiting_events -= count;
      keep->waiting_bytes -= bytes;
      if (keep->paused && keep->waiting_events <= kEventsWaitingMax / 2 &&
          keep->waiting_bytes <= kBytesWaitingMax / 2)
        keep->poke();
    };
    if (finishing_) {
      shared_.loop->post_end(
          std::move(task));  // no more than what a dead worker left in its socket
    } else if (!shared_.loop->post(std::move(task))) {
      return;  // full: later; until then nothing is read
    }
    pending_.reset();
    shared_.waiting_events += count;
    shared_.waiting_bytes += bytes;
    if (finishing_) return;
    if (shared_.waiting_events >= kEventsWaitingMax || shared_.waiting_bytes >= kBytesWaitingMax)
      shared_.paused = paused_ = true;
  }

  // Whether it lives.

  void watch() {
    if (closed_by_ && now() >= *closed_by_)
      return condemn(Code::WorkerDied, "was ended: it closed its connection and went on running");
    if (told_by_ || condemned()) return;
    if (!listening()) return watchdog_.excuse();  // what it says now we do not hear
    if (current_at_ < current_.size() && now() - sent_ >= kUnreadMax)
      return condemn(Code::Timeout,
                     cat("stood still: it read nothing for ", kUnreadMax.count() / 1000, " s"));
    if (!watchdog_.suspicious()) {
      sample_.reset();
      stopped_.reset();
      return;
    }
    const auto seen = vitals(shared_.process.pid);
    if (seen && !sample_) sample_ = seen;
    if (seen && seen->state == 'T') {
      if (!stopped_) stopped_ = now();
    } else {
      stopped_.reset();
    }
    const auto what = watchdog_.verdict();
    if (!what && stopped_ && now() - *stopped_ >= kStoppedMax)  // for one that is not ready yet
      return condemn(Code::Timeout, "stood still: the process is stopped");
    if (!what) return;
    if (seen && held_up(*sample_, *seen)) {
      sample_ = seen;
      watchdog_.excuse_held_up();
      if (!watchdog_.verdict()) return;
    }
    condemn(Code::Timeout, cat(*what, stopped_ ? ", the process is stopped" : ""));
  }

  void see_end() {
    auto end = try_reap_marked();
    if (end) {
      readable_ = log_readable_ = true;
      finishing_ = true;
      if (!condemned()) {
        paused_ = false;
        flush_rest();
      }
      hand_over();
      read_logs();
      return finish(end);
    }
    if (told_by_ && now() >= *told_by_ && !told_) {
      finishing_ = true;
      hand_over();
      finish(std::nullopt);
      told_by_ = now() + std::chrono::hours(1);  // nobody waits any more
    }
  }

  // What it said before it died still counts. Bounded by what a socket holds.
  void flush_rest() {
    hand_over();
    for (int i = 0; i < kReadsInARow && !closed_ && !condemned(); i++) {
      read_socket();
      hand_over();
    }
  }

  // The pid is free for others as soon as it is reaped, so the mark is set under the same lock.
  std::optional<ProcessEnd> try_reap_marked() {
    const MutexLock lock(shared_.mutex);
    auto end = try_reap(shared_.process.pid);
    if (end) shared_.reaped = true;
    return end;
  }

  void finish(const std::optional<ProcessEnd>& end) {
    if (told_) return;
    told_ = true;
    WorkerEnded ended{.error = {Code::WorkerDied, ""}, .last_log = lines_.take()};
    const size_t fresh = std::min(lines_.count() - first_line(), ended.last_log.size());
    const MutexLock lock(shared_.mutex);
    shared_.ended = true;
    shared_.out.clear();
    if (!shared_.loop) return;
    ended.asked = shared_.asked;
    const bool explained = !verdict_ && last_words_;  // its log would say the same again
    if (verdict_) {
      ended.error = *std::move(verdict_);
    } else if (last_words_) {
      ended.error = *std::move(last_words_);
    } else if (shared_.killed || shared_.asked) {
      ended.error.message = cat("worker '", shared_.name, "' was stopped");
    } else if (end) {
      ended.error.message = cat("worker '", shared_.name, "' ", to_string(*end), " after ",
                                ms_between(started_, now()), " ms");
    }
    if (!end) {
      const auto seen = vitals(shared_.process.pid);
      ended.error.message += cat(", and the process has not ended yet",
                                 seen && seen->state == 'D' ? ": it waits for a disk" : "");
    }
    if (!shared_.asked && !explained && fresh > 0) {
      ended.error.message += "; its last lines: ";
      const size_t from = ended.last_log.size() - std::min(fresh, kLinesInMessage);
      for (size_t i = from; i < ended.last_log.size(); i++)
        ended.error.message += cat(i > from ? " | " : "", ended.last_log[i]);
    }
    auto last = std::make_shared<Batch>();
    last->push_back(std::move(ended));
    shared_.loop->post_end([keep = keep_, last] { keep->dispatch(*last); });
  }

  Shared& shared_;
  std::shared_ptr<Shared> keep_;
  Watchdog watchdog_;
  wire::Decoder decoder_;
  LastLines lines_{kLogLinesKept};
  std::map<uint64_t, size_t> begun_;  // open requests: how many lines there were before each
  size_t rests_since_ = 0;            // the same of the time without one

  std::string current_;                     // the frame that is being written
  size_t current_at_ = 0;                   // bytes of it that are
  std::shared_ptr<Batch> batch_, pending_;  // being gathered; refused by a full loop
  bool readable_ = false, writable_ = false, log_readable_ = false;
  bool closed_ = false, deaf_ = false, logs_closed_ = false, paused_ = false;
  bool left_over_ = false;  // whole frames may wait in the decoder
  bool finishing_ = false, told_ = false;

  const SteadyTime started_ = now();
  SteadyTime window_ = started_, sent_ = started_;
  size_t log_bytes_ = 0;
  std::optional<SteadyTime> stop_by_, closed_by_;
  std::optional<SteadyTime> told_by_;  // it was killed; by then the end is told, reaped or not
  std::optional<SteadyTime> stopped_;
  std::optional<Vitals> sample_;     // when it first looked suspicious
  std::optional<Error> verdict_;     // why we ended it
  std::optional<Error> last_words_;  // why it gave up
};

class WorkerProcess final : public Worker {
 public:
  explicit WorkerProcess(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~WorkerProcess() override {
    shared_->gone = true;
    if (!shared_->dispatching) shared_->on_event = nullptr;
    const MutexLock lock(shared_->mutex);
    shared_->loop = nullptr;
    shared_->log = nullptr;
    end_process();
  }

  Result<> send(wire::Frame frame) override {
    assert(frame.payload.size() <= wire::kPayloadMax);
    const MutexLock lock(shared_->mutex);
    if (shared_->ended || shared_->asked || shared_->killed)
      return Error{Code::WorkerDied, cat("worker '", shared_->name, "' has ended")};
    const size_t size = wire::kHeaderSize + frame.payload.size();
    if (shared_->out_bytes + size > kOutMax)
      return Error{Code::Busy, cat("worker '", shared_->name, "' does not read: ",
                                   Bytes{shared_->out_bytes}, " wait for it; retry later")};
    TRY(shared_->conduct.sends(frame));
    queue(std::move(frame), size);
    return Unit{};
  }

  void stop() override {
    const MutexLock lock(shared_->mutex);
    if (shared_->ended || shared_->asked) return;
    shared_->asked = true;
    queue(wire::to_frame(wire::Type::Shutdown, 0), wire::kHeaderSize);
  }

  void kill() override {
    const MutexLock lock(shared_->mutex);
    end_process();
  }

  void condemn(const Error& why) override {
    const MutexLock lock(shared_->mutex);
    if (!shared_->condemned) shared_->condemned = why;
    end_process();
  }

  pid_t pid() const override { return shared_->process.pid; }

 private:
  void queue(wire::Frame frame, size_t size) REQUIRES(shared_->mutex) {
    shared_->out.push_back(std::move(frame));
    shared_->out_bytes += size;
    shared_->poke();
  }
  void end_process() REQUIRES(shared_->mutex) {
    shared_->killed = true;
    if (!shared_->reaped) kill_group(shared_->process.pid);
    shared_->poke();
  }

  std::shared_ptr<Shared> shared_;
};

// The other ends of a worker's descriptors.
struct ChildEnds {
  Fd null, log, control, model, lease, bell, projector;
  std::vector<Fd> more, adapters;
};

Result<ChildEnds> open_ends(Shared& shared, Fd model, const std::string& doing) {
  ChildEnds child;
  child.model = std::move(model);
  child.null = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!child.null) return system_error(cat(doing, "opening /dev/null"), errno);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(cat(doing, "a pipe"), errno);
  shared.logs = Fd(ends[0]);
  child.log = Fd(ends[1]);
  ::fcntl(shared.logs.get(), F_SETFL, O_NONBLOCK);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return system_error(cat(doing, "a socket"), errno);
  shared.socket = Fd(ends[0]);
  child.control = Fd(ends[1]);
  shared.wake = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared.wake) return system_error(cat(doing, "an event"), errno);
  return child;
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::spawn(WorkerSpec spec, Loop& loop, Log& log,
                                              OnEvent on_event) {
  const std::string doing = cat("starting worker '", spec.name, "': ");
  auto shared = std::make_shared<Shared>(spec.name, loop, log, std::move(on_event));
  auto ends = open_ends(*shared, std::move(spec.model), doing);
  if (!ends) return Error{Code::Io, std::move(ends).error().message};
  ChildEnds child = *std::move(ends);
  child.more = std::move(spec.more);
  child.lease = std::move(spec.lease);
  child.bell = std::move(spec.bell);
  child.projector = std::move(spec.projector);
  child.adapters = std::move(spec.adapters);
  if (spec.draft) child.adapters.push_back(std::move(spec.draft));

  ProcessSpec program{.program = std::move(spec.program),
                      .arguments = std::move(spec.arguments),
                      .handed = {{child.null.get(), 0},
                                 {child.log.get(), 1},
                                 {child.log.get(), 2},
                                 {child.control.get(), wire::kControlFd}},
                      .environment = child_environment()};
  if (child.model) program.handed.emplace_back(child.model.get(), wire::kModelFd);
  assert(child.model || child.more.empty());
  for (size_t i = 0; i < child.more.size(); i++)
    program.handed.emplace_back(child.more[i].get(), wire::kModelFd + 1 + static_cast<int>(i));
  if (child.lease && child.bell) {
    assert(child.more.empty());
    program.handed.emplace_back(child.lease.get(), wire::kLeaseFd);
    program.handed.emplace_back(child.bell.get(), wire::kBellFd);
  }
  assert((child.adapters.empty() && !child.projector) || child.more.empty());
  if (child.projector) program.handed.emplace_back(child.projector.get(), wire::kProjectorFd);
  for (size_t i = 0; i < child.adapters.size(); i++)
    program.handed.emplace_back(child.adapters[i].get(), wire::kAdapterFd + static_cast<int>(i));

  std::latch started(1);
  std::optional<Error> refused;
  // signals of the daemon are for its own threads
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([&, shared] {
      ::pthread_setname_np(::pthread_self(), "worker");
      if (auto process = start_process(program)) {
        shared->process = *std::move(process);
      } else {
        refused = std::move(process).error();
      }
      const bool runs = !refused;
      child =
          {};  // here and not by the caller: nobody may hold the child's end when reading begins
      started.count_down();  // the caller's variables are gone from here on
      if (runs) Reader(shared).run();
    }).detach();  // it ends with the process, which may outlive its Worker by a moment
    started.wait();
  } catch (const std::system_error& error) {
    refused = system_error("a thread", error.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (refused) return Error{Code::Io, doing + refused->message};
  log.debug("worker started", {{"worker", spec.name}, {"pid", shared->process.pid}});
  return std::unique_ptr<Worker>(std::make_unique<WorkerProcess>(std::move(shared)));
}

}  // namespace lares::host
