#include "engine/sound_file.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/text.h"

#define MINIAUDIO_IMPLEMENTATION
#define MA_NO_ENCODING
#define MA_NO_DEVICE_IO
#define MA_NO_THREADING
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_NODE_GRAPH
#define MA_NO_ENGINE
#define MA_NO_GENERATION
#define MA_NO_STDIO
#define MA_API static
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <miniaudio/miniaudio.h>
#pragma GCC diagnostic pop

namespace lares::engine {
namespace {

struct EndDecoder {
  void operator()(ma_decoder* decoder) const { ma_decoder_uninit(decoder); }
};

}  // namespace

Result<std::vector<float>> read_sound(std::string_view file, uint32_t hz) {
  constexpr size_t kPiece = 65'536;
  const size_t most = static_cast<size_t>(hz) * kSoundSecondsMax;
  const ma_decoder_config config = ma_decoder_config_init(ma_format_f32, 1, hz);
  ma_decoder decoder;
  if (ma_decoder_init_memory(file.data(), file.size(), &config, &decoder) != MA_SUCCESS)
    return Error{Code::Invalid, "this is no sound that can be read; send a WAV, MP3 or FLAC file"};
  const std::unique_ptr<ma_decoder, EndDecoder> end(&decoder);
  std::vector<float> samples;
  for (;;) {
    const size_t before = samples.size();
    samples.resize(before + kPiece);
    ma_uint64 got = 0;
    const ma_result read =
        ma_decoder_read_pcm_frames(&decoder, samples.data() + before, kPiece, &got);
    samples.resize(before + std::min<size_t>(got, kPiece));
    if (samples.size() > most)
      return Error{Code::Invalid, cat("the sound is longer than ", kSoundSecondsMax,
                                      " s, which is all that is read; send a part of it")};
    if (read != MA_SUCCESS || got == 0) break;
  }
  if (samples.empty()) return Error{Code::Invalid, "the sound has no samples; save it anew"};
  for (float& sample : samples)
    sample = std::isfinite(sample) ? std::clamp(sample, -1.0F, 1.0F) : 0.0F;
  return samples;
}

}  // namespace lares::engine
