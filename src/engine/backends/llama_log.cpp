#include "engine/backends/llama_log.h"

#include <llama.h>
#include <log.h>
#include <mtmd.h>

#include "base/mutex.h"
#include "base/text.h"
#include "engine/log.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kLineMax = 500;
thread_local std::string last;  // what a thread's call was refused with
Mutex mutex;
ggml_log_level level_before GUARDED_BY(mutex) = GGML_LOG_LEVEL_NONE;

void on_log(ggml_log_level level, const char* words, void*) {
  const MutexLock lock(mutex);
  if (level == GGML_LOG_LEVEL_CONT) level = level_before;
  level_before = level;
  if (level != GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_ERROR) return;
  std::string line(trimmed(std::string_view(words).substr(0, kLineMax)));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  line = utf8_repaired(line);  // a model's file may speak through it
  if (line.empty()) return;
  log_line(line);
  // the most telling comes first, then what fails because of it
  if (level == GGML_LOG_LEVEL_ERROR && last.empty()) last = line;
}

}  // namespace

void catch_log() {
  llama_log_set(on_log, nullptr);
  ggml_log_set(on_log, nullptr);
  common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT - 1);  // its messages may quote prompts
}

void catch_log_of_media() { mtmd_log_set(on_log, nullptr); }

void forget_last_error() { last.clear(); }
std::string last_error() { return last; }

}  // namespace lares::engine::llama
