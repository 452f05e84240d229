#include "app/pull_source.h"
#include "base/fuzz.h"

// What comes out reads as itself again.
FUZZ(pull_source) {
  const auto source = lares::app::pull_source_from(bytes);
  if (!source || source->kind == lares::app::PullSource::Kind::Url) return;
  const auto again = lares::app::pull_source_from(source->text());
  assert(again);
  assert(again->text() == source->text());
}
