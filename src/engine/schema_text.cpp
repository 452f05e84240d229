#include "engine/schema_text.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "engine/choice_grammar.h"
#include "engine/regex_text.h"
#include "engine/schema_all_of.h"
#include "engine/schema_keywords.h"
#include "engine/schema_names.h"
#include "engine/schema_refs.h"
#include "engine/schema_report.h"
#include "engine/schema_rewrite.h"
#include "engine/schema_words.h"
#include "wire/structured_limits.h"

namespace lares::engine {
namespace schema {
namespace {

// The walk over all that the converter would walk over, as often as it does.
class Schema {
 public:
  Schema(OrderedJson& root, Report report) : root_(root), report_(report), refs_(root) {}

  Result<> run(std::string_view called) {
    TRY(node(root_, "#"));
    const bool apart =
        !called.empty() || may_be_mistaken(met_) || (!met_.empty() && like_a_reference_);
    const Places places = apart ? places_for(met_, root_, called) : Places{};
    if (apart) {
      for (OrderedJson* const leading : leading_) *leading = places.at(leading->get<std::string>());
    }
    rewrite_within(root_);
    return fill(places, root_, refs_, report_);
  }

  std::set<std::string> patterns() && { return std::move(patterns_); }

 private:
  Result<> node(OrderedJson& schema, const std::string& path) {
    if (++nodes_ > wire::kSchemaNodesMax)
      return report_.wrong(
          path, cat("comes to more than ", wire::kSchemaNodesMax, " parts; ask for less"));
    if (schema == true) schema = OrderedJson::object();
    if (!schema.is_object())
      return report_.wrong(
          path, schema == false ? "is 'false', which allows nothing" : "is not an object");
    TRY(required_names(schema, path, report_));
    if (schema.contains("$ref")) {
      TRY(reference(schema["$ref"], path));
      TRY(beside(schema, "$ref", path));
      return unknown(schema, path, report_);
    }
    // a place may be come to on several ways, and a pattern is written anew once
    if (read_.insert(schema.get_ptr<Object*>()).second) TRY(keywords(schema, path));
    TRY(enumerated(schema, path));
    const size_t times = times_written(schema);
    for (const char* list : {"oneOf", "anyOf", "allOf", "prefixItems"}) {
      const auto found = schema.find(list);
      if (found == schema.end() || !found->is_array()) continue;
      for (size_t i = 0; i < found->size(); i++)
        TRY(node((*found)[i], cat(path, "/", list, "/", i)));
    }
    for (size_t time = 0; time < times; time++) {
      TRY(properties(schema, path));
      if (const auto items = schema.find("items"); items != schema.end()) {
        if (items->is_array()) {
          for (size_t i = 0; i < items->size(); i++)
            TRY(node((*items)[i], cat(path, "/items/", i)));
        } else if (*items != false || !schema.contains("prefixItems")) {
          TRY(node(*items, path + "/items"));
        }
      }
      if (const auto other = schema.find("additionalProperties");
          other != schema.end() && other->is_object())
        TRY(node(*other, path + "/additionalProperties"));
    }
    return Unit{};
  }

  Result<> properties(OrderedJson& schema, const std::string& path) {
    const auto found = schema.find("properties");
    if (found == schema.end()) return Unit{};
    if (!found->is_object()) return report_.wrong(path, "has 'properties' that are not an object");
    if (found->size() > wire::kSchemaPropertiesMax)
      return report_.wrong(path, cat("has ", found->size(), " properties, at most ",
                                     wire::kSchemaPropertiesMax, " are taken"));
    std::set<std::string> required;
    if (const auto names = schema.find("required"); names != schema.end() && names->is_array()) {
      for (const auto& name : *names) {
        if (name.is_string()) required.insert(name.get<std::string>());
      }
    }
    size_t optional = 0;
    const bool others = takes_others(schema);
    for (auto& [name, property] : found->items()) {
      if (name.empty() || name == "*")  // it takes them for the root and for all others
        return report_.wrong(
            path, cat("has a property named '", name, "', which no property can be here"));
      if (name.size() > wire::kSchemaNameMax)
        return report_.wrong(path, cat("has a property with a name of ", name.size(),
                                       " bytes, at most ", wire::kSchemaNameMax, " are taken"));
      if (others) TRY(beside_others(name, path));
      like_a_reference_ = like_a_reference_ || is_like_a_reference(name);
      optional += required.contains(name) ? 0 : 1;
      TRY(node(property, cat(path, "/properties/", name)));
    }
    if (optional > wire::kSchemaOptionalMax)
      return report_.wrong(path,
                           cat("has ", optional, " properties that are not required, at most ",
                               wire::kSchemaOptionalMax, " are taken"));
    return Unit{};
  }

  // Properties that are not named.
  static bool takes_others(const OrderedJson& schema) {
    const auto others = schema.find("additionalProperties");
    return others != schema.end() ? *others != false : !schema.contains("properties");
  }

  // Where others may come, the converter writes each sign of a name into a class as it is.
  Result<> beside_others(const std::string& name, const std::string& path) const {
    if (name.find_first_of(std::string_view("\\]^\0", 4)) == std::string::npos) return Unit{};
    return report_.wrong(
        path, cat("has a property '", utf8_repaired(name.substr(0, 40)),
                  "' beside others that are not named, which cannot be told from it for its '\\', "
                  "']', '^' or U+0000; set 'additionalProperties' to false"));
  }

  Result<> keywords(OrderedJson& schema, const std::string& path) {
    for (const char* list : {"anyOf", "oneOf"}) {  // the converter would take them alone
      if (report_.strict == Strict::No && schema.contains("properties") && schema.contains(list) &&
          say_nothing(schema[list]))
        schema.erase(list);
    }
    if (const auto pattern = schema.find("pattern"); pattern != schema.end()) {
      if (!pattern->is_string()) return report_.wrong(path, "has a 'pattern' that is not a string");
      auto written = regex_for_grammar(pattern->get_ref<const std::string&>(), RegexOf::JsonString);
      if (!written)
        return report_.wrong(path, cat("has a 'pattern' that ", written.error().message),
                             written.error().code);
      patterns_.insert(*written);
      *pattern = *std::move(written);
      if (schema.contains("minLength") || schema.contains("maxLength"))
        TRY(report_.not_kept("a 'pattern' together with a length", path));
    }
    for (const auto name : kCounts) TRY(count(schema, std::string(name), path));
    TRY(in_order(schema, "minItems", "maxItems", path, report_));
    TRY(in_order(schema, "minLength", "maxLength", path, report_));
    TRY(bounds(*schema.get_ptr<Object*>(), path, report_));
    TRY(values(schema, path, report_));
    TRY(all_of(schema, path, refs_, report_));
    TRY(required(schema, path, report_));
    const bool others = takes_others(schema);
    for (const std::string& name : without_property(*schema.get_ptr<Object*>())) {
      if (others) TRY(beside_others(name, path));
      like_a_reference_ = like_a_reference_ || is_like_a_reference(name);
    }
    TRY(tuple(schema, path, report_));
    TRY(one_of(schema, path, report_));
    TRY(format(schema, path, report_));
    TRY(unknown(schema, path, report_));
    const auto kept = std::find_if(kInstead.begin(), kInstead.end(),
                                   [&](const auto name) { return schema.contains(name); });
    TRY(kept != kInstead.end() ? beside(schema, *kept, path) : untyped(schema, path, report_));
    return branches(schema, path);
  }

  Result<> enumerated(const OrderedJson& schema, const std::string& path) {
    const auto list = schema.find("enum");
    if (list == schema.end() || !list->is_array()) return Unit{};
    values_ += list->size();
    if (values_ <= wire::kSchemaValuesMax) return Unit{};
    return report_.wrong(
        path, cat("has an 'enum' of ", grouped(list->size()), " values, with which the schema has ",
                  grouped(values_), "; at most ", grouped(wire::kSchemaValuesMax),
                  " are taken, so leave some out, or ask for a string with a 'pattern'"));
  }

  Result<> branches(const OrderedJson& schema, const std::string& path) const {
    const auto list = schema.find("enum");
    if (list == schema.end() || !list->is_array() || list->size() <= wire::kSchemaBranchesMax)
      return Unit{};
    std::vector<std::string> texts;
    for (const OrderedJson& value : *list) texts.push_back(value.dump());
    const size_t most = most_branches(std::move(texts));
    if (most <= wire::kSchemaBranchesMax) return Unit{};
    return report_.wrong(
        path, cat("has an 'enum' of ", grouped(list->size()), " values that go on with ",
                  grouped(most), " different characters behind the same beginning, at most ",
                  grouped(wire::kSchemaBranchesMax),
                  " are taken; leave some out, or ask for a string with a 'pattern'"));
  }

  // What stands beside `kept`, to which alone the converter keeps.
  Result<> beside(const OrderedJson& schema, std::string_view kept, const std::string& path) {
    const bool value = kept == "const" || kept == "enum";
    for (const Names names : {Names(kOverlooked), Names(kCounts), Names(kBounds)}) {
      for (const auto name : names) {
        const bool held = name == kept || (value && name == "enum");  // values() sees to it
        if (!held && schema.contains(name))
          TRY(report_.not_kept(cat("'", name, "' beside '", kept, "'"), path));
      }
    }
    const auto type = schema.find("type");
    if (value || type == schema.end()) return Unit{};
    if (report_.strict == Strict::No || (refs_.types_beside(schema) & ~types_given(*type)) == 0)
      return Unit{};
    return report_.not_kept(cat("'type' beside '", kept, "'"), path);
  }

  Result<> count(OrderedJson& schema, const std::string& name, const std::string& path) {
    const auto found = schema.find(name);
    if (found == schema.end()) return Unit{};
    if (!found->is_number_unsigned())
      return report_.wrong(path, cat("has a '", name, "' that is not a whole number from 0 on"));
    const auto number = found->get<uint64_t>();
    if (number > wire::kSchemaCountMax) {
      if (name.starts_with("min"))
        return report_.wrong(path, cat("has a '", name, "' of ", number, ", at most ",
                                       wire::kSchemaCountMax, " are taken"));
      *found = wire::kSchemaCountMax;  // what keeps to less keeps to more
    }
    counts_ += std::min<uint64_t>(number, wire::kSchemaCountMax);
    if (counts_ > wire::kSchemaCountsMax)
      return report_.wrong(path, cat("comes to lengths and counts of more than ",
                                     wire::kSchemaCountsMax, " together; ask for less"));
    return Unit{};
  }

  Result<> reference(OrderedJson& value, const std::string& path) {
    if (!value.is_string()) return report_.wrong(path, "has a '$ref' that is not a string");
    leading_.insert(&value);
    std::string to = value.get<std::string>();
    std::set<std::string> way;
    for (;;) {
      const std::string shown = utf8_repaired(to.substr(0, 64));
      if (to == "#")
        return report_.wrong(
            path,
            "refers to '#', the whole schema, which is not done here; put it into '$defs' "
            "and refer to it there");
      if (to.size() > 2 * wire::kSchemaNameMax || !to.starts_with("#/"))
        return report_.wrong(path, cat("refers to '", shown,
                                       "', but only '#/...', a place in the same "
                                       "schema, can be referred to"));
      OrderedJson* const target = refs_.find(to);
      if (!target && to.find_first_of("~%") != std::string::npos)
        return report_.wrong(
            path, cat("refers to '", shown,
                      "', but escapes ('~0', '~1', '%20') are not read in a '$ref'; give "
                      "what it refers to a name without '/', '~' and '%'"));
      if (!target) return report_.wrong(path, cat("refers to '", shown, "', which is not there"));
      if (!way.insert(to).second)
        return report_.wrong(path, cat("refers to '", shown, "', which only refers to itself"));
      const bool seen = !met_.insert(to).second;
      if (met_.size() > wire::kSchemaRefsMax)
        return report_.wrong(
            path, cat("is one of more than ", wire::kSchemaRefsMax, " places with a '$ref'"));
      if (!target->is_object())
        return report_.wrong(path, cat("refers to '", shown, "', which is no schema"));
      if (target->contains("$ref")) {
        TRY(beside(*target, "$ref", to));
        TRY(unknown(*target, to, report_));
        if (!(*target)["$ref"].is_string())
          return report_.wrong(path, "has a '$ref' that is not a string");
        leading_.insert(&(*target)["$ref"]);
        to = (*target)["$ref"].get<std::string>();
        continue;
      }
      if (seen) return Unit{};
      return node(*target, to);
    }
  }

  // All that was read. After that, and what lies within before what it lies in: writing moves and
  // copies what lies within, and a '$ref' may lead from there to here.
  void rewrite_within(OrderedJson& value) const {
    for (auto& inner : value) {
      if (inner.is_structured()) rewrite_within(inner);
    }
    auto* const object = value.get_ptr<Object*>();
    if (object && read_.contains(object)) rewrite(*object, report_);
  }

  OrderedJson& root_;
  const Report report_;
  const Refs refs_;
  size_t nodes_ = 0;
  size_t counts_ = 0;
  size_t values_ = 0;
  std::set<std::string> patterns_;
  std::set<std::string> met_;       // what each '$ref' says
  std::set<OrderedJson*> leading_;  // where it says so
  bool like_a_reference_ = false;   // some property is
  std::set<const Object*> read_;
};

}  // namespace
}  // namespace schema

Result<std::string> schema_for_grammar(std::string_view schema, Strict strict,
                                       std::string_view param, std::set<std::string>* patterns,
                                       std::string_view called) {
  const auto checked =
      parse_json(schema, {.depth_max = wire::kSchemaDepthMax, .values_max = 50'000});
  if (!checked)
    return Error{Code::Invalid,
                 cat("'", param, "' has a schema that cannot be read: ", checked.error().message),
                 std::string(param)};
  auto ordered = OrderedJson::parse(schema);
  schema::Schema read(ordered, {strict, param});
  TRY(read.run(called));
  if (patterns) *patterns = std::move(read).patterns();
  return ordered.dump();
}

}  // namespace lares::engine
