#include "egress/sources.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::egress {
namespace {

const std::string kSha(64, 'a');
const std::string kCommit(40, 'b');

Json file(const std::string& name, uint64_t size = 9, bool large = true) {
  Json entry = {{"rfilename", name}, {"size", size}};
  if (large) entry["lfs"] = {{"sha256", kSha}, {"size", size}, {"pointerSize", 134}};
  return entry;
}

HubModel model(const std::vector<Json>& files) {
  const auto read = read_hub_model(dump({{"sha", kCommit}, {"siblings", files}}));
  EXPECT_TRUE(read) << read.error().message;
  return read ? *read : HubModel{};
}

std::string chosen(const HubModel& from, std::string_view wanted) {
  const auto found = choose_file(from, wanted, "o/r");
  return found ? found->name : cat(row(found.error().code).name, ": ", found.error().message);
}

TEST(Hub, ReadsWhatAFileIsWithItsDigest) {
  const HubModel read = model({file("a-Q4_K_M.gguf", 5), file("LICENSE", 3, false)});
  ASSERT_EQ(read.files.size(), 2U);
  EXPECT_EQ(read.files[0].sha256, kSha);
  EXPECT_EQ(read.files[0].size, 5U);
  EXPECT_EQ(licence_file(read)->name, "LICENSE");
  EXPECT_EQ(
      read_hub_model(
          dump({{"sha", kCommit}, {"siblings", Json::array()}, {"tags", {"x", "license:mit"}}}))
          ->licence,
      "mit");
}

TEST(Hub, ChoosesTheQuantizationThatWasMeant) {
  const HubModel read = model({file("m-Q4_K_M.gguf"), file("m-Q4_K_S.gguf"), file("m-Q8_0.gguf"),
                               file("m-UD-Q8_0.gguf"), file("mmproj-m-F16.gguf"),
                               file("m-F16-00001-of-00002.gguf"), file("README.md", 1, false)});
  EXPECT_EQ(chosen(read, ""), "m-Q4_K_M.gguf");
  EXPECT_EQ(chosen(read, "q8_0"), "m-Q8_0.gguf");
  EXPECT_EQ(chosen(read, "UD-Q8_0"), "m-UD-Q8_0.gguf");
  EXPECT_EQ(chosen(read, "m-Q4_K_S.gguf"), "m-Q4_K_S.gguf");
  EXPECT_NE(chosen(read, "Q4_K").find("not_found: o/r has no 'Q4_K'; it has: m-Q4_K_M.gguf"),
            std::string::npos);
  EXPECT_EQ(chosen(read, "F16").find("unsupported: "), 0U);
  EXPECT_EQ(chosen(model({file("only.gguf")}), ""), "only.gguf");
  EXPECT_EQ(chosen(model({file("a.gguf"), file("b.gguf")}), "").find("invalid: "), 0U);
  EXPECT_EQ(chosen(model({file("a.safetensors")}), "").find("not_found: "), 0U);
}

TEST(Hub, TakesNoNameThatLeadsElsewhereAndNoSizeThatIsNone) {
  const HubModel read =
      model({file("../../x.gguf"), file("/etc/x.gguf"), file("a/../x.gguf"), file("a//x.gguf"),
             file("x\ny.gguf"), file("ok/x.gguf"), file("big.gguf", uint64_t{1} << 60)});
  ASSERT_EQ(read.files.size(), 1U);
  EXPECT_EQ(read.files[0].name, "ok/x.gguf");
  for (const Json& bad : {Json(5), Json::array(), Json({{"sha", "x"}}),
                          Json({{"sha", kCommit}, {"siblings", 5}}), Json({{"siblings", {}}})})
    EXPECT_FALSE(read_hub_model(dump(bad)));
  EXPECT_FALSE(read_hub_model("{"));
}

Json layer(const std::string& kind, const std::string& digest = "sha256:" + kSha, Json size = 9u) {
  return {
      {"mediaType", "application/vnd.ollama.image." + kind}, {"digest", digest}, {"size", size}};
}

Result<std::vector<Layer>> manifest(const std::vector<Json>& layers) {
  return read_manifest(dump({{"schemaVersion", 2}, {"layers", layers}}));
}

TEST(Manifest, ReadsItsLayers) {
  const auto read = manifest({layer("model"), layer("license"), {{"mediaType", "other"}}});
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ(read->front().kind, "model");
  EXPECT_EQ(read->front().digest, kSha);
}

TEST(Manifest, RefusesDigestsThatAreNoneAndModelsThatAreNone) {
  EXPECT_FALSE(manifest({layer("model", "sha256:../../../etc/passwd")}));
  EXPECT_FALSE(manifest({layer("model", "md5:" + kSha)}));
  EXPECT_FALSE(manifest({layer("model", "sha256:" + kSha, -1)}));
  EXPECT_FALSE(manifest({layer("model", "sha256:" + kSha, "9")}));
  EXPECT_EQ(manifest({layer("license")}).error().code, Code::Unsupported);
  EXPECT_EQ(manifest({layer("model"), layer("model")}).error().code, Code::Unsupported);
  EXPECT_EQ(manifest({layer("model"), layer("adapter")}).error().code, Code::Unsupported);
  EXPECT_FALSE(read_manifest("[]"));
  EXPECT_FALSE(read_manifest("<html>"));
}

TEST(Token, IsAWordOrNothing) {
  EXPECT_EQ(*read_token(R"({"token":"abc"})"), "abc");
  EXPECT_EQ(*read_token(R"({"access_token":"abc"})"), "abc");
  EXPECT_FALSE(read_token(R"({"token":"a\r\nX: y"})"));
  EXPECT_FALSE(read_token(R"({"token":""})"));
  EXPECT_FALSE(read_token("{}"));
}

}  // namespace
}  // namespace lares::egress
