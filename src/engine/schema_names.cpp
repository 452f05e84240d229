#include "engine/schema_names.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/text.h"
#include "engine/schema_text.h"
#include "engine/schema_words.h"

namespace lares::engine {
namespace schema {
namespace {

constexpr size_t kStepMax = 40;  // of a place's own name, what is kept to be recognised

// "#/$defs/a b" has the rule 'ref-defs-a-b'.
std::string rule_of_reference(std::string_view reference) {
  return rule_of(cat("ref", reference.substr(1)));
}

// Whether a property of the whole schema would be the rule of one of the converter's own types,
// which it sees to only where the name is that before it is made one of a rule.
bool is_like_a_type(std::string_view name) {
  constexpr std::array<std::string_view, 3> kOwn = {"date-time", "decimal-part", "integral-part"};
  return std::find(kOwn.begin(), kOwn.end(), name) == kOwn.end() &&
         std::find(kOwn.begin(), kOwn.end(), rule_of(name)) != kOwn.end();
}

bool has_name_like_a_type(const OrderedJson& value) {
  if (!value.is_structured()) return false;
  for (const auto& [name, inner] : value.items()) {
    if ((value.is_object() && is_like_a_type(name)) || has_name_like_a_type(inner)) return true;
  }
  // as one of these it would be a property, too
  const auto required = value.is_object() ? value.find("required") : value.end();
  return required != value.end() && required->is_array() &&
         std::any_of(required->begin(), required->end(), [](const OrderedJson& name) {
           return name.is_string() && is_like_a_type(name.get_ref<const std::string&>());
         });
}

}  // namespace

bool may_be_mistaken(const std::set<std::string>& references) {
  std::set<std::string> rules;
  for (const std::string& each : references) {
    if (!rules.insert(rule_of_reference(each)).second) return true;
  }
  // rules within a place have its name, '-' and more
  for (const std::string& rule : rules) {
    for (size_t at = rule.find('-'); at != std::string::npos; at = rule.find('-', at + 1)) {
      if (rules.contains(rule.substr(0, at))) return true;
    }
  }
  return false;
}

bool is_like_a_reference(std::string_view property) {
  const std::string rule = rule_of(property);
  return rule == "ref" || rule.starts_with("ref-");
}

Places places_for(const std::set<std::string>& references, const OrderedJson& root,
                  std::string_view called) {
  const std::string text = root.dump();
  std::string all = cat("places", called);
  while (text.find(all) != std::string::npos) all += 'x';
  Places out;
  for (const std::string& from : references) {
    const std::string step = from.substr(from.rfind('/') + 1).substr(0, kStepMax);
    const std::string to = cat("#/", all, "/", out.size(), "-", rule_of(step));
    out.emplace(from, to);
  }
  return out;
}

Result<> fill(const Places& places, OrderedJson& root, const Refs& refs, const Report& report) {
  if (places.empty()) return Unit{};
  std::string all;
  OrderedJson copies = OrderedJson::object();
  size_t bytes = 0;
  for (const auto& [from, to] : places) {
    const OrderedJson* const target = refs.find(from);
    assert(target);  // it was read
    bytes += target->dump().size();
    if (bytes > kPlacesBytesMax)
      return report.wrong(from, cat("and others that are referred to lie within each other and "
                                    "come to more than ",
                                    grouped(kPlacesBytesMax),
                                    " bytes; put them into '$defs', one beside the other"));
    const size_t end = to.rfind('/');
    all = to.substr(2, end - 2);
    copies[to.substr(end + 1)] = *target;
  }
  for (const char* name : {"$defs", "definitions"}) root.erase(name);
  root[all] = std::move(copies);
  return Unit{};
}

}  // namespace schema

std::string schema_alone(std::string schema) {
  auto root = OrderedJson::parse(schema, nullptr, false);
  if (!root.is_object() || !schema::has_name_like_a_type(root)) return schema;
  for (const char* other : {"$ref", "oneOf", "anyOf"}) {
    if (root.contains(other)) return schema;  // names within begin with that already
  }
  OrderedJson one = root;
  root["anyOf"] = OrderedJson::array({std::move(one)});
  return root.dump();
}

}  // namespace lares::engine
