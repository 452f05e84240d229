#include "store/conversations.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"
#include "store/conversation_text.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

// Each step once, in order; never changed after a release, only followed by others.
constexpr std::array<std::string_view, 1> kSchema = {R"sql(
CREATE TABLE conversation(
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  title TEXT NOT NULL,
  model TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  head INTEGER,
  messages INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX conversation_newest ON conversation(principal, updated_ms);
CREATE TABLE message(
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  conversation INTEGER NOT NULL REFERENCES conversation(key) ON DELETE CASCADE,
  parent INTEGER,
  role TEXT NOT NULL,
  text TEXT NOT NULL,
  parts TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  model TEXT NOT NULL,
  receipt TEXT NOT NULL,
  state TEXT NOT NULL,
  error TEXT NOT NULL,
  covers INTEGER
) STRICT;
CREATE INDEX message_of ON message(conversation, key);
CREATE TABLE answer(
  message TEXT PRIMARY KEY,
  conversation INTEGER NOT NULL REFERENCES conversation(key) ON DELETE CASCADE,
  parent INTEGER,
  begun_ms INTEGER NOT NULL,
  model TEXT NOT NULL
) STRICT;
CREATE TABLE piece(
  key INTEGER PRIMARY KEY,
  answer TEXT NOT NULL REFERENCES answer(message) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX piece_of ON piece(answer, key);
CREATE TABLE owed(deletion TEXT NOT NULL) STRICT;

CREATE VIRTUAL TABLE said USING fts5(text, content='message', content_rowid='key',
                                     tokenize="unicode61 remove_diacritics 2");
INSERT INTO said(said, rank) VALUES('secure-delete', 1);
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
  INSERT INTO said(rowid, text) VALUES(new.key, new.text);
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
  INSERT INTO said(said, rowid, text) VALUES('delete', old.key, old.text);
END;
CREATE VIRTUAL TABLE titled USING fts5(title, content='conversation', content_rowid='key',
                                       tokenize="unicode61 remove_diacritics 2");
INSERT INTO titled(titled, rank) VALUES('secure-delete', 1);
CREATE TRIGGER conversation_added AFTER INSERT ON conversation BEGIN
  INSERT INTO titled(rowid, title) VALUES(new.key, new.title);
END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversation BEGIN
  INSERT INTO titled(titled, rowid, title) VALUES('delete', old.key, old.title);
END;
CREATE TRIGGER conversation_retitled AFTER UPDATE OF title ON conversation BEGIN
  INSERT INTO titled(titled, rowid, title) VALUES('delete', old.key, old.title);
  INSERT INTO titled(rowid, title) VALUES(new.key, new.title);
END;
)sql"};

// In conversation_of()'s order; of a conversation c.
constexpr std::string_view kColumns =
    "SELECT c.id, c.title, c.model, c.created_ms, c.updated_ms, c.messages, "
    "(SELECT id FROM message WHERE key = c.head)";

std::string select_conversations(std::string_view rest) {
  return cat(kColumns, " FROM conversation c WHERE ", rest);
}

Conversation conversation_of(const Rows& rows) {
  Conversation found;
  found.id = rows.text(0);
  found.title = rows.text(1);
  found.model = rows.text(2);
  found.created_ms = rows.integer(3);
  found.updated_ms = rows.integer(4);
  found.messages = static_cast<uint64_t>(rows.integer(5));
  found.head = rows.text(6);
  return found;
}

constexpr std::array kRoleNames = {"system", "user", "assistant", "summary"};
constexpr std::array kStateNames = {"whole", "stopped", "failed"};

MessageState state_named(std::string_view name) {
  for (size_t i = 0; i < kStateNames.size(); i++) {
    if (name == kStateNames[i]) return static_cast<MessageState>(i);
  }
  return MessageState::Stopped;
}

std::string shown(std::string_view id) { return utf8_repaired(id.substr(0, 40)); }

// Moves the file and its log out of the way, under a name that says why.
Result<fs::path> set_aside(const fs::path& file) {
  const fs::path aside = damaged_name(file);
  std::error_code failed;
  for (const char* end : {"-wal", "-shm", ""}) {
    if (!fs::exists(file.string() + end, failed)) continue;
    fs::rename(file.string() + end, aside.string() + end, failed);
    if (failed)
      return system_error(cat("setting '", file.string(), end, "' aside"), failed.value());
  }
  return aside;
}

bool has_log(const fs::path& file) {
  std::error_code ignored;
  const auto size = fs::file_size(file.string() + "-wal", ignored);
  return !ignored && size > 0;
}

}  // namespace

std::string_view name(Role role) { return kRoleNames[static_cast<size_t>(role)]; }
std::string_view name(MessageState state) { return kStateNames[static_cast<size_t>(state)]; }

std::optional<Role> role_named(std::string_view name) {
  for (size_t i = 0; i < kRoleNames.size(); i++) {
    if (name == kRoleNames[i]) return static_cast<Role>(i);
  }
  return std::nullopt;
}

// ---- opening

Result<Conversations::Opened> Conversations::open(const fs::path& folder, std::string_view key) {
  const fs::path file = folder / "conversations.db";
  fs::path aside;
  for (int attempt = 0;; attempt++) {
    auto opened = [&]() -> Result<Opened> {
      auto database = Database::open(file, key);
      if (!database && database.error().code == Code::Denied && fs::exists(file) &&
          !has_log(file)) {
        TRY_AS(auto readable, Database::open(file, key, Database::Access::ReadOnly));
        TRY(readable->migrate(kSchema));
        return Opened{Conversations(std::move(readable)), aside, 0};
      }
      if (!database) return std::move(database).error();
      TRY((*database)->migrate(kSchema));
      TRY((*database)->check());
      Opened result{Conversations(*std::move(database)), aside, 0};
      // with a full disk both wait for the next time
      (void)result.conversations.overwrite_deleted();
      if (auto finished = result.conversations.finish_interrupted()) {
        result.interrupted = *finished;
      } else if (finished.error().code == Code::Corrupt) {
        return std::move(finished).error();
      }
      return result;
    }();
    if (opened || opened.error().code != Code::Corrupt || attempt > 0) return opened;
    TRY_AS(aside, set_aside(file));
  }
}

// Answers that were being written when the process ended become messages.
Result<size_t> Conversations::finish_interrupted() {
  struct Row {
    std::string message, principal, conversation, model;
    int64_t begun_ms;
  };
  std::vector<Row> left;
  {
    TRY_AS(Rows rows, database_->query(
                          "SELECT a.message, c.principal, c.id, a.model, a.begun_ms FROM answer a "
                          "JOIN conversation c ON c.key = a.conversation ORDER BY a.begun_ms"));
    TRY_AS(bool more, rows.next());
    while (more) {
      left.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.integer(4)});
      TRY_AS(more, rows.next());
    }
  }
  for (const Row& row : left) {
    Message whole;
    {
      TRY_AS(Rows rows,
             database_->query("SELECT text FROM piece WHERE answer = ? ORDER BY key", row.message));
      TRY_AS(bool more, rows.next());
      while (more) {
        whole.text += rows.text(0);
        TRY_AS(more, rows.next());
      }
    }
    whole.model = row.model;
    whole.state = MessageState::Stopped;
    Answer answer{row.principal, row.conversation, "", row.message, row.begun_ms};
    TRY(end(answer, std::move(whole), row.begun_ms));
  }
  return left.size();
}

// ---- looking

Result<Conversations::Place> Conversations::place(std::string_view principal, std::string_view id) {
  TRY_AS(Rows rows,
         database_->query("SELECT key, head, messages, title <> '', bytes FROM conversation "
                          "WHERE id = ? AND principal = ?",
                          id, principal));
  TRY_AS(const bool found, rows.next());
  if (!found)
    return Error{Code::NotFound,
                 cat("there is no conversation '", shown(id), "'; `lares chat --list` names them"),
                 "conversation"};
  return Place{rows.integer(0), rows.integer(1), static_cast<uint64_t>(rows.integer(2)),
               rows.integer(3) != 0, Bytes{static_cast<uint64_t>(rows.integer(4))}};
}

Result<int64_t> Conversations::message_key(int64_t conversation, std::string_view id,
                                           std::string_view field) {
  TRY_AS(Rows rows, database_->query("SELECT key FROM message WHERE id = ? AND conversation = ?",
                                     id, conversation));
  TRY_AS(const bool found, rows.next());
  if (found) return rows.integer(0);
  return Error{Code::NotFound,
               cat("'", field, "' is '", shown(id), "', which is no message of this conversation"),
               std::string(field)};
}

Result<Conversation> Conversations::find(std::string_view principal, std::string_view id) {
  TRY_AS(Rows rows,
         database_->query(select_conversations("c.id = ? AND c.principal = ?"), id, principal));
  TRY_AS(const bool found, rows.next());
  if (found) return conversation_of(rows);
  return place(principal, id).error();
}

Result<std::vector<Conversation>> Conversations::list(std::string_view principal,
                                                      const Search& search) {
  const auto limit = static_cast<int64_t>(std::min(search.limit, kListedMax));
  std::vector<Conversation> all;
  const auto gather = [&](Rows rows) -> Result<> {
    TRY_AS(bool more, rows.next());
    while (more) {
      all.push_back(conversation_of(rows));
      TRY_AS(more, rows.next());
    }
    return Unit{};
  };
  const std::string expression = search_expression(search.query);
  if (expression.empty()) {
    TRY_AS(Rows rows, database_->query(select_conversations("c.principal = ? AND c.updated_ms < ? "
                                                            "ORDER BY c.updated_ms DESC LIMIT ?"),
                                       principal, search.before_ms, limit));
    TRY(gather(std::move(rows)));
    return all;
  }
  // the newest message with a hit stands for its conversation; a summary says nothing that was not
  // said
  TRY_AS(
      Rows rows,
      database_->query(
          cat("WITH hit(conversation, message) AS MATERIALIZED (SELECT m.conversation, max(m.key) "
              "FROM said CROSS JOIN message m ON m.key = said.rowid WHERE said MATCH ? "
              "AND m.role <> 'summary' GROUP BY m.conversation) ",
              kColumns, ", (SELECT text FROM message WHERE key = hit.message) ",
              "FROM conversation c LEFT JOIN hit ON hit.conversation = c.key "
              "WHERE c.principal = ? AND c.updated_ms < ? AND (hit.message IS NOT NULL OR "
              "c.key IN (SELECT rowid FROM titled WHERE titled MATCH ?)) "
              "ORDER BY c.updated_ms DESC LIMIT ?"),
          expression, principal, search.before_ms, expression, limit));
  TRY_AS(bool more, rows.next());
  while (more) {
    all.push_back(conversation_of(rows));
    Conversation& found = all.back();
    found.snippet = snippet_of(rows.is_null(7) ? found.title : rows.text(7), search.query);
    TRY_AS(more, rows.next());
  }
  return all;
}

Result<std::vector<Message>> Conversations::messages(std::string_view principal,
                                                     std::string_view id) {
  TRY_AS(const Place found, place(principal, id));
  TRY_AS(Rows rows, database_->query(
                        "SELECT id, (SELECT id FROM message p WHERE p.key = m.parent), role, text, "
                        "parts, created_ms, model, receipt, state, error, "
                        "(SELECT id FROM message p WHERE p.key = m.covers) "
                        "FROM message m WHERE conversation = ? ORDER BY key",
                        found.key));
  std::vector<Message> all;
  TRY_AS(bool more, rows.next());
  while (more) {
    Message message;
    message.id = rows.text(0);
    message.parent = rows.text(1);
    message.role = role_named(rows.text(2)).value_or(Role::User);
    message.text = rows.text(3);
    message.parts = rows.text(4);
    message.created_ms = rows.integer(5);
    message.model = rows.text(6);
    message.receipt = rows.text(7);
    message.state = state_named(rows.text(8));
    message.error = rows.text(9);
    message.covers = rows.text(10);
    all.push_back(std::move(message));
    TRY_AS(more, rows.next());
  }
  return all;
}

}  // namespace lares::store
