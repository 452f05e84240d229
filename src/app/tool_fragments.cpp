#include "app/tool_fragments.h"

#include "base/text.h"

namespace lares::app {
namespace {

Error wrong(std::string_view what) { return {Code::Corrupt, cat("a call of a tool ", what)}; }

const std::string* text_of(const Json& fragment, const char* name) {
  const auto found = fragment.find(name);
  return found == fragment.end() || !found->is_string() ? nullptr
                                                        : &found->get_ref<const std::string&>();
}

}  // namespace

Result<> ToolFragments::check(Json& fragments, const std::set<std::string>& offered) {
  if (fragments.is_null()) return Unit{};
  if (offered.empty()) return wrong("in an answer for which no tools were offered");
  if (fragments.empty() || fragments.size() > kFragmentsMax)
    return wrong(cat("has ", fragments.size(), " pieces at once"));
  Json out = Json::array();
  for (const Json& fragment : fragments) {
    if (!fragment.is_object()) return wrong("is no object");
    const auto index = fragment.find("index");
    const std::string* const id = text_of(fragment, "id");
    const std::string* const name = text_of(fragment, "name");
    const std::string* const arguments = text_of(fragment, "arguments");
    if (index == fragment.end() || !index->is_number_integer() || *index < 0 || !id || !name ||
        !arguments)
      return wrong("is without its index, id, name or arguments");
    const auto at = index->get<uint64_t>();
    const bool first = at == calls_;
    if (!first && at + 1 != calls_) return wrong("has an index that does not follow");
    if (first == name->empty() || first == id->empty())
      return wrong("has a name and an id where it has none, or none where it has");
    if (first && at >= kCallsMax) return wrong(cat("is one of more than ", kCallsMax));
    if (id->size() > kCallIdMax) return wrong(cat("has an id of ", id->size(), " bytes"));
    if (first && !offered.contains(*name)) return wrong("names a tool that was not offered");
    if (first) calls_++;
    out.push_back({{"index", at},
                   {"id", utf8_repaired(*id)},
                   {"name", *name},
                   {"arguments", utf8_repaired(*arguments)}});
  }
  fragments = std::move(out);
  return Unit{};
}

}  // namespace lares::app
