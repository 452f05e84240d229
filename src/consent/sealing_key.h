// The key that seals what the person's stores hold: 32 random bytes, in a file in the configuration
// folder that only the person can read, made at the first start. It keeps the data from whoever
// gets the data folder alone (a back-up, a synchronised folder); whoever can read both has both,
// until the key can lie in the desktop's keyring.
//
// Blocking: not for the run loop.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace lares::consent {

inline constexpr size_t kSealingKeyBytes = 32;

// The key of `folder`, made when there is none; two programs that start at once get the same one.
// Denied when the file is not the person's own or others may read it, Corrupt when it holds no key,
// each with what to do; never repaired silently, since with another key all is unreadable.
Result<std::string> sealing_key(const std::filesystem::path& folder);

inline std::filesystem::path sealing_key_file(const std::filesystem::path& folder) {
  return folder / "key";
}

}  // namespace lares::consent
