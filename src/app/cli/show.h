// Show: reading what the daemon answered and printing it, for all verbs alike. A member that is
// missing or of another type reads as empty: an older or newer daemon must not crash a command.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "app/cli/verb.h"
#include "base/json.h"

namespace lares::app {

std::string text_of(const Json& object, std::string_view member);
uint64_t count_of(const Json& object, std::string_view member);
double number_of(const Json& object, std::string_view member);
bool flag_of(const Json& object, std::string_view member);
// The member, or null.
const Json& member_of(const Json& object, std::string_view member);
std::string size_of(const Json& object, std::string_view member);  // "94 MiB", "" when absent

// What a model takes, for people: "text, image".
std::string inputs_of(const Json& model);

// A model's state in one word or two, for people.
std::string state_of(const Json& model);

// JSON to standard output, indented, one newline at the end. On a terminal everything but ASCII is
// escaped, so that no control character reaches it.
Result<int> print_json(Context& context, const Json& json);

// The width that a table may have: the terminal's, or none in a pipe.
size_t table_width(const Context& context);

// "  name:    value" lines, their values aligned; empty values are left out.
class Facts {
 public:
  void add(std::string_view name, std::string_view value);
  std::string print() const;

 private:
  std::vector<std::pair<std::string, std::string>> facts_;
};

// 3.14159 as "3.1", 31.4 as "31", for rates.
std::string rate_words(double per_second);

// An error as main prints it: "lares: message", harmless for a terminal.
std::string error_line(const Error& error);

}  // namespace lares::app
