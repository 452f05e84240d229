// Names of rules. The engine's converter names each rule after the place that it is made of, with
// '-' between the steps and for all that is no letter or digit. Two rules of one name it keeps
// apart, but a '$ref' and its own types ('number', a 'date-time') it takes for written once a rule
// has their name:
//   - the target of "#/$defs/a-x" is the rule 'ref-defs-a-x', and so are a property 'x' within
//     "#/$defs/a", the target of "#/$defs/a_x", and a property 'defs-a-x' within one named 'ref';
//   - a property 'date_time' or 'integral_part' of the whole schema is the rule of a type.
// Whichever is written first stands for both. Here such places get names that nothing else can
// have. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "engine/schema_refs.h"
#include "engine/schema_report.h"

namespace lares::engine::schema {

inline constexpr size_t kPlacesBytesMax = 1 << 20;  // of all that is referred to, copied

// Whether one of `references` ("#/$defs/a") may be taken for something else.
bool may_be_mistaken(const std::set<std::string>& references);
// The same of any reference beside a property of this name.
bool is_like_a_reference(std::string_view property);

// For each of `references` another, into one object of the schema that has all of them; its name
// begins with 'places' and `called`, and is nowhere in the schema.
using Places = std::map<std::string, std::string>;
Places places_for(const std::set<std::string>& references, const OrderedJson& root,
                  std::string_view called);
// Copies there what they lead to, and leaves out '$defs' and 'definitions', which nothing leads
// into any more. Invalid where that is more than kPlacesBytesMax.
Result<> fill(const Places& places, OrderedJson& root, const Refs& refs, const Report& report);

}  // namespace lares::engine::schema
