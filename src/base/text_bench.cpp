#include "base/bench.h"
#include "base/json.h"
#include "base/text.h"

namespace {

std::string some_text(size_t size) {
  std::string text;
  while (text.size() < size) text += "An answer with a few wörds, 漢字 and 🙂. ";
  return text;
}

}  // namespace

BENCH(utf8_check_of_a_prompt) {
  const std::string text = some_text(bench.size<size_t>(64, 16'384));
  bench.run([&] { return lares::is_utf8(text) ? text.size() : 0; });
}

BENCH(json_of_a_chat_request) {
  const lares::Json request = {
      {"model", "m"},
      {"messages", {{{"role", "user"}, {"content", some_text(bench.size<size_t>(64, 8'192))}}}},
      {"stream", true}};
  const std::string text = lares::dump(request);
  const lares::JsonLimits limits{.twice_named = lares::TwiceNamed::Refused};
  bench.run([&] { return lares::parse_json(text, limits)->size(); });
}

BENCH(nearest_of_many_names) {
  std::vector<std::string> names;
  for (size_t i = 0; i < bench.size<size_t>(4, 200); i++)
    names.push_back(lares::cat("model-", i, "-instruct-q4_1"));
  bench.run([&] { return lares::nearest("modl-77-instruct-q4", names).size(); });
}
