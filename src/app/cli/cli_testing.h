// For tests of the command line: a screen that keeps what was written, and a daemon that answers
// from a list and remembers what it was asked.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/cli/program.h"
#include "app/cli/screen.h"
#include "app/daemon_client.h"
#include "base/text.h"

namespace lares::app {

class FakeScreen final : public Screen {
 public:
  Result<> write(Stream stream, std::string_view bytes) override {
    if (stream == Stream::Out && out_is_full)
      return Error{Code::NoRoom, "writing to standard output: no room"};
    (stream == Stream::Out ? written_out : written_err) += bytes;
    return Unit{};
  }
  Result<std::string> read_all(Bytes max) override {
    if (piped.size() > max.n) return Error{Code::Invalid, "reading standard input: too long"};
    return piped;
  }
  Result<consent::SecretBytes> read_hidden(std::string_view prompt) override {
    written_err += prompt;
    written_err += "\n";
    if (typed.empty()) return Error{Code::Cancelled, "nothing was typed to its end"};
    const std::string line = typed.front();
    typed.pop_front();
    return consent::SecretBytes(line);
  }
  bool in_is_piped() const override { return is_piped; }
  bool is_terminal(Stream) const override { return terminal; }
  size_t width() const override { return columns; }
  bool colour(Stream) const override { return false; }

  std::string written_out;
  std::string written_err;
  std::string piped;
  std::deque<std::string> typed;  // unseen
  bool is_piped = false;
  bool terminal = false;
  bool out_is_full = false;
  size_t columns = 80;
};

class FakeDaemon final : public Daemon {
 public:
  struct Asked {
    std::string route;  // "GET /lares/v1/ps"
    Json body;
  };
  Result<Answer> request(std::string_view method, std::string_view path, std::string_view body,
                         const OnBytes& on_bytes) override {
    const std::string route = cat(method, " ", path);
    asked.push_back({route, body.empty() ? Json() : *parse_json(body)});
    const auto found = answers.find(route);
    // every question asks first which model is the default
    if (found == answers.end() && route == "GET /lares/v1/models") return Answer{200, "[]"};
    if (found == answers.end() || found->second.empty())
      return Error{Code::Offline, cat("nothing is prepared for ", route)};
    Result<Answer> answer = found->second.front();
    if (found->second.size() > 1) found->second.pop_front();  // the last one stays
    if (answer && on_bytes && answer->status / 100 == 2) {
      // in pieces of odd sizes, as a socket gives them
      for (size_t at = 0; at < answer->body.size(); at += 7) {
        if (on_piece) on_piece(answer->body.substr(0, at));
        if (!on_bytes(answer->body.substr(at, 7)))
          return Error{Code::Cancelled, "ended on request"};
      }
      answer->body.clear();
    }
    if (on_request) on_request();
    return answer;
  }
  bool running() override { return runs; }
  std::string doing() override { return "waiting"; }
  void stop_thinking(const std::string& answer) override {
    thoughts_of = answer;
    thoughts_ended++;
    thoughts_ended.notify_all();
  }
  Result<Json> self_test() override { return finds_itself; }
  void interrupt() override {}
  void rearm() override {}

  void will(const std::string& route, const Json& json, int status = 200) {
    answers[route].push_back(Answer{status, dump(json)});
  }
  // A streamed chat answer of these pieces.
  void will_say(const std::vector<std::string>& pieces, const Json& last = Json::object()) {
    std::string events;
    for (const std::string& piece : pieces) {
      events += cat(
          "data: ",
          dump({{"model", "m"}, {"choices", {{{"index", 0}, {"delta", {{"content", piece}}}}}}}),
          "\n\n");
    }
    Json end = {
        {"model", "m"},
        {"choices", {{{"index", 0}, {"delta", Json::object()}, {"finish_reason", "stop"}}}}};
    end.update(last);
    events += cat("data: ", dump(end), "\n\ndata: [DONE]\n\n");
    answers["POST /v1/chat/completions"].push_back(Answer{200, events});
  }

  // One that thinks before it.
  void will_think(const std::string& thought, const std::string& said) {
    std::string events;
    for (const auto& [field, piece] :
         {std::pair{"reasoning_content", thought}, std::pair{"content", said}})
      events += cat(
          "data: ",
          dump({{"id", "chatcmpl-7"}, {"choices", {{{"index", 0}, {"delta", {{field, piece}}}}}}}),
          "\n\n");
    answers["POST /v1/chat/completions"].push_back(Answer{200, events + "data: [DONE]\n\n"});
  }

  // The bodies of the chat requests.
  std::vector<Json> chats() const {
    std::vector<Json> bodies;
    for (const Asked& each : asked) {
      if (each.route == "POST /v1/chat/completions") bodies.push_back(each.body);
    }
    return bodies;
  }

  std::vector<Asked> asked;
  std::map<std::string, std::deque<Result<Answer>>> answers;
  std::function<void()> on_request;
  std::function<void(const std::string& before)> on_piece;  // of an answer that is streamed
  std::atomic<int> thoughts_ended = 0;
  std::string thoughts_of;  // to be read when they were
  Result<Json> finds_itself = Json::array();
  bool runs = true;
};

}  // namespace lares::app
