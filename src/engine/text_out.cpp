#include "engine/text_out.h"

#include <algorithm>

#include "base/text.h"

namespace lares::engine {

std::string TextOut::show(size_t bytes) {
  std::string text = utf8_repaired(std::string_view(held_).substr(0, bytes));
  held_.erase(0, bytes);
  out_ += bytes;
  return text;
}

std::string TextOut::add(std::string_view bytes, Stops in_these) {
  if (stopped_) return "";
  in_ += bytes.size();
  held_ += bytes;
  if (in_these == Stops::Ignored) return show(held_.size() - utf8_tail(held_));

  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      stop_ = stop;
    }
  }
  if (first != std::string::npos) {
    stopped_ = true;
    std::string text = show(first);
    held_.clear();
    return text;
  }

  size_t keep = 0;  // the longest end of held_ with which a stop string begins
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; n--) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  const size_t free = held_.size() - keep;
  return show(free - utf8_tail(std::string_view(held_).substr(0, free)));
}

std::string TextOut::rest() {
  if (stopped_) return "";
  std::string text = show(held_.size() - utf8_tail(held_));
  out_ += held_.size();  // the beginning of a character that never came is no text
  held_.clear();
  return text;
}

}  // namespace lares::engine
