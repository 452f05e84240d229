#include "app/conversation_questions.h"

#include <array>

namespace lares::app {
namespace {

using store::Conversations;

std::string text_in(const Json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::string> given(const Json& arguments, const char* name) {
  if (!arguments.contains(name)) return std::nullopt;
  return text_in(arguments, name);
}

Json or_null(const std::string& id) { return id.empty() ? Json() : Json(id); }

Json to_json(const store::Conversation& one) {
  return {{"id", one.id},
          {"title", one.title},
          {"model", one.model},
          {"created_ms", one.created_ms},
          {"updated_ms", one.updated_ms},
          {"messages", one.messages},
          {"head", or_null(one.head)}};
}

Json to_json(const store::Message& one) {
  Json json = {{"id", one.id},
               {"parent", or_null(one.parent)},
               {"role", name(one.role)},
               {"created_ms", one.created_ms},
               {"state", name(one.state)}};
  auto parts = one.parts.empty() ? Result<Json>(Json()) : parse_json(one.parts);
  json["content"] = parts && parts->is_array() ? *std::move(parts) : Json(one.text);
  for (const auto& [field, value] :
       {std::pair("model", one.model), std::pair("receipt", one.receipt),
        std::pair("error", one.error), std::pair("covers", one.covers)}) {
    if (!value.empty()) json[field] = value;
  }
  return json;
}

Result<Json> list(Conversations& store, const Json& arguments, int64_t /*now_ms*/) {
  Conversations::Search search;
  search.query = text_in(arguments, "query");
  search.limit = arguments.value("limit", search.limit);
  search.before_ms = arguments.value("before", search.before_ms);
  TRY_AS(const auto found, store.list(text_in(arguments, "who"), search));
  Json all = Json::array();
  for (const store::Conversation& one : found) {
    Json json = to_json(one);
    json.erase("head");
    if (!search.query.empty()) json["snippet"] = one.snippet;
    all.push_back(std::move(json));
  }
  return all;
}

// With its messages.
Result<Json> whole(Conversations& store, const std::string& who, const std::string& id) {
  TRY_AS(const store::Conversation found, store.find(who, id));
  TRY_AS(const auto messages, store.messages(who, id));
  Json json = to_json(found);
  json["messages"] = Json::array();
  for (const store::Message& message : messages) json["messages"].push_back(to_json(message));
  return json;
}

Result<Json> create(Conversations& store, const Json& arguments, int64_t now_ms) {
  const std::string who = text_in(arguments, "who");
  TRY_AS(const store::Conversation made,
         store.create(who, text_in(arguments, "title"), text_in(arguments, "model"), now_ms));
  return whole(store, who, made.id);
}

Result<Json> show(Conversations& store, const Json& arguments, int64_t /*now_ms*/) {
  return whole(store, text_in(arguments, "who"), text_in(arguments, "id"));
}

Result<Json> change(Conversations& store, const Json& arguments, int64_t now_ms) {
  const Conversations::Change change{given(arguments, "title"), given(arguments, "model"),
                                     given(arguments, "head")};
  TRY_AS(const store::Conversation changed,
         store.change(text_in(arguments, "who"), text_in(arguments, "id"), change, now_ms));
  return to_json(changed);
}

Result<Json> remove(Conversations& store, const Json& arguments, int64_t /*now_ms*/) {
  TRY(store.remove(text_in(arguments, "who"), text_in(arguments, "id")));
  return Json::object();
}

Result<Json> append(Conversations& store, const Json& arguments, int64_t now_ms) {
  store::Message message;
  message.parent = text_in(arguments, "parent");
  message.role = store::role_named(text_in(arguments, "role")).value_or(store::Role::User);
  message.text = text_in(arguments, "text");
  message.parts = text_in(arguments, "parts");
  message.covers = text_in(arguments, "covers");
  TRY_AS(const store::Message added,
         store.append(text_in(arguments, "who"), text_in(arguments, "id"), std::move(message),
                      now_ms));
  return to_json(added);
}

}  // namespace

ConversationQuestion conversation_question(std::string_view question) {
  struct Row {
    std::string_view name;
    ConversationQuestion answer;
  };
  static constexpr std::array kRows = {
      Row{"conversations.list", {list, false}},    Row{"conversations.create", {create, true}},
      Row{"conversations.show", {show, false}},    Row{"conversations.change", {change, true}},
      Row{"conversations.remove", {remove, true}}, Row{"conversations.append", {append, true}},
  };
  for (const Row& row : kRows) {
    if (row.name == question) return row.answer;
  }
  return {};
}

}  // namespace lares::app
