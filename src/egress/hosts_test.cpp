#include "egress/hosts.h"

#include <gtest/gtest.h>

namespace lares::egress {
namespace {

Code verdict(const char* text, const Policy& policy = {}) {
  const auto url = url_from(text);
  if (!url) return url.error().code;
  const auto may = allowed(*url, policy);
  return may ? Code::Cancelled : may.error().code;  // Cancelled stands for "yes"
}
constexpr Code kYes = Code::Cancelled;

TEST(Hosts, KnowsTheTwoRegistriesAndTheirStorage) {
  for (const char* text :
       {"https://huggingface.co/a/b", "https://cdn-lfs.hf.co/x?y=z", "https://HuggingFace.co:443/",
        "https://cdn-lfs-us-1.huggingface.co/x", "https://registry.ollama.ai/v2/"})
    EXPECT_EQ(verdict(text), kYes) << text;
}

TEST(Hosts, LetsNoOtherHostPassForOne) {
  for (const char* text :
       {"https://huggingface.co.evil.org/", "https://evilhuggingface.co/", "https://hf.co.evil/",
        "https://xhf.co/", "https://hf.co/", "https://huggingface.co:8443/", "https://example.org/",
        "https://127.0.0.1/", "http://huggingface.co/", "https://evil.org/#huggingface.co",
        "https://evil.org/?huggingface.co"})
    EXPECT_EQ(verdict(text), Code::Denied) << text;
  for (const char* text :
       {"https://huggingface.co@evil.org/", "https://user:x@huggingface.co/", "https:///x", "",
        "https://huggingface.co./x", "https://hugg\xc3\xadngface.co/", "https://a b/", "//x/y",
        "https://huggingface.co:0/", "https://huggingface.co:99999/"})
    EXPECT_NE(verdict(text), kYes) << text;
  for (const char* text : {"file:///etc/passwd", "ftp://huggingface.co/", "gopher://x/",
                           "dict://127.0.0.1/", "data:text/plain,x"})
    EXPECT_NE(verdict(text), kYes) << text;
}

TEST(Hosts, TakesWhatThePersonAdded) {
  const Policy policy{
      {"mirror.lan", "localhost:8443", "*.cdn.example.org", "[::1]:9"}, false, false};
  EXPECT_EQ(verdict("https://mirror.lan/x", policy), kYes);
  EXPECT_EQ(verdict("https://mirror.lan:8443/x", policy), Code::Denied);
  EXPECT_EQ(verdict("https://localhost:8443/x", policy), kYes);
  EXPECT_EQ(verdict("https://localhost/x", policy), Code::Denied);
  EXPECT_EQ(verdict("https://a.b.cdn.example.org/x", policy), kYes);
  EXPECT_EQ(verdict("https://cdn.example.org/x", policy), Code::Denied);
  EXPECT_EQ(verdict("https://[::1]:9/x", policy), kYes);
  EXPECT_EQ(verdict("http://mirror.lan/x", policy), Code::Denied);
  EXPECT_EQ(verdict("http://mirror.lan/x", {{"mirror.lan"}, false, true}), kYes);
  EXPECT_EQ(verdict("http://huggingface.co/x", {{"mirror.lan"}, false, true}), Code::Denied);
}

TEST(Hosts, AdvisesNobodyToAddThisMachineOrItsNetwork) {
  for (const char* text : {"https://127.0.0.1/", "https://localhost/", "https://10.0.0.7/x",
                           "https://[::1]/", "https://169.254.169.254/latest/meta-data/"}) {
    const auto may = allowed(*url_from(text), {});
    ASSERT_FALSE(may) << text;
    EXPECT_EQ(may.error().message.find("models.hosts"), std::string::npos) << may.error().message;
  }
  EXPECT_NE(allowed(*url_from("https://example.org/"), {}).error().message.find("models.hosts"),
            std::string::npos);
}

TEST(Hosts, WritesOutWhatOtherSpellingsOfAnAddressMean) {
  // all of these are 127.0.0.1 to some reader: they must be that to the check as well, or nothing
  for (const char* text : {"https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/"}) {
    const auto url = url_from(text);
    if (!url) continue;
    const auto address = address_from(url->host);
    ASSERT_TRUE(address) << text << " became " << url->host;
    EXPECT_EQ(kind_of(*address), "loopback");
  }
}

TEST(Hosts, RefusesAddressesOfTheOwnNetwork) {
  EXPECT_FALSE(allowed(*address_from("127.0.0.1"), "x", {}));
  EXPECT_FALSE(allowed(*address_from("fd00::1"), "x", {}));
  EXPECT_TRUE(allowed(*address_from("8.8.8.8"), "x", {}));
  EXPECT_TRUE(allowed(*address_from("127.0.0.1"), "x", {{}, true, false}));
}

TEST(Url, FollowsLocationsOnlyToTheWeb) {
  const auto base = url_from("https://a.org:8443/x/y?q=1#f");
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->text, "https://a.org:8443/x/y?q=1");
  EXPECT_EQ(url_from("/z", *base)->text, "https://a.org:8443/z");
  EXPECT_EQ(url_from("//b.org/z", *base)->text, "https://b.org/z");
  EXPECT_EQ(url_from("https://b.org/z?s=1", *base)->shown(), "https://b.org/z");
  for (const char* bad :
       {"file:///etc/passwd", "ftp://x/", "", "https://u:p@b.org/", "javascript:1"})
    EXPECT_FALSE(url_from(bad, *base)) << bad;
  EXPECT_EQ(base->origin(), "https://a.org:8443");
  EXPECT_EQ(path_part("a b/ü"), "a%20b%2F%C3%BC");
}

}  // namespace
}  // namespace lares::egress
