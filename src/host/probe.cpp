#include "host/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "host/last_lines.h"
#include "host/process.h"

namespace lares::host {
namespace {

constexpr size_t kLinesKept = 3;
constexpr milliseconds kTick{20};       // where no pidfd tells of the end
constexpr milliseconds kStopEvery{50};  // it is looked whether to stop

SteadyTime now() { return std::chrono::steady_clock::now(); }

// The read end for us, the write end for the child.
struct Pipe {
  Fd ours, theirs;
};
std::optional<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  ::fcntl(pipe.ours.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

// Everything that is there now. False: the other end is closed.
template <class Take>
bool drain(const Fd& fd, Take take) {
  std::array<char, 16384> block;
  for (int i = 0; i < 64; i++) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    take(std::string_view(block.data(), static_cast<size_t>(got)));
  }
  return true;
}

}  // namespace

Result<Json> probe(const std::string& program, const std::vector<std::string>& arguments,
                   ProbeOptions options) {
  const std::string doing = cat("trying '", program, arguments.empty() ? "" : " ",
                                arguments.empty() ? "" : arguments.front(), "'");
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto out = make_pipe();
  auto log = make_pipe();
  if (!null || !out || !log)
    return Error{Code::Io, system_error(cat(doing, ": opening pipes"), errno).message};
  std::vector<std::pair<int, int>> handed = std::move(options.handed);
  handed.insert(handed.end(), {{null.get(), 0}, {out->theirs.get(), 1}, {log->theirs.get(), 2}});
  TRY_AS(
      const Process process,
      start_process({.program = program,
                     .arguments = arguments,
                     .handed = std::move(handed),
                     .environment = options.environment.empty() ? child_environment()
                                                                : std::move(options.environment)}));
  options.started(process.pid);
  out->theirs.reset();
  log->theirs.reset();

  std::string output;
  LastLines lines(kLinesKept);
  std::optional<ProcessEnd> end;
  std::optional<Error> verdict;
  const SteadyTime until = now() + options.limit;
  bool out_open = true;
  bool log_open = true;
  const auto read_all = [&] {
    const auto gather = [&](std::string_view bytes) {
      if (output.size() <= kProbeOutputMax) output += bytes;
    };
    out_open = out_open && drain(out->ours, gather);
    log_open = log_open && drain(log->ours, [&](std::string_view bytes) {
                 lines.feed(bytes, [](const std::string&) {});
               });
    if (output.size() > kProbeOutputMax && !verdict)
      verdict = Error{Code::Corrupt, cat(doing, ": it printed more than ", Bytes{kProbeOutputMax})};
  };
  while (!end) {
    const auto left = std::chrono::ceil<milliseconds>(until - now());
    if (left.count() <= 0 && !verdict)
      verdict = Error{Code::Timeout, cat(doing, ": not done after ", options.limit.count(), " ms")};
    if (options.stop.stop_requested() && !verdict)
      verdict = Error{Code::Cancelled, cat(doing, ": it is not wanted any more")};
    if (verdict) kill_group(process.pid);
    std::array<pollfd, 3> fds{pollfd{out_open ? out->ours.get() : -1, POLLIN, 0},
                              pollfd{log_open ? log->ours.get() : -1, POLLIN, 0},
                              pollfd{process.pidfd.get(), POLLIN, 0}};
    auto wait = process.pidfd && !verdict ? left : std::min(left, kTick);
    if (options.stop.stop_possible()) wait = std::min(wait, kStopEvery);
    static_cast<void>(::poll(fds.data(), fds.size(),
                             static_cast<int>(std::max<int64_t>(wait.count(), verdict ? 5 : 0))) <
                      0);
    read_all();
    end = try_reap(process.pid);
  }
  read_all();
  if (verdict) return *std::move(verdict);
  if (end->signal != 0 || end->status != 0) {
    Error error{Code::WorkerDied, cat(doing, ": it ", to_string(*end))};
    for (const std::string& line : lines.take()) error.message += cat(" | ", line);
    return error;
  }
  auto value = parse_json(output);
  if (!value) return Error{Code::Corrupt, cat(doing, ": what it printed: ", value.error().message)};
  return value;
}

}  // namespace lares::host
