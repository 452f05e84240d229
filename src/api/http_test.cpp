// The server with real sockets: answers, limits, clients that leave, and its own end.
#include "api/http.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <atomic>
#include <charconv>
#include <thread>

#include "api/door_testing.h"

namespace lares::api {
namespace {

using namespace api::testing;
using std::chrono::steady_clock;

struct HttpTest : ServerTest {};

// --- answers
// -------------------------------------------------------------------------------------------

TEST_F(HttpTest, AnswersOverEveryAddressWithTheRightOfEach) {
  server();
  auto unix = Client::connect(socket);
  ASSERT_TRUE(unix) << unix.error().message;
  auto answer = unix->request("POST", "/echo", "hello");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(parse_json(answer->body)->at("who"), "owner");
  EXPECT_EQ(parse_json(answer->body)->at("body"), "hello");
  auto four = Client::connect("127.0.0.1", port(), "");
  ASSERT_TRUE(four) << four.error().message;
  EXPECT_EQ(parse_json(four->request("POST", "/echo", "x")->body)->at("who"), "app:local");
  EXPECT_EQ(four->request("POST", "/owner", "x")->status, 403);
  auto with_token = Client::connect("127.0.0.1", port(), kToken);
  EXPECT_EQ(parse_json(with_token->request("POST", "/owner", "x")->body)->at("who"), "owner");
  auto six = Client::connect("::1", port(), "");
  if (!six) GTEST_SKIP() << "SKIPPED the part over IPv6: " << six.error().message;
  EXPECT_EQ(parse_json(six->request("POST", "/echo", "x")->body)->at("who"), "app:local");
}

TEST_F(HttpTest, EveryAnswerForbidsToBeGuessedStoredOrEmbedded) {
  for (const std::string& bytes :
       {request("GET /echo"), request("GET /nothing"), std::string("nonsense\r\n\r\n")}) {
    const Wire wire = ask(bytes);
    for (const char* field :
         {"Cache-Control: no-store\r\n", "X-Content-Type-Options: nosniff\r\n",
          "Referrer-Policy: no-referrer\r\n", "Content-Security-Policy: default-src 'none'",
          "Content-Type: application/json\r\n", "Date: "})
      EXPECT_TRUE(wire.has(field)) << field << " is missing in\n" << wire.head;
    EXPECT_FALSE(wire.has("Access-Control")) << wire.head;
  }
}

TEST_F(HttpTest, WhatAHandlerPutsIntoAHeaderStaysInItsLine) {
  const Wire wire = ask(request("GET /bad-header"));
  EXPECT_EQ(wire.status, 200);
  EXPECT_TRUE(wire.has("X-Lares-Model: a  Set-Cookie: b=c    body\r\n")) << wire.head;
  EXPECT_EQ(wire.body, "x");
}

TEST_F(HttpTest, ErrorsHaveTheRoutesShapeAndSayWhenToTryAgain) {
  const Wire wire = ask(counted("POST /api/busy", "{}"));
  EXPECT_EQ(wire.status, 429);
  EXPECT_TRUE(wire.has("Retry-After: 1"));
  EXPECT_EQ(wire.json(), (Json{{"error", "queueing: 3 wait already; try again"}}));
}

TEST_F(HttpTest, HeadAnswersLikeGetWithoutABody) {
  Raw raw(port());
  const Wire head = [&] {
    raw.send(request("HEAD /echo") + request("GET /echo"));
    raw.wait_for("{\"");
    Wire wire;
    const std::string all = raw.read_until([](const std::string&) { return true; });
    wire.head = all.substr(0, all.find("\r\n\r\n") + 4);
    EXPECT_EQ(all.compare(wire.head.size(), 12, "HTTP/1.1 200"), 0) << "a body came with HEAD";
    return wire;
  }();
  EXPECT_TRUE(head.has("Content-Length: ")) << head.head;
}

TEST_F(HttpTest, HeadOfAStreamEndsItsWork) {
  Raw raw(port());
  raw.send(request("HEAD /stream"));
  auto responder = service.next();
  EXPECT_TRUE(service.wait_for_gone(1));
  EXPECT_TRUE(raw.wait_for("text/event-stream"));
  responder->end_stream();
  EXPECT_TRUE(raw.send(request("GET /echo")).wait_for("app:local")) << "the connection goes on";
}

TEST_F(HttpTest, AConnectionServesOneRequestAfterTheOther) {
  Raw raw(port());
  for (int i = 0; i < 50; i++) {
    const Wire wire = raw.send(counted("POST /echo", cat("n", i))).answer();
    ASSERT_EQ(wire.status, 200);
    ASSERT_EQ(wire.json()["body"], cat("n", i));
  }
  EXPECT_EQ(server().figures().connections, 1u);
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  Raw raw(port());
  std::string all;
  for (int i = 0; i < 20; i++) all += counted("POST /echo", cat("n", i));
  raw.send(all);
  for (int i = 0; i < 20; i++) ASSERT_EQ(raw.answer().json()["body"], cat("n", i));
}

TEST_F(HttpTest, APipelinedRequestWaitsForTheAnswerBeforeIt) {
  Raw raw(port());
  raw.send(counted("POST /hold", "a") + counted("POST /echo", "b"));
  auto responder = service.next();
  responder->whole(200, "text/plain", "first");
  EXPECT_EQ(raw.answer().body, "first");
  EXPECT_EQ(raw.answer().json()["body"], "b");
}

TEST_F(HttpTest, AFloodOfPipelinedBytesIsNotRead) {
  Raw raw(port());
  raw.send(counted("POST /hold", "a"));
  auto responder = service.next();
  const std::string more = counted("POST /echo", std::string(1'000, 'x'));
  size_t sent = 0;  // until the kernel's buffers are full: the server takes only kilobytes
  for (;;) {
    const ssize_t put = ::send(raw.fd(), more.data(), more.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < static_cast<ssize_t>(more.size())) break;
    sent += more.size();
    ASSERT_LT(sent, MiB(64).n);
  }
  responder->whole(200, "text/plain", "first");
  EXPECT_EQ(raw.answer().body, "first");
  EXPECT_EQ(raw.answer().json()["bytes"], 1'000);
}

TEST_F(HttpTest, ConnectionCloseIsKept) {
  Raw raw(port());
  EXPECT_TRUE(
      raw.send(request("GET /echo", "Connection: close\r\n")).answer().has("Connection: close"));
  EXPECT_TRUE(raw.closed());
}

TEST_F(HttpTest, Http10IsAnsweredAndClosed) {
  Raw whole(port());
  EXPECT_EQ(whole.send(cat("GET /echo HTTP/1.0\r\n", host(), "\r\n")).answer().status, 200);
  EXPECT_TRUE(whole.closed());
  Raw stream(port());
  const std::string text = stream.send(cat("GET /five HTTP/1.0\r\n", host(), "\r\n")).rest();
  EXPECT_NE(text.find("\r\n\r\ndata: 0\n\n"), std::string::npos)
      << "chunked for a client that knows no chunks";
  EXPECT_TRUE(text.ends_with("data: 4\n\n")) << text;
}

TEST_F(HttpTest, AStreamArrivesPieceByPiece) {
  Raw raw(port());
  raw.send(request("GET /stream"));
  auto responder = service.next();
  EXPECT_TRUE(raw.wait_for("X-Lares-Id: r1\r\n"));
  EXPECT_TRUE(raw.wait_for("Transfer-Encoding: chunked\r\n"));
  for (int i = 0; i < 10; i++) {
    responder->write(cat("data: ", i, "\n\n"));
    ASSERT_TRUE(raw.wait_for(cat("data: ", i, "\n\n"))) << "held back until more came";
  }
  responder->end_stream();
  EXPECT_TRUE(raw.wait_for("\r\n0\r\n\r\n"));
  EXPECT_TRUE(raw.send(request("GET /echo")).wait_for("app:local")) << "the connection goes on";
  EXPECT_EQ(service.gone_count(), 0u) << "an answer that ended was not left";
}

TEST_F(HttpTest, WritesThatComeTogetherLeaveTogether) {
  Raw raw(port());
  raw.send(request("POST /stream", "Content-Length: 0\r\n"));
  auto responder = service.next();
  std::string expected;
  // while the network thread sends one, thousands gather
  for (int i = 0; i < 20'000; i++) {
    responder->write(cat(i, ","));
    expected += cat(i, ",");
  }
  responder->end_stream();
  ASSERT_TRUE(raw.wait_for("\r\n0\r\n\r\n"));
  const std::string text = raw.read_until([](const std::string&) { return true; });
  std::string_view rest = std::string_view(text).substr(text.find("\r\n\r\n") + 4);
  std::string body;
  size_t chunks = 0;
  for (;; chunks++) {
    size_t size = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), size, 16);
    if (size == 0) break;
    rest.remove_prefix(rest.find("\r\n") + 2);
    body += rest.substr(0, size);
    rest.remove_prefix(size + 2);
  }
  EXPECT_EQ(body, expected);
  EXPECT_LT(chunks, 20'000u) << "each write was sent by itself";
}

TEST_F(HttpTest, AnAnswerThatIsForgottenIsAnError) {
  const Wire wire = ask(request("GET /forget"));
  EXPECT_EQ(wire.status, 500);
  EXPECT_NE(wire.json()["error"]["message"].get<std::string>().find("dropped without an answer"),
            std::string::npos);
}

TEST_F(HttpTest, AHandlerThatThrowsCostsItsRequestOnly) {
  Raw raw(port());
  EXPECT_EQ(raw.send(request("GET /throw")).answer().status, 500);
  EXPECT_EQ(raw.send(request("GET /echo")).answer().status, 200);
}

TEST_F(HttpTest, AStreamThatIsForgottenIsCutAndNotEnded) {
  server();
  auto client = Client::connect(socket);
  const auto answer =
      client->stream("GET", "/break-off", "", {}, [](std::string_view) { return true; });
  ASSERT_FALSE(answer) << "half a stream passed for a whole one";
  EXPECT_EQ(answer.error().code, Code::Offline);
}

// --- who asks
// ------------------------------------------------------------------------------------------

// A socket belongs to the user that its thread has when it makes it; the system call changes the
// thread's alone.
template <class F>
void as_user(uint32_t uid, F body) {
  std::thread([&] {
    ASSERT_EQ(::syscall(SYS_setresuid, uid, uid, uid), 0);
    body();
  }).join();
}

TEST_F(HttpTest, AnotherUserNeedsTheTokenOverLoopback) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can play another user";
  server();
  as_user(12345, [&] {
    const Wire refused = ask(request("GET /echo"));
    EXPECT_EQ(refused.status, 401);
    EXPECT_TRUE(refused.has("WWW-Authenticate: Bearer")) << refused.head;
    EXPECT_NE(refused.body.find("belongs to user 12345, not to 0"), std::string::npos)
        << refused.body;
    EXPECT_EQ(ask(request("GET /open")).status, 200);
    EXPECT_EQ(ask(request("GET /echo", cat("x-api-key: ", kToken, "\r\n"))).json()["who"], "owner");
    EXPECT_EQ(ask(request("GET /echo", "x-api-key: none\r\n")).status, 401);
  });
}

TEST_F(HttpTest, AnotherUserIsRefusedOnTheUnixSocketWhateverTheFilesRights) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can play another user";
  server();
  std::filesystem::permissions(folder, std::filesystem::perms::all);
  std::filesystem::permissions(socket, std::filesystem::perms::all);
  as_user(12345, [&] {
    Raw raw(socket);
    ASSERT_TRUE(raw.connected());
    const Wire wire = raw.send(request("GET /echo", cat("x-api-key: ", kToken, "\r\n"))).answer();
    EXPECT_EQ(wire.status, 403);
    EXPECT_NE(wire.body.find("user 12345 may not use the socket of user 0"), std::string::npos)
        << wire.body;
  });
}

TEST_F(HttpTest, AWrongTokenIsRefusedAndAPlaceholderIsNot) {
  EXPECT_EQ(ask(request("GET /echo", cat("Authorization: Bearer ", kToken, "0\r\n"))).status, 401);
  EXPECT_EQ(ask(request("GET /echo", "Authorization: Bearer sk-none\r\n")).status, 200);
}

TEST_F(HttpTest, GuessingTokensBecomesSlow) {
  limits.auth_failures_per_minute = 3;
  limits.auth_delay = milliseconds(300);
  const std::string guess = request("GET /echo", "Authorization: Bearer lares-guess\r\n");
  for (int i = 0; i < 3; i++) EXPECT_EQ(ask(guess).status, 401);
  const auto from = steady_clock::now();
  EXPECT_EQ(ask(guess).status, 401);
  EXPECT_GE(steady_clock::now() - from, milliseconds(290));
  EXPECT_EQ(ask(request("GET /echo")).status, 200) << "others are served meanwhile";
}

TEST_F(HttpTest, PagesOfOtherSitesAreRefusedBeforeTheirBodyIsRead) {
  const std::vector<std::pair<std::string, std::string>> attacks = {
      {"Host: evil.example", ""},
      {cat("Host: 127.0.0.1:", port()), "Origin: https://evil.example\r\n"},
      {cat("Host: 127.0.0.1:", port()), "Origin: null\r\n"},
      {cat("Host: 127.0.0.1:", port()), "Sec-Fetch-Site: cross-site\r\n"},
      {cat("Host: 127.0.0.1:", port()), "Sec-Fetch-Site: same-site\r\n"},
  };
  for (const auto& [to, fields] : attacks) {
    // the body is announced and never sent: an answer shows that nobody waited for it
    const Wire wire =
        ask(cat("POST /echo HTTP/1.1\r\n", to, "\r\n", fields, "Content-Length: 1000000\r\n\r\n"));
    EXPECT_EQ(wire.status, 403) << to << fields;
    EXPECT_FALSE(wire.has("Access-Control"));
  }
  EXPECT_EQ(ask(request("POST /echo", "Sec-Fetch-Site: same-origin\r\nContent-Length: 1000000\r\n"))
                .status,
            401);
  EXPECT_EQ(ask(request("OPTIONS /echo", "Origin: https://evil.example\r\n")).status, 403);
  EXPECT_EQ(service.called(), 0u);
}

TEST_F(HttpTest, TheRightIsCheckedBeforeTheBodyIsRead) {
  EXPECT_EQ(ask(request("POST /owner", "Content-Length: 1000000\r\n")).status, 403);
  EXPECT_EQ(ask(request("POST /nothing", "Content-Length: 1000000\r\n")).status, 404);
  EXPECT_EQ(ask(request("PUT /echo", "Transfer-Encoding: chunked\r\n")).status, 405);
}

TEST_F(HttpTest, AWrongPathDoesNotCostTheConnection) {
  Raw raw(port());
  const Wire missing = raw.send(request("GET /ecko")).answer();
  EXPECT_EQ(missing.status, 404);
  EXPECT_NE(missing.body.find("did you mean 'GET /echo'?"), std::string::npos) << missing.body;
  const Wire method = raw.send(request("DELETE /echo")).answer();
  EXPECT_EQ(method.status, 405);
  EXPECT_TRUE(method.has("Allow: GET, POST\r\n")) << method.head;
  EXPECT_EQ(raw.send(request("GET /echo")).answer().status, 200);
}

// --- limits
// --------------------------------------------------------------------------------------------

TEST_F(HttpTest, ABodyOfExactlyTheLimitIsTakenInBothEncodings) {
  limits.body = KiB(256);
  const std::string body(limits.body.n, 'x');
  EXPECT_EQ(ask(counted("POST /echo", body)).json()["bytes"], body.size());
  std::string chunked;
  for (size_t at = 0; at < body.size(); at += 1'000) {
    const std::string piece = body.substr(at, 1'000);
    std::array<char, 16> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
    chunked += cat(size.data(), piece, "\r\n");
  }
  EXPECT_EQ(ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", chunked + "0\r\n\r\n"))
                .json()["bytes"],
            body.size());
}

TEST_F(HttpTest, ABodyOverTheLimitIsRefusedInBothEncodingsAndTheClientSeesIt) {
  const std::string body(limits.body.n + 1, 'x');
  Wire wire = ask(counted("POST /echo", body));
  EXPECT_EQ(wire.status, 413);
  EXPECT_EQ(wire.json()["error"]["code"], "body_too_large");
  std::string chunked;
  for (size_t i = 0; i < 9; i++) chunked += cat("100000\r\n", std::string(MiB(1).n, 'x'), "\r\n");
  wire = ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", chunked));
  EXPECT_EQ(wire.status, 413);
  EXPECT_EQ(service.called(), 0u);
}

TEST_F(HttpTest, ABodyOfTinyChunksWithMuchAroundThemIsRefused) {
  limits.body = KiB(64);
  std::string chunked;
  for (size_t i = 0; i < 100; i++) chunked += cat("1;", std::string(4'000, 'e'), "\r\nx\r\n");
  EXPECT_EQ(
      ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", chunked + "0\r\n\r\n")).status,
      413);
}

TEST_F(HttpTest, AChunksHeadHasALimit) {
  const std::string endless = cat("1;", std::string(70'000, 'e'));
  EXPECT_EQ(ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", endless)).status, 431);
  const std::string trailer = cat("0\r\nX: ", std::string(70'000, 'e'));
  EXPECT_GE(ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", trailer)).status, 400);
}

TEST_F(HttpTest, FieldsBehindABodyChangeNothing) {
  const Wire wire =
      ask(request("POST /echo", "Transfer-Encoding: chunked\r\n",
                  cat("5\r\nhello\r\n0\r\nAuthorization: Bearer ", kToken, "\r\n\r\n")));
  EXPECT_EQ(wire.json()["body"], "hello");
  EXPECT_EQ(wire.json()["right"], "app");
}

TEST_F(HttpTest, MalformedChunksAreRefused) {
  for (const char* body :
       {"x\r\n", "-1\r\n", "5\nhello\n0\n\n", "5\r\nhello!\r\n0\r\n\r\n", "ffffffffffffffffff\r\n",
        "5 \r\nhello\r\n0\r\n\r\n\r\n\r\nx", "0x5\r\nhello\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n"}) {
    const int status =
        ask(request("POST /echo", "Transfer-Encoding: chunked\r\nConnection: close\r\n", body))
            .status;
    EXPECT_TRUE(status == 400 || status == 413) << status << " for " << body;
  }
}

TEST_F(HttpTest, SmuggledRequestsAreNotServed) {
  const std::string smuggled = request("POST /hold");
  for (const std::string& fields :
       {std::string("Content-Length: 5\r\nContent-Length: 6\r\n"),
        std::string("Content-Length: 5\r\nContent-Length: 5\r\n"),
        std::string("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        std::string("Transfer-Encoding: chunked, identity\r\n"),
        std::string("Transfer-Encoding: xchunked\r\n"), std::string("Content-Length: 5, 5\r\n"),
        std::string("Content-Length : 5\r\n"), std::string("X: y\r\n Content-Length: 5\r\n"),
        std::string("X: y\nContent-Length: 5\r\n")}) {
    Raw raw(port());
    raw.send(request("POST /echo", fields, cat("0\r\n\r\n", smuggled)));
    EXPECT_EQ(raw.answer().status, 400) << fields;
    EXPECT_TRUE(raw.closed()) << fields;
  }
  EXPECT_EQ(service.called(), 0u);
}

TEST_F(HttpTest, HeadsHaveLimits) {
  EXPECT_EQ(ask(request(cat("GET /", std::string(10'000, 'a')))).status, 414);
  EXPECT_EQ(ask(request("GET /echo", cat("X: ", std::string(10'000, 'a'), "\r\n"))).status, 431);
  std::string many;
  for (int i = 0; i < 70; i++) many += "A: b\r\n";
  EXPECT_EQ(ask(request("GET /echo", many)).status, 431);
  std::string large;
  for (int i = 0; i < 10; i++) large += cat("A: ", std::string(4'000, 'b'), "\r\n");
  EXPECT_EQ(ask(request("GET /echo", large)).status, 431);
  EXPECT_EQ(ask("\x16\x03\x01 hello, is there TLS?").status, 400);
}

TEST_F(HttpTest, CompressedBodiesAreRefused) {
  EXPECT_EQ(ask(request("POST /echo", "Content-Encoding: gzip\r\nContent-Length: 100\r\n")).status,
            415);
}

TEST_F(HttpTest, AClientThatAsksFirstIsToldToGoOn) {
  Raw raw(port());
  raw.send(request("POST /echo", "Expect: 100-continue\r\nContent-Length: 5\r\n"));
  EXPECT_TRUE(raw.wait_for("HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_TRUE(raw.send("hello").wait_for("\"body\":\"hello\""));
  EXPECT_EQ(
      ask(request("POST /echo", "Expect: 100-continue\r\nContent-Length: 99999999\r\n")).status,
      413)
      << "and a refusal comes before the body";
}

TEST_F(HttpTest, AHeadThatDoesNotComeToItsEndIsRefused) {
  limits.head_time = milliseconds(100);
  EXPECT_EQ(ask("GET /echo HTTP/1.1\r\nHost: ").status, 408);
  Raw silent(port());
  EXPECT_EQ(silent.rest(), "") << "who said nothing is told nothing";
  Raw second(port());
  EXPECT_EQ(second.send(request("GET /echo")).answer().status, 200);
  EXPECT_EQ(second.send("GET /ec").answer().status, 408)
      << "the second request's head has a limit too";
}

TEST_F(HttpTest, ABodyThatStopsIsRefused) {
  limits.body_idle = milliseconds(100);
  EXPECT_EQ(ask(request("POST /echo", "Content-Length: 10\r\n", "half")).status, 408);
  EXPECT_EQ(ask(request("POST /echo", "Transfer-Encoding: chunked\r\n", "5\r\nha")).status, 408);
}

TEST_F(HttpTest, ABodyThatTricklesHasATimeInAll) {
  limits.body_idle = milliseconds(2'000);
  limits.body_time = milliseconds(200);
  Raw raw(port());
  raw.send(request("POST /echo", "Content-Length: 100000\r\n"));
  std::atomic<bool> enough = false;
  std::thread trickle([&] {
    while (!enough) {
      raw.send("x");
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  EXPECT_EQ(raw.answer().status, 408);
  enough = true;
  trickle.join();
}

TEST_F(HttpTest, AnIdleConnectionIsClosed) {
  limits.keep_alive = milliseconds(100);
  Raw raw(port());
  EXPECT_EQ(raw.send(request("GET /echo")).answer().status, 200);
  EXPECT_TRUE(raw.closed());
}

TEST_F(HttpTest, BodiesHaveALimitInAll) {
  limits.bodies = KiB(100);
  Raw first(port());
  first.send(request("POST /echo", "Content-Length: 80000\r\n", "begin"));
  // the first one's room is taken once its head was read
  Raw probe(port());
  while (server().figures().requests == 0) std::this_thread::yield();
  const Wire wire = ask(request("POST /echo", "Content-Length: 80000\r\n"));
  EXPECT_EQ(wire.status, 429);
  EXPECT_TRUE(wire.has("Retry-After: 1"));
  first.send(std::string(80'000 - 5, 'x'));
  EXPECT_EQ(first.answer().json()["bytes"], 80'000);
  EXPECT_EQ(ask(counted("POST /echo", std::string(80'000, 'x'))).status, 200)
      << "the room was given back";
}

TEST_F(HttpTest, JsonTenThousandDeepIsAClearError) {
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  const Wire wire = ask(counted("POST /parse", deep));
  EXPECT_EQ(wire.status, 400);
  EXPECT_EQ(wire.json()["error"]["type"], "invalid_request_error");
}

// --- many connections
// ----------------------------------------------------------------------------------

TEST_F(HttpTest, OverTheConnectionsOfOneUserTheNextIsToldSo) {
  limits.connections_per_uid = 4;
  std::vector<Raw> busy;
  std::vector<std::shared_ptr<Responder>> held;
  for (int i = 0; i < 4; i++) {
    busy.emplace_back(port());
    busy.back().send(counted("POST /hold", "x"));
    held.push_back(service.next());
  }
  const Wire wire = ask(request("GET /echo"));
  EXPECT_EQ(wire.status, 429);
  EXPECT_NE(wire.body.find("4 connections of this user are open"), std::string::npos) << wire.body;
  auto own = Client::connect(socket);
  EXPECT_EQ(own->request("GET", "/echo")->status, 200)
      << "the person's own commands are counted apart";
  held.front()->whole(200, "text/plain", "done");
  EXPECT_EQ(busy.front().answer().body, "done");
}

TEST_F(HttpTest, AnIdleConnectionMakesRoomForANewOne) {
  limits.connections_per_uid = 2;
  Raw first(port());
  Raw second(port());
  EXPECT_EQ(first.send(request("GET /echo")).answer().status, 200);
  EXPECT_EQ(second.send(request("GET /echo")).answer().status, 200);
  std::this_thread::sleep_for(
      milliseconds(300));  // both are idle for longer than the moment of grace
  EXPECT_EQ(ask(request("GET /echo")).status, 200);
  EXPECT_TRUE(first.closed()) << "the one that was idle longest went";
}

TEST_F(HttpTest, ABodyThatDoesNotComeMakesRoomForANewOne) {
  limits.connections_per_uid = 2;
  Raw first(port());
  first.send(request("POST /echo", "Content-Length: 1000\r\n", "x"));
  std::this_thread::sleep_for(milliseconds(300));
  Raw second(port());
  second.send(request("POST /echo", "Content-Length: 1000\r\n", "x"));
  EXPECT_EQ(ask(request("GET /echo")).status, 200);
  EXPECT_EQ(first.answer().status, 429) << "the one that waited longest went, and knows why";
  EXPECT_TRUE(first.closed());
}

TEST_F(HttpTest, FourHundredAtOnceAreAnsweredOrToldSo) {
  limits.connections_per_uid = 2;
  const std::string body(10'000, 'x');
  std::vector<std::unique_ptr<Raw>> all;
  for (int i = 0; i < 400; i++) all.push_back(std::make_unique<Raw>(port()));
  for (const auto& one : all) one->send(counted("POST /echo", body));
  int answered = 0;
  for (const auto& one : all) {
    const int status = one->answer().status;
    EXPECT_TRUE(status == 200 || status == 429) << status;
    answered += status == 200;
  }
  EXPECT_GE(answered, 2);
}

TEST_F(HttpTest, StrangersHaveFewConnections) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can play another user";
  limits.unauthenticated = 3;
  server();
  as_user(12345, [&] {
    std::vector<Raw> slow;
    for (int i = 0; i < 3; i++) slow.emplace_back(port()).send("GET /op");
    EXPECT_EQ(ask(request("GET /open")).status, 429);
    std::this_thread::sleep_for(milliseconds(300));
    EXPECT_EQ(ask(request("GET /open")).status, 200)
        << "one that sends its request makes one that does not go";
  });
  EXPECT_EQ(ask(request("GET /echo")).status, 200);
}

TEST_F(HttpTest, TwoHundredSlowClientsHarmNeitherAStreamNorANewClient) {
  limits.turned_away = 64;
  Raw good(port());
  good.send(request("GET /stream"));
  auto responder = service.next();
  std::vector<std::unique_ptr<Raw>> slow;
  for (int i = 0; i < 200; i++) {
    slow.push_back(std::make_unique<Raw>(port()));
    slow.back()->send("GET /echo HTTP/1.1\r\nX-");
    responder->write(cat("token ", i, "\n"));
    ASSERT_TRUE(good.wait_for(cat("token ", i, "\n")))
        << "the stream stood still behind slow clients";
  }
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(ask(request("GET /echo")).status, 200);
  responder->end_stream();
  EXPECT_TRUE(good.wait_for("\r\n0\r\n\r\n"));
  EXPECT_LE(server().figures().connections, 64u + 64u + 1u);
}

TEST_F(HttpTest, WhatIsTakenBackEndsItsAnswersAndNoOthers) {
  const auto app = credentials.add_app("notes");
  ASSERT_TRUE(app);
  Raw local(port());
  local.send(request("GET /stream"));
  auto other = service.next();
  std::vector<std::pair<std::string, std::string>> given = {{app->id, app->secret},
                                                            {"owner", kToken}};
  for (const auto& [id, secret] : given) {
    Raw raw(port());
    raw.send(request("GET /stream", cat("Authorization: Bearer ", secret, "\r\n")));
    auto responder = service.next();
    responder->write("data: 1\n\n");
    ASSERT_TRUE(raw.wait_for("data: 1"));
    const size_t before = service.gone_count();
    ASSERT_TRUE(credentials.revoke(id));
    EXPECT_TRUE(service.wait_for_gone(before + 1)) << id;
    EXPECT_TRUE(raw.closed()) << id;
  }
  other->write("data: 1\n\n");
  EXPECT_TRUE(local.wait_for("data: 1"));
  other->end_stream();
}

// --- clients that leave
// --------------------------------------------------------------------------------

TEST_F(HttpTest, AClientThatLeavesEndsItsWorkAtOnce) {
  for (const char* way : {"close", "reset", "half-close"}) {
    Raw raw(port());
    raw.send(request("GET /stream"));
    auto responder = service.next();
    responder->write("data: 1\n\n");
    ASSERT_TRUE(raw.wait_for("data: 1"));
    const size_t before = service.gone_count();
    const auto from = steady_clock::now();
    if (std::string_view(way) == "close") raw.close();
    if (std::string_view(way) == "reset") raw.reset();
    if (std::string_view(way) == "half-close") raw.half_close();
    ASSERT_TRUE(service.wait_for_gone(before + 1)) << way;
    EXPECT_LT(service.gone_at() - from, milliseconds(200)) << way;
    responder->write("nobody reads this");
    responder->end_stream();
  }
  while (server().figures().connections > 0) std::this_thread::yield();
  EXPECT_EQ(server().figures().left, 3u);
  EXPECT_EQ(server().figures().streams, 0u);
}

TEST_F(HttpTest, AClientThatLeavesBeforeTheAnswerBeginsIsNoticedToo) {
  Raw raw(port());
  raw.send(counted("POST /hold", "x"));
  auto responder = service.next();
  raw.close();
  EXPECT_TRUE(service.wait_for_gone(1));
  responder->whole(200, "text/plain", "late");
}

TEST_F(HttpTest, AnAnswerThatIsWholeIsSentThoughTheClientHalfClosed) {
  Raw raw(port());
  raw.send(request("GET /echo"));
  raw.half_close();
  EXPECT_EQ(raw.answer().status, 200);
}

TEST_F(HttpTest, AClientThatNeverReadsIsCutOffAtTheBuffersLimit) {
  Raw raw(port(), 4'096);
  raw.send(request("GET /stream"));
  auto responder = service.next();
  size_t written = 0;
  while (service.gone_count() == 0 && written < MiB(64).n) {
    responder->write(std::string(10'000, 'x'));
    written += 10'000;
    if (written > MiB(12).n) std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(service.wait_for_gone(1)) << "the buffer took " << written << " bytes";
  responder->end_stream();
}

TEST_F(HttpTest, AClientThatStopsReadingAWholeAnswerIsCutOff) {
  limits.write_idle = milliseconds(200);
  Raw raw(port(), 4'096);
  raw.send(request("GET /large"));
  while (server().figures().connections == 0 || server().figures().requests == 0)
    std::this_thread::yield();
  while (server().figures().connections > 0) std::this_thread::sleep_for(milliseconds(10));
  SUCCEED();
}

TEST_F(HttpTest, HalfRequestsAreForgotten) {
  const std::string whole = counted("POST /hold", "hello");
  for (size_t size = 0; size < whole.size(); size++) {
    Raw raw(port());
    raw.send(whole.substr(0, size));
    raw.close();
  }
  EXPECT_EQ(ask(request("GET /echo")).status, 200);
  while (server().figures().connections > 0) std::this_thread::yield();
  EXPECT_EQ(service.called(), 0u);
}

TEST_F(HttpTest, EveryByteByItselfIsAsGoodAsAllAtOnce) {
  Raw raw(port());
  const std::string bytes =
      request("POST /echo", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
  for (const char c : bytes) raw.send(std::string_view(&c, 1));
  EXPECT_EQ(raw.answer().json()["body"], "hello");
}

// --- the end
// -------------------------------------------------------------------------------------------

TEST_F(HttpTest, StoppingLetsAStreamComeToItsEnd) {
  Raw raw(port());
  raw.send(request("GET /stream"));
  auto responder = service.next();
  Raw idle(port());
  std::thread stopping([&] { server().stop(kPatience); });
  EXPECT_TRUE(idle.closed());
  responder->write("data: last\n\n");
  responder->end_stream();
  EXPECT_TRUE(raw.wait_for("data: last"));
  EXPECT_TRUE(raw.wait_for("\r\n0\r\n\r\n"));
  stopping.join();
  EXPECT_EQ(service.gone_count(), 0u);
  EXPECT_FALSE(std::filesystem::exists(socket));
  EXPECT_FALSE(Raw(port()).connected());
}

TEST_F(HttpTest, StoppingCutsWhatOutlastsTheGraceAndSaysSoToTheWork) {
  Raw raw(port());
  raw.send(request("GET /stream"));
  auto responder = service.next();
  server().stop(milliseconds(50));
  EXPECT_EQ(service.gone_count(), 1u);
  EXPECT_TRUE(raw.closed());
  EXPECT_FALSE(raw.rest().ends_with("0\r\n\r\n")) << "a cut stream looks whole";
  responder->write("late");
  responder->end_stream();
}

TEST_F(HttpTest, AnswersMayOutliveTheServer) {
  Raw raw(port());
  raw.send(counted("POST /hold", "x"));
  auto responder = service.next();
  stop_server();
  EXPECT_EQ(service.gone_count(), 1u);
  responder->error({Code::Io, "late"});
  responder.reset();
}

TEST_F(HttpTest, AllClientsAtOnceThatComeAndGoAreServed) {
  server();
  std::atomic<int> served = 0;
  {
    std::vector<std::jthread> clients;
    clients.reserve(4);
    for (int t = 0; t < 4; t++) {
      clients.emplace_back([&] {
        for (int i = 0; i < 25; i++) {
          auto client = Client::connect("127.0.0.1", port(), "");
          if (!client) continue;
          const auto whole = client->request("POST", "/echo", std::string(1'000, 'x'));
          std::string text;
          const auto stream = client->stream("GET", "/five", "", {}, [&](std::string_view bytes) {
            text += bytes;
            return true;
          });
          if (whole && stream && whole->status == 200 && text.ends_with("data: 4\n\n")) served++;
        }
      });
    }
  }
  EXPECT_EQ(served, 100);
}

}  // namespace
}  // namespace lares::api
