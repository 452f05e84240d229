// JSON and CBOR: the only door to nlohmann/json.
// parse() is for bytes that came from outside: it is bounded in depth and in the number of values
// before anything is built, and its errors name the place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares {

using Json = nlohmann::json;
// Keeps the order in which fields were written: for what people read.
using OrderedJson = nlohmann::ordered_json;

// What an object is that has one name twice. RFC 8259 leaves it open; two readers of one text may
// then believe different values.
enum class TwiceNamed : uint8_t { LastCounts, Refused };

struct JsonLimits {
  size_t depth_max = 64;
  size_t values_max = 100'000;
  TwiceNamed twice_named = TwiceNamed::LastCounts;
};

// Invalid with the byte and what was wrong there; also for ill-formed UTF-8, numbers that no double
// holds, two values in one text, and names that stand twice where those are refused. Never throws,
// never recurses deeper than the limit.
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

// CBOR (RFC 8949), for our own wires: what to_cbor() writes, and no more (no lengths that are not
// known, no tags, no numbers that are none). Corrupt with the byte and what was wrong there.
Result<Json> parse_cbor(std::string_view bytes, JsonLimits limits = {});
std::string to_cbor(const Json& value);

// One line; ill-formed UTF-8 is written as U+FFFD, never thrown about.
std::string dump(const Json& value);

}  // namespace lares
