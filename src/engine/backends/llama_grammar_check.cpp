#include "engine/backends/llama_grammar_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/text.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kRulesMax = 50'000;
// Ways down the leftmost rules, each of which the engine's check for left recursion walks.
constexpr uint64_t kLeftWaysMax = 1'000'000;
constexpr size_t kLeftDepthMax = 5'000;  // it recurses
// Ways in which a rule may begin, each of which the matcher holds against all the others.
constexpr uint64_t kBeginningsMax = 5'000;
constexpr size_t kSkippedMax = 100;  // things one behind the other that may each be left out
constexpr uint64_t kComparedMax = 5'000'000;  // ways, for one more character of a text
constexpr size_t kWaysMax = 20'000;           // to read a text of kProbeLength characters
constexpr size_t kProbeLength = 24;
constexpr size_t kStacksMax = 1'000;  // each is held against every token
constexpr size_t kCharactersTried = 12;

bool ends(const llama_grammar_element& element) {
  return element.type == LLAMA_GRETYPE_END || element.type == LLAMA_GRETYPE_ALT;
}

bool refers(const llama_grammar_element& element) { return element.type == LLAMA_GRETYPE_RULE_REF; }

// One alternative of a rule: elements [from, until).
struct Alternative {
  uint32_t rule;
  const llama_grammar_element* from;
  const llama_grammar_element* until;
};

std::vector<Alternative> alternatives_of(const llama_grammar_rules& rules) {
  std::vector<Alternative> out;
  for (uint32_t rule = 0; rule < rules.size(); rule++) {
    const llama_grammar_element* from = rules[rule].data();
    for (const llama_grammar_element& element : rules[rule]) {
      if (!ends(element)) continue;
      out.push_back({rule, from, &element});
      from = &element + 1;
    }
  }
  return out;
}

// The rules of which some alternative has only elements that `counts`, to the least fixed point:
// each alternative waits for so many rules, and is looked at again when one of them is found.
template <class Counts>
std::vector<bool> rules_where(const llama_grammar_rules& rules,
                              const std::vector<Alternative>& alternatives, Counts counts) {
  std::vector<bool> found(rules.size());
  std::vector<size_t> missing(alternatives.size());
  std::vector<std::vector<size_t>> waits_for(rules.size());
  std::vector<uint32_t> todo;
  const auto find = [&](uint32_t rule) {
    if (found[rule]) return;
    found[rule] = true;
    todo.push_back(rule);
  };
  for (size_t i = 0; i < alternatives.size(); i++) {
    bool possible = true;
    for (const auto* at = alternatives[i].from; at != alternatives[i].until; at++) {
      if (refers(*at)) {
        missing[i]++;
        waits_for[at->value].push_back(i);
      } else if (!counts(*at)) {
        possible = false;
      }
    }
    if (!possible) {
      missing[i] = SIZE_MAX;
    } else if (missing[i] == 0) {
      find(alternatives[i].rule);
    }
  }
  while (!todo.empty()) {
    const uint32_t rule = todo.back();
    todo.pop_back();
    for (const size_t i : waits_for[rule]) {
      if (missing[i] == SIZE_MAX) continue;
      if (--missing[i] == 0) find(alternatives[i].rule);
    }
  }
  return found;
}

// Walks the rules with which each rule may begin, by what may be `empty` before them.
class LeftWalk {
 public:
  LeftWalk(const std::vector<Alternative>& alternatives, const std::vector<bool>& empty,
           size_t rules)
      : next_(rules), ways_(rules), depth_(rules), skipped_(rules), state_(rules) {
    for (const Alternative& each : alternatives) {
      for (const auto* at = each.from; at != each.until && refers(*at); at++) {
        next_[each.rule].push_back({at->value, static_cast<size_t>(at - each.from)});
        if (!empty[at->value]) break;
      }
    }
  }

  void run() {
    for (uint32_t rule = 0; rule < next_.size(); rule++) {
      if (state_[rule] == State::New) visit(rule);
      all_ways_ += ways_[rule];
    }
  }
  bool in_circles() const { return in_circles_; }
  uint64_t all_ways() const { return all_ways_; }
  uint64_t most_ways() const { return *std::max_element(ways_.begin(), ways_.end()); }
  size_t depth() const { return *std::max_element(depth_.begin(), depth_.end()); }
  size_t most_skipped() const { return *std::max_element(skipped_.begin(), skipped_.end()); }

 private:
  enum class State : uint8_t { New, Open, Done };
  // No recursion: rules may follow each other as far as the text is long.
  void visit(uint32_t first) {
    std::vector<std::pair<uint32_t, size_t>> path = {{first, 0}};
    state_[first] = State::Open;
    while (!path.empty()) {
      auto& [rule, at] = path.back();
      if (at < next_[rule].size()) {
        const uint32_t to = next_[rule][at++].rule;
        if (state_[to] == State::Open) in_circles_ = true;
        if (state_[to] == State::New) {
          state_[to] = State::Open;
          path.emplace_back(to, 0);
        }
        continue;
      }
      ways_[rule] = 1;
      for (const auto& [to, skipped] : next_[rule]) {
        skipped_[rule] = std::max(skipped_[rule], skipped + skipped_[to]);
        ways_[rule] = std::min(ways_[rule] + ways_[to], kLeftWaysMax + 1);
        depth_[rule] = std::max(depth_[rule], depth_[to] + 1);
      }
      state_[rule] = State::Done;
      path.pop_back();
    }
  }

  bool in_circles_ = false;
  uint64_t all_ways_ = 0;
  struct Beginning {
    uint32_t rule;
    size_t skipped;  // how much is empty before it
  };
  std::vector<std::vector<Beginning>> next_;
  std::vector<uint64_t> ways_;
  std::vector<size_t> depth_;
  std::vector<size_t> skipped_;
  std::vector<State> state_;
};

// Whether some rule begins, perhaps behind what is empty, with itself and goes on behind that: the
// engine would begin it for ever. Without more behind it it comes to the same place, and sees that.
// Strongly connected rules are found by Kosaraju's way, in two walks without recursion.
bool grows_at_its_beginning(const std::vector<Alternative>& alternatives,
                            const std::vector<bool>& empty, size_t rules) {
  std::vector<std::vector<uint32_t>> next(rules);
  std::vector<std::vector<uint32_t>> before(rules);
  std::vector<std::pair<uint32_t, uint32_t>> growing;
  for (const Alternative& each : alternatives) {
    for (const auto* at = each.from; at != each.until && refers(*at); at++) {
      next[each.rule].push_back(at->value);
      before[at->value].push_back(each.rule);
      if (at + 1 != each.until) growing.emplace_back(each.rule, at->value);
      if (!empty[at->value]) break;
    }
  }
  std::vector<bool> seen(rules);
  std::vector<uint32_t> finished;
  for (uint32_t first = 0; first < rules; first++) {
    if (seen[first]) continue;
    seen[first] = true;
    std::vector<std::pair<uint32_t, size_t>> path = {{first, 0}};
    while (!path.empty()) {
      auto& [rule, at] = path.back();
      if (at == next[rule].size()) {
        finished.push_back(rule);
        path.pop_back();
        continue;
      }
      const uint32_t to = next[rule][at++];
      if (seen[to]) continue;
      seen[to] = true;
      path.emplace_back(to, 0);
    }
  }
  std::vector<uint32_t> group(rules, UINT32_MAX);
  for (size_t i = finished.size(); i-- > 0;) {
    if (group[finished[i]] != UINT32_MAX) continue;
    std::vector<uint32_t> todo = {finished[i]};
    group[finished[i]] = finished[i];
    while (!todo.empty()) {
      const uint32_t rule = todo.back();
      todo.pop_back();
      for (const uint32_t from : before[rule]) {
        if (group[from] != UINT32_MAX) continue;
        group[from] = finished[i];
        todo.push_back(from);
      }
    }
  }
  return std::any_of(growing.begin(), growing.end(),
                     [&](const auto& edge) { return group[edge.first] == group[edge.second]; });
}

}  // namespace

std::string check_rules(const llama_grammar_rules& rules, uint32_t root) {
  if (rules.size() > kRulesMax)
    return cat("has ", rules.size(), " rules once repetitions are written out, at most ", kRulesMax,
               " are taken");
  const auto alternatives = alternatives_of(rules);
  // an element of text is never empty, and can always be written
  const auto empty =
      rules_where(rules, alternatives, [](const llama_grammar_element&) { return false; });
  const auto met =
      rules_where(rules, alternatives, [](const llama_grammar_element&) { return true; });
  if (!met[root])
    return "can never be met: every way through it goes on for ever; give its recursion a way that "
           "ends";
  if (grows_at_its_beginning(alternatives, empty, rules.size()))
    return "has a rule that begins with itself";
  std::vector<bool> plainly_empty(rules.size());  // as the engine's own check sees it
  for (const Alternative& each : alternatives) {
    if (each.from == each.until) plainly_empty[each.rule] = true;
  }
  LeftWalk plain(alternatives, plainly_empty, rules.size());
  plain.run();
  if (plain.in_circles()) return "has a rule that begins with itself";
  LeftWalk whole(alternatives, empty, rules.size());
  whole.run();
  if (plain.all_ways() > kLeftWaysMax || plain.depth() > kLeftDepthMax ||
      whole.most_ways() > kBeginningsMax || whole.most_skipped() > kSkippedMax)
    return "is too tangled: its rules begin with each other in too many ways; write alternatives "
           "with "
           "different beginnings";
  return "";
}

namespace {

using Ways = std::map<llama_grammar_stack, size_t>;

std::optional<uint32_t> some_character(const llama_grammar_element* element) {
  switch (element->type) {
    case LLAMA_GRETYPE_CHAR: return element->value;
    case LLAMA_GRETYPE_CHAR_ANY: return 'a';
    case LLAMA_GRETYPE_CHAR_NOT: return element->value == 'a' ? 'b' : 'a';
    case LLAMA_GRETYPE_END:
    case LLAMA_GRETYPE_ALT:
    case LLAMA_GRETYPE_RULE_REF:
    case LLAMA_GRETYPE_CHAR_RNG_UPPER:
    case LLAMA_GRETYPE_CHAR_ALT:
    case LLAMA_GRETYPE_TOKEN:
    case LLAMA_GRETYPE_TOKEN_NOT: break;
  }
  return std::nullopt;
}

// The ways to be read that a text has with one more character.
struct After {
  Ways ways;
  bool tangled = false;  // finding them would take the matcher too long
};
After after(llama_grammar& grammar, const Ways& before, uint32_t character) {
  After out;
  uint64_t found = 0;  // each of them the matcher holds against all the others
  for (const auto& [stack, ways] : before) {
    if (stack.empty()) continue;
    grammar.stacks = {stack};
    llama_grammar_accept(&grammar, character);
    found += grammar.stacks.size();
    for (const auto& next : grammar.stacks) {
      size_t& sum = out.ways[next];
      sum = std::min(sum + ways, kWaysMax + 1);
    }
    out.tangled = out.ways.size() > kStacksMax || found * out.ways.size() > kComparedMax;
    if (out.tangled) break;
  }
  return out;
}

size_t all_of(const Ways& ways) {
  size_t sum = 0;
  for (const auto& [stack, count] : ways) sum += count;
  return sum;
}

}  // namespace

std::string check_ambiguity(llama_grammar& grammar) {
  const auto begin = grammar.stacks;
  const std::string tangled =
      "can read one text in too many ways; write it so that each text has few";
  Ways ways;
  for (const auto& stack : begin) ways[stack] = 1;
  std::string wrong = ways.size() > kStacksMax ? tangled : "";
  // always the character that leaves the most ways open, for longer than tokens are
  for (size_t step = 0; step < 2 * kProbeLength && wrong.empty(); step++) {
    if (step == kProbeLength) {
      for (auto& [stack, count] : ways) count = 1;
    }
    std::map<uint32_t, size_t> characters;  // each with how many stacks want it
    for (const auto& [stack, count] : ways) {
      if (stack.empty()) continue;
      if (const auto character = some_character(stack.back())) characters[*character] += count;
    }
    std::vector<std::pair<size_t, uint32_t>> likely;
    for (const auto& [character, count] : characters) likely.emplace_back(count, character);
    std::sort(likely.rbegin(), likely.rend());
    likely.resize(std::min(likely.size(), kCharactersTried));
    Ways best;
    for (const auto& [count, character] : likely) {
      auto [next, too_many] = after(grammar, ways, character);
      if (all_of(next) > all_of(best)) best = std::move(next);
      if (too_many || all_of(best) > kWaysMax) wrong = tangled;
      if (!wrong.empty()) break;
    }
    if (best.empty()) break;
    ways = std::move(best);
  }
  grammar.stacks = begin;
  return wrong;
}

}  // namespace lares::engine::llama
