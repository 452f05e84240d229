// Conversations: what was said, for each principal apart, in one encrypted database. A conversation
// is a tree of messages of which one branch is shown, the one that ends at `head`: editing and
// asking again make another child of the same parent. Deleting one overwrites its rows, its words
// in the index of the search, and what the log held of them.
//
//   begin() --> keep()* --> end()        an answer while it is written: what was kept is a message
//      '--(the process dies)--> open()   with the state Stopped when the store is opened again
//
// Not a policy of who may ask (api) and no knowledge of the API's JSON (app/conversations.h): a
// message's parts, where it has some, are text to it. Every function names the principal, and what
// is not this one's is not there: NotFound. Errors besides: NoRoom (nothing was changed, and all
// can be read), Corrupt, Io, Denied. One thread at a time; blocking.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/sqlite.h"

namespace lares::store {

inline constexpr size_t kConversationsMax = 100'000;  // of one principal
inline constexpr size_t kConversationMessagesMax = 10'000;
inline constexpr Bytes kConversationBytesMax =
    MiB(64);                               // of all of its messages: it is shown whole
inline constexpr size_t kListedMax = 500;  // of one call to list()

enum class Role : uint8_t { System, User, Assistant, Summary };
enum class MessageState : uint8_t { Whole, Stopped, Failed };

struct Conversation {
  std::string id;
  std::string title;  // "" until there was a question
  std::string model;  // as the client set it; "" for the default
  int64_t created_ms = 0;
  int64_t updated_ms = 0;  // no two of one principal have the same
  std::string head;        // of the branch that is shown; "" while there is no message
  uint64_t messages = 0;
  std::string snippet;  // of list() with a query: the words found with those around them
};

struct Message {
  std::string id;
  std::string parent;  // "" for the first
  Role role = Role::User;
  std::string text;   // what is searched
  std::string parts;  // the whole content where it is more than a text, as its writer encoded it
  int64_t created_ms = 0;
  std::string model;
  std::string receipt;
  MessageState state = MessageState::Whole;
  std::string error;   // of one that is Failed
  std::string covers;  // of a Summary: the last message that it stands for
};

class Conversations {
 public:
  struct Opened;
  // Opens `folder`/conversations.db or makes it. What cannot be read under `key` is set aside under
  // a new name, never overwritten, and a fresh one begun. Denied: it can only be read, and is
  // (writable() is false). Unsupported: a newer Lares wrote it; nothing was changed.
  static Result<Opened> open(const std::filesystem::path& folder, std::string_view key);

  struct Search {
    std::string query;  // all of its words must be in one message or in the title; "" for all
    size_t limit = 50;
    int64_t before_ms = INT64_MAX;  // only what was last changed before
  };
  // Newest first.
  Result<std::vector<Conversation>> list(std::string_view principal, const Search& search);
  Result<Conversation> create(std::string_view principal, std::string_view title,
                              std::string_view model, int64_t now_ms);
  Result<Conversation> find(std::string_view principal, std::string_view id);
  // All branches, in the order in which they were written.
  Result<std::vector<Message>> messages(std::string_view principal, std::string_view id);

  struct Change {
    std::optional<std::string> title, model, head;
  };
  Result<Conversation> change(std::string_view principal, std::string_view id, const Change& change,
                              int64_t now_ms);
  // Returns when nothing of it can be read from the file any more. NoRoom: it is deleted, and what
  // is left of its bytes is overwritten when there is room.
  Result<> remove(std::string_view principal, std::string_view id);
  // Adds `message` below its parent and shows its branch. Of `message` id and created_ms are set
  // here. The first question gives a conversation without a title one.
  Result<Message> append(std::string_view principal, std::string_view id, Message message,
                         int64_t now_ms);

  // An answer that is being written: where it will stand.
  struct Answer {
    std::string principal;
    std::string conversation;
    std::string parent;
    std::string message;  // the id that it will have
    int64_t begun_ms = 0;
  };
  // `parent` "": below what is shown now. Writes nothing.
  Result<Answer> begin(std::string_view principal, std::string_view id, std::string_view parent,
                       int64_t now_ms);
  // Keeps more of its text, where a process that dies does not lose it.
  Result<> keep(const Answer& answer, std::string_view model, std::string_view text);
  // Adds the message, with text, state, model, receipt and error of `whole`.
  Result<Message> end(const Answer& answer, Message whole, int64_t now_ms);
  // Forgets what was kept.
  Result<> drop(const Answer& answer);

  bool writable() const { return database_->writable(); }
  Database& database() { return *database_; }  // for tests

 private:
  explicit Conversations(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  struct Place {  // of a conversation in the tables
    int64_t key = 0;
    int64_t head = 0;
    uint64_t messages = 0;
    bool titled = false;
    Bytes size;
  };
  Result<Place> place(std::string_view principal, std::string_view id);
  Result<int64_t> message_key(int64_t conversation, std::string_view id, std::string_view field);
  Result<int64_t> free_moment(std::string_view principal, int64_t now_ms);
  Result<> insert(std::string_view principal, const Place& place, Message& message, int64_t now_ms);
  Result<size_t> finish_interrupted();
  Result<> overwrite_deleted();

  std::unique_ptr<Database> database_;
};

struct Conversations::Opened {
  Conversations conversations;
  std::filesystem::path set_aside;  // where a damaged file is now; empty: there was none
  size_t interrupted = 0;           // answers that had been kept in part
};

std::string_view name(Role role);
std::string_view name(MessageState state);
std::optional<Role> role_named(std::string_view name);

}  // namespace lares::store
