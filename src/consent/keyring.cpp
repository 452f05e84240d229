#include "consent/keyring.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"
#include "consent/secret_file.h"

namespace lares::consent {
namespace {

constexpr std::string_view kRemedy =
    "put the right one back (without it what is sealed cannot be read), bring a recovery copy "
    "back with lares key import, or move it away, and the next start makes a new one";
constexpr size_t kIdBytes = 16;

std::filesystem::path moving_file(const std::filesystem::path& folder) {
  return folder / "key.moving";
}
// The id under which the desktop's keyring may hold a copy that is to go: while a key moves.
std::filesystem::path leftover_file(const std::filesystem::path& folder) {
  return folder / "key.leftover";
}

Result<SecretBytes> read_content(const std::filesystem::path& file) {
  TRY_AS(std::string content, read_secret_file(file, kKeyFileMax, "key", kRemedy));
  SecretBytes kept{std::string_view(content)};
  wipe(content);
  return kept;
}

Result<KeyFile> read_key_file(const std::filesystem::path& file) {
  TRY_AS(const SecretBytes content, read_content(file));
  auto parsed = parse_key_file(content.reveal());
  if (!parsed)
    return Error{parsed.error().code,
                 cat("reading the key '", file.string(), "': ", parsed.error().message,
                     parsed.error().code == Code::Corrupt ? cat("; ", kRemedy) : "")};
  return parsed;
}

Result<> sync_folder(const std::filesystem::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0)
    return system_error(cat("writing the folder '", folder.string(), "'"), errno);
  return Unit{};
}

// A file that held a key is overwritten before it is gone, as far as a disk does that; not when
// somebody keeps it under a second name.
class Retired {
 public:
  explicit Retired(const std::filesystem::path& file)
      : fd_(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}
  void overwrite() const {
    struct stat info{};
    if (!fd_ || ::fstat(fd_.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink > 0 ||
        info.st_size > static_cast<off_t>(kKeyFileMax.n))
      return;
    const std::string zeros(static_cast<size_t>(info.st_size), '0');
    if (::pwrite(fd_.get(), zeros.data(), zeros.size(), 0) > 0) (void)::fsync(fd_.get());
  }

 private:
  const Fd fd_;
};

void discard(const std::filesystem::path& file) {
  const Retired old(file);
  (void)::unlink(file.c_str());
  old.overwrite();
}

// What a killed move left: never the only copy, since the rename that made it that took it away.
void discard_leftovers(const std::filesystem::path& folder) {
  const std::string name = moving_file(folder).filename().string();
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().filename().string().starts_with(name)) discard(entry.path());
  }
}

std::string quoted(const std::filesystem::path& file) { return cat("'", file.string(), "'"); }

constexpr std::string_view kLocked = "the key is locked; run: lares key unlock";
Error locked() { return {Code::Denied, std::string(kLocked)}; }

}  // namespace

Result<KeyPlace> key_place(const std::filesystem::path& folder) {
  const std::filesystem::path file = key_file(folder);
  TRY_AS(const KeyFile found, read_key_file(file));
  KeyPlace place;
  place.kind = found.kind;
  switch (found.kind) {
    case KeyKind::File:
      place.where = cat("in the file ", quoted(file), ", which your user alone can read");
      place.protects =
          "whoever gets a copy of the data folder alone (a back-up, a synchronised folder) can "
          "read nothing of it; whoever can read all of your files, any program of yours or a "
          "stolen disk among them, has the key";
      place.next = "lares key move --to secret-service, or --to passphrase";
      break;
    case KeyKind::Passphrase:
      place.where = cat("in the file ", quoted(file), ", sealed with a passphrase");
      place.protects =
          "your files and your disk say nothing without the passphrase; while it is unlocked, any "
          "program of yours can ask the daemon for what is sealed; if you forget the passphrase, "
          "only a recovery copy (lares key export) opens it";
      break;
    case KeyKind::SecretService:
      place.where = "in the desktop's keyring (Secret Service)";
      place.protects =
          "your files and your disk say nothing without your login; while you are logged in, any "
          "program of yours can ask the keyring for it; if the keyring is reset the key is gone, "
          "so keep a recovery copy: lares key export";
      break;
  }
  return place;
}

bool key_is_locked(const Error& error) {
  return error.code == Code::Denied && error.message == kLocked;
}

Keyring::Keyring(std::filesystem::path folder, Vault& vault, Options options)
    : folder_(std::move(folder)), vault_(vault), options_(std::move(options)) {}

Result<KeyFile> Keyring::read() const { return read_key_file(file()); }

Result<const SecretBytes*> Keyring::key() {
  if (key_) return &*key_;
  if (told_to_lock_) return locked();
  auto from = read();
  if (!from && from.error().code == Code::NotFound) {
    TRY(make_first());
    from = read();
  }
  if (!from) return std::move(from).error();
  TRY_AS(key_, found(*from));
  discard_leftovers(folder_);
  return &*key_;
}

// The key of a file that needs no passphrase.
Result<SecretBytes> Keyring::found(const KeyFile& from) {
  if (from.kind == KeyKind::Passphrase) return locked();
  if (from.kind == KeyKind::File) return from.key.copied();
  TRY_AS(const SecretBytes digits, vault_.find(from.id));
  SecretBytes key = from_hexadecimal(digits.reveal());
  if (key.size() != kSealingKeyBytes || check_of(key) != from.check)
    return Error{Code::Corrupt,
                 "asking the desktop's keyring: what it holds for this home is not its key; bring "
                 "a recovery copy back: lares key import"};
  return key;
}

Result<> Keyring::make_first() {
  const SecretBytes key = SecretBytes::random(kSealingKeyBytes);
  if (options_.first == First::ServiceWhereOpen && vault_.ready()) {
    const std::string id = random_hex(kIdBytes);
    const auto kept = [&]() -> Result<> {
      TRY(vault_.store(id, to_hexadecimal(key)));
      TRY_AS(const SecretBytes again, vault_.find(id));
      if (!again.same_as(to_hexadecimal(key))) return Error{Code::Io, "it keeps something else"};
      return create_secret_file(file(), service_text(key, id), "key");
    }();
    // what the file names stays, even where the last step of writing it went wrong
    const auto now = read();
    if (now && now->id == id) return Unit{};
    if (kept && !now) return std::move(now).error();
    // not kept, or another program was first
    (void)static_cast<bool>(vault_.remove(id));
    if (now) return Unit{};
  }
  return create_secret_file(file(), file_text(key).reveal(), "key");
}

Result<> Keyring::unlock(const SecretBytes& passphrase) {
  auto from = read();
  if (from && from->kind == KeyKind::Passphrase) {
    TRY_AS(key_, tried(*from, passphrase));
    discard_leftovers(folder_);
  } else if (!from && from.error().code != Code::NotFound) {
    return std::move(from).error();
  }
  told_to_lock_ = false;
  TRY(key());
  return Unit{};
}

// The key by its passphrase, no more often than guessing is to be.
Result<SecretBytes> Keyring::tried(const KeyFile& from, const SecretBytes& passphrase) {
  TRY(check_passphrase(passphrase));
  const SteadyTime now = options_.now();
  if (now < not_before_) {
    const auto wait = std::chrono::ceil<std::chrono::seconds>(not_before_ - now).count();
    return Error{Code::Busy,
                 cat("the passphrase was wrong ", wrong_, wrong_ == 1 ? " time" : " times",
                     " in a row; try again in ", wait, " s")};
  }
  auto key = open_with_passphrase(from, passphrase);
  if (!key && key.error().code != Code::Denied) return key;
  if (key) {
    wrong_ = 0;
    return key;
  }
  const std::chrono::seconds wait{int64_t{1} << std::min(wrong_, 10U)};
  wrong_++;
  not_before_ = options_.now() + std::min(wait, kGuessWaitMax);
  return key;
}

Result<> Keyring::lock() {
  TRY_AS(const KeyFile from, read());
  if (from.kind == KeyKind::File) {
    return Error{Code::Invalid,
                 cat("the key lies in the file ", quoted(file()),
                     ", so forgetting it would keep nobody from it; lares key move --to "
                     "passphrase, or --to secret-service, makes that worth something")};
  }
  key_.reset();
  told_to_lock_ = true;
  return Unit{};
}

Result<std::string> Keyring::move(KeyKind to, const SecretBytes& passphrase,
                                  const SecretBytes& next) {
  if (to == KeyKind::Passphrase) {
    TRY(check_passphrase(next));
  }
  TRY_AS(const SecretBytes present, read_content(file()));
  TRY_AS(const KeyFile from, read());
  if (to == from.kind && to != KeyKind::Passphrase)
    return Error{Code::Invalid, cat("the key lies in the ", name(to), " already")};
  TRY_AS(SecretBytes key, from.kind == KeyKind::Passphrase ? tried(from, passphrase) : found(from));

  std::string words = remove_leftover(from.id);
  std::string id;
  SecretBytes content;
  if (to == KeyKind::File) content = file_text(key);
  if (to == KeyKind::Passphrase) {
    TRY_AS(const std::string sealed, passphrase_text(key, next, options_.effort));
    content = SecretBytes(sealed);
  }
  if (to == KeyKind::SecretService) {
    id = random_hex(kIdBytes);
    TRY(write_file(leftover_file(folder_), id));
    step("named");
    TRY(vault_.store(id, to_hexadecimal(key)));
    step("stored");
    content = SecretBytes(service_text(key, id));
  } else if (from.kind == KeyKind::SecretService) {
    TRY(write_file(leftover_file(folder_), from.id));
    step("named");
  }
  auto installed = install(present, content, key, next);
  if (!installed) {
    // the last step may have gone wrong behind the renaming: what the file names stays
    const auto now = read();
    if (!id.empty()) (void)remove_leftover(now ? now->id : id);
    return std::move(installed).error();
  }
  key_ = std::move(key);
  told_to_lock_ = false;
  const std::string left = remove_leftover(id);
  return left.empty() ? words : left;
}

// Takes the copy away that a move left in the desktop's keyring, unless it is the one in use. Words
// when that cannot be done now; the next move tries again.
std::string Keyring::remove_leftover(const std::string& in_use) {
  const auto id = read_file(leftover_file(folder_), KiB(1));
  if (!id) return "";
  if (is_lower_hex(*id, 2 * kIdBytes) && *id != in_use) {
    if (const auto gone = vault_.remove(*id); !gone)
      return cat("a copy of the key is still in the desktop's keyring: ", gone.error().message);
  }
  step("retired");
  (void)::unlink(leftover_file(folder_).c_str());
  return "";
}

// Replaces the file `key`, which must still be `present` (not looked at where that is empty), by
// `content`, proven to bring `key`.
Result<> Keyring::install(const SecretBytes& present, const SecretBytes& content,
                          const SecretBytes& key, const SecretBytes& passphrase) {
  const std::filesystem::path moving = moving_file(folder_);
  TRY(write_file(moving, content.reveal()));
  step("written");
  const auto proven = [&]() -> Result<> {
    TRY_AS(const KeyFile written, read_key_file(moving));
    TRY_AS(const SecretBytes again, written.kind == KeyKind::Passphrase
                                        ? open_with_passphrase(written, passphrase)
                                        : found(written));
    if (!again.same_as(key))
      return Error{Code::Io, "the key was read back as another one; nothing was changed"};
    if (present.empty()) return Unit{};
    TRY_AS(const SecretBytes now, read_content(file()));
    if (!now.same_as(present))
      return Error{Code::Busy, "another program changed the key meanwhile; try again"};
    return Unit{};
  }();
  if (!proven) {
    discard(moving);
    return proven;
  }
  step("proven");
  const Retired old(file());
  if (::rename(moving.c_str(), file().c_str()) != 0) {
    const Error failed = system_error(cat("writing the key ", quoted(file())), errno);
    discard(moving);
    return failed;
  }
  TRY(sync_folder(folder_));
  step("installed");
  old.overwrite();
  return Unit{};
}

Result<SecretBytes> Keyring::export_copy(const SecretBytes& passphrase) {
  TRY_AS(const KeyFile from, read());
  TRY_AS(const SecretBytes key,
         from.kind == KeyKind::Passphrase ? tried(from, passphrase) : found(from));
  return recovery_text(key);
}

Result<std::string> Keyring::import_copy(std::string_view text) {
  TRY_AS(SecretBytes key, key_of_recovery(text));
  auto from = read();
  if (!from && from.error().code != Code::Corrupt && from.error().code != Code::NotFound)
    return std::move(from).error();
  std::string aside;
  const auto other = [&] {
    return (from->kind == KeyKind::File ? check_of(from->key) : from->check) != check_of(key);
  };
  if (from && other()) {
    return Error{Code::Invalid,
                 cat("this is a copy of another key than the one of this home, and with it nothing "
                     "here could be read; if it is the right one, stop the daemon, move ",
                     quoted(file()), " away and import it again")};
  }
  if (!from && from.error().code == Code::NotFound) {
    TRY(create_secret_file(file(), file_text(key).reveal(), "key"));
  } else if (!from || from->kind != KeyKind::File) {
    const std::filesystem::path kept = file().string() + ".before-import-" + random_hex(4);
    if (::link(file().c_str(), kept.c_str()) != 0)
      return system_error(cat("setting the key ", quoted(file()), " aside"), errno);
    aside = kept.string();
    TRY(install({}, file_text(key), key, {}));
  }
  key_ = std::move(key);
  told_to_lock_ = false;
  return aside;
}

}  // namespace lares::consent
