// Projectors: the file beside a model's that makes rows of it out of pictures and sounds
// ("mmproj-*.gguf"). It is a part of its model and none of its own: the list of models does not
// have it. By names and by what a worker's Inspect told; never by its bytes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::inventory {

struct Model;

struct Projector {
  std::filesystem::path file;  // absolute
  Bytes size;
  Json info = Json::object();  // as the worker's Inspect told; empty until it was asked
};

// Whether a file is one by its name, as converters give it.
bool is_projector_name(std::string_view file_name);

// The one of `file_names` that belongs to a model of that id in the same folder: it is called
// "mmproj-", the id or its beginning, and perhaps how it is packed ("-f16"). "" when there is none,
// or several are as near.
std::string projector_named_for(std::string_view id, const std::vector<std::string>& file_names);
// The only one in the folder of a file; nullopt: there is none, or several. A look at one folder.
std::optional<std::filesystem::path> projector_beside(const std::filesystem::path& file);

// "text", and what the model's projector adds: "image", "audio".
std::vector<std::string> inputs_of(const Model& model);
// What it takes in memory beside its model, as long as nobody has loaded both.
Bytes needs_of(const Projector& projector);

// Invalid, with what it is, when `info` is of no projector.
Result<> check_projector(const std::filesystem::path& file, const Json& info);

}  // namespace lares::inventory
