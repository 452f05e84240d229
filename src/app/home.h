// Home: the folders of Lares, for daemon and command line alike (DESIGN: contracts). LARES_HOME
// puts all under one folder; otherwise XDG.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace lares::app {

struct Home {
  std::filesystem::path config;  // lares.toml, token
  std::filesystem::path data;    // models/, receipts, version
  std::filesystem::path cache;
  std::filesystem::path run;  // api.sock, port, lock
  std::filesystem::path models() const { return data / "models"; }
  std::filesystem::path socket() const { return run / "api.sock"; }
};

// From the environment; makes nothing. Without XDG_RUNTIME_DIR run is /tmp/lares-UID. Invalid when
// the socket's path would be longer than a socket address holds (107 bytes), with what to set.
Result<Home> home_from_environment();

// Makes the folders, 0700, and checks that they are ours.
Result<> make(const Home& home);

// Where this program's own files are: the folder of /proc/self/exe, for laresd beside lares, and
// the engine's CPU variants.
struct Programs {
  std::filesystem::path daemon;
  std::filesystem::path worker;
  std::filesystem::path variants;  // folder of libggml-cpu-*.so
};
Programs programs();

}  // namespace lares::app
