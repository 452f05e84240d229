// A picture or sound that a request brings: any bytes.
#include "base/fuzz.h"
#include "engine/picture_file.h"
#include "engine/sound_file.h"

namespace lares::engine {
namespace {

FUZZ(picture_file) {
  const auto picture = read_picture(bytes);
  if (picture && picture->rgb.size() != size_t{3} * picture->width * picture->height)
    __builtin_trap();
}

FUZZ(sound_file) {
  const auto samples = read_sound(bytes, 16'000);
  if (samples && samples->empty()) __builtin_trap();
}

}  // namespace
}  // namespace lares::engine
