#include "engine/schema_all_of.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/text.h"
#include "engine/schema_keywords.h"
#include "engine/schema_words.h"

namespace lares::engine::schema {
namespace {

Result<> takes_others(const OrderedJson& part, const std::map<std::string, size_t>& owner,
                      const std::vector<const OrderedJson*>& all, const std::string& path,
                      const Report& report) {
  const auto rest = part.find("additionalProperties");
  const auto own = part.find("properties");
  if (rest == part.end() || *rest == true || *rest == OrderedJson::object()) return Unit{};
  for (const auto& [name, at] : owner) {
    if (own != part.end() && own->contains(name)) continue;
    const std::string shown = utf8_repaired(name.substr(0, 40));
    const auto required = all[at]->find("required");
    if (*rest == false && required != all[at]->end() &&
        std::find(required->begin(), required->end(), name) != required->end())
      return report.wrong(path, cat("has an 'allOf' of which one part requires '", shown,
                                    "' and another takes none but its own, so nothing is allowed"));
    TRY(report.not_kept(cat("an 'allOf' of which one part has '", shown,
                            "' and another an 'additionalProperties' that is about it"),
                        path));
  }
  return Unit{};
}

// Of a list of at least two, that the one object has each property once and no more than each of
// them takes.
Result<> parts(const OrderedJson& list, const std::string& path, const Refs& refs,
               const Report& report) {
  std::map<std::string, size_t> owner;  // of each property, the part that it was found in
  std::vector<const OrderedJson*> all;
  for (size_t i = 0; i < list.size(); i++) {
    const OrderedJson* const part = refs.followed(&list[i]);
    if (!part || !part->is_object()) return Unit{};  // the walk says so
    for (const char* other : {"anyOf", "oneOf", "enum"}) {
      if (part->contains(other)) TRY(report.not_kept(cat("'", other, "' within an 'allOf'"), path));
    }
    if (const auto type = part->find("type"); type != part->end() && *type != "object")
      TRY(report.not_kept("a part of 'allOf' with another 'type' than 'object'", path));
    all.push_back(part);
    // rewrite() gives a property to what is required without one
    std::vector<std::string> own = without_property(*part->get_ptr<const Object*>());
    if (const auto given = part->find("properties"); given != part->end() && given->is_object()) {
      for (const auto& entry : given->items()) own.push_back(entry.key());
    }
    for (const std::string& name : own) {
      if (!owner.emplace(name, i).second)
        TRY(report.not_kept(cat("an 'allOf' with '", utf8_repaired(name.substr(0, 40)),
                                "' in more than one of its parts"),
                            path));
    }
  }
  for (const OrderedJson* part : all) TRY(takes_others(*part, owner, all, path, report));
  return Unit{};
}

bool joins(const OrderedJson* part, const Refs& refs) {
  const OrderedJson* const schema = refs.followed(part);
  if (!schema || !schema->is_object()) return true;
  for (const char* list : {"anyOf", "oneOf"}) {
    const auto found = schema->find(list);
    if (found == schema->end() || !found->is_array()) continue;
    return std::all_of(found->begin(), found->end(), [&](const OrderedJson& each) {
      return each.is_object() && (each.contains("properties") || each.contains("$ref"));
    });
  }
  return schema->contains("properties") || schema->contains("enum");
}

}  // namespace

Result<> all_of(const OrderedJson& schema, const std::string& path, const Refs& refs,
                const Report& report) {
  const auto list = schema.find("allOf");
  if (list == schema.end() || !list->is_array()) return Unit{};
  if (schema.contains("properties")) return report.not_kept("'allOf' beside 'properties'", path);
  if (list->size() <= 1) return Unit{};  // rewrite()
  for (size_t i = 0; i < list->size(); i++) {
    if (!joins(&(*list)[i], refs))
      return report.wrong(cat(path, "/allOf/", i),
                          "is part of an 'allOf' and no object with 'properties', so it cannot be "
                          "enforced; write the 'allOf' as one schema",
                          Code::Unsupported);
  }
  return parts(*list, path, refs, report);
}

}  // namespace lares::engine::schema
