#include "consent/secret_service.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {
namespace {

constexpr size_t kAnswerMax = 4'096;

// The process; killed and reaped by the end of this.
class Process {
 public:
  explicit Process(pid_t pid) : pid_(pid) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) (void)::kill(pid_, SIGKILL);
    (void)reap();
  }
  // Its exit status, or -1 when a signal ended it.
  int reap() {
    int status = -1;
    if (pid_ > 0) {
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_;
};

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// Starts it with these two as its standard streams, no signal blocked, and standard error to
// nowhere: the libraries' own words may name what they were asked for.
Result<pid_t> start(const std::string& program, std::vector<std::string> words, int in, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  words.insert(words.begin(), program);
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  const int failed =
      ::posix_spawn(&pid, program.c_str(), &actions, &attributes, pointers.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return system_error(cat("starting '", program, "'"), failed);
  return pid;
}

// All that comes until the end of the stream; Timeout when that does not come in time.
Result<SecretBytes> read_answer(const Fd& fd, SteadyTime until) {
  SecretBytes answer = SecretBytes::of_size(kAnswerMax);
  size_t size = 0;
  for (;;) {
    const auto left =
        std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd waits{fd.get(), POLLIN, 0};
    const int readable = left <= 0 ? 0 : ::poll(&waits, 1, static_cast<int>(left));
    if (readable < 0 && errno == EINTR) continue;
    if (readable <= 0) return Error{Code::Timeout, ""};
    const ssize_t got = ::read(fd.get(), answer.data() + size, answer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading its answer", errno);
    if (got == 0) return std::move(answer).cut_to(size);
    size += static_cast<size_t>(got);
    if (size == answer.size())
      return Error{Code::Io, cat("its answer is longer than ", kAnswerMax, " bytes")};
  }
}

// An answer is "ok" or the name of a Code, a line end, and the secret or the error's words.
Result<SecretBytes> parse_answer(const SecretBytes& answer, int status) {
  const std::string_view all = answer.reveal();
  const size_t line = all.find('\n');
  if (status != 0 || line == std::string_view::npos)
    return Error{Code::Io, "the process that asks it ended before it answered"};
  const std::string_view word = all.substr(0, line);
  if (word == "ok") return SecretBytes(all.substr(line + 1));
  const CodeRow* known = row_named(word);
  if (known == nullptr) return Error{Code::Io, "the process that asks it said no word of ours"};
  return Error{known->code, utf8_repaired(all.substr(line + 1))};
}

}  // namespace

SecretService::SecretService(std::string program, Limits limits)
    : program_(std::move(program)), limits_(limits) {}

Result<SecretBytes> SecretService::call(const std::string& what, const std::string& id,
                                        const SecretBytes& secret, milliseconds limit) const {
  constexpr std::string_view kDoing = "asking the desktop's keyring";
  const SteadyTime until = std::chrono::steady_clock::now() + limit;
  TRY_AS(Pipe in, make_pipe());
  TRY_AS(Pipe out, make_pipe());
  // small enough for the pipe's buffer, so this never waits
  if (!secret.empty() && ::write(in.write.get(), secret.reveal().data(), secret.size()) !=
                             static_cast<ssize_t>(secret.size()))
    return system_error(kDoing, errno);
  TRY_AS(const pid_t pid, start(program_, {std::string(kSecretServiceWord), what, id},
                                in.read.get(), out.write.get()));
  Process process(pid);
  in.read.reset();
  in.write.reset();
  out.write.reset();
  auto answer = read_answer(out.read, until);
  if (!answer && answer.error().code == Code::Timeout)
    return Error{Code::Timeout, cat(kDoing, ": no answer within ", limit.count() / 1'000,
                                    " s; if it asks for a password, type it there and try again")};
  if (!answer) return std::move(answer).error().within(kDoing);
  auto parsed = parse_answer(*answer, process.reap());
  if (!parsed) return std::move(parsed).error().within(kDoing);
  return parsed;
}

Result<> SecretService::ready() {
  TRY(call("ready", "", {}, limits_.ready));
  return Unit{};
}

Result<> SecretService::store(const std::string& id, const SecretBytes& secret) {
  TRY(call("store", id, secret, limits_.asked));
  return Unit{};
}

Result<SecretBytes> SecretService::find(const std::string& id) {
  return call("find", id, {}, limits_.asked);
}

Result<> SecretService::remove(const std::string& id) {
  TRY(call("remove", id, {}, limits_.asked));
  return Unit{};
}

}  // namespace lares::consent
