#include "app/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::string_view kDoing = "reading the command line: ";

std::string shown_name(const Verb& verb) {
  return verb.name == "ask" ? "lares" : cat("lares ", verb.name);
}

Error unknown_option(const Verb& verb, const std::string& option) {
  std::vector<std::string> names{"--help"};
  for (const Option& known : verb.options) names.emplace_back(known.name);
  const std::string name = option.substr(0, option.find('='));
  return {
      Code::Invalid,
      cat(kDoing, "`", shown_name(verb), "` has no option '", name, "'", did_you_mean(name, names),
          verb.name == "ask" ? "; a question with such words is put in quotes" : "", "; `",
          shown_name(verb), " --help` lists what it takes")};
}

Result<> check_words(const Verb& verb, const std::vector<std::string>& words) {
  size_t least = 0;
  size_t most = 0;
  for (const Word& word : verb.words) {
    if (word.count == Word::Count::One) least++;
    most = word.count == Word::Count::Many ? SIZE_MAX : most + 1;
  }
  if (words.size() < least)
    return Error{Code::Invalid,
                 cat(kDoing, "`", shown_name(verb), "` wants ", verb.words[words.size()].name, ": ",
                     verb.words[words.size()].says)};
  if (words.size() > most) {
    std::string all(verb.name);
    for (const std::string& word : words) all += " " + word;
    return Error{Code::Invalid,
                 cat(kDoing, "`", shown_name(verb), "` has no use for '", words[most],
                     "'; a question is put in quotes: lares \"", all, "\"")};
  }
  return Unit{};
}

}  // namespace

Result<Parsed> parse_arguments(const Verb& verb, std::span<const std::string> written) {
  // After "--" nothing is looked at; CLI11 does not tell such words from options among its extras.
  const auto mark = std::find(written.begin(), written.end(), "--");
  std::vector<std::string> before(written.begin(), mark);
  std::vector<std::string> after;
  if (mark != written.end()) after.assign(mark + 1, written.end());

  CLI::App app;
  app.allow_extras();
  app.set_help_flag();
  bool help = false;
  app.add_flag("-h,--help", help);
  std::map<std::string, std::string> values;
  std::map<std::string, bool> flags;
  for (const Option& option : verb.options) {
    const std::string name(option.name);
    const std::string names =
        option.letter == '\0' ? name : cat("-", std::string(1, option.letter), ",", name);
    if (option.value.empty()) {
      app.add_flag(names, flags[name]);
    } else {
      app.add_option(names, values[name])->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
  Parsed parsed;
  try {
    std::reverse(before.begin(), before.end());  // CLI11 takes them from the back
    app.parse(before);
  } catch (const CLI::Error& e) {  // the library's edge
    const std::string_view what = e.what();
    const std::string_view name = what.substr(0, what.find(':'));
    for (const Option& option : verb.options) {
      if (option.name != name) continue;
      if (option.value.empty())
        return Error{Code::Invalid, cat(kDoing, "'", name, "' takes no value; write it alone")};
      return Error{Code::Invalid,
                   cat(kDoing, "'", name, "' wants a value, ", option.value, ": ", option.says)};
    }
    return Error{Code::Invalid, cat(kDoing, what)};
  }
  if (help) {
    parsed.help = true;
    return parsed;
  }
  for (const std::string& extra : app.remaining()) {
    if (extra.size() > 1 && extra.front() == '-') return unknown_option(verb, extra);
    parsed.arguments.words_.push_back(extra);
  }
  parsed.arguments.words_.insert(parsed.arguments.words_.end(), after.begin(), after.end());
  for (const Option& option : verb.options) {
    const std::string name(option.name);
    if (app.count(name) > 0) parsed.arguments.values_[name] = values[name];
  }
  TRY(check_words(verb, parsed.arguments.words_));
  return parsed;
}

std::string Arguments::value(std::string_view option, std::string otherwise) const {
  const auto found = values_.find(std::string(option));
  if (found != values_.end()) return found->second;
  return otherwise;
}

Result<std::optional<int64_t>> Arguments::integer(std::string_view option, int64_t min,
                                                  int64_t max) const {
  if (!has(option)) return std::optional<int64_t>();
  const std::string text = value(option);
  int64_t parsed = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, why] = std::from_chars(text.data(), end, parsed);
  if (why != std::errc{} || stopped != end || parsed < min || parsed > max)
    return Error{Code::Invalid, cat(kDoing, option, " is '", text, "', but a whole number from ",
                                    min, " to ", max, " is wanted")};
  return std::optional(parsed);
}

Result<std::optional<double>> Arguments::number(std::string_view option, double min,
                                                double max) const {
  if (!has(option)) return std::optional<double>();
  const std::string text = value(option);
  double parsed = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, why] = std::from_chars(text.data(), end, parsed);
  if (why != std::errc{} || stopped != end || !std::isfinite(parsed) || parsed < min ||
      parsed > max)
    return Error{Code::Invalid, cat(kDoing, option, " is '", text, "', but a number from ", min,
                                    " to ", max, " is wanted")};
  return std::optional(parsed);
}

}  // namespace lares::app
