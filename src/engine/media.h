// Media: the pictures and sounds of a chat, taken out of its messages and decoded, and the numbers
// by which a prompt's tokens name the rows that a projector makes of them. All of it is foreign
// bytes: read under limits, in the worker only. What the rows are is the backend's
// (engine/model.h). The Batcher's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lares::engine {

using Token = int32_t;

inline constexpr size_t kMediaMax = 16;  // of one request

struct Media {
  enum class Kind { Image, Audio };
  Kind kind = Kind::Image;
  std::string digest;  // of the file, as it was sent
  std::string param;   // where it stood in the request
  uint32_t width = 0, height = 0;
  std::vector<uint8_t> rgb;    // of a picture: rows from the top
  std::vector<float> samples;  // of a sound: one channel
};

// What a model takes beside text.
struct Senses {
  bool sees = false;
  uint32_t hears_hz = 0;  // the rate of its sounds; 0: it does not hear
};

// Whether any message has one.
bool has_media(const Json& messages);

// Takes the parts {"type": "image" or "audio", "data": base64, "param"} out of the contents of
// `messages`, in whose place {"type": "media"} stays. Invalid, with the part's param: the model
// does not take it, it is too large, or it is no file that can be read.
Result<std::vector<Media>> take_media(Json& messages, const Senses& senses);

// A prompt's token below 0 is a row of media: of which piece, and whether it begins it. So equal
// beginnings of two prompts are found as without media.
inline bool is_media(Token token) { return token < 0; }
inline Token media_token(uint32_t piece, size_t row) {
  return -1 - static_cast<Token>(2 * piece + (row > 0 ? 1 : 0));
}
inline bool begins_media(Token token) { return token < 0 && (-1 - token) % 2 == 0; }
inline bool continues_media(Token token) { return token < 0 && (-1 - token) % 2 == 1; }

// A number for each piece of media by what it is. Knows only the last few: one that comes back
// later gets a new number, and nothing that was kept for it is found, which costs time and is never
// wrong.
class MediaNumbers {
 public:
  static constexpr size_t kKnownMax = 1024;
  uint32_t of(const std::string& identity);

 private:
  struct Known {
    std::string identity;
    uint32_t number;
  };
  std::deque<Known> known_;  // last used first
  uint32_t next_ = 0;
};

}  // namespace lares::engine
