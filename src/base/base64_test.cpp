#include "base/base64.h"

#include <gtest/gtest.h>

namespace lares {
namespace {

TEST(Base64, ReadsTheExamplesOfItsStandard) {
  const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                          {"Zg==", "f"},
                                                          {"Zm8=", "fo"},
                                                          {"Zm9v", "foo"},
                                                          {"Zm9vYg==", "foob"},
                                                          {"Zm9vYmE=", "fooba"},
                                                          {"Zm9vYmFy", "foobar"}};
  for (const auto& [text, bytes] : examples) {
    EXPECT_EQ(from_base64(text), bytes);
    EXPECT_EQ(base64_size(text), std::string_view(bytes).size());
  }
  EXPECT_EQ(from_base64("Zg"), "f");
  EXPECT_EQ(from_base64("Zm8"), "fo");
  EXPECT_EQ(from_base64("/+8="), "\xff\xef");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Z", "Zm9vZ", "=", "====", "Zg=", "Zg===", "Z=g=", "Zm9v\n", "Zm 9v",
                           "Zm9-", "Zm9_", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(text)) << text;
    EXPECT_FALSE(base64_size(text)) << text;
  }
}

}  // namespace
}  // namespace lares
