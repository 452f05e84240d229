// KeyFile: what the file `key` in the configuration folder says: where the key that seals the
// person's stores lies, and, for two of the three kinds, the key itself.
//
//   File            64 hexadecimal digits: the key as it is
//   Passphrase      JSON: the key, sealed with what Argon2id makes of a passphrase
//   SecretService   JSON: under which id the desktop's keyring has it
//
// The two in JSON hold a check of the key, so that a copy that is brought back is known to be the
// right one before it is used. Pure but for randomness and, with a passphrase, time and memory
// (Effort); any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "consent/secret_bytes.h"

namespace lares::consent {

inline constexpr size_t kSealingKeyBytes = 32;
inline constexpr Bytes kKeyFileMax = KiB(4);
inline constexpr size_t kPassphraseMax = 1'024;  // bytes

enum class KeyKind : uint8_t { File, Passphrase, SecretService };
// "file", "passphrase", "secret-service", and back; Invalid names the three.
std::string_view name(KeyKind kind);
Result<KeyKind> key_kind_named(std::string_view name);

// What one guess of a passphrase costs (Argon2id, RFC 9106, one lane).
struct Effort {
  uint64_t operations = 3;  // libsodium's "moderate": about a second
  Bytes memory = MiB(256);
  bool operator==(const Effort&) const = default;
};
// Bounds for a file that somebody changed: opening it must not eat the machine.
inline constexpr uint64_t kEffortOperationsMax = 16;
inline constexpr Bytes kEffortMemoryMax = GiB(1);

struct KeyFile {
  KeyKind kind = KeyKind::File;
  SecretBytes key;    // File
  std::string check;  // the others: of the key, 32 hexadecimal digits
  Effort effort;      // Passphrase, with salt, nonce and sealed: bytes
  std::string salt;
  std::string nonce;
  std::string sealed;
  std::string id;  // SecretService: 32 hexadecimal digits
};

// Corrupt: it is none of the three. Unsupported: a newer Lares wrote it.
Result<KeyFile> parse_key_file(std::string_view content);

// Contents of the three kinds.
SecretBytes file_text(const SecretBytes& key);
// NoRoom: the memory that `effort` wants is not to be had.
Result<std::string> passphrase_text(const SecretBytes& key, const SecretBytes& passphrase,
                                    const Effort& effort);
std::string service_text(const SecretBytes& key, const std::string& id);

// The key of a file of the kind Passphrase. Denied: the passphrase is another one, or the file was
// changed. NoRoom as above.
Result<SecretBytes> open_with_passphrase(const KeyFile& file, const SecretBytes& passphrase);

// Invalid, with the rule, unless it is 1 to kPassphraseMax bytes of UTF-8 without control
// characters: what can be typed again on another keyboard.
Result<> check_passphrase(const SecretBytes& passphrase);

std::string check_of(const SecretBytes& key);

// The copy that a person keeps: "lares-key-" and groups of digits, with a checksum, so that a slip
// in typing is noticed. Spaces, dashes and capitals do not count when it is read. Invalid: it is
// none.
SecretBytes recovery_text(const SecretBytes& key);
Result<SecretBytes> key_of_recovery(std::string_view text);

}  // namespace lares::consent
