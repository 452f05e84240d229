#include "api/client.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "api/door_testing.h"

namespace lares::api {
namespace {

using namespace api::testing;

struct ClientTest : ServerTest {
  std::atomic<size_t> seen = 0;
};

// A server that sends the same bytes to whoever connects, and closes.
struct Script {
  explicit Script(std::string bytes) {
    std::filesystem::create_directories(folder);
    fd = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    thread = std::jthread([this, answer = std::move(bytes)] {
      const Fd client(::accept(fd.get(), nullptr, nullptr));
      if (!client) return;
      std::array<char, 4096> block{};
      (void)::recv(client.get(), block.data(), block.size(), 0);
      for (std::string_view rest = answer; !rest.empty();) {
        const ssize_t put = ::send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (put <= 0) return;
        rest.remove_prefix(static_cast<size_t>(put));
      }
    });
  }
  ~Script() {
    ::shutdown(fd.get(), SHUT_RDWR);
    thread.join();
    std::filesystem::remove_all(folder);
  }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / cat("lares-client-", random_hex(6));
  const std::filesystem::path socket = folder / "s";
  Fd fd;
  std::jthread thread;
};

Result<Client::Answer> answer_to(const std::string& bytes) {
  Script script(bytes);
  auto client = Client::connect(script.socket, {.idle = milliseconds(5'000), .body = KiB(64)});
  EXPECT_TRUE(client);
  return client->request("GET", "/");
}

TEST_F(ClientTest, NobodyThereIsOfflineWithTheWayOut) {
  const auto missing = Client::connect(folder / "nothing.sock");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::Offline);
  EXPECT_NE(missing.error().message.find("`lares start`"), std::string::npos);
  server();
  const uint16_t free_port = port();
  stop_server();
  EXPECT_EQ(Client::connect(socket).error().code, Code::Offline);
  EXPECT_EQ(Client::connect("127.0.0.1", free_port, "").error().code, Code::Offline);
  EXPECT_EQ(Client::connect("localhost", 1, "").error().code, Code::Invalid);
  EXPECT_EQ(Client::connect(std::string(200, 'x')).error().code, Code::Invalid);
}

TEST_F(ClientTest, ASocketOfAnotherUserIsNotSpokenTo) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can play another user";
  Script script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  std::filesystem::permissions(script.folder, std::filesystem::perms::all);
  std::filesystem::permissions(script.socket, std::filesystem::perms::all);
  // the listener's user is the one at listen(); so the client plays the other
  std::thread([&] {
    ASSERT_EQ(::syscall(SYS_setresuid, 12345, 12345, 12345), 0);
    const auto client = Client::connect(script.socket);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, Code::Denied);
  }).join();
}

TEST_F(ClientTest, AStreamComesPieceByPiece) {
  server();
  auto client = Client::connect(socket);
  std::vector<std::string> pieces;
  int status = 0;
  std::thread writer([&] {
    auto responder = service.next();
    for (int i = 0; i < 3; i++) {
      const auto have = static_cast<size_t>(i);
      responder->write(cat("piece ", i));
      while (seen.load() <= have) std::this_thread::yield();
    }
    responder->end_stream();
  });
  const auto answer = client->stream(
      "GET", "/stream", "", [&](const Client::Answer& head) { status = head.status; },
      [&](std::string_view bytes) {
        pieces.emplace_back(bytes);
        seen++;
        return true;
      });
  writer.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(status, 200);
  EXPECT_EQ(pieces, (std::vector<std::string>{"piece 0", "piece 1", "piece 2"}));
  EXPECT_TRUE(answer->body.empty());
  EXPECT_EQ(client->request("GET", "/echo")->status, 200) << "the connection goes on";
}

TEST_F(ClientTest, AnErrorInsteadOfAStreamComesWhole) {
  server();
  auto client = Client::connect("127.0.0.1", port(), "");
  bool called = false;
  const auto answer = client->stream("POST", "/owner", "{}", {}, [&](std::string_view) {
    called = true;
    return true;
  });
  ASSERT_TRUE(answer);
  EXPECT_FALSE(called);
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(error_of(*answer).code, Code::Denied);
  EXPECT_NE(error_of(*answer).message.find("it needs 'owner'"), std::string::npos);
}

TEST_F(ClientTest, SayingEnoughEndsTheWork) {
  server();
  auto client = Client::connect(socket);
  std::thread writer([&] { service.next()->write("first"); });
  const auto answer =
      client->stream("GET", "/stream", "", {}, [](std::string_view) { return false; });
  writer.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Cancelled);
  EXPECT_FALSE(client->open());
  EXPECT_EQ(client->request("GET", "/echo").error().code, Code::Offline);
}

TEST_F(ClientTest, AnInterruptEndsTheWait) {
  server();
  auto client = Client::connect(socket);
  std::shared_ptr<Responder> held;
  std::thread other([&] {
    held = service.next();
    client->interrupt();
  });
  const auto answer = client->request("POST", "/hold", "x");
  other.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Cancelled);
  EXPECT_TRUE(service.wait_for_gone(1)) << "the daemon stops working for it";
}

TEST_F(ClientTest, ASilentDaemonIsATimeout) {
  server();
  auto client = Client::connect(socket, {.idle = milliseconds(100)});
  const auto answer = client->request("POST", "/hold", "x");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Timeout);
  service.next();
}

TEST_F(ClientTest, TheDaemonsEndInTheMiddleIsOffline) {
  server();
  auto client = Client::connect(socket);
  std::thread killer([&] {
    auto responder = service.next();
    responder->write("half");
    server().stop(milliseconds(0));
  });
  const auto answer =
      client->stream("GET", "/stream", "", {}, [](std::string_view) { return true; });
  killer.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::Offline);
}

TEST_F(ClientTest, FieldsAndPathsCannotBreakTheRequest) {
  server();
  auto client = Client::connect(socket);
  EXPECT_EQ(client->request("GET", "/a b").error().code, Code::Invalid);
  EXPECT_EQ(client->request("GET", "/a\r\nX: y").error().code, Code::Invalid);
  EXPECT_EQ(client->request("GET", "/echo", "", {{"X", "a\r\nY: b"}}).error().code, Code::Invalid);
  EXPECT_EQ(client->request("GET", "/echo")->status, 200);
  EXPECT_FALSE(Client::connect("127.0.0.1", port(), "a\r\nb"));
}

TEST(ClientReading, WhatIsNoHttpIsCorrupt) {
  for (const char* bytes : {"hello\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const auto answer = answer_to(bytes);
    ASSERT_FALSE(answer) << bytes;
    EXPECT_EQ(answer.error().code, Code::Corrupt) << bytes << answer.error().message;
  }
}

TEST(ClientReading, WhatIsCutOffIsOffline) {
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (const size_t size : {size_t{0}, size_t{5}, whole.size() - 5, whole.size() - 1}) {
    const auto answer = answer_to(whole.substr(0, size));
    ASSERT_FALSE(answer) << size;
    EXPECT_EQ(answer.error().code, Code::Offline) << size << answer.error().message;
  }
  EXPECT_EQ(answer_to(whole)->body, "hello");
  EXPECT_EQ(answer_to("HTTP/1.1 200 OK\r\n\r\nuntil the end")->body, "until the end");
  EXPECT_EQ(answer_to("HTTP/1.1 100 Continue\r\n\r\n" + whole)->body, "hello");
  EXPECT_EQ(answer_to("HTTP/1.1 204 No Content\r\n\r\n")->status, 204);
}

TEST(ClientReading, AnswersHaveLimits) {
  EXPECT_EQ(
      answer_to(cat("HTTP/1.1 200 OK\r\nX: ", std::string(100'000, 'x'), "\r\n\r\n")).error().code,
      Code::Corrupt);
  EXPECT_EQ(
      answer_to(cat("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", std::string(100'000, 'x')))
          .error()
          .code,
      Code::Corrupt);
}

TEST(ClientErrors, EveryCodeComesBackAsItWas) {
  for (const Code code : {Code::Invalid, Code::NotFound, Code::Denied, Code::Busy, Code::NoRoom,
                          Code::Offline, Code::Timeout, Code::WorkerDied}) {
    const Error error{code, "doing: what", "model"};
    const Error back =
        error_of({.status = row(code).http_status, .body = error_body(error, ErrorShape::OpenAi)});
    EXPECT_EQ(back.code, code) << row(code).name;
    EXPECT_EQ(back.message, "doing: what");
    EXPECT_EQ(back.param, "model");
  }
}

TEST(ClientErrors, StrangeBodiesAreErrorsToo) {
  EXPECT_EQ(error_of({.status = 401, .body = "<html>"}).code, Code::Denied);
  EXPECT_EQ(error_of({.status = 404, .body = R"({"error":"no model"})"}).message, "no model");
  EXPECT_EQ(error_of({.status = 429, .body = R"({"error":{"message":7,"code":[]}})"}).code,
            Code::Busy);
  EXPECT_EQ(error_of({.status = 413, .body = ""}).code, Code::Invalid);
  EXPECT_EQ(error_of({.status = 599, .body = ""}).code, Code::Io);
  EXPECT_EQ(error_of({.status = 500, .body = ""}).message, "the daemon answered with status 500");
  EXPECT_EQ(error_of({.status = 400, .body = "[[["}).code, Code::Invalid);
}

std::vector<std::string> events_of(std::string_view bytes, size_t step) {
  EventLines lines;
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const auto more = lines.feed(bytes.substr(at, step), [&](std::string_view data) {
      events.emplace_back(data);
      return data != "stop";
    });
    EXPECT_TRUE(more);
    if (more && !*more) break;
  }
  return events;
}

TEST(EventLinesTest, EventsComeWholeHoweverTheyAreCut) {
  const std::string bytes =
      ": comment\n\ndata: one\n\nevent: x\r\ndata:two\r\n\r\ndata: a\ndata:  b\n\n\n\nid: "
      "1\n\ndata:\n\ndata: half";
  for (const size_t step : {size_t{1}, size_t{2}, size_t{5}, bytes.size()})
    EXPECT_EQ(events_of(bytes, step), (std::vector<std::string>{"one", "two", "a\n b", ""}))
        << step;
  EXPECT_EQ(events_of("data: stop\n\ndata: more\n\n", 100), (std::vector<std::string>{"stop"}));
}

TEST(EventLinesTest, AnEndlessEventIsRefused) {
  EventLines lines;
  const std::string block(MiB(1).n, 'x');
  for (int i = 0; i < 4; i++) ASSERT_TRUE(lines.feed(block, [](std::string_view) { return true; }));
  EXPECT_EQ(lines.feed(block, [](std::string_view) { return true; }).error().code, Code::Corrupt);
}

}  // namespace
}  // namespace lares::api
