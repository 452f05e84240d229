// What changes conversations: each function is one transaction (conversations.h).

#include "base/file.h"
#include "base/text.h"
#include "store/conversation_text.h"
#include "store/conversations.h"

namespace lares::store {

// The first moment from `now_ms` on at which nothing of this principal was changed: pages of the
// list begin and end at moments.
Result<int64_t> Conversations::free_moment(std::string_view principal, int64_t now_ms) {
  TRY_AS(Rows rows, database_->query("SELECT updated_ms FROM conversation WHERE principal = ? AND "
                                     "updated_ms >= ? ORDER BY updated_ms",
                                     principal, now_ms));
  for (;;) {
    TRY_AS(const bool taken, rows.next());
    if (!taken || rows.integer(0) != now_ms) return now_ms;
    now_ms++;
  }
}

Result<Conversation> Conversations::create(std::string_view principal, std::string_view title,
                                           std::string_view model, int64_t now_ms) {
  const std::string id = "c-" + random_hex(8);
  const auto done = database_->transaction(Durable::Now, [&]() -> Result<> {
    int64_t count = 0;
    {
      TRY_AS(Rows rows,
             database_->query("SELECT count(*) FROM conversation WHERE principal = ?", principal));
      TRY_AS(const bool row, rows.next());
      if (row) count = rows.integer(0);
    }
    if (count >= static_cast<int64_t>(kConversationsMax))
      return Error{Code::NoRoom,
                   cat("there are ", count, " conversations, the most that are kept; delete some")};
    TRY_AS(const int64_t moment, free_moment(principal, now_ms));
    return database_->run(
        "INSERT INTO conversation(id, principal, title, model, created_ms, updated_ms) "
        "VALUES(?, ?, ?, ?, ?, ?)",
        id, principal, title, model, now_ms, moment);
  });
  TRY(done);
  return find(principal, id);
}

Result<Conversation> Conversations::change(std::string_view principal, std::string_view id,
                                           const Change& change, int64_t now_ms) {
  const auto done = database_->transaction(Durable::Now, [&]() -> Result<> {
    TRY_AS(const Place found, place(principal, id));
    if (change.title)
      TRY(database_->run("UPDATE conversation SET title = ? WHERE key = ?", *change.title,
                         found.key));
    if (change.model)
      TRY(database_->run("UPDATE conversation SET model = ? WHERE key = ?", *change.model,
                         found.key));
    if (change.head) {
      TRY_AS(const int64_t head, message_key(found.key, *change.head, "head"));
      TRY_AS(const int64_t moment, free_moment(principal, now_ms));
      TRY(database_->run("UPDATE conversation SET head = ?, updated_ms = ? WHERE key = ?", head,
                         moment, found.key));
    }
    return Unit{};
  });
  TRY(done);
  return find(principal, id);
}

Result<> Conversations::remove(std::string_view principal, std::string_view id) {
  const auto done = database_->transaction(Durable::Now, [&]() -> Result<> {
    TRY_AS(const Place found, place(principal, id));
    TRY(database_->run("INSERT INTO owed VALUES(?)", id));
    return database_->run("DELETE FROM conversation WHERE key = ?", found.key);
  });
  TRY(done);
  auto overwritten = overwrite_deleted();
  if (!overwritten)
    overwritten = std::move(overwritten)
                      .error()
                      .within("the conversation is deleted, but not yet overwritten");
  return overwritten;
}

// What was deleted, in the pages and in the log: at once, or when the store is opened again.
Result<> Conversations::overwrite_deleted() {
  {
    TRY_AS(Rows rows, database_->query("SELECT 1 FROM owed"));
    TRY_AS(const bool owed, rows.next());
    if (!owed) return Unit{};
  }
  // The directory of a segment of the index names words that are deleted in it. Merging writes it
  // anew, but only of two segments; so a second one is made, of a word that goes again.
  const auto merged = database_->transaction(Durable::Soon, [&]() -> Result<> {
    for (const char* statement :
         {"INSERT INTO said(rowid, text) VALUES(-1, 'x')",
          "INSERT INTO said(said) VALUES('optimize')",
          "INSERT INTO said(said, rowid, text) VALUES('delete', -1, 'x')",
          "INSERT INTO titled(rowid, title) VALUES(-1, 'x')",
          "INSERT INTO titled(titled) VALUES('optimize')",
          "INSERT INTO titled(titled, rowid, title) VALUES('delete', -1, 'x')"})
      TRY(database_->run(statement));
    return Unit{};
  });
  TRY(merged);
  TRY(database_->overwrite_gaps());
  TRY(database_->run("DELETE FROM owed"));
  return database_->checkpoint();
}

// In a transaction. Sets the message's id, unless it has one, and its time.
Result<> Conversations::insert(std::string_view principal, const Place& place, Message& message,
                               int64_t now_ms) {
  if (place.messages >= kConversationMessagesMax)
    return Error{Code::NoRoom, cat("this conversation has ", place.messages,
                                   " messages, the most that one holds; begin another")};
  const Bytes size{message.text.size() + message.parts.size()};
  if (place.size + size > kConversationBytesMax)
    return Error{Code::NoRoom,
                 cat("this conversation holds ", place.size, " and would hold ", size,
                     " more, but one holds ", kConversationBytesMax, " at most; begin another")};
  if (message.id.empty()) message.id = "m-" + random_hex(8);
  message.created_ms = now_ms;
  int64_t parent = 0;
  if (!message.parent.empty()) {
    TRY_AS(parent, message_key(place.key, message.parent, "parent"));
  }
  int64_t covers = 0;
  if (!message.covers.empty()) {
    TRY_AS(covers, message_key(place.key, message.covers, "covers"));
  }
  TRY(database_->run(
      "INSERT INTO message(id, conversation, parent, role, text, parts, created_ms, model, "
      "receipt, state, error, covers) VALUES(?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, "
      "nullif(?, 0))",
      message.id, place.key, parent, name(message.role), message.text, message.parts, now_ms,
      message.model, message.receipt, name(message.state), message.error, covers));
  const int64_t key = database_->last_row();
  TRY_AS(const int64_t moment, free_moment(principal, now_ms));
  TRY(
      database_->run("UPDATE conversation SET head = ?, updated_ms = ?, messages = messages + 1, "
                     "bytes = bytes + ? WHERE key = ?",
                     key, moment, static_cast<int64_t>(size.n), place.key));
  if (place.titled || message.role != Role::User) return Unit{};
  const std::string title = title_from(message.text);
  if (title.empty()) return Unit{};
  return database_->run("UPDATE conversation SET title = ? WHERE key = ?", title, place.key);
}

Result<Message> Conversations::append(std::string_view principal, std::string_view id,
                                      Message message, int64_t now_ms) {
  const auto done = database_->transaction(Durable::Now, [&]() -> Result<> {
    TRY_AS(const Place found, place(principal, id));
    return insert(principal, found, message, now_ms);
  });
  TRY(done);
  return message;
}

// ---- answers

Result<Conversations::Answer> Conversations::begin(std::string_view principal, std::string_view id,
                                                   std::string_view parent, int64_t now_ms) {
  if (!writable())
    return Error{Code::Denied, "the conversations can only be read now; `lares doctor` says why"};
  auto found = place(principal, id);
  if (!found) {
    Error error = std::move(found).error();
    if (error.code == Code::NotFound) error.param = "lares.conversation";
    return error;
  }
  Answer answer{std::string(principal), std::string(id), std::string(parent), "m-" + random_hex(8),
                now_ms};
  if (!parent.empty()) {
    TRY(message_key(found->key, parent, "lares.parent"));
  } else {
    TRY_AS(const Conversation shown_now, find(principal, id));
    answer.parent = shown_now.head;
  }
  return answer;
}

Result<> Conversations::keep(const Answer& answer, std::string_view model, std::string_view text) {
  return database_->transaction(Durable::Soon, [&]() -> Result<> {
    TRY_AS(const Place found, place(answer.principal, answer.conversation));
    int64_t parent = 0;
    if (!answer.parent.empty()) {
      TRY_AS(parent, message_key(found.key, answer.parent, "parent"));
    }
    TRY(
        database_->run("INSERT INTO answer(message, conversation, parent, begun_ms, model) "
                       "VALUES(?, ?, nullif(?, 0), ?, ?) ON CONFLICT(message) DO NOTHING",
                       answer.message, found.key, parent, answer.begun_ms, model));
    return database_->run("INSERT INTO piece(answer, text) VALUES(?, ?)", answer.message, text);
  });
}

Result<Message> Conversations::end(const Answer& answer, Message whole, int64_t now_ms) {
  whole.id = answer.message;
  whole.role = Role::Assistant;
  whole.parent = answer.parent;
  const auto done = database_->transaction(Durable::Now, [&]() -> Result<> {
    TRY_AS(const Place found, place(answer.principal, answer.conversation));
    if (whole.parent.empty()) {  // of one that a process before us began
      TRY_AS(Rows rows, database_->query("SELECT m.id FROM answer a JOIN message m ON "
                                         "m.key = a.parent WHERE a.message = ?",
                                         answer.message));
      TRY_AS(const bool known, rows.next());
      if (known) whole.parent = rows.text(0);
    }
    TRY(database_->run("DELETE FROM answer WHERE message = ?", answer.message));
    return insert(answer.principal, found, whole, now_ms);
  });
  TRY(done);
  return whole;
}

Result<> Conversations::drop(const Answer& answer) {
  return database_->transaction(Durable::Soon, [&] {
    return database_->run("DELETE FROM answer WHERE message = ?", answer.message);
  });
}

}  // namespace lares::store
