#include "app/cli/transcript.h"

#include <algorithm>
#include <map>

#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::string_view kPath = "/lares/v1/conversations";
constexpr std::string_view kSummaryTitle = "What was said before, in short:";
constexpr size_t kLooked = 500;  // among so many of the newest the beginning of an id is looked for

// A message's words; what else it has is for models that take it, and for the page.
std::string words_of(const Json& message) {
  const Json& content = member_of(message, "content");
  if (!content.is_array()) return text_of(message, "content");
  std::string words;
  for (const Json& part : content) {
    const std::string text = text_of(part, "text");
    if (!text.empty()) words += cat(words.empty() ? "" : "\n", text);
  }
  return words;
}

}  // namespace

Result<Json> kept_conversations(Daemon& daemon, const std::string& words) {
  std::string path = cat(kPath, "?limit=", kLooked);
  if (!words.empty()) path += cat("&query=", path_escaped(words));
  TRY_AS(Json all, ask(daemon, "GET", path));
  if (!all.is_array()) all = Json::array();
  return all;
}

Result<std::string> conversation_meant(Daemon& daemon, const std::string& which) {
  TRY_AS(const Json all, kept_conversations(daemon, ""));
  if (which.empty() && !all.empty()) return text_of(all.front(), "id");
  if (which.empty())
    return Error{Code::NotFound, "there is no conversation yet; `lares chat` begins one"};
  std::string begun;
  for (const Json& one : all) {
    const std::string id = text_of(one, "id");
    if (id == which) return id;
    if (!id.starts_with(which) && !id.starts_with("c-" + which)) continue;
    if (!begun.empty())
      return Error{Code::NotFound, cat("more than one conversation begins with '", which,
                                       "'; give more of its letters")};
    begun = id;
  }
  if (!begun.empty()) return begun;
  TRY_AS(const Json found, kept_conversations(daemon, which));
  if (found.size() == 1 || (!found.empty() && text_of(found.front(), "id") == which))
    return text_of(found.front(), "id");
  return Error{Code::NotFound,
               found.empty()
                   ? cat("there is no conversation '", which, "'; `lares chat --list` names them")
                   : cat(found.size(), " conversations have these words: '", which,
                         "'; `lares chat --list ", which, "` names them")};
}

Result<> Transcript::go_on(const std::string& which) {
  TRY_AS(const std::string id, conversation_meant(daemon_, which));
  TRY_AS(const Json found, lares::app::ask(daemon_, "GET", cat(kPath, "/", path_escaped(id))));
  begin_again();
  id_ = id;
  title_ = text_of(found, "title");
  model_ = text_of(found, "model");
  std::map<std::string, const Json*> by_id;
  const Json& messages = member_of(found, "messages");
  for (const Json& message : messages) by_id[text_of(message, "id")] = &message;
  std::string at = text_of(found, "head");
  while (turns_.size() <= messages.size()) {
    const auto message = by_id.find(at);
    if (message == by_id.end()) break;
    turns_.push_back({at, text_of(*message->second, "role"), words_of(*message->second),
                      text_of(*message->second, "covers")});
    at = text_of(*message->second, "parent");
  }
  std::reverse(turns_.begin(), turns_.end());
  for (const Turn& turn : turns_) {
    if (turn.role == "system") system_kept_ = turn.text;
  }
  return Unit{};
}

void Transcript::begin_again() {
  id_.clear();
  title_.clear();
  system_kept_.clear();
  turns_.clear();
}

Result<Json> Transcript::order(std::string_view method, std::string_view below, const Json& body) {
  return lares::app::ask(daemon_, method, cat(kPath, "/", path_escaped(id_), below), body);
}

std::string Transcript::last_id() const {
  for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
    if (!turn->id.empty()) return turn->id;
  }
  return "";
}

// Keeps the turn and adds it. With an error it is added all the same, and nothing is kept from
// then on.
Result<> Transcript::add(Turn turn) {
  const auto kept = [&]() -> Result<std::string> {
    if (keep_ == Keep::Nowhere) return cat("here-", ++unkept_);
    if (id_.empty()) {
      Json body = Json::object();
      if (!model_.empty()) body["model"] = model_;
      TRY_AS(const Json made, lares::app::ask(daemon_, "POST", kPath, body));
      id_ = text_of(made, "id");
    }
    const std::string parent = last_id();
    Json body = {{"parent", parent.empty() ? Json() : Json(parent)},
                 {"role", turn.role},
                 {"content", turn.text}};
    if (!turn.covers.empty()) body["covers"] = turn.covers;
    TRY_AS(const Json added, order("POST", "/messages", body));
    return text_of(added, "id");
  }();
  turn.id = kept ? *kept : cat("here-", ++unkept_);
  turns_.push_back(std::move(turn));
  if (kept) return Unit{};
  keep_ = Keep::Nowhere;
  return kept.error();
}

// An answer that was stopped got its id when we had left already.
void Transcript::learn_last_answer() {
  if (keep_ == Keep::Nowhere || id_.empty() || turns_.empty() || !turns_.back().id.empty()) return;
  const auto found = order("GET", "", nullptr);
  if (!found) return;
  const std::string question = last_id();
  for (const Json& message : member_of(*found, "messages")) {
    if (text_of(message, "parent") == question && text_of(message, "role") == "assistant")
      turns_.back().id = text_of(message, "id");
  }
}

Result<> Transcript::ask(const std::string& question, const std::string& system) {
  learn_last_answer();
  if (!turns_.empty() && turns_.back().role == "user") turns_.pop_back();
  if (!system.empty() && system != system_kept_) {
    system_kept_ = system;
    TRY(add({"", "system", system}));
  }
  return add({"", "user", question});
}

Json Transcript::place() const {
  if (keep_ == Keep::Nowhere || id_.empty() || turns_.empty()) return nullptr;
  return {{"conversation", id_}, {"parent", last_id()}};
}

void Transcript::answered(std::string text, std::string id) {
  // a model that said nothing before it was stopped left nothing
  if (id.empty() && keep_ == Keep::Nowhere) id = cat("here-", ++unkept_);
  if (!text.empty()) turns_.push_back({std::move(id), "assistant", std::move(text)});
}

bool Transcript::ask_again() {
  while (!turns_.empty() && turns_.back().role == "assistant") turns_.pop_back();
  return std::any_of(turns_.begin(), turns_.end(), [](const Turn& t) { return t.role == "user"; });
}

std::optional<size_t> Transcript::last_summary() const {
  for (size_t i = turns_.size(); i-- > 0;) {
    if (turns_[i].role == "summary") return i;
  }
  return std::nullopt;
}

std::string Transcript::summary() const {
  const auto last = last_summary();
  return last ? turns_[*last].text : "";
}

std::vector<size_t> Transcript::in_view() const {
  size_t from = 0;
  if (const auto last = last_summary()) {
    const auto covered = std::find_if(turns_.begin(), turns_.end(), [&](const Turn& turn) {
      return turn.id == turns_[*last].covers;
    });
    if (covered != turns_.end()) from = static_cast<size_t>(covered - turns_.begin()) + 1;
  }
  std::vector<size_t> view;
  for (size_t i = from; i < turns_.size(); i++) {
    const Turn& turn = turns_[i];
    if (turn.text.empty() || (turn.role != "user" && turn.role != "assistant")) continue;
    // a question that got no answer was replaced by the next one
    if (turn.role == "user" && !view.empty() && turns_[view.back()].role == "user") view.pop_back();
    view.push_back(i);
  }
  return view;
}

Json Transcript::messages(const std::string& system) const {
  std::string before = std::string(trimmed(system).empty() ? "" : system);
  if (const std::string short_form = summary(); !short_form.empty())
    before += cat(before.empty() ? "" : "\n\n", kSummaryTitle, "\n", short_form);
  Json all = Json::array();
  if (!before.empty()) all.push_back({{"role", "system"}, {"content", before}});
  for (const size_t i : in_view())
    all.push_back({{"role", turns_[i].role}, {"content", turns_[i].text}});
  return all;
}

Result<> Transcript::summarise(size_t last, std::string text) {
  return add({"", "summary", std::move(text), turns_.at(last).id});
}

Result<bool> Transcript::undo() {
  const auto last = last_summary();
  if (!last) return false;
  turns_.resize(*last);
  if (keep_ == Keep::Nowhere || turns_.empty()) return true;
  TRY(order("PATCH", "", {{"head", last_id()}}));
  return true;
}

Result<> Transcript::set_model(const std::string& model) {
  model_ = model;
  if (keep_ == Keep::Nowhere || id_.empty()) return Unit{};
  TRY(order("PATCH", "", {{"model", model}}));
  return Unit{};
}

}  // namespace lares::app
