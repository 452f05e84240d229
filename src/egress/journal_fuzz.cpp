#include "base/fuzz.h"
#include "egress/journal.h"

using namespace lares::egress;

// After a good head, anything; and anything instead of a head.
FUZZ(pull_journal) {
  constexpr uint64_t kSize = 20'000'000;
  static_cast<void>(read_journal(bytes, kSize, "x").has_value());
  const auto journal = read_journal(head_record(kSize, "x") + std::string(bytes), kSize, "x");
  assert(journal);
  assert(journal->good_bytes <= kRecordSize + bytes.size());
  assert(journal->chunks.size() == 3);
  for (size_t i = 0; i < journal->chunks.size(); i++)
    assert(journal->chunks[i].have <= size_of_chunk(kSize, i));
}
