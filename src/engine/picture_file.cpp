#include "engine/picture_file.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/text.h"

namespace {

// A few bytes of a picture may say that they unpack to gigabytes.
void* bounded_malloc(size_t size) {
  return size > lares::engine::kPictureMemoryMax.n ? nullptr : std::malloc(size);
}
void* bounded_realloc(void* block, size_t size) {
  return size > lares::engine::kPictureMemoryMax.n ? nullptr : std::realloc(block, size);
}

}  // namespace

#define STBI_MALLOC(size) bounded_malloc(size)
#define STBI_REALLOC(block, size) bounded_realloc(block, size)
#define STBI_FREE(block) std::free(block)
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

static_assert(STBI_MAX_DIMENSIONS == lares::engine::kPictureSideMax);

namespace lares::engine {
namespace {

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

// The places where a JPEG begins a scan, or would if its bytes were markers.
size_t scans(std::string_view file) {
  size_t count = 0;
  for (size_t at = file.find("\xff\xda"); at != std::string_view::npos;
       at = file.find("\xff\xda", at + 2))
    count++;
  return count;
}

// A PNG says its size at once; of one that is too large for it the library says that it is no PNG.
std::pair<uint64_t, uint64_t> png_size(std::string_view file) {
  constexpr std::string_view kBegin = "\x89PNG\r\n\x1a\n";
  constexpr size_t kWidth = 16, kHeight = 20;
  if (!file.starts_with(kBegin) || file.size() < kHeight + 4) return {};
  const auto number = [&](size_t at) {
    uint64_t value = 0;
    for (size_t i = at; i < at + 4; i++) value = value << 8 | static_cast<unsigned char>(file[i]);
    return value;
  };
  return {number(kWidth), number(kHeight)};
}

Error too_large(uint64_t width, uint64_t height) {
  return {Code::Invalid,
          cat("the picture has ", width, " x ", height, " pixels, at most ", grouped(kPixelsMax),
              " are read, and ", grouped(kPictureSideMax),
              " on a side; send it smaller, models see no more than a few hundred anyway")};
}

std::string why() {
  const char* const said = stbi_failure_reason();
  return said ? said : "no reason was given";
}

}  // namespace

Result<Picture> read_picture(std::string_view file) {
  if (file.empty() || file.size() > INT32_MAX)
    return Error{Code::Invalid, cat("a picture of ", file.size(), " bytes cannot be read")};
  const auto* const bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const auto size = static_cast<int>(file.size());
  if (const auto [wide, high] = png_size(file); std::max(wide, high) > kPictureSideMax)
    return too_large(wide, high);
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(bytes, size, &width, &height, &channels) == 0 || width <= 0 ||
      height <= 0) {
    return Error{Code::Invalid, cat("this is no picture that can be read (", why(),
                                    "); send a PNG, JPEG, GIF or BMP file")};
  }
  const uint64_t pixels = static_cast<uint64_t>(width) * static_cast<uint64_t>(height);
  if (pixels > kPixelsMax || static_cast<uint32_t>(std::max(width, height)) > kPictureSideMax) {
    return too_large(static_cast<uint64_t>(width), static_cast<uint64_t>(height));
  }
  if (file.starts_with("\xff\xd8") && scans(file) > kScansMax) {
    return Error{Code::Invalid, cat("the JPEG comes in more than ", kScansMax,
                                    " scans; save it anew, as a baseline JPEG or a PNG")};
  }
  const std::unique_ptr<stbi_uc, FreePixels> decoded(
      stbi_load_from_memory(bytes, size, &width, &height, &channels, STBI_rgb));
  if (!decoded) {
    return Error{Code::Invalid, cat("the picture is damaged, or unpacks to more than its pixels (",
                                    why(), "); save it anew")};
  }
  Picture picture{static_cast<uint32_t>(width), static_cast<uint32_t>(height), {}};
  if (static_cast<uint64_t>(picture.width) * picture.height != pixels)
    return Error{Code::Invalid, "the picture says two sizes of itself; save it anew"};
  picture.rgb.assign(decoded.get(), decoded.get() + pixels * STBI_rgb);
  return picture;
}

}  // namespace lares::engine
