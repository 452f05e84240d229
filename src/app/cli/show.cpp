#include "app/cli/show.h"

#include <algorithm>
#include <cstdio>

#include "app/cli/plain_text.h"
#include "base/text.h"

namespace lares::app {

const Json& member_of(const Json& object, std::string_view member) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(member));
  return found == object.end() ? kNull : *found;
}

std::string text_of(const Json& object, std::string_view member) {
  const Json& value = member_of(object, member);
  return value.is_string() ? value.get<std::string>() : "";
}

uint64_t count_of(const Json& object, std::string_view member) {
  const double number = number_of(object, member);
  return number > 0 && number < 1e18 ? static_cast<uint64_t>(number) : 0;
}

double number_of(const Json& object, std::string_view member) {
  const Json& value = member_of(object, member);
  return value.is_number() ? value.get<double>() : 0;
}

bool flag_of(const Json& object, std::string_view member) {
  const Json& value = member_of(object, member);
  return value.is_boolean() && value.get<bool>();
}

std::string size_of(const Json& object, std::string_view member) {
  return member_of(object, member).is_number() ? to_string(Bytes{count_of(object, member)}) : "";
}

std::string inputs_of(const Json& model) {
  std::string all;
  for (const Json& input : member_of(model, "inputs")) {
    if (input.is_string()) all += cat(all.empty() ? "" : ", ", input.get_ref<const std::string&>());
  }
  return all.empty() ? "text" : all;
}

std::string state_of(const Json& model) {
  const std::string state = text_of(model, "state");
  return state == "absent" ? "on disk" : state;
}

Result<int> print_json(Context& context, const Json& json) {
  TRY(context.screen.out(
      json.dump(2, ' ', context.screen.is_terminal(Stream::Out), Json::error_handler_t::replace) +
      "\n"));
  return 0;
}

size_t table_width(const Context& context) {
  return context.screen.is_terminal(Stream::Out) ? context.screen.width() : 0;
}

void Facts::add(std::string_view name, std::string_view value) {
  if (!value.empty()) facts_.emplace_back(name, plain_line(value));
}

std::string Facts::print() const {
  size_t widest = 0;
  for (const auto& [name, value] : facts_) widest = std::max(widest, columns(name));
  std::string out;
  for (const auto& [name, value] : facts_)
    out += cat(name, std::string(widest - columns(name) + 2, ' '), value, "\n");
  return out;
}

std::string rate_words(double per_second) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, per_second < 10 ? "%.1f" : "%.0f", per_second);
  return buffer;
}

std::string error_line(const Error& error) { return cat("lares: ", plain(error.message), "\n"); }

}  // namespace lares::app
