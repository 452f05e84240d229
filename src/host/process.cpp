#include "host/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/text.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace lares::host {
namespace {

constexpr int kSafeFd = 64;             // copies lie above every number that a child is handed
constexpr int kOomScoreRaise = 600;     // the kernel takes a worker before it takes the daemon
constexpr int kCloseByHandMax = 65536;  // descriptors looked at where close_range is missing
constexpr int kExecRefused = 127;

// Everything that the child needs, laid out before it exists: between vfork and exec it may neither
// allocate nor take a lock.
struct Plan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const std::pair<int, int>* handed;  // sources are all above kSafeFd
  size_t handed_count;
  int first_closed;  // this number and all above are closed by exec
  int refused;       // a pipe for the errno of a refused exec
  const char* oom_score;
  size_t oom_score_length;
  pid_t parent;
};

[[noreturn]] void refuse(const Plan& plan, int reason) {
  // a lost write still leaves the exit status
  if (::write(plan.refused, &reason, sizeof(reason)) < 0) ::_exit(kExecRefused);
  ::_exit(kExecRefused);
}

void close_all_by_exec(const Plan& plan) {
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, static_cast<unsigned>(plan.first_closed), ~0U,
                CLOSE_RANGE_CLOEXEC) == 0)
    return;
#endif
  rlimit limit{};
  int last = kCloseByHandMax;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kCloseByHandMax)
    last = static_cast<int>(limit.rlim_cur);
  for (int fd = plan.first_closed; fd < last; fd++) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool is_handed(const Plan& plan, int fd) {
  return std::any_of(plan.handed, plan.handed + plan.handed_count,
                     [fd](const auto& pair) { return pair.second == fd; });
}

// Runs in the child, on the parent's memory: only system calls.
[[noreturn]] void become(const Plan& plan) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != plan.parent) ::_exit(kExecRefused);  // it died before the line above
  ::setsid();
  struct sigaction normal{};
  normal.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) ::sigaction(signal, &normal, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  const int oom = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  // a kernel or container that does not let us is no reason not to run
  if (oom >= 0 && ::write(oom, plan.oom_score, plan.oom_score_length) < 0) ::close(oom);
  if (::chdir("/") != 0) refuse(plan, errno);
  for (size_t i = 0; i < plan.handed_count; i++) {
    if (::dup2(plan.handed[i].first, plan.handed[i].second) < 0) refuse(plan, errno);
  }
  // a number below that nobody was handed would leak ours
  for (int fd = 0; fd < plan.first_closed; fd++) {
    if (!is_handed(plan, fd)) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  close_all_by_exec(plan);
  ::execve(plan.program, plan.arguments, plan.environment);
  refuse(plan, errno);
}

// vfork shares our memory until exec, so nothing of a large daemon is copied; the calling thread
// waits. Own function, not inlined: the child runs on this frame, which nobody else uses.
// posix_spawn, which the checkers want instead, knows neither PR_SET_PDEATHSIG nor oom_score_adj.
[[gnu::noinline]] pid_t launch(const Plan& plan) {
  const pid_t pid = ::vfork();  // NOLINT(clang-analyzer-*,bugprone-unsafe-functions)
  if (pid == 0) become(plan);   // NOLINT(clang-analyzer-unix.Vfork): only system calls
  return pid;
}

std::string raised_oom_score() {
  int score = 0;
  if (const auto own = read_file("/proc/self/oom_score_adj", KiB(1)))
    std::from_chars(own->data(), own->data() + own->size(), score);
  return cat(std::min(score + kOomScoreRaise, 1000));
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  list.reserve(words.size() + 1);
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

Error refused_error(const std::string& program, int reason) {
  Error error = system_error(cat("starting '", program, "'"), reason);
  error.code = Code::Io;  // a missing program is our installation's fault, not the request's
  if (reason == ENOENT || reason == EACCES)
    error.message += "; is the installation complete? 'lares doctor' checks it";
  return error;
}

}  // namespace

Result<Process> start_process(const ProcessSpec& spec) {
  std::error_code ignored;
  const auto absolute =
      std::filesystem::absolute(spec.program, ignored);  // the child changes folder
  const std::string program = ignored ? spec.program : absolute.string();

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return refused_error(program, errno);
  const Fd refused_read(ends[0]);
  Fd refused_low(ends[1]);
  Fd refused(::fcntl(refused_low.get(), F_DUPFD_CLOEXEC, kSafeFd));
  if (!refused) return refused_error(program, errno);

  std::vector<Fd> copies;
  std::vector<std::pair<int, int>> handed;
  int first_closed = 0;
  for (const auto& [ours, theirs] : spec.handed) {
    assert(theirs >= 0 && theirs < kSafeFd);
    Fd copy(::fcntl(ours, F_DUPFD_CLOEXEC, kSafeFd));
    if (!copy) return refused_error(program, errno);
    handed.emplace_back(copy.get(), theirs);
    copies.push_back(std::move(copy));
    first_closed = std::max(first_closed, theirs + 1);
  }

  std::vector<std::string> words{program};
  words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> environment = spec.environment;
  const std::vector<char*> argument_list = pointers(words);
  const std::vector<char*> environment_list = pointers(environment);
  const std::string oom_score = raised_oom_score();
  const Plan plan{.program = program.c_str(),
                  .arguments = argument_list.data(),
                  .environment = environment_list.data(),
                  .handed = handed.data(),
                  .handed_count = handed.size(),
                  .first_closed = first_closed,
                  .refused = refused.get(),
                  .oom_score = oom_score.data(),
                  .oom_score_length = oom_score.size(),
                  .parent = ::getpid()};

  // our signal handlers must not run in the child on our memory
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = launch(plan);
  const int fork_refused = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return refused_error(program, fork_refused);
  refused.reset();
  refused_low.reset();

  int reason = 0;
  ssize_t got = 0;
  do {
    got = ::read(refused_read.get(), &reason, sizeof(reason));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(reason)) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
    return refused_error(program, reason);
  }
  Process process;
  process.pid = pid;
#ifdef SYS_pidfd_open
  process.pidfd =
      Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec by itself
#endif
  return process;
}

std::vector<std::string> child_environment() {
  std::vector<std::string> environment{"LANG=C.UTF-8", "GGML_NO_BACKTRACE=1"};
  for (const char* name : {"UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) environment.push_back(cat(name, "=", value));
  }
  const char* asan = std::getenv("ASAN_OPTIONS");
#ifdef __SANITIZE_ADDRESS__
  // the search for leaks makes a process of its own at exit, which the sandbox does not let it
  environment.push_back(cat("ASAN_OPTIONS=", asan ? asan : "", asan ? ":" : "", "detect_leaks=0"));
#else
  if (asan) environment.push_back(cat("ASAN_OPTIONS=", asan));
#endif
  return environment;
}

std::optional<ProcessEnd> try_reap(pid_t pid) {
  siginfo_t info{};
  int answer = 0;
  do {
    answer = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  } while (answer < 0 && errno == EINTR);
  if (answer < 0) return ProcessEnd{.seen = false};
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return ProcessEnd{.status = info.si_status};
  return ProcessEnd{.signal = info.si_status};
}

void kill_group(pid_t pid) {
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);
}

std::string signal_name(int signal) {
  if (const char* name = ::sigabbrev_np(signal)) return cat("SIG", name);
  return cat("signal ", signal);
}

std::string to_string(const ProcessEnd& end) {
  if (!end.seen) return "ended in a way that could not be seen";
  if (end.signal == SIGKILL) return "was ended by SIGKILL (often: the system ran out of memory)";
  if (end.signal == SIGILL)
    return "was ended by SIGILL (an instruction that this CPU does not have)";
  if (end.signal == SIGSYS) return "was ended by SIGSYS (a system call that the sandbox forbids)";
  if (end.signal != 0) return cat("was ended by ", signal_name(end.signal));
  return cat("exited with status ", end.status);
}

}  // namespace lares::host
