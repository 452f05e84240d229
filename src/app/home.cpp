#include "app/home.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSocketPathMax = 107;  // sun_path holds 108 bytes with the zero at the end

// The variable's value when it is an absolute path: the XDG specification says to ignore others.
fs::path absolute_from(const char* variable) {
  const char* value = std::getenv(variable);
  if (!value || value[0] != '/') return {};
  return fs::path(value).lexically_normal();
}

Result<Home> in_one_folder(const char* value) {
  if (value[0] != '/')
    return Error{Code::Invalid,
                 cat("LARES_HOME is '", value, "'; set it to a path that begins with '/'")};
  const fs::path all = fs::path(value).lexically_normal();
  return Home{all / "config", all / "share", all / "cache", all / "run"};
}

Result<Home> by_xdg() {
  const fs::path person = absolute_from("HOME");
  const auto place = [&](const char* variable, const char* otherwise) {
    const fs::path named = absolute_from(variable);
    if (!named.empty()) return named / "lares";
    return person.empty() ? fs::path() : person / otherwise / "lares";
  };
  Home home{place("XDG_CONFIG_HOME", ".config"),
            place("XDG_DATA_HOME", ".local/share"),
            place("XDG_CACHE_HOME", ".cache"),
            {}};
  if (home.config.empty() || home.data.empty() || home.cache.empty())
    return Error{Code::Invalid,
                 "looking for your folders: neither HOME nor LARES_HOME is set to a "
                 "path that begins with '/'; set LARES_HOME"};
  const fs::path runtime = absolute_from("XDG_RUNTIME_DIR");
  // the folder is made 0700 and refused when it belongs to another user: /tmp is everyone's
  home.run = runtime.empty() ? fs::path(cat("/tmp/lares-", ::getuid())) : runtime / "lares";
  return home;
}

// The kernel's letter for what a process does: R, S, T, Z, ...; 0 when it does not tell.
char process_state(int64_t pid) {
  const auto stat = read_file(cat("/proc/", pid, "/stat"), KiB(4));
  if (!stat) return '\0';
  const size_t name_end = stat->rfind(") ");  // the name before it may hold anything
  return name_end == std::string::npos || name_end + 2 >= stat->size() ? '\0'
                                                                       : (*stat)[name_end + 2];
}

}  // namespace

Result<Home> home_from_environment() {
  const char* all = std::getenv("LARES_HOME");
  TRY_AS(Home home, all && *all ? in_one_folder(all) : by_xdg());
  const std::string socket = home.socket().string();
  if (socket.size() > kSocketPathMax)
    return Error{Code::Invalid, cat("the socket '", socket, "' would have a path of ",
                                    socket.size(), " bytes, and a socket's holds ", kSocketPathMax,
                                    "; set LARES_HOME or XDG_RUNTIME_DIR to a shorter one")};
  return home;
}

Result<> make(const Home& home) {
  for (const fs::path& folder : {home.config, home.data, home.models(), home.cache, home.run})
    TRY(make_private_folder(folder));
  return Unit{};
}

Error unwritable(Error error) {
  if (error.code == Code::Io || error.code == Code::Denied)
    error.message +=
        "; set LARES_HOME to a folder that you can write to (`lares doctor` looks at each)";
  return error;
}

std::string to_text(const Holder& holder) {
  return cat(holder.pid, "\n", holder.socket.string(), "\n");
}

Holder holder_from(std::string_view text) {
  const std::vector<std::string> lines = split(text, '\n');
  Holder holder;
  const std::string_view number = trimmed(lines[0]);
  int32_t pid = 0;
  const auto [read_to, wrong] = std::from_chars(number.data(), number.data() + number.size(), pid);
  if (wrong == std::errc() && read_to == number.data() + number.size() && pid > 0) holder.pid = pid;
  if (lines.size() > 1 && lines[1].starts_with('/')) holder.socket = lines[1];
  return holder;
}

bool process_lives(int64_t pid) {
  if (pid <= 0 || pid > INT32_MAX) return false;
  if (::kill(static_cast<pid_t>(pid), 0) != 0) return errno != ESRCH;
  return process_state(pid) != 'Z';
}

bool process_suspended(int64_t pid) {
  const char state = pid > 0 ? process_state(pid) : '\0';
  return state == 'T' || state == 't';
}

std::optional<Holder> holder_of(const Home& home) { return holder_of_folder(home.data); }

std::optional<Holder> holder_of_folder(const fs::path& folder) {
  const auto text = read_file(Home::lock(folder), KiB(8));
  if (!text) return std::nullopt;
  Holder holder = holder_from(*text);
  // the socket of one that is gone may be another folder's by now
  if (!process_lives(holder.pid)) return std::nullopt;
  return holder;
}

fs::path clone_of(const fs::path& folder) {
  std::error_code failed;
  fs::path clone = folder.parent_path().parent_path().parent_path();
  if (const auto recorded = read_file(folder / "clone", KiB(8)))
    clone = std::string(trimmed(*recorded));
  const bool there = clone.is_absolute() && fs::is_regular_file(clone / "lares", failed) &&
                     fs::is_regular_file(clone / "tools" / "bootstrap", failed);
  return there ? clone : fs::path();
}

Programs programs() {
  std::error_code failed;
  return programs_of(fs::read_symlink("/proc/self/exe", failed));
}

Programs programs_of(const fs::path& self) {
  std::error_code failed;
  fs::path beside = self.parent_path();
  // a package has `lares` in PREFIX/bin, all others in PREFIX/libexec/lares, the engine in
  // PREFIX/lib/lares
  if (const fs::path others = (beside / "../libexec/lares").lexically_normal();
      !fs::exists(beside / "laresd", failed) && fs::exists(others / "laresd", failed))
    beside = others;
  Programs found{beside / "laresd", beside / "lares-worker", beside / "lares-egress", beside,
                 clone_of(beside)};
  for (const fs::path& folder :
       {beside, beside / "../../lib/lares", fs::path(LARES_ENGINE_FOLDER)}) {
    if (folder.empty() || !fs::exists(folder / "libggml-base.so", failed)) continue;
    found.variants = folder.lexically_normal();
    break;
  }
  return found;
}

Error become(std::vector<std::string> words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(pointers.front(), pointers.data());
  return system_error(cat("starting '", words.front(), "'"), errno);
}

}  // namespace lares::app
