#include "store/sqlite.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace lares::store {
namespace {

// The format of the file is theirs: a database that was written with others is not read.
constexpr std::string_view kCipher =
    "PRAGMA cipher = 'chacha20';"
    "PRAGMA legacy = 0;"
    "PRAGMA legacy_page_size = 4096;";
// EXCLUSIVE before WAL: the log's index is then in memory. Deleted content is overwritten by
// zeros, in free pages too.
constexpr std::string_view kSettings =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA secure_delete = ON;"
    "PRAGMA foreign_keys = ON;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -8192;"
    "PRAGMA journal_size_limit = 4194304;";

std::string hexadecimal(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Code code_of(int result, int system) {
  switch (result & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_NOMEM: return Code::NoRoom;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Code::Corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return Code::Denied;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::Busy;
    case SQLITE_TOOBIG: return Code::Invalid;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (result == SQLITE_IOERR_DATA || result == SQLITE_IOERR_CORRUPTFS) return Code::Corrupt;
      return system != 0 ? system_error("", system).code : Code::Io;
    default: return Code::Io;
  }
}

}  // namespace

// ---- rows

Rows::~Rows() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<bool> Rows::next() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return database_.error(result, "reading or writing");
}

int64_t Rows::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Rows::text(int column) const {
  const auto* bytes = sqlite3_column_text(statement_, column);
  if (!bytes) return "";
  const int size = sqlite3_column_bytes(statement_, column);
  return {reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)};
}

bool Rows::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

// ---- the database

Database::Database(std::filesystem::path file, Access access)
    : file_(std::move(file)), access_(access) {}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Error Database::error(int code, std::string_view doing) const {
  const int system = handle_ ? sqlite3_system_errno(handle_) : 0;
  const Code kind = code_of(code, system);
  // the library's own words name tables and columns, never values
  std::string what = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  if (kind == Code::NoRoom) what = "no room is left on the disk; make some and try again";
  if ((code & 0xFF) == SQLITE_NOTADB) what = "it is no database, or it was sealed with another key";
  return {kind, cat(doing, " '", file_.string(), "': ", what)};
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file,
                                                 std::string_view key, Access access) {
  assert(key.size() == kDatabaseKeyBytes);
  std::unique_ptr<Database> database(new Database(file, access));
  const bool writes = access == Access::ReadWrite;
  // a read-only one cannot make the log's file, so it is told that there is none
  std::string name = "file:";
  for (const char c : file.string()) {
    if (c == '%' || c == '?' || c == '#') {
      name += cat("%", hexadecimal({&c, 1}));
    } else {
      name += c;
    }
  }
  if (!writes) name += "?immutable=1";
  const int flags = (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                    SQLITE_OPEN_EXRESCODE;
  const mode_t before = ::umask(077);
  const int opened = sqlite3_open_v2(name.c_str(), &database->handle_, flags, nullptr);
  ::umask(before);
  if (opened != SQLITE_OK) return database->error(opened, "opening");
  TRY(database->begin(key));
  return database;
}

Result<> Database::begin(std::string_view key) {
  sqlite3_busy_timeout(handle_, 2'000);  // a daemon that ends may still hold the file
  TRY(script(kCipher));
  const std::string secret = cat("raw:", hexadecimal(key));
  const int keyed = sqlite3_key(handle_, secret.data(), static_cast<int>(secret.size()));
  if (keyed != SQLITE_OK) return error(keyed, "unlocking");
  // the first reading of a page tells whether the key fits; before anything is changed
  TRY(run("SELECT count(*) FROM sqlite_schema"));
  if (access_ == Access::ReadWrite) TRY(script(kSettings));
  if (access_ == Access::ReadOnly || !sqlite3_db_readonly(handle_, "main")) return Unit{};
  return Error{Code::Denied, cat("opening '", file_.string(), "': it is not to be written to")};
}

Result<sqlite3_stmt*> Database::prepared(std::string_view sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) return found->second;
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return error(result, "reading");
  statements_.emplace(sql, statement);
  return statement;
}

void Database::bind(sqlite3_stmt* statement, int place, int64_t value) {
  const int result = sqlite3_bind_int64(statement, place, value);
  assert(result == SQLITE_OK);
}

void Database::bind(sqlite3_stmt* statement, int place, std::string_view value) {
  const int result = sqlite3_bind_text64(statement, place, value.data() ? value.data() : "",
                                         value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  assert(result == SQLITE_OK);
}

void Database::bind(sqlite3_stmt* statement, int place, std::nullptr_t) {
  const int result = sqlite3_bind_null(statement, place);
  assert(result == SQLITE_OK);
}

Result<> Database::script(std::string_view sql) {
  const int result = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error(result, "preparing");
  return Unit{};
}

Result<> Database::transaction(Durable durable, const std::function<Result<>()>& body) {
  // only between transactions can it be set, and it is set when it is prepared
  TRY(script(durable == Durable::Now ? "PRAGMA synchronous = FULL"
                                     : "PRAGMA synchronous = NORMAL"));
  TRY(run("BEGIN IMMEDIATE"));
  auto done = body();
  if (done) done = run("COMMIT");
  // some errors have ended it already
  if (!done && sqlite3_get_autocommit(handle_) == 0) (void)run("ROLLBACK");
  return done;
}

Result<> Database::checkpoint() {
  TRY_AS(Rows rows, query("PRAGMA wal_checkpoint(TRUNCATE)"));
  TRY_AS(const bool row, rows.next());
  if (row && rows.integer(0) != 0)
    return Error{Code::Busy, cat("writing '", file_.string(), "': another program reads it")};
  return Unit{};
}

std::string Database::without_gap(std::string page, bool first) {
  constexpr size_t kFileHeader = 100;
  const size_t header = first ? kFileHeader : 0;
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(page[at]); };
  if (page.size() < header + 12) return "";
  const unsigned type = byte(header);
  const bool interior = type == 2 || type == 5;
  if (!interior && type != 10 && type != 13) return "";  // no tree's: one zeroed, or all content
  const size_t cells = byte(header + 3) << 8 | byte(header + 4);
  size_t end = byte(header + 5) << 8 | byte(header + 6);
  if (end == 0) end = 65'536;
  const size_t begin = header + (interior ? 12 : 8) + 2 * cells;
  if (begin >= end || end > page.size()) return "";
  const std::string_view gap = std::string_view(page).substr(begin, end - begin);
  if (gap.find_first_not_of('\0') == std::string_view::npos) return "";
  std::fill(page.begin() + static_cast<std::ptrdiff_t>(begin),
            page.begin() + static_cast<std::ptrdiff_t>(end), '\0');
  return page;
}

Result<> Database::overwrite_gaps() {
  const auto done = transaction(Durable::Now, [&]() -> Result<> {
    int64_t count = 0;
    {
      TRY_AS(Rows rows, query("PRAGMA page_count"));
      TRY_AS(const bool row, rows.next());
      if (row) count = rows.integer(0);
    }
    for (int64_t number = 1; number <= count; number++) {
      std::string page;
      {
        TRY_AS(Rows rows, query("SELECT data FROM sqlite_dbpage WHERE pgno = ?", number));
        TRY_AS(const bool row, rows.next());
        if (row) page = without_gap(rows.text(0), number == 1);
      }
      if (page.empty()) continue;
      TRY_AS(sqlite3_stmt* const statement,
             prepared("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?"));
      Rows writing(*this, statement);
      sqlite3_bind_blob64(statement, 1, page.data(), page.size(), SQLITE_STATIC);
      sqlite3_bind_int64(statement, 2, number);
      TRY(writing.next());
    }
    return Unit{};
  });
  TRY(done);
  return checkpoint();
}

Result<> Database::check() {
  TRY_AS(Rows rows, query("PRAGMA quick_check(1)"));
  TRY_AS(const bool row, rows.next());
  if (row && rows.text(0) == "ok") return Unit{};
  return Error{Code::Corrupt,
               cat("checking '", file_.string(), "': its pages do not hold together")};
}

Result<> Database::migrate(std::span<const std::string_view> steps) {
  size_t done = 0;
  {
    TRY_AS(Rows rows, query("PRAGMA user_version"));
    TRY_AS(const bool row, rows.next());
    if (row) done = static_cast<size_t>(rows.integer(0));
  }
  if (done > steps.size()) {
    // not even the log is moved into the file when it is closed
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    return Error{Code::Unsupported,
                 cat("opening '", file_.string(), "': a newer Lares wrote it (format ", done,
                     ", this one knows ", steps.size(), "); use that version, or move it away")};
  }
  for (; done < steps.size(); done++) {
    const auto stepped = transaction(Durable::Now, [&]() -> Result<> {
      TRY(script(steps[done]));
      return script(cat("PRAGMA user_version = ", done + 1));
    });
    TRY(stepped);
  }
  return Unit{};
}

int64_t Database::last_row() const { return sqlite3_last_insert_rowid(handle_); }
int64_t Database::changes() const { return sqlite3_changes64(handle_); }

Result<std::string> Database::pages_in_clear() {
  sqlite3_int64 size = 0;
  unsigned char* pages = sqlite3_serialize(handle_, "main", &size, 0);
  if (!pages) return error(SQLITE_NOMEM, "reading");
  std::string copy(reinterpret_cast<const char*>(pages), static_cast<size_t>(size));
  sqlite3_free(pages);
  return copy;
}

}  // namespace lares::store
