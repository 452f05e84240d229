// A sound's file (WAV, MP3 or FLAC) read into samples of one channel. The bytes are hostile: read
// piece by piece, up to a limit. miniaudio's door. Compute thread only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lares::engine {

inline constexpr uint32_t kSoundSecondsMax = 600;

// Samples at `hz`, mixed to one channel, from -1 to 1. Invalid says what is wrong with the file.
Result<std::vector<float>> read_sound(std::string_view file, uint32_t hz);

}  // namespace lares::engine
