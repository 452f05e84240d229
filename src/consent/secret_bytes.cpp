#include "consent/secret_bytes.h"

#include <sodium.h>

#include <cassert>
#include <cstring>

#include "base/text.h"

namespace lares::consent {

SecretBytes SecretBytes::of_size(size_t size) {
  SecretBytes made;
  if (size == 0) return made;
  const int ready = sodium_init();  // again: no effect
  assert(ready >= 0);
  made.bytes_ = static_cast<char*>(sodium_malloc(size));
  assert(made.bytes_ != nullptr);
  made.size_ = size;
  sodium_memzero(made.bytes_, size);
  return made;
}

SecretBytes::SecretBytes(std::string_view bytes) : SecretBytes(of_size(bytes.size())) {
  if (!bytes.empty()) std::memcpy(bytes_, bytes.data(), bytes.size());
}

SecretBytes SecretBytes::random(size_t size) {
  SecretBytes made = of_size(size);
  randombytes_buf(made.bytes_, made.size_);
  return made;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  forget();
  bytes_ = std::exchange(other.bytes_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

bool SecretBytes::same_as(const SecretBytes& other) const {
  return size_ == other.size_ && (size_ == 0 || sodium_memcmp(bytes_, other.bytes_, size_) == 0);
}

void SecretBytes::forget() {
  sodium_free(bytes_);  // wipes it first
  bytes_ = nullptr;
  size_ = 0;
}

void wipe(std::string& text) {
  if (!text.empty()) sodium_memzero(text.data(), text.size());
}

SecretBytes to_hexadecimal(const SecretBytes& bytes) {
  // sodium_bin2hex ends what it writes with a NUL
  SecretBytes digits = SecretBytes::of_size(2 * bytes.size() + 1);
  sodium_bin2hex(digits.data(), digits.size(),
                 reinterpret_cast<const unsigned char*>(bytes.reveal().data()), bytes.size());
  return std::move(digits).cut_to(2 * bytes.size());
}

SecretBytes from_hexadecimal(std::string_view digits) {
  if (digits.empty() || digits.size() % 2 != 0 || !is_lower_hex(digits, digits.size())) return {};
  SecretBytes bytes = SecretBytes::of_size(digits.size() / 2);
  size_t written = 0;
  const int read = sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                  digits.data(), digits.size(), nullptr, &written, nullptr);
  assert(read == 0);
  assert(written == bytes.size());
  return bytes;
}

}  // namespace lares::consent
