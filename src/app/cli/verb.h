// Verb: one command of the command line, in one file of app/cli/, that registers itself. Its table
// of options and words feeds the parser, --help, the shell completions and docs/commands.md. A verb
// holds no logic that the API does not have: it asks the daemon and prints what it says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/screen.h"
#include "app/daemon_client.h"
#include "app/home.h"
#include "base/registry.h"
#include "base/result.h"

namespace lares::app {

struct Option {
  std::string_view name;            // "--model"
  char letter = '\0';               // 'm', or none
  std::string_view value = "";      // "MODEL"; "" for a flag
  std::string_view says;            // one sentence
  std::string_view completes = "";  // how a shell completes the value: "model", "file", "" for not
};

struct Word {
  std::string_view name;  // "FILE"
  std::string_view says;
  enum class Count { One, Maybe, Many } count = Count::One;
  std::string_view completes = "";  // as Option's, or a list: "bash zsh fish"
};

struct Example {
  std::string_view command;
  std::string_view says;
};

// What the person wrote after the verb's name, checked against its table.
class Arguments {
 public:
  bool has(std::string_view option) const { return values_.contains(std::string(option)); }
  // The value of an option that was given, else `otherwise`.
  std::string value(std::string_view option, std::string otherwise = "") const;
  // Invalid, naming option and value, when it is not such a number between the two.
  Result<std::optional<int64_t>> integer(std::string_view option, int64_t min, int64_t max) const;
  Result<std::optional<double>> number(std::string_view option, double min, double max) const;
  const std::vector<std::string>& words() const { return words_; }

  std::map<std::string, std::string> values_;  // by "--name"; a flag's value is ""
  std::vector<std::string> words_;
};

// What a verb has to work with.
struct Context {
  Screen& screen;
  Daemon& daemon;
  const Home& home;
};

struct Verb {
  std::string_view name;     // "models add"; "ask" is what happens without a verb
  std::string_view summary;  // one line, lower case
  std::string_view more;     // a paragraph for --help
  std::span<const Option> options;
  std::span<const Word> words;
  std::span<const Example> examples;
  // The exit status, or the error that main prints and maps to one.
  Result<int> (*run)(Context& context, const Arguments& arguments) = nullptr;
  bool needs_home = true;  // false: works without a folder to live in
  bool listed = true;      // in the list of `lares --help`
};

inline constexpr Option kJson{"--json", '\0', "",
                              "print JSON for programs instead of text for people"};

}  // namespace lares::app
