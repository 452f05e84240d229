#include "app/daemon_client.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/file.h"
#include "base/text.h"
#include "host/probe.h"

namespace lares::app {
namespace {

constexpr size_t kLastLines = 8;  // of a daemon's log, in the error about its end
constexpr Bytes kLastBytes = KiB(2);
constexpr Bytes kLogRoom = KiB(16);  // with less the reason may not have found room
// Until a daemon that somebody else started answers, or one that ends has ended.
constexpr milliseconds kElsewhereMax{15'000};
constexpr int kRoundsMax = 3;                // a question whose daemon ends is asked of the next
constexpr milliseconds kSilentMax{2'000};    // without a byte: is it still there?
constexpr milliseconds kAnswersMax{10'000};  // to the simplest question, on a machine at its limit
constexpr milliseconds kAsideMax{200};       // for a question on the side, as doing() asks

// Opens the log for appending; one that has grown is set aside first. `size`: what it holds
// already.
Result<Fd> open_log(const std::filesystem::path& file, off_t& size) {
  const std::string doing = cat("opening the daemon's log '", file.string(), "'");
  for (int round = 0;; round++) {
    Fd log(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!log) return system_error(doing, errno);
    struct stat info{};
    if (::fstat(log.get(), &info) != 0) return system_error(doing, errno);
    size = info.st_size;
    if (round > 0 || static_cast<uint64_t>(size) <= DaemonClient::kLogMax.n) return log;
    if (::rename(file.c_str(), (file.string() + ".old").c_str()) != 0) return log;
  }
}

// The last lines that were written to the log after `from`.
std::string last_lines(const std::filesystem::path& file, off_t from) {
  const Fd log(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!log || ::fstat(log.get(), &info) != 0) return "";
  from = std::max(from, info.st_size - static_cast<off_t>(kLastBytes.n));
  std::string text(kLastBytes.n, '\0');
  const ssize_t got = ::pread(log.get(), text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  const std::vector<std::string> lines = split(trimmed(text), '\n');
  std::string out;
  for (size_t i = lines.size() > kLastLines ? lines.size() - kLastLines : 0; i < lines.size(); i++)
    out += cat(out.empty() ? "" : "\n", lines[i]);
  return utf8_repaired(out);
}

// A process of its own session that outlives us: no terminal, no descriptor and no folder of ours.
Result<pid_t> spawn_detached(const std::filesystem::path& program, const Fd& log) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, log.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, log.get(), 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = program.string();
  std::array<char*, 2> arguments{name.data(), nullptr};
  pid_t child = 0;
  const int why =
      ::posix_spawn(&child, name.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (why != 0) return system_error(cat("starting '", name, "'"), why);
  return child;
}

// What keeps a daemon from saying why it ended.
std::string silent_because(const std::filesystem::path& log) {
  std::error_code failed;
  const std::filesystem::path folder = log.parent_path();
  // where it cannot be told, there is as much as can be
  if (std::filesystem::space(folder, failed).available < kLogRoom.n)
    return cat("; the disk of '", folder.string(), "' is full: make room");
  return "; `lares serve` shows what it says";
}

// How a child that ended did so: in words, and as the code that its exit status stands for. `last`:
// what it wrote to its log.
Error ended(int status, const std::string& last, const std::filesystem::path& log) {
  Error error{Code::Io, ""};
  if (WIFSIGNALED(status)) {
    error = {Code::WorkerDied, cat("it was ended by signal ", WTERMSIG(status))};
  } else {
    const int exit_status = WEXITSTATUS(status);
    error.message = cat("it ended with status ", exit_status);
    for (size_t i = 0; i <= static_cast<size_t>(Code::Unsupported); i++) {
      if (row(static_cast<Code>(i)).exit_status != exit_status) continue;
      error.code = static_cast<Code>(i);
      break;  // the first is the general one
    }
  }
  error.message += last.empty() ? silent_because(log) : cat("; it said:\n", last);
  return error;
}

bool is_offline(const Error& error) { return error.code == Code::Offline; }

// Where none runs, it is not to be started for that.
bool ends_the_daemon(std::string_view path) { return path == "/lares/v1/stop"; }

// Nothing is lost when it is asked twice.
bool may_repeat(std::string_view method, std::string_view path) {
  return method == "GET" || path.starts_with("/v1/");
}

}  // namespace

Result<Json> ask(Daemon& daemon, std::string_view method, std::string_view path, const Json& body) {
  TRY_AS(const Daemon::Answer answer,
         daemon.request(method, path, body.is_null() ? "" : dump(body)));
  if (answer.status >= 400) return error_of(answer.status, answer.body);
  if (answer.body.empty()) return Json::object();
  auto json = parse_json(answer.body, {.depth_max = 64, .values_max = 2'000'000});
  if (!json) return std::move(json).error().within(cat(method, " ", path));
  return json;
}

Error error_of(int status, const std::string& body) {
  api::Client::Answer answer;
  answer.status = status;
  answer.body = body;
  return api::error_of(answer);
}

std::string path_escaped(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == ':';
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

DaemonClient::DaemonClient(Home home, std::filesystem::path program)
    : home_(std::move(home)), program_(std::move(program)) {}

Result<api::Client> DaemonClient::connect(const api::ClientLimits& limits) const {
  auto client = api::Client::connect(home_.socket(), limits);
  if (client || !is_offline(client.error())) return client;
  const auto holder = holder_of(home_);
  if (!holder || holder->socket.empty() || holder->socket == home_.socket()) return client;
  auto elsewhere = api::Client::connect(holder->socket, limits);
  return elsewhere ? std::move(elsewhere) : std::move(client);
}

Result<Daemon::Answer> DaemonClient::request(std::string_view method, std::string_view path,
                                             std::string_view body, const OnBytes& on_bytes) {
  for (int round = 1;; round++) {
    bool heard = false;
    const OnBytes hear = [&](std::string_view bytes) {
      heard = true;
      return on_bytes(bytes);
    };
    auto answer = exchange(method, path, body, on_bytes ? hear : OnBytes());
    const bool refused =
        answer && answer->status >= 400 && is_offline(error_of(answer->status, answer->body));
    const bool closed = !answer && is_offline(answer.error()) && may_repeat(method, path);
    if (heard || interrupted_ || round == kRoundsMax || ends_the_daemon(path)) return answer;
    // only where the daemon is about to end; it takes its socket away before it says so
    if (!(refused || closed) || running()) return answer;
  }
}

Result<Daemon::Answer> DaemonClient::exchange(std::string_view method, std::string_view path,
                                              std::string_view body, const OnBytes& on_bytes) {
  api::ClientLimits limits;
  limits.idle = kSilentMax;
  limits.wait_on = [this] { return answers(); };
  auto client = connect(limits);
  if (!client && is_offline(client.error()) && !ends_the_daemon(path)) {
    starting_ = true;
    auto started = start();
    starting_ = false;
    if (!started) return std::move(started).error();
    client = connect(limits);
  }
  if (!client) return stuck_or(std::move(client).error());
  current_.store(&*client);
  if (interrupted_) client->interrupt();
  auto answer = client->stream(method, path, body, {}, on_bytes);
  current_.store(nullptr);
  if (!answer) return stuck_or(std::move(answer).error());
  return Answer{answer->status, std::move(answer->body)};
}

// Whether the daemon is there although nothing comes from it: a large model can be silent for long.
bool DaemonClient::answers() const {
  const auto holder = holder_of(home_);
  if (holder && process_suspended(holder->pid)) return false;
  auto client = connect({.connect = kAnswersMax, .idle = kAnswersMax});
  return client && client->request("GET", "/health");
}

// The error of a daemon that is silent says who that is, and how it is helped.
Error DaemonClient::stuck_or(Error error) const {
  if (error.code != Code::Timeout) return error;
  const auto holder = holder_of(home_);
  if (!holder) return error;
  if (process_suspended(holder->pid))
    return {Code::Timeout, cat("waiting for laresd: process ", holder->pid,
                               " is suspended; let it go on with: kill -CONT ", holder->pid)};
  return {Code::Timeout,
          cat("waiting for laresd: process ", holder->pid, " does not answer; its log is '",
              log_file(home_).string(), "'; end it with: kill ", holder->pid, ", or kill -KILL ",
              holder->pid)};
}

bool DaemonClient::running() {
  // where a service manager listens, connecting would start one
  if (!holder_of(home_) && !holder_of_folder(home_.run)) return false;
  const auto client = connect();
  return static_cast<bool>(client);
}

Result<Json> DaemonClient::self_test() {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable; variable++) environment.emplace_back(*variable);
  return host::probe(program_.string(), {"--self-test=json"},
                     {.limit = kSelfTestMax, .environment = std::move(environment)});
}

void DaemonClient::interrupt() {
  interrupted_ = true;
  if (api::Client* client = current_.load()) client->interrupt();
}

std::string DaemonClient::doing() {
  if (starting_) return "starting laresd";
  auto client = connect({.connect = kAsideMax, .idle = kAsideMax});
  if (!client) return "waiting for laresd";
  const auto answer = client->request("GET", "/lares/v1/ps");
  const auto models = answer ? parse_json(answer->body) : Result<Json>(Json());
  if (!models || !models->is_array()) return "waiting for laresd";
  for (const Json& model : *models) {
    if (!model.is_object()) continue;
    const auto text = [&](const char* name) {
      const auto found = model.find(name);
      return found != model.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    if (text("state") == "loading" || text("state") == "starting")
      return cat("loading ", text("model"));
  }
  return "waiting for the answer";
}

void DaemonClient::stop_thinking(const std::string& answer) {
  auto client = connect({.connect = kAsideMax, .idle = kSilentMax});
  if (!client) return;
  (void)static_cast<bool>(
      client->request("POST", cat("/lares/v1/answers/", path_escaped(answer), "/stop_thinking")));
}

Result<> DaemonClient::start() {
  const std::string doing = "starting laresd";
  if (auto made = make(home_); !made) return unwritable(std::move(made).error()).within(doing);
  const std::filesystem::path log_path = log_file(home_);
  off_t log_begin = 0;
  auto opened = open_log(log_path, log_begin);
  if (!opened) return unwritable(std::move(opened).error()).within(doing);
  const Fd log = *std::move(opened);
  auto child = spawn_detached(program_, log);
  if (!child) return std::move(child).error().within(doing);

  const SteadyTime begun = std::chrono::steady_clock::now();
  milliseconds limit = kStartMax;
  bool ours = true;
  for (;;) {
    auto client = connect();
    if (client) return Unit{};
    if (!is_offline(client.error())) return std::move(client).error().within(doing);
    if (interrupted_) return Error{Code::Cancelled, cat(doing, ": interrupted")};
    int status = 0;
    if (ours && ::waitpid(*child, &status, WNOHANG) == *child) {
      ours = false;
      const bool other = WIFEXITED(status) && WEXITSTATUS(status) == row(Code::Busy).exit_status;
      // another one has this home already, and will answer
      if (!other) return ended(status, last_lines(log_path, log_begin), log_path).within(doing);
      limit =
          std::min(kStartMax, milliseconds(ms_between(begun, std::chrono::steady_clock::now())) +
                                  kElsewhereMax);
    }
    // it has not come to that, or has ended: the next one is ours, and says why
    if (!ours && !holder_of(home_)) {
      child = spawn_detached(program_, log);
      if (!child) return std::move(child).error().within(doing);
      ours = true;
    }
    if (ms_between(begun, std::chrono::steady_clock::now()) > limit.count()) {
      if (const auto holder = holder_of(home_); holder && process_suspended(holder->pid))
        return stuck_or({Code::Timeout, ""});
      const std::string last = last_lines(log_path, log_begin);
      return Error{Code::Timeout,
                   cat(doing, ": it has not answered at '", home_.socket().string(), "' for ",
                       limit.count() / 1000, " s; its log is '", log_path.string(), "'",
                       last.empty() ? "" : cat(", and ends with:\n", last))};
    }
    ::poll(nullptr, 0, static_cast<int>(kStartPoll.count()));
  }
}

}  // namespace lares::app
