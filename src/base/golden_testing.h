// Golden files: what a test makes is what lies there. UPDATE_GOLDEN=1 writes them anew.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/file.h"

namespace lares {

// `name` from the root of the source.
inline void expect_golden(std::string_view name, const std::string& is) {
  const std::filesystem::path file = std::filesystem::path(LARES_SOURCE_FOLDER) / name;
  if (const char* update = std::getenv("UPDATE_GOLDEN"); update != nullptr && *update == '1') {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << is;
    return;
  }
  const auto wanted = read_file(file);
  ASSERT_TRUE(wanted) << wanted.error().message << "; UPDATE_GOLDEN=1 writes it";
  EXPECT_EQ(*wanted, is) << file << "; UPDATE_GOLDEN=1 writes it anew";
}

}  // namespace lares
