#include "consent/credentials.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "consent/secret_file.h"

namespace lares::consent {
namespace {

constexpr Bytes kFileMax = MiB(1);
constexpr size_t kIdBytes = 8;
constexpr size_t kCodeBytes = 16;
constexpr size_t kDigestDigits = 64;
constexpr size_t kBrowserMax = 200;  // of what a browser calls itself
constexpr std::string_view kRemedy =
    "remove it, and the next start begins a new one (apps and pages are to be paired again)";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && text.front() != ' ' && text.back() != ' ' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

}  // namespace

Credentials::Credentials(Tokens tokens, Now now, std::filesystem::path folder)
    : now_(now ? std::move(now) : [] { return int64_t{0}; }),
      folder_(std::move(folder)),
      tokens_(std::move(tokens)) {}

Result<std::unique_ptr<Credentials>> Credentials::open(const std::filesystem::path& folder,
                                                       Now now) {
  TRY_AS(Tokens tokens, Tokens::open(folder));
  auto made = std::make_unique<Credentials>(std::move(tokens), std::move(now), folder);
  const MutexLock lock(made->mutex_);
  if (auto read = made->read(); !read && read.error().code == Code::Corrupt) {
    made->rows_.clear();
    made->set_aside_ = damaged_name(file(folder));
    std::error_code failed;
    std::filesystem::rename(file(folder), made->set_aside_, failed);
    if (failed)
      return system_error(cat("setting aside '", file(folder).string(), "'"), failed.value());
  } else if (!read && read.error().code != Code::NotFound) {
    return std::move(read).error();
  }
  // secrets of an earlier version go from the disk at once; where that cannot be, with the next use
  if (made->used_since_write_ && !made->write()) made->used_since_write_ = true;
  return made;
}

Result<> Credentials::read() {
  const std::filesystem::path path = file(folder_);
  TRY_AS(const std::string text, read_secret_file(path, kFileMax, "credentials", kRemedy));
  const auto corrupt = [&](std::string_view what) {
    return Error{Code::Corrupt, cat("reading the credentials '", path.string(), "': ", what)};
  };
  const auto json = parse_json(text);
  if (!json) return corrupt(json.error().message);
  if (!json->is_array() || json->size() > kGivenMax) return corrupt("no list of credentials");
  for (const Json& entry : *json) {
    const auto field = [&](const char* name) {
      const auto found = entry.is_object() ? entry.find(name) : entry.end();
      return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const auto time = [&](const char* name) {
      const auto found = entry.is_object() ? entry.find(name) : entry.end();
      return found != entry.end() && found->is_number_integer() ? found->get<int64_t>() : -1;
    };
    Row row;
    row.id = field("id");
    row.kind = field("kind") == "page" ? Kind::Page : Kind::App;
    row.name = field("name");
    row.created_ms = time("created_ms");
    row.last_used_ms = time("last_used_ms");
    row.digest = field("secret_sha256");
    // earlier versions kept the secret itself
    if (const std::string secret = field("secret"); is_token(secret)) {
      row.digest = sha256_hex(secret);
      used_since_write_ = true;
    }
    if (row.id.size() != 2 * kIdBytes || field("kind") != name(row.kind) || row.created_ms < 0 ||
        row.last_used_ms < 0 || !is_lower_hex(row.digest, kDigestDigits) ||
        (row.kind == Kind::App && !is_name(row.name)))
      return corrupt("an entry of it is not whole");
    rows_.push_back(std::move(row));
  }
  return Unit{};
}

Result<> Credentials::write() {
  used_since_write_ = false;
  if (folder_.empty()) return Unit{};
  Json json = Json::array();
  for (const Row& row : rows_) {
    json.push_back({{"id", row.id},
                    {"kind", lares::consent::name(row.kind)},
                    {"name", row.name},
                    {"created_ms", row.created_ms},
                    {"last_used_ms", row.last_used_ms},
                    {"secret_sha256", row.digest}});
  }
  return write_file(file(folder_), dump(json) + "\n", 0600);
}

Credentials::Row* Credentials::find(Kind kind, std::string_view secret) {
  const std::string digest = sha256_hex(secret);
  Row* found = nullptr;
  for (Row& row : rows_) {  // all of them: how long it takes tells nothing
    if (equal_in_constant_time(row.digest, digest) && row.kind == kind) found = &row;
  }
  return found;
}

std::optional<Principal> Credentials::of_token(std::string_view token) {
  const MutexLock lock(mutex_);
  Row* const app = find(Kind::App, token);
  if (auto known = tokens_.principal(token)) {
    known->credential = kOwnerId;
    return known;
  }
  if (!app) return std::nullopt;
  app->last_used_ms = now_();
  used_since_write_ = true;
  return Principal{
      .id = cat("app:", app->name), .right = Right::App, .uid = ::geteuid(), .credential = app->id};
}

std::optional<Principal> Credentials::of_page(std::string_view secret) {
  const MutexLock lock(mutex_);
  Row* const page = find(Kind::Page, secret);
  if (!page) return std::nullopt;
  const int64_t now = now_();
  const auto life = std::chrono::duration_cast<std::chrono::milliseconds>(kPageLife).count();
  if (now - std::max(page->created_ms, page->last_used_ms) > life) return std::nullopt;
  page->last_used_ms = now;
  used_since_write_ = true;
  return Principal{
      .id = "owner", .right = Right::Owner, .uid = ::geteuid(), .credential = page->id};
}

std::string Credentials::pair() {
  const MutexLock lock(mutex_);
  if (codes_.size() >= kCodesMax) codes_.erase(codes_.begin());
  codes_.push_back({random_hex(kCodeBytes), now_()});
  return codes_.back().code;
}

Result<Credentials::Secret> Credentials::redeem(std::string_view code, std::string_view browser) {
  const MutexLock lock(mutex_);
  const int64_t now = now_();
  const auto life = std::chrono::duration_cast<std::chrono::milliseconds>(kCodeLife).count();
  // a clock set back does not make a code live on
  std::erase_if(codes_,
                [&](const Pairing& one) { return now - one.made_ms > life || now < one.made_ms; });
  auto found = codes_.end();
  for (auto one = codes_.begin(); one != codes_.end(); ++one) {
    if (equal_in_constant_time(one->code, code)) found = one;
  }
  if (found == codes_.end()) {
    return Error{Code::Denied,
                 cat("pairing the page: the code is wrong, was used, or is older than ",
                     kCodeLife.count(), " minutes; get a new one with `lares ui`"),
                 "code"};
  }
  codes_.erase(found);
  const auto expired = [&](const Row& row) {
    const auto page_life = std::chrono::duration_cast<std::chrono::milliseconds>(kPageLife).count();
    return row.kind == Kind::Page && now - std::max(row.created_ms, row.last_used_ms) > page_life;
  };
  std::erase_if(rows_, expired);
  return give(Kind::Page, utf8_repaired(browser.substr(0, kBrowserMax)), new_token());
}

Result<Credentials::Secret> Credentials::add_app(std::string_view name) {
  const MutexLock lock(mutex_);
  if (!is_name(name)) {
    return Error{Code::Invalid,
                 cat("naming the app: '", utf8_repaired(name.substr(0, kNameMax)), "' is not 1 to ",
                     kNameMax, " printable ASCII characters without blanks around them"),
                 "name"};
  }
  for (const Row& row : rows_) {
    if (row.kind == Kind::App && row.name == name) {
      return Error{Code::Invalid,
                   cat("naming the app: '", name,
                       "' has a token already; take it back first "
                       "(lares token revoke ",
                       row.id, "), or choose another name"),
                   "name"};
    }
  }
  return give(Kind::App, std::string(name), new_token());
}

Result<Credentials::Secret> Credentials::give(Kind kind, std::string name, std::string secret) {
  if (rows_.size() >= kGivenMax)
    return Error{Code::NoRoom, cat("giving a credential: there are ", kGivenMax,
                                   " already, which is all that is kept; revoke one")};
  Row row;
  row.id = random_hex(kIdBytes);
  row.kind = kind;
  row.name = std::move(name);
  row.created_ms = now_();
  row.digest = sha256_hex(secret);
  rows_.push_back(row);
  if (auto written = write(); !written) {
    rows_.pop_back();
    return std::move(written).error();
  }
  return Secret{row.id, std::move(secret)};
}

Result<> Credentials::revoke(std::string_view id) {
  const MutexLock lock(mutex_);
  TRY(take_back(id));
  if (revoked_) revoked_(std::string(id));
  return Unit{};
}

void Credentials::watch(std::function<void(const std::string& id)> revoked) {
  const MutexLock lock(mutex_);
  revoked_ = std::move(revoked);
}

Result<> Credentials::take_back(std::string_view id) {
  if (id == kOwnerId) {
    if (folder_.empty()) {
      tokens_ = Tokens(new_token());
      return Unit{};
    }
    TRY_AS(tokens_, Tokens::renew(folder_));
    return Unit{};
  }
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.id == id; });
  if (found == rows_.end())
    return Error{Code::NotFound,
                 cat("revoking '", utf8_repaired(id.substr(0, 2 * kIdBytes)),
                     "': no app and no page has that id; `lares token list` shows them")};
  Row kept = std::move(*found);
  rows_.erase(found);
  auto written = write();
  // what could not be written would be valid again after the next start
  if (!written) rows_.push_back(std::move(kept));
  return written;
}

std::vector<Credentials::Given> Credentials::given() const {
  const MutexLock lock(mutex_);
  std::vector<Given> all;
  all.reserve(rows_.size());
  for (const Row& row : rows_) all.emplace_back(row);
  return all;
}

Result<> Credentials::save_uses() {
  const MutexLock lock(mutex_);
  return used_since_write_ ? write() : Unit{};
}

}  // namespace lares::consent
