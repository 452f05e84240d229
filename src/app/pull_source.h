// PullSource: what a person writes to name a model that is not here yet, read. Pure.
//
//   hf:OWNER/REPO[:QUANT or FILE]   Hugging Face; also hf.co/..., and the address of its page
//   ollama:NAME[:TAG]               the Ollama registry; NAMESPACE/NAME too
//   https://HOST/PATH               any file
//   /PATH, ./PATH, ~/PATH           a file on this disk, or a folder with one model in it
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::app {

struct PullSource {
  enum class Kind { Hub, Registry, Url, Disk };
  Kind kind = Kind::Hub;
  std::string name;    // "OWNER/REPO", "NAMESPACE/NAME", the URL, the path
  std::string detail;  // a quantization or a file; a tag; ""
  // As it is kept and compared: one spelling for each source.
  std::string text() const;
  bool operator==(const PullSource&) const = default;
};

inline constexpr size_t kSourceMax = 2'048;

// The one file that a source means, for what is known of it: of a hub, "hf:OWNER/REPO:FILE", where
// the registry chose FILE; else the source's text.
std::string place_of(const PullSource& source, std::string_view found_name);

// Invalid: none of these, with what they look like.
Result<PullSource> pull_source_from(std::string_view written);

}  // namespace lares::app
