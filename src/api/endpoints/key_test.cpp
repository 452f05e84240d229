#include <gtest/gtest.h>

#include "api/endpoints/fakes_testing.h"

namespace lares::api {
namespace {

// Over the network port, as a token or a page comes.
std::shared_ptr<FakeResponder> over_the_port(std::string_view path, FakeService& service) {
  Request request;
  request.port = 5273;
  request.body = R"({"to":"file"})";
  request.headers["content-type"] = "application/json";
  return call(cat("POST ", path), request, service);
}

TEST(KeyOrders, ComeOverTheUnixSocketAlone) {
  for (const char* path : {"/lares/v1/key/unlock", "/lares/v1/key/lock", "/lares/v1/key/move",
                           "/lares/v1/key/export", "/lares/v1/key/import"}) {
    FakeService service;
    EXPECT_EQ(over_the_port(path, service)->failed.code, Code::Denied) << path;
    EXPECT_TRUE(service.asked.empty());
    EXPECT_EQ(post(path, "{}", service)->status, 200) << path;
    EXPECT_EQ(service.asked.size(), 1u);
  }
}

TEST(KeyOrders, PassOnTheirOwnFieldsAndNoOthers) {
  FakeService service;
  post("/lares/v1/key/move",
       R"({"to":"passphrase","passphrase":"old","next":"new","who":"somebody"})", service);
  EXPECT_EQ(service.asked[0].first, "key.move");
  EXPECT_EQ(service.asked[0].second,
            (Json{{"to", "passphrase"}, {"passphrase", "old"}, {"next", "new"}}));
  post("/lares/v1/key/unlock", R"({"passphrase":null})", service);
  EXPECT_EQ(service.asked[1].second, Json::object());
}

TEST(KeyOrders, AnErrorNeverRepeatsAPassphrase) {
  for (const char* body : {R"({"passphrase":["geheim"]})", R"({"passphrase":{"geheim":1}})",
                           R"(["geheim"])", R"("geheim")", "geheim", R"({"passphrase":"geheim)"}) {
    FakeService service;
    const auto told = post("/lares/v1/key/unlock", body, service);
    EXPECT_EQ(told->status, 400) << body;
    EXPECT_EQ(told->body.find("geheim"), std::string::npos) << told->body;
    EXPECT_TRUE(service.asked.empty());
  }
}

TEST(KeyOrders, ABodyIsWipedWhereItLay) {
  FakeService service;
  Request request;
  request.body = R"({"passphrase":"geheim"})";
  request.headers["content-type"] = "application/json";
  call("POST /lares/v1/key/unlock", request, service);
  EXPECT_EQ(request.body, std::string(request.body.size(), '\0'));
}

}  // namespace
}  // namespace lares::api
