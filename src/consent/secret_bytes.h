// SecretBytes: a key or a passphrase in memory that is never swapped out, never in a core dump,
// stands between guard pages and is overwritten when it goes (libsodium's sodium_malloc). It cannot
// be printed, logged or put into an error, and it is copied by name only: what reads it calls
// reveal(). What it cannot do: undo the copies that others make of what was revealed.
//
// A value; move-only. Any thread, one at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace lares::consent {

class SecretBytes {
 public:
  SecretBytes() = default;  // none: of size 0
  // A copy; wiping what it was copied from is its owner's.
  explicit SecretBytes(std::string_view bytes);
  // Zeros, to be written to by data().
  static SecretBytes of_size(size_t size);
  static SecretBytes random(size_t size);  // from the kernel's generator

  SecretBytes(SecretBytes&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { forget(); }

  SecretBytes copied() const { return SecretBytes(reveal()); }
  // Its first `size` bytes; the rest is wiped.
  SecretBytes cut_to(size_t size) && { return SecretBytes(reveal().substr(0, size)); }
  std::string_view reveal() const { return {bytes_, size_}; }
  char* data() { return bytes_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool same_as(const SecretBytes& other) const;  // in constant time for equal sizes
  void forget();

 private:
  char* bytes_ = nullptr;
  size_t size_ = 0;
};

// Overwrites what a library or a protocol left in plain memory. A string keeps its size.
void wipe(std::string& text);

// Lower-case hexadecimal, there and back; from_hexadecimal() of anything else is empty.
SecretBytes to_hexadecimal(const SecretBytes& bytes);
SecretBytes from_hexadecimal(std::string_view digits);

}  // namespace lares::consent
