#include "engine/thinking.h"

#include <algorithm>

#include "base/text.h"

namespace lares::engine {

Thinking::Thinking(Tags tags, std::string_view before, std::optional<Tokens> budget)
    : tags_(std::move(tags)), budget_(budget) {
  if (!tags_.known()) {
    state_ = State::After;
    return;
  }
  // of the prompt only what came last counts: it may have opened a thought, and closed it again
  const size_t begin = before.rfind(tags_.begin);
  if (begin == std::string_view::npos) return;
  state_ = State::Inside;
  look(before.substr(begin + tags_.begin.size()));
  if (state_ == State::After) state_ = State::Before;  // an empty thought: it may yet begin one
  tail_.clear();
  behind_.clear();
}

void Thinking::look(std::string_view piece) {
  tail_ += piece;
  behind_.clear();
  if (state_ == State::Before) {
    const std::string_view said = trimmed(tail_);
    if (said.starts_with(tags_.begin)) {
      state_ = State::Inside;
      tail_ = std::string(said.substr(tags_.begin.size()));
    } else if (!said.empty() && !std::string_view(tags_.begin).starts_with(said)) {
      state_ = State::After;
    }
  }
  if (state_ != State::Inside) return;
  size_t longest = 0;
  size_t first = std::string::npos;
  for (const std::string& end : tags_.ends) {
    longest = std::max(longest, end.size());
    const size_t at = tail_.find(end);
    if (at >= first) continue;
    first = at;
    behind_ = tail_.substr(at + end.size());
  }
  if (first != std::string::npos) {
    state_ = State::After;
    tail_.clear();
  } else if (tail_.size() > longest) {
    tail_.erase(0, tail_.size() - longest);
  }
}

void Thinking::add(std::string_view piece) {
  if (state_ == State::After) {
    behind_.clear();
    return;
  }
  const bool was_inside = inside();
  look(piece);
  if (was_inside) tokens_++;
}

bool Thinking::over() const {
  return inside() && budget_ && tokens_ >= *budget_ && utf8_tail(tail_) == 0;
}

}  // namespace lares::engine
