#include "store/state_sealing.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cassert>
#include <cstring>

namespace lares::store {
namespace {

EVP_CIPHER_CTX* of(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

// Fetched once: in OpenSSL 3 looking an algorithm up costs more than a short message.
const EVP_CIPHER* cipher() {
  static const EVP_CIPHER* const kFound = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  assert(kFound);
  return kFound;
}

const EVP_MD* digest() {
  static const EVP_MD* const kFound = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  assert(kFound);
  return kFound;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Digest sha256(std::string_view bytes) {
  Digest out{};
  unsigned size = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, digest(), nullptr);
  assert(done == 1);
  assert(size == out.size());
  return out;
}

void fill_random(uint8_t* bytes, size_t count) {
  const int done = RAND_bytes(bytes, static_cast<int>(count));
  assert(done == 1);
}

SealKey::SealKey(std::string_view bytes) {
  assert(bytes.size() == bytes_.size());
  std::memcpy(bytes_.data(), bytes.data(), bytes_.size());
}

SealKey::~SealKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

SealKey SealKey::random() {
  auto bytes = random_bytes<Digest>();
  SealKey key(view_of(bytes));
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

SealKey SealKey::derived(std::string_view purpose, std::string_view salt) const {
  std::string text(purpose);
  text += '\0';
  text += salt;
  Digest out{};
  unsigned size = 0;
  const auto* done = HMAC(digest(), bytes_.data(), static_cast<int>(bytes_.size()), bytes_of(text),
                          text.size(), out.data(), &size);
  assert(done);
  assert(size == out.size());
  SealKey key(view_of(out));
  OPENSSL_cleanse(out.data(), out.size());
  return key;
}

void SealStream::Free::operator()(void* context) const { EVP_CIPHER_CTX_free(of(context)); }

SealStream::SealStream(Way way, const SealKey& key, uint32_t part, uint64_t counter,
                       std::string_view bound)
    : context_(EVP_CIPHER_CTX_new()) {
  std::array<unsigned char, 12> nonce{};
  for (size_t i = 0; i < 4; i++) nonce[i] = static_cast<unsigned char>(part >> (8 * i));
  for (size_t i = 0; i < 8; i++) nonce[4 + i] = static_cast<unsigned char>(counter >> (8 * i));
  const int begun = EVP_CipherInit_ex(of(context_.get()), cipher(), nullptr, bytes_of(key.view()),
                                      nonce.data(), way == Way::Seal ? 1 : 0);
  assert(begun == 1);
  int count = 0;
  const int tied = EVP_CipherUpdate(of(context_.get()), nullptr, &count, bytes_of(bound),
                                    static_cast<int>(bound.size()));
  assert(tied == 1);
}

void SealStream::add(const void* in, size_t count, void* out) {
  if (count == 0) return;
  assert(count <= (1u << 30));
  int written = 0;
  const int done = EVP_CipherUpdate(of(context_.get()), static_cast<unsigned char*>(out), &written,
                                    static_cast<const unsigned char*>(in), static_cast<int>(count));
  assert(done == 1);
  assert(static_cast<size_t>(written) == count);
}

SealTag SealStream::tag() {
  SealTag tag{};
  std::array<unsigned char, 16> none{};
  int written = 0;
  const bool done = EVP_CipherFinal_ex(of(context_.get()), none.data(), &written) == 1 &&
                    EVP_CIPHER_CTX_ctrl(of(context_.get()), EVP_CTRL_AEAD_GET_TAG,
                                        static_cast<int>(tag.size()), tag.data()) == 1;
  assert(done);
  return tag;
}

bool SealStream::matches(SealTag tag) {
  std::array<unsigned char, 16> none{};
  int written = 0;
  return EVP_CIPHER_CTX_ctrl(of(context_.get()), EVP_CTRL_AEAD_SET_TAG,
                             static_cast<int>(tag.size()), tag.data()) == 1 &&
         EVP_CipherFinal_ex(of(context_.get()), none.data(), &written) == 1;
}

std::string sealed(const SealKey& key, uint32_t part, uint64_t counter, std::string_view bound,
                   std::string_view plain) {
  SealStream stream(SealStream::Way::Seal, key, part, counter, bound);
  std::string out(plain.size(), '\0');
  stream.add(plain.data(), plain.size(), out.data());
  const SealTag tag = stream.tag();
  out += view_of(tag);
  return out;
}

std::optional<std::string> opened(const SealKey& key, uint32_t part, uint64_t counter,
                                  std::string_view bound, std::string_view sealed) {
  if (sealed.size() < kSealTagBytes) return std::nullopt;
  const std::string_view body = sealed.substr(0, sealed.size() - kSealTagBytes);
  SealTag tag{};
  std::memcpy(tag.data(), sealed.data() + body.size(), tag.size());
  SealStream stream(SealStream::Way::Open, key, part, counter, bound);
  std::string out(body.size(), '\0');
  stream.add(body.data(), body.size(), out.data());
  if (!stream.matches(tag)) return std::nullopt;
  return out;
}

}  // namespace lares::store
