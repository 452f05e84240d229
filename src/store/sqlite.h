// Database: one encrypted SQLite file, and the only door to SQLite (SQLite3 Multiple Ciphers:
// ChaCha20-Poly1305 for each page, the log's too). Statements and values, transactions, errors in
// our words. It is not a place for tables: those are their store's (conversations.h).
//
// The connection has the file to itself, so that no index of the log is shared through a second
// file. One thread at a time. Blocking: never for the run loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lares::store {

inline constexpr size_t kDatabaseKeyBytes = 32;

// What is on disk when a transaction has returned. Soon: after the next Now, or in seconds; a
// process that is killed loses nothing of it, a machine without power may.
enum class Durable : uint8_t { Now, Soon };

class Database;

// One run of a prepared statement; gives it back when it goes. Text that it answers is copied.
class Rows {
 public:
  Rows(Rows&& other) noexcept : database_(other.database_), statement_(other.statement_) {
    other.statement_ = nullptr;
  }
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  // True: there is a row, whose columns can be read. False: there are no more.
  Result<bool> next();
  int64_t integer(int column) const;
  std::string text(int column) const;  // "" for null
  bool is_null(int column) const;

 private:
  friend class Database;
  Rows(Database& database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  Database& database_;
  sqlite3_stmt* statement_;
};

class Database {
 public:
  enum class Access : uint8_t { ReadWrite, ReadOnly };

  // Opens or makes the file, 0600. Corrupt: this is no database, or not under this key, or its
  // pages do not hold together. Denied, Io, NoRoom: the way to the file. ReadOnly opens one that
  // was closed in good order and that nobody writes to.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file,
                                                std::string_view key,
                                                Access access = Access::ReadWrite);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Brings the schema to `steps.size()`, one transaction for each step that is new to the file.
  // Unsupported, and nothing changed: a newer Lares has done more of them.
  Result<> migrate(std::span<const std::string_view> steps);

  // Begins a statement, prepared once for each text. Values stand for its '?' in order: integers,
  // text, and null by nullptr; they are copied.
  template <class... V>
  Result<Rows> query(std::string_view sql, const V&... values) {
    TRY_AS(sqlite3_stmt* const statement, prepared(sql));
    Rows rows(*this, statement);
    int place = 0;
    (bind(statement, ++place, values), ...);
    return rows;
  }
  // Runs a statement that answers nothing.
  template <class... V>
  Result<> run(std::string_view sql, const V&... values) {
    TRY_AS(Rows rows, query(sql, values...));
    TRY_AS(bool more, rows.next());
    while (more) {
      TRY_AS(more, rows.next());
    }
    return Unit{};
  }
  // Several statements in one text, none with values.
  Result<> script(std::string_view sql);

  // All of `body` or, when it or the disk answers an error, nothing.
  Result<> transaction(Durable durable, const std::function<Result<>()>& body);
  // Moves the log into the file and leaves an empty one.
  Result<> checkpoint();
  // Overwrites what pages hold between their cells and their directory: bytes of rows that were
  // moved to other pages, or deleted there since (https://www.sqlite.org/fileformat2.html, 1.6).
  // secure_delete alone leaves those. Reads the whole file, and ends with a checkpoint.
  Result<> overwrite_gaps();
  // Corrupt when pages or indices do not hold together. Reads the whole file.
  Result<> check();

  // One page's bytes, with its gap overwritten; "" when it has none to overwrite.
  static std::string without_gap(std::string page, bool first);
  int64_t last_row() const;  // the key of the row that was inserted last
  int64_t changes() const;   // rows that the last statement touched
  bool writable() const { return access_ == Access::ReadWrite; }
  // The pages in clear, as they would lie in a file: for tests of what is left after a deletion.
  Result<std::string> pages_in_clear();

 private:
  friend class Rows;
  Database(std::filesystem::path file, Access access);
  Result<sqlite3_stmt*> prepared(std::string_view sql);
  static void bind(sqlite3_stmt* statement, int place, int64_t value);
  static void bind(sqlite3_stmt* statement, int place, std::string_view value);
  static void bind(sqlite3_stmt* statement, int place, std::nullptr_t);
  Error error(int code, std::string_view doing) const;
  Result<> begin(std::string_view key);

  const std::filesystem::path file_;
  const Access access_;
  sqlite3* handle_ = nullptr;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

}  // namespace lares::store
