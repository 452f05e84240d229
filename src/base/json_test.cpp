#include "base/json.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>

#include "base/file.h"

namespace lares {
namespace {

using std::string_literals::operator""s;

std::string why(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? "" : parsed.error().message;
}

TEST(Json, ReadsWhatItIs) {
  const auto parsed = parse_json(R"( {"a": [1, -2.5, "é", null, true]} )");
  ASSERT_TRUE(parsed);
  EXPECT_EQ((*parsed)["a"][1], -2.5);
  EXPECT_EQ((*parsed)["a"][2], "é");
}

TEST(Json, SaysAtWhichByteItIsWrong) {
  EXPECT_EQ(parse_json("{\"a\": }").error().code, Code::Invalid);
  EXPECT_NE(why("{\"a\": }").find("byte 7"), std::string::npos) << why("{\"a\": }");
  EXPECT_NE(why("").find("byte 1"), std::string::npos) << why("");
  EXPECT_EQ(why("[1] [2]").find("parse_error"), std::string::npos) << "the library's own words";
  EXPECT_NE(why("[1] [2]"), "");
}

TEST(Json, NestedTenThousandDeepIsRefusedWithoutBeingBuilt) {
  EXPECT_NE(why(std::string(10'000, '[')).find("nested deeper than 64 levels"), std::string::npos);
  std::string objects;
  for (int i = 0; i < 10'000; i++) objects += "{\"a\":";
  EXPECT_NE(why(objects).find("nested deeper than 64 levels"), std::string::npos);
  EXPECT_EQ(why(objects),
            "this is not JSON that we take: nested deeper than 64 levels; send what is "
            "flatter");
  // where names are kept, the field of the outermost object is said
  const auto why_strict = [](const std::string& text) {
    const JsonLimits strict{.twice_named = TwiceNamed::Refused};
    return parse_json(text, strict).error().message;
  };
  const std::string names = R"("field" is nested deeper than 64 levels)";
  for (const std::string& text : {R"({"a": {"b": 1}, "field": {"x": )" + objects,
                                  R"({"a": 1, "field": )" + std::string(70, '['),
                                  R"({"a": [{"b": {}}], "field": [[{"c": {}}, )" + objects})
    EXPECT_NE(why_strict(text).find(names), std::string::npos) << why_strict(text);
  EXPECT_EQ(why_strict(objects).find("\"a\" is nested"),
            std::string_view("this is not JSON that we take: ").size());
  EXPECT_NE(why_strict(std::string(70, '[')).find("take: nested"), std::string::npos);
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
  EXPECT_FALSE(parse_json(std::string(65, '[') + std::string(65, ']')));
}

TEST(Json, ManyValuesAreRefusedAtTheFirstTooMany) {
  std::string many = "[0";
  for (int i = 0; i < 100'000; i++) many += ",0";
  EXPECT_NE(why(many + "]").find("more than 100000 values"), std::string::npos) << why(many + "]");
  EXPECT_TRUE(parse_json(many + "]", {.depth_max = 2, .values_max = 100'002}));
}

TEST(Json, NumbersThatNoDoubleHoldsAreRefused) {
  EXPECT_NE(why("1e999"), "");
  EXPECT_NE(why("[-1e999]"), "");
  EXPECT_NE(why("NaN"), "");
  EXPECT_NE(why("[Infinity]"), "");
  EXPECT_TRUE(parse_json("18446744073709551615"));
  EXPECT_TRUE(parse_json("1e308"));
}

TEST(Json, TextThatIsNoUtf8IsRefused) {
  EXPECT_NE(why("\"\xFF\""), "");
  EXPECT_NE(why("\"\xED\xA0\x80\""), "");
  EXPECT_NE(why("\"\xC0\x80\""), "");
  EXPECT_NE(why(R"("\ud800")"), "");
  EXPECT_TRUE(parse_json(R"("\ud83d\ude42")"));
}

TEST(Json, TheLastOfTwoEqualNamesCounts) {
  EXPECT_EQ((*parse_json(R"({"a": 1, "a": 2})"))["a"], 2);
}

TEST(Json, ANameThatStandsTwiceInOneObjectIsRefusedWhereAsked) {
  const JsonLimits strict{.twice_named = TwiceNamed::Refused};
  const auto why_strict = [&](std::string_view text) {
    const auto parsed = parse_json(text, strict);
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_EQ(why_strict(R"({"model": "a", "model": "b"})"),
            "this is not JSON that we take: an object names \"model\" twice; send it once");
  for (const char* twice : {R"({"a": 1, "b": 2, "a": 1})", R"([{"x": {"a": 1, "a": 2}}])",
                            R"({"a": 1, "b": {"a": 1}, "\u0061": 2})", R"({"": 1, "": 2})",
                            R"({"b": [{"c": 0}], "a": {}, "b": 1})"})
    EXPECT_NE(why_strict(twice).find("twice"), std::string::npos) << twice;
  for (const char* once :
       {R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]})", R"({"a": 1, "A": 2, "a ": 3})",
        R"({"a": "a", "b": "a"})", "{}", "[{}, {}]"})
    EXPECT_EQ(why_strict(once), "") << once;
  const std::string long_name(65, 'x');
  EXPECT_EQ(why_strict("{\"" + long_name + "\": 1, \"" + long_name + "\": 2}"),
            "this is not JSON that we take: an object names something of 65 bytes twice; send it "
            "once");
}

TEST(Json, DumpNeverThrowsAboutBytes) {
  EXPECT_EQ(dump(Json("a\xFFz")), "\"a\uFFFDz\"");
  EXPECT_EQ(dump(Json{{"a", 1}}), R"({"a":1})");
}

// The public collection of hostile JSON: y_ is JSON, n_ is not, i_ may be either.
TEST(Json, AgreesWithTheTestSuiteOfOthers) {
  const char* const data = std::getenv("LARES_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "LARES_TEST_DATA is not set: JSON of others is not tried";
  const std::filesystem::path folder = std::filesystem::path(data) / "fuzz" / "json";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << folder << " is not there";
  size_t tried = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string();
    const auto text = read_file(entry.path());
    ASSERT_TRUE(text) << name;
    const auto parsed = parse_json(*text);
    if (name.starts_with("y_")) {
      EXPECT_TRUE(parsed) << name << ": " << why(*text);
    } else if (name.starts_with("n_")) {
      EXPECT_FALSE(parsed) << name;
    }
    tried++;
  }
  EXPECT_GT(tried, 100u);
}

std::string why_cbor(std::string_view bytes) {
  const auto parsed = parse_cbor(bytes);
  return parsed ? "" : parsed.error().message;
}

TEST(Cbor, ReadsBackWhatWasWritten) {
  const Json all = {{"int", -5},
                    {"big", 18446744073709551615U},
                    {"least", std::numeric_limits<int64_t>::min()},
                    {"half", 0.5},
                    {"third", 1.0 / 3},
                    {"text", std::string(300, 'x')},
                    {"bytes", Json::binary({0, 255, 7})},
                    {"list", Json::array({nullptr, true, false, Json::object(), Json::array()})}};
  const auto back = parse_cbor(to_cbor(all));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, all);
}

TEST(Cbor, StringsNestedInStringsOfUnknownLengthCostNoStack) {
  EXPECT_NE(why_cbor(std::string(16u << 20, '\x7F')).find("a length that is not known"),
            std::string::npos);
  EXPECT_NE(why_cbor(std::string(16u << 20, '\x5F')).find("a length that is not known"),
            std::string::npos);
}

TEST(Cbor, IsRefusedAtItsLimits) {
  EXPECT_NE(why_cbor(std::string(100'000, '\x81')).find("nested deeper than 64 levels"),
            std::string::npos);
  EXPECT_TRUE(parse_cbor(std::string(64, '\x81') + "\x01"));
  EXPECT_FALSE(parse_cbor(std::string(65, '\x81') + "\x01"));
  EXPECT_NE(why_cbor("\x9A\x00\x10\x00\x00"s + std::string(1 << 20, '\0')).find("more than 100000"),
            std::string::npos);
}

TEST(Cbor, SaysWhatIsWrongWithEachKindOfDamage) {
  EXPECT_NE(why_cbor(""), "");
  EXPECT_NE(why_cbor("\x19\x01").find("inside a number"), std::string::npos);
  EXPECT_NE(why_cbor("\x1C").find("reserved"), std::string::npos);
  EXPECT_NE(why_cbor("\x63xx").find("longer than what is left"), std::string::npos);
  EXPECT_NE(why_cbor("\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF").find("more values than bytes"),
            std::string::npos);
  EXPECT_NE(why_cbor("\xBB\x80\x00\x00\x00\x00\x00\x00\x00"s).find("more values than bytes"),
            std::string::npos);
  EXPECT_NE(why_cbor("\xA1\x01\x02").find("a key that is no text"), std::string::npos);
  EXPECT_NE(why_cbor("\x3B\x80\x00\x00\x00\x00\x00\x00\x00"s).find("below any"), std::string::npos);
  EXPECT_NE(why_cbor("\xC0\x01").find("a tag"), std::string::npos);
  EXPECT_NE(why_cbor("\xF9\x7C\x00"s).find("larger than any double"), std::string::npos);
  EXPECT_NE(why_cbor("\xFB\x7F\xF8\x00\x00\x00\x00\x00\x00"s).find("or none"), std::string::npos);
  EXPECT_NE(why_cbor("\xF7").find("simple"), std::string::npos);
  EXPECT_NE(why_cbor("\x01\x02").find("bytes after the value"), std::string::npos);
}

TEST(Cbor, EveryCutOfAGoodMessageIsRefused) {
  const std::string whole =
      to_cbor({{"text", "hello"}, {"list", {1, 2.5, nullptr}}, {"bytes", Json::binary({1, 2})}});
  ASSERT_TRUE(parse_cbor(whole));
  for (size_t cut = 0; cut < whole.size(); cut++)
    EXPECT_FALSE(parse_cbor(whole.substr(0, cut))) << cut;
}

}  // namespace
}  // namespace lares
