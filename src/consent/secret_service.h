// SecretService: the desktop's keyring (org.freedesktop.secrets on the session bus; GNOME Keyring,
// KWallet, KeePassXC), as a place for one secret of ours. A Vault is any such place.
//
// The daemon never loads its libraries. Each call starts this same program once more with
// kSecretServiceWord, as a process that lives as long as the call; that one opens libsecret, if
// there is one, and is killed at the time limit. A secret travels by pipes alone.
//
// Errors of all calls: Unsupported (no session bus, no libsecret, no service that answers),
// Denied (locked, and the person did not open it), Timeout (nobody answered its question, or it
// hangs), Io (it died, or said something that makes no sense). Blocking; any thread.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "consent/secret_bytes.h"

namespace lares::consent {

class Vault {
 public:
  virtual ~Vault() = default;
  // Whether it would take a secret now without asking the person anything.
  virtual Result<> ready() = 0;
  // Replaces what lies under `id`, 32 hexadecimal digits.
  virtual Result<> store(const std::string& id, const SecretBytes& secret) = 0;
  // NotFound: nothing lies there.
  virtual Result<SecretBytes> find(const std::string& id) = 0;
  // Nothing lay there: no error.
  virtual Result<> remove(const std::string& id) = 0;
};

// The first word of this program's arguments when it is such a process: its main() then returns
// what secret_service_process() does, before it does anything else.
inline constexpr std::string_view kSecretServiceWord = "--secret-service";
int secret_service_process(std::span<char* const> words);

class SecretService final : public Vault {
 public:
  struct Limits {
    milliseconds ready{3'000};
    milliseconds asked{60'000};  // the person may have to type the keyring's password
  };
  // `program`: what understands kSecretServiceWord.
  explicit SecretService(std::string program = "/proc/self/exe")
      : SecretService(std::move(program), {}) {}
  SecretService(std::string program, Limits limits);
  Result<> ready() override;
  Result<> store(const std::string& id, const SecretBytes& secret) override;
  Result<SecretBytes> find(const std::string& id) override;
  Result<> remove(const std::string& id) override;

 private:
  Result<SecretBytes> call(const std::string& what, const std::string& id,
                           const SecretBytes& secret, milliseconds limit) const;
  const std::string program_;
  const Limits limits_;
};

}  // namespace lares::consent
