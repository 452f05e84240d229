// For tests of what keeps conversations: a folder that goes with the test, and a store in it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "store/conversations.h"

namespace lares::store {

inline const std::string kTestKey = std::string(31, 'k') + '\n';

class TestFolder {
 public:
  TestFolder() : path_(std::filesystem::temp_directory_path() / ("lares-kept-" + random_hex(6))) {
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file() const { return path_ / "conversations.db"; }

 private:
  const std::filesystem::path path_;
};

inline Conversations opened(const std::filesystem::path& folder) {
  auto made = Conversations::open(folder, kTestKey);
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return std::move(made->conversations);
}

inline Message said(Role role, std::string text, std::string parent = "") {
  Message message;
  message.role = role;
  message.text = std::move(text);
  message.parent = std::move(parent);
  return message;
}

}  // namespace lares::store
