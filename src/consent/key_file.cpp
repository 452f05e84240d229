#include "consent/key_file.h"

#include <sodium.h>

#include <array>
#include <cassert>

#include "base/json.h"
#include "base/text.h"

namespace lares::consent {
namespace {

constexpr int kVersion = 1;
constexpr size_t kSaltBytes = crypto_pwhash_SALTBYTES;
constexpr size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kSealedBytes = kSealingKeyBytes + crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr size_t kCheckBytes = 16;
constexpr size_t kIdBytes = 16;
constexpr size_t kSumBytes = 4;  // of a recovery copy
constexpr std::string_view kRecoveryBegin = "lareskey";
constexpr size_t kGroup = 8;
constexpr std::array kKinds = {KeyKind::File, KeyKind::Passphrase, KeyKind::SecretService};

static_assert(kSealingKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const unsigned char* octets(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* octets(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
unsigned char* octets(SecretBytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

// Of what is no secret.
std::string hexadecimal(std::string_view bytes) {
  return std::string(to_hexadecimal(SecretBytes(bytes)).reveal());
}
std::string bytes_of(const std::string& digits) {
  return std::string(from_hexadecimal(digits).reveal());
}

// BLAKE2b of the key for one purpose: nothing of a random key can be told from it.
std::string digest(std::string_view purpose, const SecretBytes& key, size_t size) {
  const int ready = sodium_init();
  assert(ready >= 0);
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, size);
  crypto_generichash_update(&state, octets(purpose), purpose.size());
  crypto_generichash_update(&state, octets(key.reveal()), key.size());
  std::string out(size, '\0');
  crypto_generichash_final(&state, octets(out), size);
  sodium_memzero(&state, sizeof state);
  return out;
}

// The file's JSON, but for what is sealed: that is bound to it.
Json header_of(const KeyFile& file) {
  Json header = {
      {"lares_key", kVersion}, {"kind", std::string(name(file.kind))}, {"check", file.check}};
  if (file.kind == KeyKind::SecretService) header["id"] = file.id;
  if (file.kind == KeyKind::Passphrase) {
    header["argon2id"] = {{"operations", file.effort.operations},
                          {"memory_bytes", file.effort.memory.n},
                          {"salt", hexadecimal(file.salt)}};
    header["nonce"] = hexadecimal(file.nonce);
  }
  return header;
}

Json json_of(const KeyFile& file) {
  Json json = header_of(file);
  if (file.kind == KeyKind::Passphrase) json["sealed"] = hexadecimal(file.sealed);
  return json;
}

Result<SecretBytes> stretched(const SecretBytes& passphrase, const std::string& salt,
                              const Effort& effort) {
  const int ready = sodium_init();
  assert(ready >= 0);
  SecretBytes made = SecretBytes::of_size(kSealingKeyBytes);
  const int done = crypto_pwhash(octets(made), made.size(), passphrase.reveal().data(),
                                 passphrase.size(), octets(std::string_view(salt)),
                                 effort.operations, effort.memory.n, crypto_pwhash_ALG_ARGON2ID13);
  if (done != 0)
    return Error{Code::NoRoom, cat("making a key of the passphrase: it takes ", effort.memory,
                                   " of memory for a second, which are not to be had now")};
  return made;
}

std::string text_in(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}
uint64_t number_in(const Json& json, const char* member) {
  const auto found = json.find(member);
  return found != json.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

bool sound(const KeyFile& file) {
  if (file.kind == KeyKind::File || !is_lower_hex(file.check, 2 * kCheckBytes)) return false;
  if (file.kind == KeyKind::SecretService) return is_lower_hex(file.id, 2 * kIdBytes);
  return file.salt.size() == kSaltBytes && file.nonce.size() == kNonceBytes &&
         file.sealed.size() == kSealedBytes &&
         file.effort.operations >= crypto_pwhash_argon2id_OPSLIMIT_MIN &&
         file.effort.operations <= kEffortOperationsMax &&
         file.effort.memory.n >= crypto_pwhash_argon2id_MEMLIMIT_MIN &&
         file.effort.memory <= kEffortMemoryMax;
}

Error corrupt(size_t size) {
  return {Code::Corrupt,
          cat("it holds ", size, " bytes that are no key and do not say where one lies")};
}

}  // namespace

std::string_view name(KeyKind kind) {
  switch (kind) {
    case KeyKind::File: return "file";
    case KeyKind::Passphrase: return "passphrase";
    case KeyKind::SecretService: return "secret-service";
  }
  return "file";
}

Result<KeyKind> key_kind_named(std::string_view wanted) {
  for (const KeyKind kind : kKinds) {
    if (name(kind) == wanted) return kind;
  }
  return Error{Code::Invalid, cat("a key lies in no '", utf8_repaired(wanted.substr(0, 64)),
                                  "', but in secret-service, passphrase or file")};
}

Result<KeyFile> parse_key_file(std::string_view content) {
  KeyFile file;
  const std::string_view word = trimmed(content);
  if (is_lower_hex(word, 2 * kSealingKeyBytes)) {
    file.key = from_hexadecimal(word);
    return file;
  }
  auto json =
      parse_json(content, {.depth_max = 4, .values_max = 32, .twice_named = TwiceNamed::Refused});
  if (!json || !json->is_object() || number_in(*json, "lares_key") == 0)
    return corrupt(content.size());
  if (const uint64_t version = number_in(*json, "lares_key"); version != kVersion)
    return Error{Code::Unsupported, cat("a newer Lares wrote it (version ", version,
                                        "); start that one, this one knows ", kVersion)};
  const auto kind = key_kind_named(text_in(*json, "kind"));
  if (!kind) return corrupt(content.size());
  file.kind = *kind;
  file.check = text_in(*json, "check");
  file.id = text_in(*json, "id");
  if (file.kind == KeyKind::Passphrase) {
    const Json made = json->value("argon2id", Json::object());
    file.effort = {number_in(made, "operations"), Bytes{number_in(made, "memory_bytes")}};
    file.salt = bytes_of(text_in(made, "salt"));
    file.nonce = bytes_of(text_in(*json, "nonce"));
    file.sealed = bytes_of(text_in(*json, "sealed"));
  }
  // what we would write must be what stands there, so nothing in it goes unseen
  if (!sound(file) || json_of(file) != *json) return corrupt(content.size());
  return file;
}

SecretBytes file_text(const SecretBytes& key) {
  const SecretBytes digits = to_hexadecimal(key);
  SecretBytes text = SecretBytes::of_size(digits.size() + 1);
  digits.reveal().copy(text.data(), digits.size());
  text.data()[digits.size()] = '\n';
  return text;
}

Result<std::string> passphrase_text(const SecretBytes& key, const SecretBytes& passphrase,
                                    const Effort& effort) {
  KeyFile file;
  file.kind = KeyKind::Passphrase;
  file.check = check_of(key);
  file.effort = effort;
  file.salt = SecretBytes::random(kSaltBytes).reveal();
  file.nonce = SecretBytes::random(kNonceBytes).reveal();
  TRY_AS(const SecretBytes wrapping, stretched(passphrase, file.salt, effort));
  const std::string bound = dump(header_of(file));
  file.sealed.resize(kSealedBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      octets(file.sealed), nullptr, octets(key.reveal()), key.size(),
      octets(std::string_view(bound)), bound.size(), nullptr, octets(std::string_view(file.nonce)),
      octets(wrapping.reveal()));
  assert(sound(file));
  return dump(json_of(file)) + "\n";
}

std::string service_text(const SecretBytes& key, const std::string& id) {
  KeyFile file;
  file.kind = KeyKind::SecretService;
  file.check = check_of(key);
  file.id = id;
  assert(sound(file));
  return dump(json_of(file)) + "\n";
}

Result<SecretBytes> open_with_passphrase(const KeyFile& file, const SecretBytes& passphrase) {
  assert(file.kind == KeyKind::Passphrase);
  TRY_AS(const SecretBytes wrapping, stretched(passphrase, file.salt, file.effort));
  const std::string bound = dump(header_of(file));
  SecretBytes key = SecretBytes::of_size(kSealingKeyBytes);
  const int opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
      octets(key), nullptr, nullptr, octets(std::string_view(file.sealed)), file.sealed.size(),
      octets(std::string_view(bound)), bound.size(), octets(std::string_view(file.nonce)),
      octets(wrapping.reveal()));
  if (opened != 0)
    return Error{Code::Denied,
                 "this is not the passphrase of the key, or its file was changed; try again, or "
                 "bring a recovery copy back: lares key import"};
  return key;
}

Result<> check_passphrase(const SecretBytes& passphrase) {
  const std::string_view bytes = passphrase.reveal();
  const auto wrong = [](const std::string& what) {
    return Error{Code::Invalid,
                 cat("the passphrase ", what, "; it may have 1 to ", grouped(kPassphraseMax),
                     " bytes of text in one line, without control characters")};
  };
  if (bytes.empty()) return wrong("is empty");
  if (bytes.size() > kPassphraseMax) return wrong(cat("has ", grouped(bytes.size()), " bytes"));
  if (!is_utf8(bytes)) return wrong("is not UTF-8");
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      return wrong(c == '\0' ? "holds a NUL" : "holds a control character");
  }
  return Unit{};
}

std::string check_of(const SecretBytes& key) {
  return hexadecimal(digest("lares key check", key, kCheckBytes));
}

SecretBytes recovery_text(const SecretBytes& key) {
  const SecretBytes digits = to_hexadecimal(key);
  const std::string sum = hexadecimal(digest("lares key copy", key, kSumBytes));
  constexpr std::string_view kShown = "lares-key";
  SecretBytes text =
      SecretBytes::of_size(kShown.size() + (digits.size() + sum.size()) / kGroup * (kGroup + 1));
  char* at = text.data();
  const auto put = [&](std::string_view piece) { at += piece.copy(at, piece.size()); };
  put(kShown);
  for (size_t i = 0; i < digits.size(); i += kGroup) {
    put("-");
    put(digits.reveal().substr(i, kGroup));
  }
  put("-");
  put(sum);
  return text;
}

Result<SecretBytes> key_of_recovery(std::string_view text) {
  const Error none{Code::Invalid,
                   "this is no recovery copy of a key: one begins with lares-key- and has nine "
                   "groups of eight digits, as lares key export printed it; look for a slip"};
  constexpr size_t kDigits = 2 * kSealingKeyBytes + 2 * kSumBytes;
  SecretBytes written = SecretBytes::of_size(kRecoveryBegin.size() + kDigits);
  size_t size = 0;
  for (const char c : text) {
    if (c == ' ' || c == '-' || c == '\n' || c == '\r' || c == '\t') continue;
    if (size == written.size()) return none;
    written.data()[size++] = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  const std::string_view all = written.reveal();
  if (size != written.size() || !all.starts_with(kRecoveryBegin)) return none;
  const std::string_view digits = all.substr(kRecoveryBegin.size());
  SecretBytes key = from_hexadecimal(digits.substr(0, 2 * kSealingKeyBytes));
  if (key.empty() ||
      digits.substr(2 * kSealingKeyBytes) != hexadecimal(digest("lares key copy", key, kSumBytes)))
    return none;
  return key;
}

}  // namespace lares::consent
