// Templates: chat templates that are known by their hash. A template decides what a model reads of
// a chat, and comes with the file, so whoever made the file may have changed it. One that is known
// has been published with that model as it is; of any other the reader can only say: read it. Pure.
#pragma once

#include <string_view>

namespace lares::inventory {

// "ChatML, as in Qwen2.5-7B-Instruct" for the sha256 of a template's bytes, in lower-case
// hexadecimal; "" for one that is not known.
std::string_view known_template(std::string_view sha256);

}  // namespace lares::inventory
