// Sealing for the state store: AES-256-GCM in a stream, keys derived by HMAC-SHA-256, digests; by
// OpenSSL, to which this is the room's door. No format and no files: what is sealed and what it is
// bound to say state_format.h and state_segment.h. Pure, any thread; one SealStream one thread.
//
// A key here seals at most one stream for each pair of part and counter. Who calls has to see to
// that, and does so by deriving a key from a salt that was drawn for one file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lares::store {

inline constexpr size_t kSealKeyBytes = 32;
inline constexpr size_t kSealTagBytes = 16;

using Digest = std::array<uint8_t, 32>;
using SealTag = std::array<uint8_t, kSealTagBytes>;

template <size_t N>
std::string_view view_of(const std::array<uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

Digest sha256(std::string_view bytes);
// From the kernel's generator, by OpenSSL's.
void fill_random(uint8_t* bytes, size_t count);
template <class Array>
Array random_bytes() {
  Array bytes{};
  fill_random(bytes.data(), bytes.size());
  return bytes;
}

// 32 bytes that are wiped when they go.
class SealKey {
 public:
  // Requires: kSealKeyBytes bytes.
  explicit SealKey(std::string_view bytes);
  SealKey(const SealKey&) = default;
  SealKey& operator=(const SealKey&) = default;
  ~SealKey();
  static SealKey random();

  std::string_view view() const { return view_of(bytes_); }
  // HMAC-SHA-256 of `purpose`, a zero and `salt`: one key for each pair of them.
  SealKey derived(std::string_view purpose, std::string_view salt) const;

 private:
  Digest bytes_{};
};

// One message that is sealed or opened piece by piece. What `bound` says is not written, but has
// to be the same at opening.
class SealStream {
 public:
  enum class Way : uint8_t { Seal, Open };
  SealStream(Way way, const SealKey& key, uint32_t part, uint64_t counter, std::string_view bound);

  // `out` may be `in`.
  void add(const void* in, size_t count, void* out);
  // Ends sealing.
  SealTag tag();
  // Ends opening. False: all that came out of it is worth nothing.
  bool matches(SealTag tag);

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// A short message as a whole: the sealed bytes, then the tag.
std::string sealed(const SealKey& key, uint32_t part, uint64_t counter, std::string_view bound,
                   std::string_view plain);
std::optional<std::string> opened(const SealKey& key, uint32_t part, uint64_t counter,
                                  std::string_view bound, std::string_view sealed);

}  // namespace lares::store
