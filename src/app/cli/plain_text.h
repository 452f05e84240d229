// Plain text: what a model, a file name or another program wrote, made harmless for a terminal. A
// reply may hold escape sequences that move the cursor, set the title or answer questions in the
// person's name; none of them gets through. Pure; no thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lares::app {

// Takes a text in pieces, cut anywhere, and gives back what may be shown of it: every control
// character but newline and tab is dropped (C0, DEL, and C1 in its UTF-8 form), ill-formed UTF-8
// becomes U+FFFD, and so do the characters that turn the direction of a line around.
class PlainText {
 public:
  std::string feed(std::string_view piece);
  // What is left of a character that never became complete.
  std::string end();

 private:
  std::string held_;  // the beginning of a character, at most 3 bytes
};

// The whole text at once.
std::string plain(std::string_view text);
// The same on one line: newlines and tabs become spaces.
std::string plain_line(std::string_view text);

// Columns that well-formed UTF-8 takes on a terminal: combining marks take none, wide characters
// two.
size_t columns(std::string_view text);

}  // namespace lares::app
