// Thinking: where in an answer a model thinks, by the tags that its template has for it, and when
// it has thought enough. It looks at text, since not every vocabulary has the tags as tokens. Pure;
// owned by one sampler.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace lares::engine {

class Thinking {
 public:
  struct Tags {
    std::string begin;
    std::vector<std::string> ends;  // the first is the one that is written when it has to end
    bool known() const { return !begin.empty() && !ends.empty(); }
  };

  // `before`: what the prompt begins the answer with. `budget`: how many tokens it may take.
  Thinking(Tags tags, std::string_view before, std::optional<Tokens> budget);

  // A token was chosen, with this text. Thinking begins at the beginning of an answer or not at
  // all: a tag that is named later is text.
  void add(std::string_view piece);
  bool inside() const { return state_ == State::Inside; }
  // Nothing but white space was written, and the prompt has begun no thought: it may still begin.
  bool may_begin() const { return state_ == State::Before && tags_.known(); }
  // What begins it; what follows the end tag in the piece that was added last.
  const Tags& tags() const { return tags_; }
  std::string_view behind_end() const { return behind_; }

  // It has to end now: all of its tokens are used, and the last character is whole.
  bool over() const;
  // It has to end as soon as it can.
  void stop() { budget_ = 0; }
  Tokens tokens() const { return tokens_; }

 private:
  enum class State : uint8_t { Before, Inside, After };
  void look(std::string_view piece);

  const Tags tags_;
  std::optional<Tokens> budget_;
  Tokens tokens_ = 0;  // that were added inside, so not those of the tag that begins it
  State state_ = State::Before;
  std::string tail_;  // the last of what was written, as long as a tag
  std::string behind_;
};

}  // namespace lares::engine
