#include "app/cli/program.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "app/cli/arguments.h"
#include "app/cli/help.h"
#include "app/cli/missing.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

// How many letters must be changed, added, left out or swapped with a neighbour (optimal string
// alignment), because "modles" is one slip of the fingers.
size_t slips(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); i++) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); i++) {
    for (size_t j = 1; j <= b.size(); j++) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string all_of(std::span<const std::string> words) {
  std::string out;
  for (const std::string& word : words) out += cat(out.empty() ? "" : " ", word);
  return plain_line(out);
}

// The verb's option that a word names, as "--name", "--name=value" or "-n"; nullptr when it has
// none of that name.
const Option* option_named(const Verb& verb, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  for (const Option& option : verb.options) {
    if (name == option.name ||
        (name.size() == 2 && option.letter != '\0' && name[1] == option.letter))
      return &option;
  }
  return nullptr;
}

// The words after a verb that are neither options of its own nor their values; nullopt when an
// option is not its own.
std::optional<std::vector<std::string>> words_after(const Verb& verb,
                                                    std::span<const std::string> rest) {
  std::vector<std::string> words;
  for (size_t i = 0; i < rest.size(); i++) {
    if (rest[i].size() < 2 || rest[i].front() != '-') {
      words.push_back(rest[i]);
      continue;
    }
    if (rest[i] == "--help" || rest[i] == "-h") continue;
    const Option* option = option_named(verb, rest[i]);
    if (option == nullptr) return std::nullopt;
    if (!option->value.empty() && rest[i].find('=') == std::string::npos) i++;
  }
  return words;
}

// The verb that was meant where the first word is a slip and what follows is what that verb takes
// and a sentence hardly has: its second word, with no more words than it has room for, or options
// of its own alone, or one word of a list. "" otherwise: then it is a question.
std::string slipped_verb(std::span<const std::string> words, std::span<const Verb* const> verbs) {
  const std::string near = near_verb(words[0], verbs);
  if (near.empty() || words.size() < 2) return near;
  if (const Verb* verb = Registered<Verb>::find(cat(near, " ", words[1]))) {
    const auto more = words_after(*verb, words.subspan(2));
    return more && more->size() <= verb->words.size() ? std::string(verb->name) : "";
  }
  const Verb* verb = Registered<Verb>::find(near);
  if (verb == nullptr) return "";
  const auto more = words_after(*verb, words.subspan(1));
  if (!more || more->size() > 1) return "";
  if (more->empty()) return near;
  for (const Word& word : verb->words) {
    const std::vector<std::string> choices = split(word.completes, ' ');
    if (choices.size() > 1 &&
        std::find(choices.begin(), choices.end(), more->front()) != choices.end())
      return near;
  }
  return "";
}

int complain(Screen& screen, const Error& error) {
  screen.say(error_line(error));
  return row(error.code).exit_status;
}

}  // namespace

std::string near_verb(std::string_view word, std::span<const Verb* const> verbs) {
  constexpr size_t kShortest = 4;  // "hi" is no misspelt "ps"
  constexpr size_t kLong = 6;      // from here on two slips are believed
  constexpr size_t kLongest = 24;
  if (word.size() < kShortest || word.size() > kLongest) return "";
  std::string best;
  size_t best_slips = word.size() < kLong ? 2 : 3;
  for (const Verb* verb : verbs) {
    if (verb->name == "ask") continue;
    const std::string first = split(verb->name, ' ').front();
    // "what" is no misspelt "chat": the first letter of a short word is rarely the slip
    if (word.size() < kLong && lower(word).front() != first.front()) continue;
    if (const size_t count = slips(lower(word), first); count < best_slips) {
      best = first;
      best_slips = count;
    }
  }
  return best;
}

Result<Meant> meant_by(std::span<const std::string> words) {
  const std::vector<const Verb*> verbs = Registered<Verb>::all();
  const Verb* asking = Registered<Verb>::find("ask");
  if (words.empty()) return Meant{asking, words};
  const std::string& first = words[0];
  if (first == "-h" || first == "--help") return Meant{nullptr, {}};
  if (first == "-V" || first == "--version")
    return Meant{Registered<Verb>::find("version"), words.subspan(1)};
  if (words.size() > 1) {
    if (const Verb* verb = Registered<Verb>::find(cat(first, " ", words[1])))
      return Meant{verb, words.subspan(2)};
  }
  if (const Verb* verb = first == "ask" ? nullptr : Registered<Verb>::find(first)) {
    const std::vector<std::string> parts = second_words(verbs, first);
    if (!parts.empty() && words.size() > 1 && !words[1].starts_with('-')) {
      std::string list;
      for (const std::string& part : parts) list += cat(list.empty() ? "" : ", ", part);
      const std::string_view instead = instead_of(words[1]);
      return Error{
          Code::Invalid,
          cat("reading the command line: `lares ", first, "` has no '", words[1], "'",
              instead.empty() ? did_you_mean(words[1], parts) : cat(": ", instead), "; it has ",
              list, "; a question is put in quotes: lares \"", all_of(words), "\"")};
    }
    return Meant{verb, words.subspan(1)};
  }
  if (const std::string_view instead = instead_of(words); !instead.empty()) {
    return Error{Code::Invalid,
                 cat("reading the command line: there is no verb '", first, "': ", instead,
                     words.size() == 1
                         ? cat("; a question of one word is asked with: lares -- ", first)
                         : cat("; a question is put in quotes: lares \"", all_of(words), "\""))};
  }
  if (const std::string meant = slipped_verb(words, verbs); !meant.empty()) {
    const bool one_word = std::none_of(words.begin() + 1, words.end(), [](const std::string& word) {
      return !word.starts_with('-');
    });
    return Error{Code::Invalid,
                 cat("reading the command line: there is no verb '", first,
                     "'; did you mean `lares ", meant, "`? ",
                     one_word ? cat("a question of one word is asked with: lares -- ", first)
                              : cat("a question is put in quotes: lares \"", all_of(words), "\""))};
  }
  // options before a verb: every verb has its own
  if (first.starts_with('-') && first != "--") {
    const std::string& last = words.back();
    const bool only_options =
        std::all_of(words.begin(), words.end() - 1,
                    [](const std::string& word) { return word == "--json" || word == "-h"; });
    if (only_options && last != "ask" && Registered<Verb>::find(last) != nullptr)
      return Error{Code::Invalid,
                   cat("reading the command line: options stand after the verb: lares ", last, " ",
                       all_of(words.first(words.size() - 1)))};
  }
  return Meant{asking, words};
}

int run_program(std::span<const std::string> words, Screen& screen, Daemon& daemon,
                const Result<Home>& home) {
  const auto meant = meant_by(words);
  if (!meant) return complain(screen, meant.error());
  const auto print = [&](const std::string& text) {
    const auto written = screen.out(text);
    return written ? 0 : complain(screen, written.error());
  };
  if (meant->verb == nullptr) return print(overall_help(Registered<Verb>::all()));
  const auto parsed = parse_arguments(*meant->verb, meant->rest);
  if (!parsed) return complain(screen, parsed.error());
  if (parsed->help)
    return print(meant->verb->name == "ask" ? overall_help(Registered<Verb>::all())
                                            : verb_help(*meant->verb));
  if (!home && meant->verb->needs_home) return complain(screen, home.error());
  const Home nowhere;
  Context context{screen, daemon, home ? *home : nowhere};
  const auto result = meant->verb->run(context, parsed->arguments);
  return result ? *result : complain(screen, result.error());
}

}  // namespace lares::app
