#include "base/log.h"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace lares {
namespace {

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::Debug: return spdlog::level::debug;
    case Level::Info: return spdlog::level::info;
    case Level::Warn: return spdlog::level::warn;
    case Level::Error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Values come from models and file names too: a line break in one must not fake a log line.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Log::Log(std::string_view program, Level lowest)
    : logger_(std::make_shared<spdlog::logger>(std::string(program),
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_level(level_of(lowest));
  logger_->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %n: %v");
  logger_->flush_on(spdlog::level::debug);
}

Log::Log()
    : logger_(std::make_shared<spdlog::logger>("silent",
                                               std::make_shared<spdlog::sinks::null_sink_mt>())) {}

Log Log::silent() { return Log(); }
Log::~Log() = default;
Log::Log(Log&&) noexcept = default;

void Log::write(Level level, std::string_view event, Fields fields) {
  if (!logger_->should_log(level_of(level))) return;
  std::string line = one_line(event);
  for (const Field& field : fields) {
    line += cat(' ', field.name, '=');
    const std::string value = one_line(field.value);
    const bool quote = value.empty() || value.find(' ') != std::string::npos;
    line += quote ? cat('"', value, '"') : value;
  }
  logger_->log(level_of(level), "{}", line);
}

}  // namespace lares
