#include "base/fuzz.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/grammar_text.h"
#include "engine/regex_text.h"
#include "engine/schema_text.h"
#include "wire/structured_limits.h"

namespace engine = lares::engine;

// What passes is a schema still, and passes again: it is written in what is taken.
FUZZ(schema_text) {
  for (const engine::Strict strict : {engine::Strict::No, engine::Strict::Yes}) {
    const auto once = engine::schema_for_grammar(bytes, strict, "p");
    if (!once) {
      assert(once.error().param == "p" && lares::is_utf8(once.error().message));
      continue;
    }
    const auto read = lares::parse_json(*once, {.depth_max = lares::wire::kSchemaDepthMax});
    assert(read && read->is_object());
  }
}

// What passes is anchored, and has none of the signs in which the converter differs from a regex.
FUZZ(regex_text) {
  for (const engine::RegexOf of : {engine::RegexOf::Text, engine::RegexOf::JsonString}) {
    const auto out = engine::regex_for_grammar(bytes, of);
    if (!out) {
      assert(!out.error().message.empty());
      continue;
    }
    assert(out->starts_with('^') && out->ends_with('$'));
    assert(out->find('"') == std::string::npos && out->find('.') == std::string::npos);
    for (const char c : *out) assert(static_cast<unsigned char>(c) < 0x80);
  }
}

FUZZ(grammar_text) {
  if (const auto checked = engine::check_grammar_text(bytes, "p"); !checked)
    assert(checked.error().param == "p");
}
