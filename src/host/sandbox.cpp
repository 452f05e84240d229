#include "host/sandbox.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "host/sandbox_layers.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

namespace lares::host {
namespace {

// Whatever its arguments. Nothing here names a file, another process or the network.
// clang-format off
constexpr const char* kAllowed[] = {
    // its descriptors
    "read", "readv", "pread64", "preadv", "write", "writev", "lseek", "fstat", "fadvise64", "close",
    "dup", "poll", "ppoll",
    // memory
    "munmap", "mremap", "madvise", "brk", "membarrier", "get_mempolicy",
    // threads
    "futex", "futex_waitv", "rseq", "set_robust_list", "set_tid_address", "exit", "exit_group",
    "sched_yield", "gettid", "getpid", "getppid", "getcpu", "restart_syscall",
    // signals to itself
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    // time, chance, and what the machine is
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "getrandom", "sysinfo", "uname", "getrusage", "times", "getrlimit",
};
// clang-format on

// Besides, for whoever downloads: talking to the internet, and making durable what was written.
constexpr const char* kAllowedInternet[] = {
    "connect",    "sendto",      "sendmsg",     "recvfrom", "recvmsg",   "shutdown", "getsockopt",
    "setsockopt", "getsockname", "getpeername", "pwrite64", "fdatasync", "fsync",    "ftruncate",
};

// Known calls that say EPERM. What is in neither list says ENOSYS, so that a libc newer than this
// list takes the older call that it knows how to make instead.
// clang-format off
constexpr const char* kDenied[] = {
    // files by name
    "open", "openat", "openat2", "open_tree", "creat", "stat", "lstat", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
    "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate", "fallocate", "utimensat",
    "statfs", "fstatfs", "setxattr", "fsetxattr", "name_to_handle_at", "open_by_handle_at",
    "inotify_init", "inotify_init1", "fanotify_init", "flock", "sendfile", "splice",
    "copy_file_range", "ioctl",
    // network and messages
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg",
    "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shmget", "shmat", "shmctl", "msgget", "semget",
    "mq_open", "memfd_create", "memfd_secret",
    // processes
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kcmp", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "setsid", "setpgid", "setpriority",
    "sched_setscheduler", "sched_setparam", "setrlimit", "personality",
    // who and where we are
    "unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "move_mount", "fsopen",
    "fsmount", "fspick", "mount_setattr", "setuid", "setgid", "setreuid", "setregid", "setresuid",
    "setresgid", "setgroups", "setfsuid", "setfsgid", "capset", "sethostname", "setdomainname",
    // the kernel's wider surface
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "keyctl", "add_key", "request_key", "seccomp", "modify_ldt", "iopl",
    "ioperm", "pkey_mprotect", "remap_file_pages", "move_pages", "migrate_pages", "mbind",
    "set_mempolicy", "clock_settime", "settimeofday", "adjtimex", "clock_adjtime", "reboot",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon",
    "swapoff", "acct", "quotactl", "syslog", "vhangup", "lookup_dcookie",
};
// clang-format on

constexpr uint64_t kCloneNew = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                               CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr int kXcompGet = 0x1022;      // ARCH_GET_XCOMP_PERM
constexpr int kXcompRequest = 0x1023;  // ARCH_REQ_XCOMP_PERM: the tile registers of AMX

// glibc asks for the state of a descriptor by newfstatat(fd, "", AT_EMPTY_PATH). The same call with
// a name tells which files exist, and a filter cannot see the name: so the call comes here, and
// only the first form is done.
void on_forbidden_call(int, siginfo_t* info, void* context) {
  if (info->si_code <= 0) {  // sent by a process, not by the filter: a signal like any other
    ::signal(SIGSYS, SIG_DFL);
    ::raise(SIGSYS);
    return;
  }
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  long answer = -EPERM;
#if defined(__x86_64__)
  const auto fd = machine.gregs[REG_RDI];
  // registers are numbers; NOLINTNEXTLINE(performance-no-int-to-ptr)
  const auto* path = reinterpret_cast<const char*>(machine.gregs[REG_RSI]);
  const auto out = machine.gregs[REG_RDX];
  const auto flags = machine.gregs[REG_R10];
#elif defined(__aarch64__)
  const auto fd = machine.regs[0];
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  const auto* path = reinterpret_cast<const char*>(machine.regs[1]);
  const auto out = machine.regs[2];
  const auto flags = machine.regs[3];
#else
#error "the sandbox knows x86-64 and aarch64"
#endif
  if (info->si_syscall == SYS_newfstatat && (flags & AT_EMPTY_PATH) != 0 && path && *path == '\0') {
    const int before = errno;
    answer = ::syscall(SYS_fstat, fd, out) == 0 ? 0 : -errno;
    errno = before;
  }
#if defined(__x86_64__)
  machine.gregs[REG_RAX] = answer;
#else
  machine.regs[0] = static_cast<unsigned long long>(answer);
#endif
}

// Collects rules and remembers the first that was refused.
class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), seccomp_release) {}

  void add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    if (!context_ || error_ != 0) return;
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;  // this CPU or library does not have it: then the default is right
    error_ = seccomp_rule_add_array(context_.get(), action, number,
                                    static_cast<unsigned>(when.size()), when.begin());
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    add(SCMP_ACT_ALLOW, name, when);
  }
  void deny(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    add(SCMP_ACT_ERRNO(EPERM), name, when);
  }
  void set(scmp_filter_attr attribute, uint32_t value) {
    if (context_ && error_ == 0) error_ = seccomp_attr_set(context_.get(), attribute, value);
  }
  // Does without where the kernel or the library does not know it.
  void prefer(scmp_filter_attr attribute, uint32_t value) {
    if (context_) static_cast<void>(seccomp_attr_set(context_.get(), attribute, value));
  }
  // 0, or the errno: the library has reasons of its own for some, the kernel's says more.
  int load() {
    if (!context_) return ENOMEM;
    errno = 0;
    if (error_ == 0) error_ = seccomp_load(context_.get());
    if (error_ == 0) return 0;
    return errno != 0 ? errno : -error_;
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  int error_ = 0;
};

// TCP and UDP, over IPv4 and IPv6, and nothing else that a socket can be: no raw ones, no MPTCP.
void allow_internet_sockets(Filter& filter) {
  constexpr uint64_t kKind = 0xF;  // of the type: its flags stand above
  for (const int family : {AF_INET, AF_INET6}) {
    for (const auto& [type, protocol] :
         {std::pair{SOCK_STREAM, IPPROTO_TCP}, std::pair{SOCK_DGRAM, IPPROTO_UDP}}) {
      for (const int number : {0, static_cast<int>(protocol)})
        filter.allow("socket", {SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(family)),
                                SCMP_A1(SCMP_CMP_MASKED_EQ, kKind, static_cast<uint64_t>(type)),
                                SCMP_A2(SCMP_CMP_EQ, static_cast<uint64_t>(number))});
    }
  }
}

Result<> load_seccomp(Reach reach) {
  const std::string doing = "entering the sandbox: seccomp";
  struct sigaction trap{};
  trap.sa_sigaction = on_forbidden_call;
  trap.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
  sigset_t sys;
  ::sigemptyset(&sys);
  ::sigaddset(&sys, SIGSYS);
  if (::sigaction(SIGSYS, &trap, nullptr) != 0 ||
      ::pthread_sigmask(SIG_UNBLOCK, &sys, nullptr) != 0)
    return Error{Code::Unsupported, cat(doing, ": installing its handler: ", error_name(errno))};

  Filter filter;
  filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);  // 32-bit and x32 calls
  filter.prefer(SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (threads_running() > 1) filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  // Kernels before 5.16 slow a filtered process down against Spectre 4; there is one principal's
  // data in here and nothing to protect from itself.
  filter.prefer(SCMP_FLTATR_CTL_SSB, 1);
  const bool internet = reach == Reach::Internet;
  for (const char* name : kAllowed) filter.allow(name);
  if (internet) {
    for (const char* name : kAllowedInternet) filter.allow(name);
  }
  for (const char* name : kDenied) {
    const bool allowed =
        internet && std::any_of(std::begin(kAllowedInternet), std::end(kAllowedInternet),
                                [&](const char* one) { return !std::strcmp(one, name); });
    if (!allowed && !(internet && !std::strcmp(name, "socket"))) filter.deny(name);
  }
  if (internet) allow_internet_sockets(filter);

  const uint64_t own = static_cast<uint64_t>(::getpid());
  filter.add(SCMP_ACT_TRAP, "newfstatat");
  // memory is never made executable: what a model brings is data
  for (const char* name : {"mmap", "mprotect"}) {
    filter.allow(name, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
    filter.deny(name, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)});
  }
  // threads, not processes. clone3 hides its flags from a filter: ENOSYS makes libc take clone
  if (internet) {
    filter.deny("clone");  // not even threads
  } else {
    filter.allow("clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | kCloneNew | CLONE_PTRACE,
                                   CLONE_THREAD)});
    filter.deny("clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)});
  }
  filter.allow("tgkill", {SCMP_A0(SCMP_CMP_EQ, own)});
  filter.deny("tgkill", {SCMP_A0(SCMP_CMP_NE, own)});
  for (const uint64_t self : {uint64_t{0}, own}) {
    filter.allow("sched_getaffinity", {SCMP_A0(SCMP_CMP_EQ, self)});
    filter.allow("sched_setaffinity", {SCMP_A0(SCMP_CMP_EQ, self)});
    filter.allow("prlimit64", {SCMP_A0(SCMP_CMP_EQ, self), SCMP_A2(SCMP_CMP_EQ, 0)});
  }
  filter.deny("prlimit64", {SCMP_A2(SCMP_CMP_NE, 0)});
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA})
    filter.allow("prctl", {SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(option))});
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC})
    filter.allow("fcntl", {SCMP_A1(SCMP_CMP_EQ, static_cast<uint64_t>(command))});
  if (internet)
    filter.allow("fcntl", {SCMP_A1(SCMP_CMP_EQ, F_SETFL)});  // sockets that do not block
#ifdef __SANITIZE_ADDRESS__
  // UBSan, which is built in together with it, asks by a pipe whether memory may be read
  for (const char* name : {"pipe", "pipe2"}) filter.allow(name);
#endif
#if defined(__x86_64__)
  for (const int code : {kXcompGet, kXcompRequest})
    filter.allow("arch_prctl", {SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(code))});
#endif

  if (const int refused = filter.load(); refused != 0) {
    return Error{
        Code::Unsupported,
        cat(doing, ": ", error_name(refused),
            "; a worker runs only under seccomp: use a kernel with CONFIG_SECCOMP_FILTER, or "
            "a container that allows it")};
  }
  return Unit{};
}

// TSan has a thread of its own from the start.
#if defined(__SANITIZE_THREAD__)
constexpr size_t kThreadsExpected = 2;
#else
constexpr size_t kThreadsExpected = 1;
#endif

}  // namespace

Result<SandboxReport> enter_sandbox(int highest_fd, Reach reach) {
  SandboxReport report;
  if (const size_t threads = threads_running(); threads > kThreadsExpected)
    return Error{Code::Unsupported, cat("entering the sandbox: ", threads,
                                        " threads run, and it covers only the one that enters")};
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);

  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Error{Code::Unsupported, cat("entering the sandbox: no_new_privs: ", error_name(errno))};
  report.layers.emplace_back("no new privileges");
  limit_resources(report, highest_fd, reach);
  leave_namespaces(report, reach);
  drop_capabilities(report);
  restrict_by_landlock(report, reach);
  // after the namespaces: a process that cannot be dumped may not write its own uid_map
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) {
    report.layers.emplace_back("not dumpable");
  } else {
    report.missing.push_back(cat("not dumpable: ", error_name(errno)));
  }
  // a change of credentials forgets it
  if (death_signal != 0) ::prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0);
  TRY(load_seccomp(reach));
  report.layers.insert(report.layers.begin(), "seccomp");
  return report;
}

}  // namespace lares::host
