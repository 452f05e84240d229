// Fakes for the tests of the routes: a service that does what a test tells it, and a responder that
// keeps what it was told. One thread: the test's.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {

class FakeResponder final : public Responder {
 public:
  void whole(int s, std::string type, std::string b,
             std::map<std::string, std::string> h = {}) override {
    EXPECT_TRUE(begin());
    status = s;
    content_type = std::move(type);
    body = std::move(b);
    headers = std::move(h);
    ended = true;
  }
  void error(const Error& error) override {
    EXPECT_TRUE(begin());
    failed = error;
    status = row(error.code).http_status;
    body = error_body(error, ErrorShape::OpenAi);
    ended = true;
  }
  void begin_stream(std::string type, std::map<std::string, std::string> h = {}) override {
    EXPECT_TRUE(begin());
    status = 200;
    streaming = true;
    content_type = std::move(type);
    headers = std::move(h);
  }
  void write(std::string bytes) override {
    EXPECT_TRUE(streaming && !ended);
    body += bytes;
  }
  void end_stream() override {
    EXPECT_TRUE(streaming && !ended);
    ended = true;
  }
  void on_gone(std::function<void()> call) override { gone = std::move(call); }

  Json json() const { return Json::parse(body); }
  // The events of a stream, "[DONE]" as a string.
  std::vector<Json> events() const {
    std::vector<Json> out;
    size_t at = 0;
    while (at < body.size()) {
      const size_t end = body.find("\n\n", at);
      EXPECT_NE(end, std::string::npos);
      const std::string line = body.substr(at, end - at);
      EXPECT_TRUE(line.starts_with("data: ")) << line;
      out.push_back(line == "data: [DONE]" ? Json("[DONE]") : Json::parse(line.substr(6)));
      at = end + 2;
    }
    return out;
  }

  int status = 0;
  std::string content_type;
  std::string body;
  std::map<std::string, std::string> headers;
  Error failed{Code::Io, ""};
  bool streaming = false;
  bool ended = false;
  std::function<void()> gone;

 private:
  bool begin() { return !std::exchange(begun_, true); }
  bool begun_ = false;
};

class FakeService final : public Service {
 public:
  struct Submitted {
    Work work;
    std::shared_ptr<Sink> sink;
  };
  WorkId submit(Work work, std::shared_ptr<Sink> sink) override {
    works.push_back({std::move(work), std::move(sink)});
    const WorkId id = works.size();
    if (on_submit) on_submit(*works[id - 1].sink);
    return id;
  }
  void cancel(WorkId work) override { cancelled.push_back(work); }
  void ask(const std::string& question, Json arguments, Reply reply) override {
    asked.emplace_back(question, std::move(arguments));
    reply(answer);
  }

  std::vector<Submitted> works;
  std::function<void(Sink&)> on_submit;
  std::vector<WorkId> cancelled;
  std::vector<std::pair<std::string, Json>> asked;
  Result<Json> answer = Json::object();
};

inline Ended good_end(Tokens prompt_tokens = 5, Tokens completion_tokens = 2) {
  Ended ended;
  ended.prompt_tokens = prompt_tokens;
  ended.completion_tokens = completion_tokens;
  ended.receipt.id = "r-0000000000000001";
  ended.receipt.model = "tiny";
  return ended;
}

// Calls the route's handler as the door would.
inline std::shared_ptr<FakeResponder> call(std::string_view route, const Request& request,
                                           FakeService& service) {
  const Endpoint* endpoint = Registered<Endpoint>::find(route);
  EXPECT_NE(endpoint, nullptr) << route;
  auto responder = std::make_shared<FakeResponder>();
  if (endpoint) endpoint->run(request, responder, service);
  return responder;
}

inline std::shared_ptr<FakeResponder> post(std::string_view path, std::string body,
                                           FakeService& service) {
  Request request;
  request.body = std::move(body);
  request.headers["content-type"] = "application/json";
  return call(cat("POST ", path), std::move(request), service);
}

}  // namespace lares::api
