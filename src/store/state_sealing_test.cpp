#include "store/state_sealing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace lares::store {
namespace {

const SealKey kZeros(std::string(32, '\0'));

// Test cases 13 and 14 of "The Galois/Counter Mode of Operation" (McGrew, Viega), which have the
// nonce of part 0 and counter 0.
TEST(StateSealing, IsTheCipherOfTheStandard) {
  EXPECT_EQ(sealed(kZeros, 0, 0, "", ""),
            "\x53\x0f\x8a\xfb\xc7\x45\x36\xb9\xa9\x63\xb4\xf1\xc4\xcb\x73\x8b");
  EXPECT_EQ(sealed(kZeros, 0, 0, "", std::string(16, '\0')),
            "\xce\xa7\x40\x3d\x4d\x60\x6b\x6e\x07\x4e\xc5\xd3\xba\xf3\x9d\x18"
            "\xd0\xd1\xc8\xa7\x99\x99\x6b\xf0\x26\x5b\x98\xb5\xd4\x8a\xb9\x19");
}

TEST(StateSealing, DerivesAKeyForEachPurposeAndSalt) {
  const std::string key(kZeros.derived("a", "b").view());
  EXPECT_EQ(key, kZeros.derived("a", "b").view());
  EXPECT_NE(key, kZeros.derived("ab", "").view());
  EXPECT_NE(key, kZeros.derived("a", "c").view());
  EXPECT_NE(key, SealKey(std::string(32, '\1')).derived("a", "b").view());
  // HMAC-SHA-256 of "a", a zero and "b", by another program
  EXPECT_EQ(key.substr(0, 4), "\x5f\x4c\x89\x63");
}

TEST(StateSealing, OpensOnlyWhatWasSealedUnderTheSameOfEverything) {
  const std::string text = "thirty-one bytes that are secret";
  const std::string whole = sealed(kZeros, 1, 7, "bound", text);
  EXPECT_EQ(opened(kZeros, 1, 7, "bound", whole), text);
  EXPECT_FALSE(opened(kZeros, 0, 7, "bound", whole));
  EXPECT_FALSE(opened(kZeros, 1, 8, "bound", whole));
  EXPECT_FALSE(opened(kZeros, 1, 7, "Bound", whole));
  EXPECT_FALSE(opened(SealKey::random(), 1, 7, "bound", whole));
  for (size_t i = 0; i < whole.size(); i++) {
    EXPECT_FALSE(opened(kZeros, 1, 7, "bound", whole.substr(0, i))) << i;
    for (int bit = 0; bit < 8; bit++) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(opened(kZeros, 1, 7, "bound", damaged)) << i << "." << bit;
    }
  }
}

TEST(StateSealing, APieceAtATimeIsTheSameAsAllAtOnce) {
  const std::string text(1000, 'x');
  std::string out(text.size(), '\0');
  SealStream stream(SealStream::Way::Seal, kZeros, 2, 3, "bound");
  for (size_t at = 0; at < text.size(); at += 90) {
    const size_t count = std::min<size_t>(90, text.size() - at);
    stream.add(text.data() + at, count, out.data() + at);
  }
  const SealTag tag = stream.tag();
  EXPECT_EQ(out + std::string(view_of(tag)), sealed(kZeros, 2, 3, "bound", text));
}

TEST(StateSealing, NoTwoDrawnKeysAreTheSame) {
  EXPECT_NE(SealKey::random().view(), SealKey::random().view());
}

}  // namespace
}  // namespace lares::store
