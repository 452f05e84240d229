#include "base/fuzz.h"
#include "base/json.h"
#include "base/text.h"

using lares::Json;

// What is taken can be written and read again, and means the same.
FUZZ(json) {
  const auto parsed = lares::parse_json(bytes);
  if (!parsed) return;
  const std::string text = lares::dump(*parsed);
  assert(lares::is_utf8(text));
  const auto again = lares::parse_json(text);
  assert(again && *again == *parsed);
  // names that stand twice are all that strictness refuses
  const auto strict = lares::parse_json(bytes, {.twice_named = lares::TwiceNamed::Refused});
  assert(strict ? *strict == *parsed : strict.error().message.ends_with("twice; send it once"));
  assert(lares::parse_json(text, {.twice_named = lares::TwiceNamed::Refused}));
}

FUZZ(cbor) {
  const auto parsed = lares::parse_cbor(bytes);
  if (!parsed) return;
  const auto again = lares::parse_cbor(lares::to_cbor(*parsed));
  assert(again && *again == *parsed);
  lares::dump(*parsed);
}
