// Home: the folders of Lares, for daemon and command line alike (DESIGN: contracts). LARES_HOME
// puts all under one folder; otherwise XDG.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lares::app {

struct Home {
  std::filesystem::path config;  // lares.toml, token
  std::filesystem::path data;    // models/, receipts, version
  std::filesystem::path cache;
  std::filesystem::path run;  // api.sock, port, lock
  std::filesystem::path models() const { return data / "models"; }
  std::filesystem::path socket() const { return run / "api.sock"; }
  static std::filesystem::path lock(const std::filesystem::path& folder) { return folder / "lock"; }
};

// From the environment; makes nothing. Without XDG_RUNTIME_DIR run is /tmp/lares-UID. Invalid when
// the socket's path would be longer than a socket address holds (107 bytes), with what to set.
Result<Home> home_from_environment();

// Makes the folders, 0700, and checks that they are ours.
Result<> make(const Home& home);
// An error about a file or a folder of the home; where nothing can be written, with what to do.
Error unwritable(Error error);

// The daemon that has a folder, as it writes itself into the folder's file "lock". Its socket is
// not always where a client's environment says: a shell of cron or su has no XDG_RUNTIME_DIR.
struct Holder {
  int64_t pid = 0;  // 0: not known
  std::filesystem::path socket;
};
std::string to_text(const Holder& holder);
Holder holder_from(std::string_view text);  // what is missing stays empty

// False as soon as the process has ended, although nobody may have asked for its exit status yet:
// the first process of a container often never does.
bool process_lives(int64_t pid);
// True when it was told to wait (SIGSTOP, Ctrl-Z, a debugger): it answers nobody until it may go
// on.
bool process_suspended(int64_t pid);
// The daemon that has the data folder; nullopt when none that runs has it. Its socket is only a
// place to try: Client::connect() still refuses the socket of another user.
std::optional<Holder> holder_of(const Home& home);
// The same of another folder, as the run folder.
std::optional<Holder> holder_of_folder(const std::filesystem::path& folder);

// Where this program's own files are: the folder of /proc/self/exe, for laresd beside lares, and
// the engine's CPU variants.
struct Programs {
  std::filesystem::path daemon;
  std::filesystem::path worker;
  std::filesystem::path egress;
  std::filesystem::path variants;  // folder of libggml-cpu-*.so
  std::filesystem::path clone;     // the source folder that these were built in; empty: it is gone
};
Programs programs();
// The same for a program at the path `self`: in one folder with the others (a build, `lares
// install`), or in the bin/, libexec/lares/ and lib/lares/ of a package.
Programs programs_of(const std::filesystem::path& self);
// Becomes another program, `words[0]` by its path; returns only when that could not be started.
Error become(std::vector<std::string> words);
// For programs in `folder`: of CLONE/build/PRESET/bin the clone, of an installation the one that
// its file "clone" names. Empty when no ./lares is there.
std::filesystem::path clone_of(const std::filesystem::path& folder);

}  // namespace lares::app
