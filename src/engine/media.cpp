#include "engine/media.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/base64.h"
#include "base/sha256.h"
#include "base/text.h"
#include "engine/picture_file.h"
#include "engine/sound_file.h"

namespace lares::engine {
namespace {

constexpr uint32_t kNumbersMax = (1U << 30) - 1;  // so that both tokens of each fit

bool is_media_part(const Json& part) {
  if (!part.is_object()) return false;
  const auto type = part.find("type");
  return type != part.end() && (*type == "image" || *type == "audio");
}

std::string text_in(const Json& part, const char* name) {
  const auto found = part.find(name);
  return found != part.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<Media> read_part(const Json& part, const Senses& senses) {
  Media media;
  media.kind = part["type"] == "image" ? Media::Kind::Image : Media::Kind::Audio;
  media.param = utf8_repaired(text_in(part, "param").substr(0, 64));
  if (media.param.empty()) media.param = "messages";
  const bool image = media.kind == Media::Kind::Image;
  const auto wrong = [&](const Error& error) {
    return Error{error.code, cat("'", media.param, "': ", error.message), media.param};
  };
  if (image ? !senses.sees : senses.hears_hz == 0) {
    const bool other = senses.sees || senses.hears_hz > 0;
    return wrong(
        {Code::Invalid,
         cat("this model takes no ", image ? "pictures" : "sounds",
             other ? "; its projector was not made for them"
                   : ": it has no projector; `lares models show` says what a model takes")});
  }
  const auto bytes = from_base64(text_in(part, "data"));
  if (!bytes || bytes->empty()) return wrong({Code::Invalid, "its data is no base64"});
  media.digest = sha256_hex(*bytes);
  if (image) {
    auto picture = read_picture(*bytes);
    if (!picture) return wrong(picture.error());
    media.width = picture->width;
    media.height = picture->height;
    media.rgb = std::move(picture->rgb);
  } else {
    auto samples = read_sound(*bytes, senses.hears_hz);
    if (!samples) return wrong(samples.error());
    media.samples = *std::move(samples);
  }
  return media;
}

}  // namespace

bool has_media(const Json& messages) {
  return messages.is_array() &&
         std::any_of(messages.begin(), messages.end(), [](const Json& message) {
           const auto content = message.is_object() ? message.find("content") : message.end();
           return message.is_object() && content != message.end() && content->is_array() &&
                  std::any_of(content->begin(), content->end(), is_media_part);
         });
}

Result<std::vector<Media>> take_media(Json& messages, const Senses& senses) {
  std::vector<Media> all;
  if (!has_media(messages)) return all;
  for (Json& message : messages) {
    if (!message.is_object() || !message.contains("content") || !message["content"].is_array())
      continue;
    for (Json& part : message["content"]) {
      if (!is_media_part(part)) continue;
      if (all.size() == kMediaMax)
        return Error{Code::Invalid,
                     cat("'messages' has more than ", kMediaMax,
                         " pictures and sounds, which is all that one request may have"),
                     "messages"};
      TRY_AS(Media media, read_part(part, senses));
      all.push_back(std::move(media));
      part = {{"type", "media"}};
    }
  }
  return all;
}

uint32_t MediaNumbers::of(const std::string& identity) {
  const auto at = std::find_if(known_.begin(), known_.end(),
                               [&](const Known& known) { return known.identity == identity; });
  if (at != known_.end()) {
    std::rotate(known_.begin(), at, at + 1);
    return known_.front().number;
  }
  assert(next_ < kNumbersMax);
  if (known_.size() == kKnownMax) known_.pop_back();
  known_.push_front({identity, next_++});
  return known_.front().number;
}

}  // namespace lares::engine
