// Keyring: the key that seals what the person's stores hold, and where it lies. The file `key` in
// the configuration folder says where (key_file.h); nothing is moved but by move().
//
//   (no file) --key()--> SecretService or File      the first start chooses
//   any kind  --move()--> another                   import_copy() brings a lost one back
//   locked    --unlock()--> open --lock()--> locked
//
// A key is in at least one place that opens it at every moment: what is new is written, put on
// disk, read back and opened before what is old goes, and a file that is replaced by a copy that
// was brought back is set aside. A process that is killed between two steps leaves the old place
// whole, and at most a file key.moving, which goes at the next opening.
//
// It is the person's own programs that this does not stop: whoever may ask the daemon as the owner
// while it is open has what is sealed. Blocking, up to a minute where the desktop asks the person
// something; one thread at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "consent/key_file.h"
#include "consent/secret_bytes.h"
#include "consent/secret_service.h"

namespace lares::consent {

inline constexpr std::chrono::seconds kGuessWaitMax{60};

// Where a key lies, in words: for doctor, `lares key` and the page.
struct KeyPlace {
  KeyKind kind = KeyKind::File;
  std::string where;     // "in the file '/...'"
  std::string protects;  // from whom, and from whom not
  std::string next;      // the command that changes that; "" where nothing is better
};
// What the file says; no secret is read but in passing. NotFound: there is none yet. Others as
// Keyring::key()'s.
Result<KeyPlace> key_place(const std::filesystem::path& folder);

inline std::filesystem::path key_file(const std::filesystem::path& folder) {
  return folder / "key";
}

// Whether an error of key() says that it is locked.
bool key_is_locked(const Error& error);

class Keyring {
 public:
  // Where the first key goes. ServiceWhereOpen: to the desktop's keyring if that takes it without a
  // question, else to the file.
  enum class First : uint8_t { File, ServiceWhereOpen };
  struct Options {
    First first = First::File;
    Effort effort{};
    std::function<SteadyTime()> now = std::chrono::steady_clock::now;
    std::function<void(std::string_view step)> on_step = {};  // tests
  };
  // `vault` must outlive it.
  Keyring(std::filesystem::path folder, Vault& vault, Options options);

  // The key, made when there is none; two programs that start at once get the same one. It stays
  // until lock() or the end. Denied: locked (key_is_locked()), or the file is not the person's own.
  // Corrupt: the file is none of a key, or the keyring holds another key. NotFound: the desktop's
  // keyring has it no more. Each says what to do; nothing is repaired silently, since with another
  // key all is unreadable.
  Result<const SecretBytes*> key();
  bool is_locked() const { return !key_; }  // or not asked for yet

  // Denied: another passphrase. Busy: too soon after a wrong one; the wait doubles with each, up to
  // kGuessWaitMax. Of the other kinds no passphrase is wanted, and it tries key() again.
  Result<> unlock(const SecretBytes& passphrase);
  // Forgets it. Invalid for the kind File, where that would keep it from nobody.
  Result<> lock();

  // `passphrase` is the present one where the kind is Passphrase (also when it is unlocked), `next`
  // the new one where `to` is. From Passphrase to Passphrase changes it. What could not be taken
  // away at the old place comes back as words, "" where all went.
  Result<std::string> move(KeyKind to, const SecretBytes& passphrase, const SecretBytes& next);

  // What a person keeps elsewhere.
  Result<SecretBytes> export_copy(const SecretBytes& passphrase);
  // Brings it back, as the kind File; what lay there is set aside, and its name returned ("": none
  // did). Invalid: it is no copy, or one of another key than the one that is in use or was.
  Result<std::string> import_copy(std::string_view text);

 private:
  std::filesystem::path file() const { return key_file(folder_); }
  Result<KeyFile> read() const;
  Result<SecretBytes> found(const KeyFile& from);
  Result<> make_first();
  Result<SecretBytes> tried(const KeyFile& from, const SecretBytes& passphrase);
  std::string remove_leftover(const std::string& in_use);
  Result<> install(const SecretBytes& present, const SecretBytes& content, const SecretBytes& key,
                   const SecretBytes& passphrase);
  void step(std::string_view name) const {
    if (options_.on_step) options_.on_step(name);
  }

  const std::filesystem::path folder_;
  Vault& vault_;
  const Options options_;
  std::optional<SecretBytes> key_;
  bool told_to_lock_ = false;
  unsigned wrong_ = 0;       // passphrases in a row
  SteadyTime not_before_{};  // the next try
};

}  // namespace lares::consent
