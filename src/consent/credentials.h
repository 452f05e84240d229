// Credentials: everything by which a caller over loopback proves who it is. The owner's token
// (tokens.h), tokens of single apps, which the person gives and takes back, and the sessions of the
// page, which a browser gets for a one-time code.
//
//   pair() --> code --redeem(), once, within kCodeLife--> page session --revoke(), kPageLife-->
//   gone
//
// What was given stands in `folder`/credentials.json, 0600, and outlives the daemon; codes do not.
// Of a secret only its SHA-256 is kept: it leaves this class once, when it is given. Any thread.
// Calls that give or take back write a file: not for the run loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/mutex.h"
#include "base/result.h"
#include "consent/principal.h"
#include "consent/tokens.h"

namespace lares::consent {

inline constexpr std::chrono::minutes kCodeLife{10};
inline constexpr std::chrono::hours kPageLife{24 * 90};  // since it was last used
inline constexpr size_t kCodesMax = 16;                  // outstanding; the oldest makes room
inline constexpr size_t kGivenMax = 256;                 // apps and pages; more are NoRoom
inline constexpr size_t kNameMax = 64;                   // bytes of an app's name
inline constexpr std::string_view kOwnerId = "owner";

class Credentials {
 public:
  enum class Kind : uint8_t { App, Page };
  // What may be told of one: never its secret.
  struct Given {
    std::string id;  // 16 hexadecimal digits
    Kind kind = Kind::App;
    std::string name;          // of the app; of a page what its browser calls itself
    int64_t created_ms = 0;    // Unix time
    int64_t last_used_ms = 0;  // 0: never
  };
  struct Secret {
    std::string id;
    std::string secret;
  };
  using Now = std::function<int64_t()>;  // Unix time in milliseconds

  // Errors as of Tokens::open(), of either file. A credentials.json that cannot be read as ours is
  // set aside under a new name (`set_aside()`): its apps and pages are to be paired again.
  static Result<std::unique_ptr<Credentials>> open(const std::filesystem::path& folder, Now now);
  // In memory only; for tests.
  explicit Credentials(Tokens tokens, Now now = {}, std::filesystem::path folder = {});

  // Whose token that is: the owner's or an app's. Takes the same time for every wrong token.
  std::optional<Principal> of_token(std::string_view token);
  // Whose page that is.
  std::optional<Principal> of_page(std::string_view secret);

  // A code for one browser.
  std::string pair();
  // Denied: there is no such code, or it is too old or was used.
  Result<Secret> redeem(std::string_view code, std::string_view browser);
  // Invalid: not 1 to kNameMax printable ASCII characters, or another app has that name.
  Result<Secret> add_app(std::string_view name);
  // NotFound: there is none of that id. kOwnerId takes the owner's token back: the file holds a new
  // one from then on.
  Result<> revoke(std::string_view id);
  std::vector<Given> given() const;
  // `revoked` is told each id that is taken back, on the thread that does; it must not ask this
  // object. One at a time; {} ends it.
  void watch(std::function<void(const std::string& id)> revoked);

  // Writes when each was last used, if that changed.
  Result<> save_uses();
  const std::filesystem::path& set_aside() const { return set_aside_; }

  static std::filesystem::path file(const std::filesystem::path& folder) {
    return folder / "credentials.json";
  }

 private:
  struct Row : Given {
    std::string digest;  // of its secret
  };
  struct Pairing {
    std::string code;
    int64_t made_ms;
  };
  Result<> read() REQUIRES(mutex_);
  Result<> write() REQUIRES(mutex_);
  Result<Secret> give(Kind kind, std::string name, std::string secret) REQUIRES(mutex_);
  Row* find(Kind kind, std::string_view secret) REQUIRES(mutex_);
  Result<> take_back(std::string_view id) REQUIRES(mutex_);

  const Now now_;
  const std::filesystem::path folder_;  // empty: in memory only
  std::filesystem::path set_aside_;
  mutable Mutex mutex_;
  Tokens tokens_ GUARDED_BY(mutex_);
  std::vector<Row> rows_ GUARDED_BY(mutex_);
  std::vector<Pairing> codes_ GUARDED_BY(mutex_);
  bool used_since_write_ GUARDED_BY(mutex_) = false;
  std::function<void(const std::string& id)> revoked_ GUARDED_BY(mutex_);
};

constexpr std::string_view name(Credentials::Kind kind) {
  return kind == Credentials::Kind::App ? "app" : "page";
}

}  // namespace lares::consent
