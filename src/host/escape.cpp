// The ways out that are tried from inside the sandbox. Each is made so that, should it work after
// all, it does no harm: signal 0, wrong magic numbers, empty images; but it runs only in a
// throw-away process.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "host/sandbox.h"
#include "host/sandbox_layers.h"

namespace lares::host {
namespace {

constexpr int kMptcp = 262;  // IPPROTO_MPTCP
constexpr size_t kPage = 4096;

class Attempts {
 public:
  // A refusal is one of three errors: everything else, another error too, means that the kernel
  // looked at the request, and counts as a way out.
  void add(const char* name, long answer) {
    Escape escape{name, false, {}};
    if (answer >= 0) {
      escape.detail = cat("it worked: ", answer);
    } else {
      escape.denied = errno == EPERM || errno == EACCES || errno == ENOSYS;
      escape.detail = error_name(errno);
    }
    list_.push_back(std::move(escape));
  }
  template <class... A>
  void call(const char* name, long number, A... arguments) {
    errno = 0;
    add(name, ::syscall(number, arguments...));
  }
  std::vector<Escape> take() { return std::move(list_); }

 private:
  std::vector<Escape> list_;
};

void files(Attempts& tried) {
  errno = 0;
  tried.add("open /etc/passwd", ::open("/etc/passwd", O_RDONLY));
  tried.add("open the home folder", ::open("/root/.ssh", O_RDONLY | O_DIRECTORY));
  tried.add("open the root folder", ::open("/", O_RDONLY | O_DIRECTORY));
  tried.add("create a file in /tmp", ::open("/tmp/lares-escape", O_WRONLY | O_CREAT, 0600));
  tried.add("open the model again by /proc/self/fd", ::open("/proc/self/fd/4", O_RDONLY));
  tried.add("open /proc/self/mem", ::open("/proc/self/mem", O_RDWR));
  tried.add("open /proc/1/mem", ::open("/proc/1/mem", O_RDWR));
  tried.add("open /proc/self/environ", ::open("/proc/self/environ", O_RDONLY));
  tried.add("open a device", ::open("/dev/kmsg", O_RDONLY));
#ifdef SYS_openat2
  std::array<uint64_t, 3> how{};
  tried.call("openat2", SYS_openat2, AT_FDCWD, "/etc/passwd", how.data(), sizeof(how));
#endif
  struct stat info{};
  tried.add("see whether a file exists", ::stat("/", &info));
  tried.call("the same by statx", SYS_statx, AT_FDCWD, "/", 0, 0, &info);
  tried.call("the same by newfstatat", SYS_newfstatat, AT_FDCWD, "/", &info, AT_EMPTY_PATH);
  tried.add("the same by access", ::access("/", F_OK));
  tried.add("read a link", ::readlink("/proc/self/exe", std::array<char, 8>().data(), 8));
  tried.add("remove a file", ::unlink("/tmp/lares-escape"));
  tried.add("make a folder", ::mkdir("/tmp/lares-escape", 0700));
  std::array<uint64_t, 16> handle{};
  int mount_id = 0;
  tried.call("name_to_handle_at", SYS_name_to_handle_at, AT_FDCWD, "/", handle.data(), &mount_id,
             0);
  tried.call("open_by_handle_at", SYS_open_by_handle_at, 4, handle.data(), O_RDONLY);
}

void the_model(Attempts& tried) {
  errno = 0;
  tried.add("cut the model file short", ::ftruncate(4, 0));
  tried.add("change the mode of the model file", ::fchmod(4, 0777));
  void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, 4, 0);
  tried.add("run the model file as code", memory == MAP_FAILED ? -1 : 0);
}

void network(Attempts& tried) {
  const struct {
    const char* name;
    int family, type, protocol;
  } kinds[] = {
      {"a TCP socket", AF_INET, SOCK_STREAM, 0},
      {"a TCP socket over IPv6", AF_INET6, SOCK_STREAM, 0},
      {"a UDP socket", AF_INET, SOCK_DGRAM, 0},
      {"an MPTCP socket", AF_INET, SOCK_STREAM, kMptcp},
      {"a raw socket", AF_INET, SOCK_RAW, 1},
      {"a unix socket", AF_UNIX, SOCK_STREAM, 0},
      {"a netlink socket", AF_NETLINK, SOCK_RAW, 0},
      {"a packet socket", AF_PACKET, SOCK_RAW, 0},
      {"a vsock socket", AF_VSOCK, SOCK_STREAM, 0},
      {"a kernel crypto socket", AF_ALG, SOCK_SEQPACKET, 0},
  };
  for (const auto& kind : kinds) {
    errno = 0;
    tried.add(kind.name, ::socket(kind.family, kind.type, kind.protocol));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // the daemon's socket would be under the runtime folder; which name does not matter to the filter
  std::strncpy(address.sun_path, "/run/lares/api.sock", sizeof(address.sun_path) - 1);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  tried.add("connect to the daemon's socket", ::connect(3, name, sizeof(address)));
  tried.add("bind", ::bind(3, name, sizeof(address)));
  tried.add("listen", ::listen(3, 1));
  msghdr message{};
  tried.add("pass a descriptor", ::sendmsg(3, &message, MSG_DONTWAIT));
  tried.add("take a descriptor", ::recvmsg(3, &message, MSG_DONTWAIT));
  std::array<int, 2> pair{};
  tried.add("a pair of sockets", ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()));
}

void processes(Attempts& tried) {
  errno = 0;
  const long forked = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (forked == 0) ::_exit(0);
  tried.add("fork", forked);
#ifdef SYS_fork
  const long old_fork = ::syscall(SYS_fork);
  if (old_fork == 0) ::_exit(0);
  tried.add("fork by its old call", old_fork);
#endif
  const pid_t shared = ::vfork();  // NOLINT(clang-analyzer-*,bugprone-unsafe-functions)
  if (shared == 0) ::_exit(0);
  tried.add("vfork", shared);
#ifdef SYS_clone3
  std::array<uint64_t, 11> request{};
  request[4] = SIGCHLD;
  const long third = ::syscall(SYS_clone3, request.data(), sizeof(request));
  if (third == 0) ::_exit(0);
  tried.add("clone3", third);
#endif
  tried.call("a process in a new user namespace", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

  std::array<char*, 1> none{nullptr};
  tried.add("run a program", ::execve("/bin/true", none.data(), none.data()));
  tried.call("run the model file", SYS_execveat, 4, "", none.data(), none.data(), AT_EMPTY_PATH);
  const int image = ::memfd_create("image", 0);
  tried.add("a file in memory", image);
  if (image >= 0)
    tried.call("run it", SYS_execveat, image, "", none.data(), none.data(), AT_EMPTY_PATH);

  const pid_t parent = ::getppid();
  tried.call("trace the parent", SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, parent, 0, 0);
  std::array<uint64_t, 2> local{reinterpret_cast<uint64_t>(&local), sizeof(local)};
  tried.call("read the parent's memory", SYS_process_vm_readv, parent, local.data(), 1,
             local.data(), 1, 0);
  tried.call("write the parent's memory", SYS_process_vm_writev, parent, local.data(), 1,
             local.data(), 1, 0);
  tried.add("signal the parent", ::kill(parent, 0));
  tried.add("signal everybody", ::kill(-1, 0));
  tried.call("signal a thread of the parent", SYS_tgkill, parent, parent, 0);
  tried.call("the same by tkill", SYS_tkill, parent, 0);
#ifdef SYS_pidfd_open
  tried.call("pidfd_open", SYS_pidfd_open, parent, 0);
#endif
#ifdef SYS_pidfd_getfd
  tried.call("take a descriptor of the parent", SYS_pidfd_getfd, 3, 0, 0);
#endif
  tried.call("have signals sent to the parent", SYS_fcntl, 3, F_SETOWN, parent);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(0, &cores);
  tried.call("move the parent to other cores", SYS_sched_setaffinity, parent, sizeof(cores),
             &cores);
  rlimit limit{};
  tried.call("read the parent's limits", SYS_prlimit64, parent, RLIMIT_NOFILE, 0, &limit);
}

void own_rules(Attempts& tried) {
  errno = 0;
  const rlimit more{1 << 20, 1 << 20};
  tried.add("raise a limit", ::setrlimit(RLIMIT_NOFILE, &more));
  tried.add("become dumpable again", ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
  tried.add("outlive the parent", ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
  tried.call("become root", SYS_setuid, 0);
  std::array<uint32_t, 2> header{0x20080522, 0};
  std::array<uint32_t, 6> all{};
  tried.call("take capabilities", SYS_capset, header.data(), all.data());
  tried.call("code in data, by personality", SYS_personality, 0x0400000);
  void* code = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tried.add("memory that can be run", code == MAP_FAILED ? -1 : 0);
  void* data = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tried.add("make memory runnable", ::mprotect(data, kPage, PROT_READ | PROT_EXEC));
#ifdef SYS_pkey_mprotect
  tried.call("the same by pkey_mprotect", SYS_pkey_mprotect, data, kPage, PROT_READ | PROT_EXEC,
             -1);
#endif
  ::munmap(data, kPage);
}

void the_kernel(Attempts& tried) {
  errno = 0;
  tried.add("mount", ::syscall(SYS_mount, "none", "/", "tmpfs", 0, nullptr));
  tried.call("another namespace", SYS_unshare, CLONE_NEWUSER);
  tried.call("the parent's namespace", SYS_setns, 3, 0);
  tried.call("change the root", SYS_chroot, "/");
  tried.call("pivot_root", SYS_pivot_root, "/", "/");
  std::array<uint64_t, 16> empty{};
  tried.call("bpf", SYS_bpf, 0, empty.data(), sizeof(empty));
  tried.call("perf_event_open", SYS_perf_event_open, empty.data(), 0, -1, -1, 0);
  tried.call("userfaultfd", SYS_userfaultfd, O_NONBLOCK | 1);
#ifdef SYS_io_uring_setup
  tried.call("io_uring", SYS_io_uring_setup, 1, empty.data());
#endif
  tried.call("the kernel's keys", SYS_keyctl, 0, -3, 0);
  tried.call("request a key", SYS_request_key, "user", "lares", 0, 0);
  const std::array<long, 2> wrong_time{0, -1};
  tried.call("set the clock", SYS_clock_settime, 0, wrong_time.data());
  tried.call("set the host's name", SYS_sethostname, "", 0);
  tried.call("reboot", SYS_reboot, 0, 0, 0, 0);
  tried.call("load a kernel module", SYS_init_module, nullptr, 0, "");
  tried.call("shared memory", SYS_shmget, 0, kPage, 01600);
  tried.call("a message queue", SYS_msgget, 0, 01600);
  tried.call("another filter", SYS_seccomp, 1, 0, nullptr);
  tried.call("control a device", SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

}  // namespace

Json to_json(const Escape& escape) {
  return {{"name", escape.name}, {"denied", escape.denied}, {"detail", escape.detail}};
}

Result<Json> escape_report(int highest_fd, Reach reach) {
  TRY_AS(const SandboxReport entered, enter_sandbox(highest_fd, reach));
  Json escapes = Json::array();
  for (const Escape& escape : try_to_escape(reach)) escapes.push_back(to_json(escape));
  return Json{
      {"layers", entered.layers}, {"missing", entered.missing}, {"escapes", std::move(escapes)}};
}

std::vector<Escape> try_to_escape(Reach reach) {
  Attempts tried;
  files(tried);
  the_model(tried);
  network(tried);
  processes(tried);
  own_rules(tried);
  the_kernel(tried);
  std::vector<Escape> escapes = tried.take();
  if (reach == Reach::Internet) {
    // what it is there for; it has no socket that would lead to the daemon's or to another
    // program's
    static constexpr std::string_view kAllowed[] = {"a TCP socket",
                                                    "a TCP socket over IPv6",
                                                    "a UDP socket",
                                                    "pass a descriptor",
                                                    "take a descriptor",
                                                    "cut the model file short",
                                                    "connect to the daemon's socket"};
    std::erase_if(escapes, [](const Escape& escape) {
      return std::find(std::begin(kAllowed), std::end(kAllowed), escape.name) != std::end(kAllowed);
    });
  }
  return escapes;
}

}  // namespace lares::host
