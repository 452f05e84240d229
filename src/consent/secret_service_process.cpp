// The process that asks the desktop's keyring: see secret_service.h. It alone opens libsecret, by
// name, so neither the daemon nor a package needs it. What is declared here of libsecret and GLib
// is their stable interface (libsecret 0.18 and later).
#include <dlfcn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/text.h"
#include "consent/secret_service.h"

namespace lares::consent {
namespace {

constexpr std::string_view kElsewhere =
    "; keep the key under a passphrase (lares key move --to passphrase) or in a file";
constexpr size_t kSecretMax = 2'048;
constexpr size_t kWordsMax = 300;  // of what a service says

// ---- what libsecret and GLib declare

struct GError {
  uint32_t domain;
  int code;
  char* message;
};
struct GList {
  void* data;
  GList* next;
  GList* previous;
};
struct SecretSchema {
  const char* name;
  int flags;
  struct Attribute {
    const char* name;
    int type;  // 0: a string
  };
  std::array<Attribute, 32> attributes;
  int reserved;
  std::array<void*, 7> reserved_more;
};
constexpr const char* kApplication = "application";
constexpr const char* kId = "id";
constexpr const char* kOurName = "lares";
constexpr const char* kDefault = "default";  // SECRET_COLLECTION_DEFAULT
const SecretSchema kSchema{"lares.Key", 0, {{{kApplication, 0}, {kId, 0}, {nullptr, 0}}}, 0, {}};

struct Library {
  void* (*service_get)(int flags, void* cancellable, GError** error);
  void* (*collection)(void* service, const char* alias, int flags, void* cancellable,
                      GError** error);
  int (*collection_locked)(void* collection);
  GList* (*search)(void* service, const SecretSchema* schema, void* attributes, int flags,
                   void* cancellable, GError** error);
  int (*unlock)(void* service, GList* objects, void* cancellable, GList** unlocked, GError** error);
  int (*item_locked)(void* item);
  int (*store)(const SecretSchema* schema, const char* collection, const char* label,
               const char* secret, void* cancellable, GError** error, ...);
  char* (*lookup)(const SecretSchema* schema, void* cancellable, GError** error, ...);
  int (*clear)(const SecretSchema* schema, void* cancellable, GError** error, ...);
  void (*free_secret)(char* secret);
  void* (*table)(unsigned (*hash)(const void*), int (*equal)(const void*, const void*));
  unsigned (*text_hash)(const void* text);
  int (*text_equal)(const void* a, const void* b);
  int (*insert)(void* table, void* key, void* value);
  const char* (*quark)(uint32_t domain);
};

Result<Library> open_library() {
  void* const handle = ::dlopen("libsecret-1.so.0", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    return Error{Code::Unsupported,
                 cat("there is no libsecret-1.so.0 (package libsecret-1-0)", kElsewhere)};
  Library library{};
  const char* missing = nullptr;
  // a search in libsecret's handle goes through what it depends on, GLib among it
  const auto find = [&]<class Function>(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
    if (function == nullptr) missing = symbol;
  };
  find(library.service_get, "secret_service_get_sync");
  find(library.collection, "secret_collection_for_alias_sync");
  find(library.collection_locked, "secret_collection_get_locked");
  find(library.search, "secret_service_search_sync");
  find(library.unlock, "secret_service_unlock_sync");
  find(library.item_locked, "secret_item_get_locked");
  find(library.store, "secret_password_store_sync");
  find(library.lookup, "secret_password_lookup_sync");
  find(library.clear, "secret_password_clear_sync");
  find(library.free_secret, "secret_password_free");
  find(library.table, "g_hash_table_new");
  find(library.text_hash, "g_str_hash");
  find(library.text_equal, "g_str_equal");
  find(library.insert, "g_hash_table_insert");
  find(library.quark, "g_quark_to_string");
  if (missing != nullptr)
    return Error{Code::Unsupported, cat("libsecret-1.so.0 has no ", missing, kElsewhere)};
  return library;
}

// The words of others, short and on one line.
std::string harmless(std::string_view words) {
  std::string out = utf8_repaired(words.substr(0, kWordsMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out;
}

Error locked() {
  return {Code::Denied,
          "it is locked, and nobody opened it; unlock it in the desktop (Passwords and Keys), "
          "then: lares key unlock"};
}

// GDBus: nobody has that name, nothing can be started for it. Those of libsecret: it is locked.
Error error_of(const Library& library, const GError* error) {
  if (error == nullptr) return locked();  // the person closed the question
  const char* const quark = library.quark(error->domain);
  const std::string_view domain = quark != nullptr ? quark : "";
  const std::string said = harmless(error->message != nullptr ? error->message : "");
  const bool bus = domain == "g-dbus-error-quark";
  constexpr int kServiceUnknown = 2;
  constexpr int kNoOwner = 3;
  constexpr int kSpawnFirst = 20;  // from SPAWN_EXEC_FAILED to SPAWN_NO_MEMORY
  constexpr int kSpawnLast = 30;
  if (bus && (error->code == kServiceUnknown || error->code == kNoOwner ||
              (error->code >= kSpawnFirst && error->code <= kSpawnLast)))
    return {Code::Unsupported,
            cat("no Secret Service answers on the session bus (", said, ")", kElsewhere)};
  constexpr int kIsLocked = 2;
  constexpr int kCancelled = 19;
  if ((domain == "secret-error" && error->code == kIsLocked) ||
      (domain == "g-io-error-quark" && error->code == kCancelled))
    return locked();
  return {Code::Io, cat("it answered: ", said, "; nothing was changed; try again")};
}

// GLib would start a bus of its own where there is none.
Result<> check_bus() {
  const char* const address = std::getenv("DBUS_SESSION_BUS_ADDRESS");
  if (address != nullptr && *address != '\0') return Unit{};
  const char* const run = std::getenv("XDG_RUNTIME_DIR");
  struct stat info{};
  if (run != nullptr && *run == '/' && ::stat(cat(run, "/bus").c_str(), &info) == 0 &&
      S_ISSOCK(info.st_mode))
    return Unit{};
  return Error{Code::Unsupported,
               cat("there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)", kElsewhere)};
}

// ---- the four questions; the secret, where there is one

struct Question {
  const Library& library;
  std::string id;
  SecretBytes secret;  // ends with a NUL

  Result<void*> service() const {
    constexpr int kOpenSession = 1 << 1;
    GError* error = nullptr;
    void* const found = library.service_get(kOpenSession, nullptr, &error);
    if (found == nullptr) return error_of(library, error);
    return found;
  }

  Result<SecretBytes> ready() const {
    TRY_AS(void* const known, service());
    GError* error = nullptr;
    void* const collection = library.collection(known, kDefault, 0, nullptr, &error);
    if (collection == nullptr && error != nullptr) return error_of(library, error);
    if (collection == nullptr)
      return Error{Code::NotFound, "it has no default collection yet; the desktop makes one"};
    if (library.collection_locked(collection) != 0) return locked();
    return SecretBytes();
  }

  Result<SecretBytes> store() const {
    GError* error = nullptr;
    if (library.store(&kSchema, kDefault, "Lares: key of what is kept on this computer",
                      secret.reveal().data(), nullptr, &error, kApplication, kOurName, kId,
                      id.c_str(), nullptr) == 0)
      return error_of(library, error);
    return SecretBytes();
  }

  // The first of the items that are ours, locked ones among them; nullptr: there is none.
  Result<void*> item(void* known) const {
    void* const attributes = library.table(library.text_hash, library.text_equal);
    std::string own_id = id;
    std::string own_name = kOurName;
    std::array<std::string, 2> names{kApplication, kId};
    library.insert(attributes, names[0].data(), own_name.data());
    library.insert(attributes, names[1].data(), own_id.data());
    GError* error = nullptr;
    const GList* const items = library.search(known, &kSchema, attributes, 0, nullptr, &error);
    if (error != nullptr) return error_of(library, error);
    return items != nullptr ? items->data : nullptr;
  }

  // Has the person open the default collection, where it is locked: what is in a locked one is not
  // always listed.
  Result<> open_collection(void* known) const {
    GError* error = nullptr;
    void* const collection = library.collection(known, kDefault, 0, nullptr, &error);
    if (collection == nullptr && error != nullptr) return error_of(library, error);
    if (collection == nullptr || library.collection_locked(collection) == 0) return Unit{};
    GList only{collection, nullptr, nullptr};
    const int opened = library.unlock(known, &only, nullptr, nullptr, &error);
    if (error != nullptr || opened <= 0) return error_of(library, error);
    return Unit{};
  }

  // libsecret's lookup alone cannot tell "there is none" from "locked, and nobody opened it".
  Result<SecretBytes> find() const {
    TRY_AS(void* const known, service());
    TRY_AS(void* first, item(known));
    if (first == nullptr) {
      TRY(open_collection(known));
      TRY_AS(first, item(known));
    }
    if (first == nullptr)
      return Error{Code::NotFound,
                   "it has no key of this home, so it was reset or is another one's; bring a "
                   "recovery copy back: lares key import"};
    const bool was_locked = library.item_locked(first) != 0;
    GError* error = nullptr;
    char* const found =
        library.lookup(&kSchema, nullptr, &error, kApplication, kOurName, kId, id.c_str(), nullptr);
    if (found == nullptr && error == nullptr && !was_locked)
      return Error{Code::Io, "it lists a key of this home and does not give it; try again"};
    if (found == nullptr) return error_of(library, error);
    SecretBytes copy{std::string_view(found)};
    library.free_secret(found);
    return copy;
  }

  Result<SecretBytes> remove() const {
    GError* error = nullptr;
    (void)library.clear(&kSchema, nullptr, &error, kApplication, kOurName, kId, id.c_str(),
                        nullptr);
    if (error != nullptr) return error_of(library, error);
    return SecretBytes();
  }
};

SecretBytes read_secret() {
  SecretBytes secret = SecretBytes::of_size(kSecretMax);
  size_t size = 0;
  while (size + 1 < secret.size()) {
    const ssize_t got = ::read(STDIN_FILENO, secret.data() + size, secret.size() - size - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  return secret;  // zeros behind it
}

Result<SecretBytes> answer(std::string_view what, std::string id) {
  TRY(check_bus());
  TRY_AS(const Library library, open_library());
  const Question question{library, std::move(id), read_secret()};
  if (what == "ready") return question.ready();
  if (what == "store") return question.store();
  if (what == "find") return question.find();
  if (what == "remove") return question.remove();
  return Error{Code::Invalid, "it is asked for ready, store, find or remove"};
}

void write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
}

}  // namespace

int secret_service_process(std::span<char* const> words) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  (void)::prctl(PR_SET_DUMPABLE, 0);
  (void)::unsetenv("SECRET_BACKEND");  // it could turn the keyring into a file
  const auto said = answer(words.empty() ? "" : words[0], words.size() < 2 ? "" : words[1]);
  if (said) {
    write_all("ok\n");
    write_all(said->reveal());
  } else {
    write_all(cat(row(said.error().code).name, "\n", said.error().message));
  }
  ::_exit(0);  // what the libraries hold goes with the process
}

}  // namespace lares::consent
