// host-child: stands in for lares-worker in the tests of this room: speaks the protocol as far as
// asked, and misbehaves on order.
//
//   --at=spawn|hello|load|request|answer   when it does what it is told (the default: never)
//   --do=CRIME                             see commit()
//   --at-id=N                              not before the request of that id
//   --chatty                               logs a line about every load and answer
//   --sandboxed                            enters the sandbox before Hello
//   --sandbox-only[=forbid-namespaces,forbid-landlock]  report and escapes as JSON on stdout; the
//   kernel
//                                          answers as if it had none (a filter that is in force
//                                          before)
//   --layer=namespaces|landlock            that layer alone, then what a path still gives, as JSON
//   --spawn=CHILD                          starts another host-child by Worker, says its pid, waits
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "base/mutex.h"
#include "base/text.h"
#include "host/sandbox.h"
#include "host/sandbox_layers.h"
#include "host/worker.h"

extern char** environ;

namespace {

using namespace lares;
using wire::Type;

std::map<std::string, std::string> options;
Mutex writing;
std::atomic<bool> beating{true};
std::atomic<bool> busy{false};
std::atomic<bool> advancing{true};

std::string option(const std::string& name) {
  const auto found = options.find(name);
  return found == options.end() ? "" : found->second;
}

void say_bytes(std::string_view bytes) {
  const MutexLock lock(writing);
  while (!bytes.empty()) {
    const ssize_t put = ::write(wire::kControlFd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && !beating) std::this_thread::sleep_for(std::chrono::hours(1));
    if (put < 0) ::_exit(9);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}
void say(const wire::Frame& frame) { say_bytes(wire::encode(frame)); }

[[noreturn]] void sleep_on() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// What a worker may do wrong. `id`: of the request that is open, if one is.
void commit(const std::string& crime, uint64_t id) {
  std::fprintf(stderr, "about to %s\n", crime.c_str());
  std::fflush(stderr);
  if (crime.starts_with("signal:")) {
    const int number = std::atoi(crime.c_str() + 7);
    ::signal(number, SIG_DFL);
    ::raise(number);
    // those that do nothing by default are no end: go on
    return;
  }
  if (crime.starts_with("exit:")) ::_exit(std::atoi(crime.c_str() + 5));
  if (crime == "silence") {
    beating = false;
    sleep_on();
  }
  if (crime == "stand-still") {
    advancing = false;
    busy = true;
    sleep_on();
  }
  if (crime == "half-frame") {
    writing.lock();
    static_cast<void>(::write(wire::kControlFd, "\x52\x4C\x01", 3));
    sleep_on();
  }
  if (crime == "bad-magic") say_bytes("HTTP/1.1 200 OK\r\n\r\n");
  if (crime == "huge-frame")
    say_bytes(std::string_view("\x52\x4C\x01\x0C\xFF\xFF\xFF\x7F\0\0\0\0\0\0\0\0", 16));
  if (crime == "wrong-id") say(wire::to_frame(wire::Delta{"x", nullptr, 1}, id + 1000));
  if (crime == "wrong-type") say({77, 0, ""});
  if (crime == "hello-twice") say(wire::to_frame(wire::Hello{"child", "", {}, {}}));
  if (crime == "loaded-unasked") say(wire::to_frame(wire::Loaded{Json::object(), 0, 0}));
  if (crime == "bad-beat") say({static_cast<uint8_t>(Type::Beat), 0, "not CBOR"});
  if (crime == "beat-flood") {
    for (;;) say(wire::to_frame(wire::Beat{1, false}));
  }
  if (crime == "delta-flood") {
    std::string many;
    while (many.size() < 1 << 20)
      many += wire::encode(wire::to_frame(wire::Delta{"x", nullptr, 1}, id));
    for (;;) say_bytes(many);
  }
  if (crime == "log-flood") {
    const std::string line(1000, 'x');
    for (;;) std::fprintf(stderr, "%s\n", line.c_str());
  }
  if (crime == "close") {
    ::signal(SIGPIPE, SIG_IGN);
    beating = false;
    ::shutdown(wire::kControlFd, SHUT_RDWR);  // not close(): other threads read and write it
    sleep_on();
  }
  if (crime == "never-read") sleep_on();
  if (crime == "give-up")
    say(wire::to_frame(wire::Failed{{Code::NoRoom, "loading 'x': \x1b[31mneeds 2 GiB", ""}}, 0));
  if (crime == "strange-log") {
    std::fprintf(stderr, "one\n\x1b[31mtwo\x7f\xff\n%s\nfour, not ended",
                 std::string(5000, 'y').c_str());
    std::fflush(stderr);
    ::_exit(3);
  }
  sleep_on();
}

void at(const std::string& place, uint64_t id = 0) {
  if (const std::string only = option("at-id"); !only.empty() && id < std::stoull(only)) return;
  if (option("at") == place) commit(option("do"), id);
}

void chat(const std::string& line) {
  if (options.contains("chatty")) std::fprintf(stderr, "%s\n", line.c_str());
}

// Everything that a worker finds when it starts.
Json self() {
  Json descriptors = Json::object();
  DIR* folder = ::opendir("/proc/self/fd");
  if (!folder) ::_exit(5);
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == ::dirfd(folder)) continue;
    struct stat info{};
    ::fstat(fd, &info);
    const bool null = S_ISCHR(info.st_mode) && info.st_rdev == 0x103;
    descriptors[entry->d_name] = null                     ? "null"
                                 : S_ISFIFO(info.st_mode) ? "pipe"
                                 : S_ISSOCK(info.st_mode) ? "socket"
                                 : S_ISREG(info.st_mode)  ? "file"
                                                          : "other";
  }
  ::closedir(folder);
  Json environment = Json::array();
  for (char** entry = environ; *entry; entry++) environment.push_back(*entry);
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction pipe{};
  ::sigaction(SIGPIPE, nullptr, &pipe);
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal);
  char cwd[64] = "";
  const auto score = read_file("/proc/self/oom_score_adj");
  return {{"descriptors", descriptors},
          {"environment", environment},
          {"blocks_term", sigismember(&blocked, SIGTERM) == 1},
          {"ignores_pipe", pipe.sa_handler == SIG_IGN},
          {"death_signal", death_signal},
          {"own_session", ::getsid(0) == ::getpid()},
          {"own_group", ::getpgid(0) == ::getpid()},
          {"folder", ::getcwd(cwd, sizeof(cwd)) ? cwd : ""},
          {"model_writable", ::write(wire::kModelFd, "x", 1) == 1},
          {"oom_score", score ? std::string(trimmed(*score)) : ""}};
}

int serve() {
  const Json found = self();
  at("spawn");
  wire::Hello hello{"child", "plain", {}, {}};
  if (options.contains("sandboxed")) {
    auto entered = host::enter_sandbox();
    if (!entered) {
      say(wire::to_frame(wire::Failed{entered.error()}, 0));
      return 1;
    }
    hello.sandbox = entered->layers;
    hello.missing = entered->missing;
  }
  say(wire::to_frame(hello));
  std::thread([] {
    for (uint64_t progress = 0;; progress += advancing ? 1 : 0) {
      if (beating) say(wire::to_frame(wire::Beat{progress, busy}));
      std::this_thread::sleep_for(wire::kBeatEvery);
    }
  }).detach();
  at("hello");
  wire::Decoder decoder;
  std::string block(1 << 16, '\0');
  for (;;) {
    auto next = decoder.next();
    if (!next) return 8;
    if (!*next) {
      const ssize_t got = ::read(wire::kControlFd, block.data(), block.size());
      if (got <= 0) return 0;
      decoder.feed(std::string_view(block).substr(0, static_cast<size_t>(got)));
      continue;
    }
    const wire::Frame frame = **std::move(next);
    switch (static_cast<Type>(frame.type)) {
      case Type::Load:
        busy = true;
        say(wire::to_frame(wire::Progress{"load", 0.5}, 0));
        at("load");
        chat("loaded");
        busy = false;
        say(wire::to_frame(wire::Loaded{found, 1, 1}));
        break;
      case Type::Generate: {
        busy = true;
        at("request", frame.id);
        say(wire::to_frame(wire::Started{1, 0}, frame.id));
        say(wire::to_frame(wire::Progress{"prefill", 1}, frame.id));
        const auto generate = wire::from_frame<wire::Generate>(frame);
        const int pieces = generate->body.value("pieces", 3);
        for (int i = 0; i < pieces; i++) {
          say(wire::to_frame(wire::Delta{cat(i, " "), nullptr, 1}, frame.id));
          if (i == 1) at("answer", frame.id);
        }
        busy = false;
        chat(cat("answered ", frame.id));
        say(wire::to_frame(wire::Done{.reason = "stop"}, frame.id));
        break;
      }
      case Type::Shutdown: at("shutdown"); return 0;
      default: break;
    }
  }
}

// The kernel of another machine: refuses what it does not have. Written by hand, since the library
// for filters has its one door elsewhere.
class Forbidden {
 public:
  Forbidden() { load(offsetof(seccomp_data, nr)); }
  enum class First { Any, Is, Has };  // what the call's first argument is, or has a bit of
  // `number` answers `reason`.
  void add(long number, int reason, First first = First::Any, uint32_t value = 0) {
    const uint8_t length = first == First::Any ? 1 : 4;
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, length));
    if (first != First::Any) {
      load(offsetof(seccomp_data, args));
      const uint16_t compare = first == First::Is ? BPF_JEQ : BPF_JSET;
      code_.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | compare | BPF_K), value, 0, 1));
    }
    answer(SECCOMP_RET_ERRNO | static_cast<uint32_t>(reason));
    if (first != First::Any) load(offsetof(seccomp_data, nr));
  }
  void enter() {
    answer(SECCOMP_RET_ALLOW);
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) ::_exit(5);
  }

 private:
  void load(size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
  }
  void answer(uint32_t what) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, what)); }
  std::vector<sock_filter> code_;
};

void forbid(const std::string& what) {
  constexpr long kLandlockCreateRuleset = 444;
  const std::vector<std::string> all = split(what, ',');
  const auto asked = [&](const char* name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  Forbidden list;
  if (asked("forbid-namespaces")) list.add(SYS_unshare, EPERM);
  if (asked("forbid-user-namespaces"))
    list.add(SYS_unshare, EPERM, Forbidden::First::Has, CLONE_NEWUSER);
  if (asked("forbid-mounts")) list.add(SYS_mount, EACCES);
  if (asked("forbid-landlock")) list.add(kLandlockCreateRuleset, ENOSYS);
  if (asked("landlock-switched-off")) list.add(kLandlockCreateRuleset, EOPNOTSUPP);
  if (asked("forbid-seccomp")) {
    list.add(SYS_seccomp, EPERM);
    list.add(SYS_prctl, EPERM, Forbidden::First::Is, PR_SET_SECCOMP);
  }
  list.enter();
}

int sandbox_only() {
  if (const std::string uid = option("uid"); !uid.empty()) {
    const auto number = static_cast<uid_t>(std::atoi(uid.c_str()));
    if (::setresgid(number, number, number) != 0 || ::setresuid(number, number, number) != 0)
      return 5;
  }
  if (const std::string what = option("sandbox-only"); !what.empty()) forbid(what);
  auto entered = host::enter_sandbox();
  if (!entered) {
    std::printf("%s\n", dump(Json{{"error", entered.error().message}}).c_str());
    return 1;
  }
  if (options.contains("wrong-arch")) {
#if defined(__x86_64__)
    long answer = 20;  // getpid of 32-bit
    asm volatile("int $0x80" : "+a"(answer) : : "memory");
#endif
    return 6;
  }
  Json report = {{"layers", entered->layers}, {"missing", entered->missing}};
  // what a worker lives on
  std::atomic<int> ran{0};
  std::thread one([&] { ran++; });
  one.join();
  struct stat info{};
  report["threads"] = ran.load() == 1;
  report["fstat"] = ::fstat(1, &info) == 0;
  void* memory = std::malloc(64u << 20);
  if (memory) std::memset(memory, 1, 64u << 20);
  report["memory"] = memory != nullptr;
  std::free(memory);
  const int copy = ::dup(0);
  if (copy < 0) return 5;
  std::FILE* model = ::fdopen(copy, "rb");
  report["stdio"] = model != nullptr && std::fgetc(model) == EOF;
  if (model) std::fclose(model);
  rlimit limit{};
  report["cores"] =
      ::getrlimit(RLIMIT_CORE, &limit) == 0 ? static_cast<int64_t>(limit.rlim_max) : -1;
  for (const auto& escape : host::try_to_escape())
    report["escapes"].push_back(host::to_json(escape));
  std::printf("%s\n", dump(report).c_str());
  std::fflush(stdout);
  return 0;
}

// One layer below seccomp, alone: what does a path still give?
int one_layer() {
  host::SandboxReport report;
  if (option("layer") == "namespaces") host::leave_namespaces(report, host::Reach::Nothing);
  if (option("layer") == "capabilities") host::drop_capabilities(report);
  if (option("layer") == "landlock") {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    host::restrict_by_landlock(report, host::Reach::Nothing);
  }
  const auto tried = [](long answer) {
    return answer >= 0 ? std::string("it worked") : host::error_name(errno);
  };
  std::string name(64, '\0');  // setting it to what it is changes nothing
  ::gethostname(name.data(), name.size());
  name.resize(std::strlen(name.c_str()));
  const Json seen = {
      {"layers", report.layers},
      {"missing", report.missing},
      {"open", tried(::open("/etc/passwd", O_RDONLY))},
      {"list", tried(::open("/", O_RDONLY | O_DIRECTORY))},
      {"create", tried(::open("/tmp", O_WRONLY | O_TMPFILE, 0600))},
      {"signal", tried(::kill(::getppid(), 0))},
      {"interfaces",
       [] {
         // only the loopback, and that is down
         const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
         if (fd < 0) return host::error_name(errno);
         const uint8_t address[16] = {2, 0, 0, 9, 127, 0, 0, 1};
         const int answer = ::connect(fd, reinterpret_cast<const sockaddr*>(address), 16);
         return answer >= 0 ? std::string("it worked") : host::error_name(errno);
       }()},
      {"host_name",
       option("layer") == "landlock" ? "" : tried(::sethostname(name.data(), name.size()))}};
  std::printf("%s\n", dump(seen).c_str());
  return 0;
}

int spawn_another(char* own) {
  static SystemClock clock;
  static Loop loop(clock);
  static Log log = Log::silent();
  auto worker =
      host::Worker::spawn({.program = own, .arguments = {"--sandboxed"}, .model = {}, .name = "x"},
                          loop, log, [](const host::WorkerEvent& event) {
                            if (!std::holds_alternative<wire::Hello>(event)) ::_exit(7);
                            std::printf("sealed\n");
                            std::fflush(stdout);
                          });
  if (!worker) return 7;
  std::printf("%d\n", (*worker)->pid());
  std::fflush(stdout);
  loop.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    const std::string word(argv[i]);
    const size_t equals = word.find('=');
    options[word.substr(2, equals == std::string::npos ? equals : equals - 2)] =
        equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  if (options.contains("sandbox-only")) return sandbox_only();
  if (options.contains("layer")) return one_layer();
  if (options.contains("spawn")) return spawn_another(argv[0]);
  if (options.contains("print")) {
    std::printf("%s\n", option("print").c_str());
    return 0;
  }
  if (options.contains("crime")) commit(option("crime"), 0);
  return serve();
}
