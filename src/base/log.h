// Log: one line per event, as a sentence and named values. log.info("model resident", {{"model",
// id}}) Levels by who must act: error (the person), warn (the person might), info (nobody; rare,
// about one line a request), debug (us). Content is never logged: no prompt, reply, file text, path
// of the person's files, token or header; ids, sizes, names of models and durations only. Any
// thread may log. The door to spdlog is log.cpp.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"

namespace spdlog {
class logger;
}

namespace lares {

enum class Level { Debug, Info, Warn, Error };

struct Field {
  template <class V>
  Field(std::string_view called, const V& what) : name(called), value(cat(what)) {}
  std::string_view name;
  std::string value;
};

class Log {
 public:
  // To stderr; "off" for tests is Log::silent().
  explicit Log(std::string_view program, Level lowest = Level::Info);
  static Log silent();
  ~Log();
  Log(Log&&) noexcept;
  Log& operator=(Log&&) = delete;

  using Fields = std::initializer_list<Field>;
  void debug(std::string_view event, Fields fields = {}) { write(Level::Debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(Level::Info, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { write(Level::Warn, event, fields); }
  void error(std::string_view event, Fields fields = {}) { write(Level::Error, event, fields); }

 private:
  Log();
  void write(Level level, std::string_view event, Fields fields);
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace lares
