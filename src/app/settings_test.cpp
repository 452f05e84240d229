#include "app/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "base/golden_testing.h"
#include "base/text.h"
#include "wire/message.h"

namespace lares::app {
namespace {

std::string refused(std::string_view toml) {
  auto settings = parse_settings(toml, "lares.toml");
  return settings ? "" : settings.error().message;
}

TEST(Settings, NothingWrittenMeansTheDefaults) {
  auto settings = parse_settings("", "lares.toml");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->api_port, 5273u);
  EXPECT_TRUE(settings->models_preload);
}

TEST(Settings, AreReadFromTheirTables) {
  auto settings = parse_settings(
      "[memory]\nbudget = \"4 GiB\"\n[models]\npreload = false\ndefault = \"x\"\n[api]\nport = 1\n",
      "lares.toml");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->memory_budget, GiB(4));
  EXPECT_FALSE(settings->models_preload);
  EXPECT_EQ(settings->models_default, "x");
  EXPECT_EQ(settings->api_port, 1u);
  EXPECT_EQ(settings->sources.at("memory.budget"), "lares.toml:2");
}

TEST(Settings, AnUnknownKeyNamesTheNearest) {
  EXPECT_EQ(refused("[memory]\nbudgte = 1\n"),
            "lares.toml:2: there is no setting 'memory.budgte'; did you mean 'memory.budget'?");
  EXPECT_EQ(refused("colour = 1\n"),
            "lares.toml:1: there is no setting 'colour'; `lares config` lists them all");
}

TEST(Settings, AValueOfAnotherTypeSaysWhatIsTaken) {
  EXPECT_EQ(refused("api.port = \"http\"\n"),
            "lares.toml:1: api.port is 'http'; it takes a whole number");
  EXPECT_EQ(refused("models.preload = \"yes\"\n"),
            "lares.toml:1: models.preload is 'yes'; it takes true or false");
  EXPECT_EQ(refused("models.default = 7\n"),
            "lares.toml:1: models.default is 7; it takes a text in quotes");
  EXPECT_EQ(refused("memory.budget = 1.5\n"),
            "lares.toml:1: memory.budget is 1.5; it takes a size, as \"4 GiB\"");
  EXPECT_EQ(refused("api.port = [1, 2]\n"),
            "lares.toml:1: api.port is an array of 2; it takes a whole number");
  EXPECT_EQ(refused("[api.port]\nx = true\n"),
            "lares.toml:1: api.port is a table of 1; it takes a whole number");
  EXPECT_EQ(refused("api.port = true\n"),
            "lares.toml:1: api.port is true; it takes a whole number");
  EXPECT_EQ(refused("api.port = 2026-08-23\n"),
            "lares.toml:1: api.port is a date or a time; it takes a whole number");
  EXPECT_EQ(refused("api.port = 70000\n"), "lares.toml:1: api.port is 70000; it takes 0 to 65535");
  EXPECT_EQ(refused("log.level = \"wran\"\n"),
            "lares.toml:1: log.level is 'wran'; choose from debug info warn error; did you mean "
            "'warn'?");
  EXPECT_EQ(refused("memory.budget = \"much\"\n"),
            "lares.toml:1: memory.budget: 'much' is no size; write it as \"4 GiB\" or \"512 MiB\"");
  EXPECT_EQ(refused("memory.budget = 0\n"),
            "lares.toml:1: memory.budget is 0 B; it takes at least 1 MiB, as \"4 GiB\"");
  EXPECT_EQ(refused("memory.budget = -1\n"),
            "lares.toml:1: memory.budget is -1; it takes a size, as \"4 GiB\"");
}

TEST(Settings, BrokenTomlNamesTheLine) {
  EXPECT_EQ(refused("[memory]\nbudget = = 1\n").substr(0, 13), "lares.toml:2:");
  EXPECT_FALSE(refused(std::string(100'000, '[')).empty());
}

TEST(Settings, LettersOfEveryBlockAreText) {
  for (const char* letter : {"\u00e9", "\u03a9", "\u0416", "\u0e01", "\u1e9e", "\u20ac", "\u3042",
                             "\u4e2d", "\uac00", "\uff41", "\U0001f600"}) {
    const std::string value = refused(cat("log.level = \"", letter, "\" # ", letter, "\n"));
    EXPECT_NE(value.find(cat("log.level is '", letter, "'")), std::string::npos) << value;
    EXPECT_EQ(refused(cat("# ", letter, "\n", letter, " = 1\n")).substr(0, 13), "lares.toml:2:");
  }
}

TEST(Settings, SizesHaveUnits) {
  EXPECT_EQ(*parse_bytes("512MiB"), MiB(512));
  EXPECT_EQ(*parse_bytes(" 1.5 gib "), MiB(1536));
  EXPECT_EQ(*parse_bytes("1000"), Bytes{1000});
  for (const char* bad : {"", "GiB", "-1", "1 parsec", "nan", "inf", "1e300", "99999999 TiB"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(Settings, AFlagSetsOneAndIsNamedAsItsSource) {
  Settings settings;
  ASSERT_TRUE(set(settings, "api.port", "0", "--port"));
  EXPECT_EQ(settings.api_port, 0u);
  EXPECT_EQ(settings.sources.at("api.port"), "--port");
  EXPECT_FALSE(set(settings, "api.port", "x", "--port"));
  EXPECT_FALSE(set(settings, "api.prot", "1", "--port"));
}

TEST(Settings, ThePageInDocsIsTheTable) { expect_golden("docs/configuration.md", settings_page()); }

TEST(Settings, TheSentenceOfTheContextNamesWhatAWorkerTakes) {
  for (const Setting& setting : all_settings()) {
    if (setting.name != "models.context") continue;
    EXPECT_NE(setting.sentence.find(cat("at most ", wire::kContextMax)), std::string_view::npos)
        << setting.sentence;
    return;
  }
  FAIL() << "there is no models.context";
}

}  // namespace
}  // namespace lares::app
