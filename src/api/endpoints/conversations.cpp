// /lares/v1/conversations: what was said, kept by the daemon. Each caller has its own: what the
// command line, the owner's token and the page say is the owner's; an app sees what it said
// itself, and no other caller does.
#include <array>
#include <utility>

#include "api/endpoint.h"
#include "api/fields.h"
#include "api/orders.h"
#include "api/requests.h"
#include "base/text.h"

namespace lares::api {
namespace {

using consent::Right;

constexpr size_t kTitleMax = 200;    // characters
constexpr size_t kQueryMax = 1'000;  // bytes
constexpr int64_t kListedDefault = 50;
constexpr int64_t kListedMax = 500;
constexpr int64_t kMomentMax = int64_t{1} << 53;

Error wrong(std::string_view field, std::string_view is, std::string_view must) {
  return {Code::Invalid, cat("reading the request: '", field, "' is ", is, ", but must be ", must),
          std::string(field)};
}

Error missing(std::string_view field, std::string_view must) {
  return {Code::Invalid, cat("reading the request: '", field, "' is missing; it must be ", must),
          std::string(field)};
}

// What a value is, in an error; never what it holds.
std::string kind_of(const Json& value) {
  if (value.is_string())
    return cat("a string of ", value.get_ref<const std::string&>().size(), " bytes");
  return cat("of type ", value.type_name());
}

// Refuses what is not in the list, so that a mistyped name is not silently nothing.
Result<> only(const Json& body, std::initializer_list<std::string_view> names) {
  const std::vector<std::string> known(names.begin(), names.end());
  for (const auto& [name, value] : body.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return Error{Code::Invalid,
                 cat("reading the request: there is no field '", utf8_repaired(name.substr(0, 40)),
                     "' here", did_you_mean(name, known)),
                 name.size() <= 40 ? name : ""};
  }
  return Unit{};
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Copies a string field into `arguments`, if it is there; null is as good as left out.
Result<> text_field(const Json& body, const char* name, size_t least, size_t most,
                    Json& arguments) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return Unit{};
  const std::string must = cat("a string of ", least, " to ", most, " characters");
  if (!found->is_string()) return wrong(name, kind_of(*found), must);
  const size_t count = characters(found->get_ref<const std::string&>());
  if (count < least || count > most)
    return wrong(name, cat("a string of ", count, " characters"), must);
  arguments[name] = *found;
  return Unit{};
}

// One part of a message's content, with nothing but the fields that are known.
Result<Json> part(const Json& given, const std::string& path) {
  const auto string_in = [&](const Json& object, const char* name,
                             const std::string& where) -> Result<std::string> {
    const auto found = object.is_object() ? object.find(name) : object.end();
    if (!object.is_object() || found == object.end()) return missing(cat(where, name), "a string");
    if (!found->is_string()) return wrong(cat(where, name), kind_of(*found), "a string");
    return found->get<std::string>();
  };
  TRY_AS(const std::string type, string_in(given, "type", path + "."));
  if (type == "text") {
    TRY_AS(std::string text, string_in(given, "text", path + "."));
    return Json{{"type", type}, {"text", std::move(text)}};
  }
  if (type == "image_url") {
    const Json image = given.value("image_url", Json());
    TRY_AS(std::string url, string_in(image, "url", path + ".image_url."));
    return Json{{"type", type}, {"image_url", {{"url", std::move(url)}}}};
  }
  if (type == "file") {
    const Json file = given.value("file", Json());
    TRY_AS(std::string name, string_in(file, "filename", path + ".file."));
    TRY_AS(std::string data, string_in(file, "file_data", path + ".file."));
    return Json{{"type", type},
                {"file", {{"filename", std::move(name)}, {"file_data", std::move(data)}}}};
  }
  return wrong(path + ".type", cat("'", utf8_repaired(type.substr(0, 24)), "'"),
               "'text', 'image_url' or 'file'");
}

// Puts the content into `arguments`: its text, and its parts where it is more than one text.
Result<> content(const Json& body, Json& arguments) {
  constexpr std::string_view kMust = "a string, or an array of parts";
  const auto found = body.find("content");
  if (found == body.end()) return missing("content", kMust);
  if (found->is_string()) {
    arguments["text"] = *found;
    return Unit{};
  }
  if (!found->is_array()) return wrong("content", kind_of(*found), kMust);
  if (found->empty() || found->size() > kPartsMax)
    return wrong("content", cat("an array of ", found->size()),
                 cat("a string, or an array of 1 to ", kPartsMax, " parts"));
  Json parts = Json::array();
  std::string text;
  for (size_t i = 0; i < found->size(); i++) {
    TRY_AS(Json one, part((*found)[i], cat("content[", i, "]")));
    if (one["type"] == "text") {
      if (!text.empty()) text += '\n';
      text += one["text"].get_ref<const std::string&>();
    }
    parts.push_back(std::move(one));
  }
  arguments["text"] = std::move(text);
  arguments["parts"] = dump(parts);
  return Unit{};
}

Json begin(const Request& request) {
  Json arguments = {{"who", request.who.id}};
  if (const auto id = request.path_parameters.find("id"); id != request.path_parameters.end())
    arguments["id"] = id->second;
  return arguments;
}

Result<Json> list_arguments(const Request& request) {
  Json arguments = begin(request);
  TRY_AS(const auto limit, number_query(request, "limit", 1, kListedMax));
  TRY_AS(const auto before, number_query(request, "before", 0, kMomentMax));
  arguments["limit"] = limit.value_or(kListedDefault);
  if (before) arguments["before"] = *before;
  if (const auto query = request.query.find("query"); query != request.query.end()) {
    if (query->second.size() > kQueryMax)
      return wrong("query", cat("a text of ", query->second.size(), " bytes"),
                   cat("a text of at most ", kQueryMax, " bytes"));
    arguments["query"] = utf8_repaired(query->second);
  }
  return arguments;
}

Result<Json> create_arguments(const Request& request) {
  TRY_AS(const Json body, read_object(request.body));
  TRY(only(body, {"title", "model"}));
  Json arguments = begin(request);
  TRY(text_field(body, "title", 1, kTitleMax, arguments));
  TRY(text_field(body, "model", 0, kModelNameMax, arguments));
  return arguments;
}

Result<Json> change_arguments(const Request& request) {
  TRY_AS(const Json body, read_object(request.body));
  TRY(only(body, {"title", "model", "head"}));
  Json arguments = begin(request);
  TRY(text_field(body, "title", 1, kTitleMax, arguments));
  TRY(text_field(body, "model", 0, kModelNameMax, arguments));
  TRY(text_field(body, "head", 1, kShortStringMax, arguments));
  return arguments;
}

Result<Json> append_arguments(const Request& request) {
  TRY_AS(const Json body, read_object(request.body));
  TRY(only(body, {"parent", "role", "content", "covers"}));
  Json arguments = begin(request);
  // not as good as left out: who forgets it would begin another tree
  if (!body.contains("parent"))
    return missing("parent", "the id of a message, or null for the first one");
  TRY(text_field(body, "parent", 1, kShortStringMax, arguments));
  const auto role = body.find("role");
  static constexpr std::array<std::string_view, 4> kRolesKept = {"system", "user", "assistant",
                                                                 "summary"};
  constexpr std::string_view kMust = "'system', 'user', 'assistant' or 'summary'";
  if (role == body.end()) return missing("role", kMust);
  if (!role->is_string() || std::find(kRolesKept.begin(), kRolesKept.end(),
                                      role->get_ref<const std::string&>()) == kRolesKept.end()) {
    return wrong("role",
                 role->is_string()
                     ? cat("'", utf8_repaired(role->get<std::string>().substr(0, 24)), "'")
                     : kind_of(*role),
                 kMust);
  }
  arguments["role"] = *role;
  TRY(content(body, arguments));
  TRY(text_field(body, "covers", 1, kShortStringMax, arguments));
  const bool summary = *role == "summary";
  if (summary && !arguments.contains("covers"))
    return missing("covers", "the id of the last message that the summary stands for");
  if (!summary && arguments.contains("covers"))
    return wrong("covers", "given", "left out: only a summary stands for others");
  return arguments;
}

Result<Json> no_arguments(const Request& request) { return begin(request); }

// An order or a question: checks what was sent, asks, and answers what comes.
template <const char* const& kQuestion, Result<Json> (*kRead)(const Request&), bool kOrder>
void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (kOrder && !says_json(request, *responder)) return;
  auto arguments = kRead(request);
  if (!arguments) return responder->error(arguments.error());
  service.ask(kQuestion, *std::move(arguments), answer_with(std::move(responder)));
}

constexpr const char* kList = "conversations.list";
constexpr const char* kCreate = "conversations.create";
constexpr const char* kShow = "conversations.show";
constexpr const char* kChange = "conversations.change";
constexpr const char* kRemove = "conversations.remove";
constexpr const char* kAppend = "conversations.append";

constexpr std::string_view kListQuery =
    R"({"query":{"type":"string","maxLength":1000,"description":"Only conversations with all of these words in one message or in the title."},)"
    R"("limit":{"type":"integer","minimum":1,"maximum":500,"default":50},)"
    R"("before":{"type":"integer","minimum":0,"maximum":9007199254740992,"description":"Only those last changed before this moment (updated_ms): the next page."}})";
constexpr std::string_view kCreateSchema =
    R"({"type":"object","additionalProperties":false,"properties":{)"
    R"("title":{"type":"string","minLength":1,"maxLength":200,"description":"The first question's first words when left out."},)"
    R"("model":{"type":"string","maxLength":256}}})";
constexpr std::string_view kChangeSchema =
    R"({"type":"object","additionalProperties":false,"properties":{)"
    R"("title":{"type":"string","minLength":1,"maxLength":200},)"
    R"("model":{"type":"string","maxLength":256},)"
    R"("head":{"type":"string","minLength":1,"maxLength":256,"description":"The message at the end of the branch to show."}}})";
constexpr std::string_view kAppendSchema =
    R"({"type":"object","additionalProperties":false,"required":["parent","role","content"],"properties":{)"
    R"("parent":{"type":["string","null"],"minLength":1,"maxLength":256,"description":"The message it follows; null for the first."},)"
    R"("role":{"type":"string","enum":["system","user","assistant","summary"]},)"
    R"("content":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"maxItems":1000,"items":{"type":"object","required":["type"],"properties":{"type":{"type":"string","enum":["text","image_url","file"]}}}}]},)"
    R"("covers":{"type":"string","minLength":1,"maxLength":256,"description":"Of a summary: the last message that it stands for."}}})";

// clang-format off
const Endpoint kEndpoints[] = {
    {"GET /lares/v1/conversations", Right::App, "The caller's conversations, newest first; or those with certain words.", "", kListQuery, "ConversationsListed", "", ErrorShape::OpenAi, run<kList, list_arguments, false>},
    {"POST /lares/v1/conversations", Right::App, "Begins a conversation that the daemon keeps.", kCreateSchema, "", "Conversation", "", ErrorShape::OpenAi, run<kCreate, create_arguments, true>},
    {"GET /lares/v1/conversations/{id}", Right::App, "One conversation with the messages of all its branches.", "", "", "Conversation", "", ErrorShape::OpenAi, run<kShow, no_arguments, false>},
    {"PATCH /lares/v1/conversations/{id}", Right::App, "Changes its title, its model, or which branch is shown.", kChangeSchema, "", "ConversationHead", "", ErrorShape::OpenAi, run<kChange, change_arguments, true>},
    {"DELETE /lares/v1/conversations/{id}", Right::App, "Deletes it and everything that was derived from it.", "", "", "Nothing", "", ErrorShape::OpenAi, run<kRemove, no_arguments, false>},
    {"POST /lares/v1/conversations/{id}/messages", Right::App, "Adds a message below another one and shows its branch.", kAppendSchema, "", "ConversationMessage", "", ErrorShape::OpenAi, run<kAppend, append_arguments, true>},
};
// clang-format on

const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
