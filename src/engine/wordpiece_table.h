// What the characters of Unicode become before a BERT tokenizer without case cuts words: tables
// made by tools/wordpiece-table.py, sorted by character. Read-only, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lares::engine {

struct Span {
  uint32_t first;
  uint32_t last;
};

// Every `step`-th character from first to last becomes the one `delta` away.
struct Fold {
  uint32_t first;
  uint32_t last;
  uint8_t step;
  int32_t delta;
};

// One character becomes two or three; the rest is 0.
struct Split {
  uint32_t from;
  std::array<uint32_t, 3> to;
};

std::span<const Span> dropped_characters();  // controls, formats, private use, non-spacing marks
std::span<const Span> punctuation_characters();  // beyond ASCII: each is a word of its own
std::span<const Fold> folded_characters();
std::span<const Split> split_characters();

}  // namespace lares::engine
