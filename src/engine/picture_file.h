// A picture's file (PNG, JPEG, GIF or BMP) read into pixels. The bytes are hostile: what would take
// too much memory or time is refused before it is decoded. Not resizing (the projector's own).
// stb_image's door. Compute thread only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace lares::engine {

inline constexpr uint64_t kPixelsMax = 16u << 20;     // of one picture: 16 megapixels
inline constexpr uint32_t kPictureSideMax = 16384;    // pixels
inline constexpr Bytes kPictureMemoryMax = MiB(160);  // one block of memory while it is decoded
inline constexpr size_t kScansMax = 64;               // of a progressive JPEG, each a pass over all

struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> rgb;  // width * height * 3, rows from the top
};

// Of an animation the first frame. Invalid says what is wrong with it.
Result<Picture> read_picture(std::string_view file);

}  // namespace lares::engine
