// LastLines: the end of what a process wrote to its log, as lines that are safe to show. Bounded
// whatever comes. One thread.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/conduct.h"

namespace lares::host {

inline constexpr size_t kLogLineMax = 300;  // bytes; the rest of a line is dropped

class LastLines {
 public:
  explicit LastLines(size_t lines_max) : lines_max_(lines_max) {}

  // Calls `on_line` for each line that is complete, cleaned.
  void feed(std::string_view bytes, const std::function<void(const std::string&)>& on_line) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      open_ += bytes.substr(0, std::min(end, kLogLineMax - open_.size()));
      if (end == std::string_view::npos) return;
      end_line(on_line);
      bytes.remove_prefix(end + 1);
    }
  }
  // How many lines have come so far, the kept and the dropped.
  size_t count() const { return count_; }
  // Those kept. The last line may lack its end: a process that died in the middle of it.
  std::vector<std::string> take() {
    end_line([](const std::string&) {});
    return {lines_.begin(), lines_.end()};
  }

 private:
  void end_line(const std::function<void(const std::string&)>& on_line) {
    std::string line = cleaned(open_, kLogLineMax);
    open_.clear();
    if (line.empty()) return;
    on_line(line);
    lines_.push_back(std::move(line));
    count_++;
    if (lines_.size() > lines_max_) lines_.pop_front();
  }

  const size_t lines_max_;
  std::string open_;
  size_t count_ = 0;
  std::deque<std::string> lines_;
};

}  // namespace lares::host
