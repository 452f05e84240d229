// The format of the whole data folder, in one small file, `version`: checked before anything else
// in the folder is opened, so that an older program never touches what a newer one wrote.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace lares::store {

inline constexpr uint32_t kDataFormat = 1;

// Writes the file when the folder is new. Unsupported when a newer Lares wrote it (names both
// formats, changes nothing); Corrupt when the file is not ours.
Result<> check_data_format(const std::filesystem::path& folder);

}  // namespace lares::store
