#include "api/media.h"

#include <algorithm>

#include "api/requests.h"
#include "base/base64.h"
#include "base/text.h"

namespace lares::api {
namespace {

Error wrong(std::string_view path, std::string_view what) {
  return {Code::Invalid, cat("reading the request: '", path, "' ", what), std::string(path)};
}

// The base64 text in a data: URL ("data:image/png;base64,...").
Result<std::string> data_of_url(const std::string& path, const std::string& url) {
  constexpr std::string_view kScheme = "data:";
  constexpr std::string_view kBase64 = ";base64";
  const std::string beginning = lower(url.substr(0, 8));
  if (beginning.starts_with("http://") || beginning.starts_with("https://")) {
    return wrong(path,
                 "is a link, and nothing is fetched for a request; send the file itself as "
                 "'data:image/png;base64,...'");
  }
  const size_t comma = url.find(',');
  if (!beginning.starts_with(kScheme) || comma == std::string::npos ||
      !lower(url.substr(0, std::min<size_t>(comma, 256))).ends_with(kBase64)) {
    return wrong(path, "is no data: URL in base64; send 'data:image/png;base64,...'");
  }
  return url.substr(comma + 1);
}

// A text inside an object inside `part`: part.outer.inner.
Result<std::string*> text_in(const std::string& path, Json& part, const char* outer,
                             const char* inner) {
  const std::string at = cat(path, ".", outer, ".", inner);
  const auto object = part.find(outer);
  if (object == part.end() || !object->is_object() || !object->contains(inner) ||
      !(*object)[inner].is_string())
    return wrong(at, "is missing, or no string");
  return (*object)[inner].get_ptr<std::string*>();
}

bool is_media(const Json& part) {
  const auto type = part.value("type", "");
  return type == "image" || type == "audio";
}

}  // namespace

Result<Json> media_part(const std::string& path, const std::string& type, Json& part) {
  const bool image = type == "image_url";
  std::string data;
  std::string at;
  if (image) {
    at = cat(path, ".image_url.url");
    if (part.contains("image_url") && part["image_url"].is_string())  // as some clients send it
      part["image_url"] = {{"url", std::move(part["image_url"])}};
    TRY_AS(std::string* const url, text_in(path, part, "image_url", "url"));
    TRY_AS(data, data_of_url(at, *url));
  } else {
    at = cat(path, ".input_audio.data");
    TRY_AS(std::string* const given, text_in(path, part, "input_audio", "data"));
    const Json format = part["input_audio"].value("format", Json());
    if (!format.is_null() && format != "wav" && format != "mp3" && format != "flac")
      return wrong(cat(path, ".input_audio.format"),
                   cat("is ", shown(format), ", but must be 'wav', 'mp3' or 'flac'"));
    data = std::move(*given);
  }
  const auto size = base64_size(data);
  if (!size || *size == 0)
    return wrong(at, cat("holds no base64 of a file (", data.size(), " bytes)"));
  if (*size > kMediaBytesMax.n)
    return wrong(at, cat("is a file of ", grouped(*size), " bytes, at most ",
                         grouped(kMediaBytesMax.n), " are read; send it smaller"));
  return Json{{"type", image ? "image" : "audio"}, {"data", std::move(data)}, {"param", at}};
}

Result<> check_media(const Json& messages) {
  size_t count = 0;
  for (size_t i = 0; i < messages.size(); i++) {
    const Json& content = messages[i]["content"];
    if (!content.is_array()) continue;
    const auto own = static_cast<size_t>(std::count_if(content.begin(), content.end(), is_media));
    count += own;
    if (own > 0 && messages[i]["role"] != "user") {
      const std::string path = cat("messages[", i, "].content");
      return wrong(path, cat("has a picture or sound, which only messages of the role 'user' may, "
                             "and this one's is ",
                             shown(messages[i]["role"])));
    }
  }
  if (count > kMediaMax)
    return wrong("messages", cat("has ", count, " pictures and sounds, at most ", kMediaMax,
                                 " are read in one request; send the later ones alone"));
  return Unit{};
}

bool has_media(const Json& messages) {
  return messages.is_array() &&
         std::any_of(messages.begin(), messages.end(), [](const Json& message) {
           return message.contains("content") && message["content"].is_array();
         });
}

}  // namespace lares::api
