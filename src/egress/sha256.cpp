#include "egress/sha256.h"

#include <openssl/evp.h>

#include <cassert>

namespace lares::egress {
namespace {

EVP_MD_CTX* of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

// Fetched once: in OpenSSL 3 looking an algorithm up costs more than hashing a block.
const EVP_MD* algorithm() {
  static const EVP_MD* const kFound = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  assert(kFound);
  return kFound;
}

}  // namespace

void Sha256::Free::operator()(void* context) const { EVP_MD_CTX_free(of(context)); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  const int begun = EVP_DigestInit_ex(of(context_.get()), algorithm(), nullptr);
  assert(begun == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::string_view bytes) {
  const int added = EVP_DigestUpdate(of(context_.get()), bytes.data(), bytes.size());
  assert(added == 1);
}

Digest Sha256::so_far() const {
  const std::unique_ptr<void, Free> copy(EVP_MD_CTX_new());
  Digest digest{};
  unsigned size = 0;
  const bool done = EVP_MD_CTX_copy_ex(of(copy.get()), of(context_.get())) == 1 &&
                    EVP_DigestFinal_ex(of(copy.get()), digest.data(), &size) == 1;
  assert(done);
  assert(size == digest.size());
  return digest;
}

Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.so_far();
}

std::string to_hex(const Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace lares::egress
