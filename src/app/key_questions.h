// The questions "key.*" of api::Service, each a function from the keyring and the checked
// arguments to the API's JSON. Background thread: they block. Passphrases and copies are taken out
// of the arguments and wiped there.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "consent/keyring.h"

namespace lares::app {

using KeyQuestion = Result<Json> (*)(consent::Keyring& keyring, const std::filesystem::path& folder,
                                     Json& arguments);
// What answers `question`; nullptr when it is none of these.
KeyQuestion key_question(std::string_view question);

}  // namespace lares::app
