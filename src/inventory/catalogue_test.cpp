#include "inventory/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "inventory/models.h"

namespace lares::inventory {
namespace {

Json entry(const std::string& id = "small-q4_k_m") {
  return {{"id", id},
          {"title", "Small"},
          {"family", "Fam"},
          {"parameters", 1'000'000'000u},
          {"repository", "owner/small-GGUF"},
          {"file", "small-Q4_K_M.gguf"},
          {"quantization", "Q4_K_M"},
          {"size_bytes", 700'000'000u},
          {"size_exact", true},
          {"licence", "mit"},
          {"sha256", nullptr},
          {"thinks", false},
          {"shape",
           {{"context", 32768u},
            {"layers", 16u},
            {"width", 2048u},
            {"heads", 32u},
            {"kv_heads", 8u},
            {"head_size", 64u},
            {"feed_forward", 8192u},
            {"vocabulary", 128256u}}},
          {"read",
           {{{"url", "https://example.org/list"},
             {"gave", {"repository", "file", "size_bytes", "licence", "shape"}}}}}};
}
Speeds speeds(double bytes_per_s) {
  return *Speeds::from(
      {{"threads", 2u},
       {"node_us", 1.0},
       {"logit_ns", 0.5},
       {"types",
        {{"Q4_K", {{"decode_bytes_per_s", bytes_per_s}, {"prefill_values_per_s", 1e11}}}}}});
}

Result<std::vector<Entry>> list_of(std::vector<Json> entries) {
  return read_catalogue(dump({{"format", 1u}, {"models", entries}}));
}
std::string error_of(const Json& one) {
  const auto read = list_of({one});
  return read ? "read" : read.error().message;
}

TEST(Catalogue, WhatShipsIsWholeAndFounded) {
  const std::vector<Entry>& all = catalogue();
  ASSERT_GE(all.size(), 15u);
  for (const char* family : {"Phi", "Llama", "DeepSeek", "Qwen", "Gemma"}) {
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Entry& e) {
      return e.family == family;
    })) << family;
  }
  for (const Entry& each : all) {
    EXPECT_TRUE(each.source().starts_with("hf:")) << each.id;
    EXPECT_GT(each.size.n, 100'000'000u) << each.id;
    EXPECT_LT(each.size.n, 40'000'000'000u) << each.id;
    // four to six bits a value, as their names say
    const double bits = static_cast<double>(each.size.n) * 8 / static_cast<double>(each.parameters);
    EXPECT_GT(bits, 3.5) << each.id;
    EXPECT_LT(bits, 8) << each.id;
    for (const Entry::Read& read : each.read)
      EXPECT_NE(read.url.find("/blob/"), std::string::npos) << each.id << ": of a fixed version";
  }
}

TEST(Catalogue, ThereIsOneForEverySizeOfMachine) {
  Speeds quick = speeds(1e12);
  for (const char* type : {"Q4_0", "Q5_K", "Q6_K", "Q8_0"}) quick.types[type] = quick.types["Q4_K"];
  for (const uint64_t gib : {4, 8, 16, 32}) {
    const auto order = ranked(catalogue(), {.budget = GiB(gib / 2), .speeds = quick}, "", {});
    ASSERT_TRUE(order.front().recommended) << gib;
    EXPECT_GT(order.front().needs.n, GiB(gib / 2).n / 3) << "nothing larger for " << gib << " GiB";
    for (const char* family : {"Qwen", "Gemma"}) {
      EXPECT_TRUE(
          std::any_of(order.begin(), order.end(),
                      [&](const Ranked& one) { return one.fits && one.entry->family == family; }))
          << family << " for " << gib;
    }
  }
}

TEST(Catalogue, AnEntryWithoutAFieldIsRefusedByName) {
  EXPECT_EQ(error_of(entry()), "read");
  const Json whole = entry();
  for (const auto& [field, value] : whole.items()) {
    Json lacking = entry();
    lacking.erase(field);
    EXPECT_NE(error_of(lacking).find(cat("'", field, "'")), std::string::npos) << error_of(lacking);
    Json other = entry();
    other[field] = Json::array({7});
    EXPECT_NE(error_of(other), "read") << field;
  }
  for (const char* field : {"layers", "width", "heads", "kv_heads", "vocabulary"}) {
    Json lacking = entry();
    lacking["shape"].erase(field);
    EXPECT_NE(error_of(lacking), "read") << field;
  }
}

TEST(Catalogue, WhatNoAddressGaveIsRefused) {
  for (const char* field : {"repository", "file", "size_bytes", "licence", "shape"}) {
    Json one = entry();
    Json& gave = one["read"][0]["gave"];
    gave.erase(std::find(gave.begin(), gave.end(), field));
    EXPECT_NE(error_of(one).find(cat("'", field, "' that no address gave")), std::string::npos)
        << error_of(one);
  }
  Json one = entry();
  one["sha256"] = std::string(64, 'a');
  EXPECT_NE(error_of(one).find("'sha256' that no address gave"), std::string::npos);
  one["read"][0]["gave"].push_back("sha256");
  EXPECT_EQ(error_of(one), "read");
  one["sha256"] = "short";
  EXPECT_NE(error_of(one).find("sha256 that is none"), std::string::npos);
  one = entry();
  one["read"][0]["url"] = "from memory";
  EXPECT_NE(error_of(one), "read");
}

TEST(Catalogue, TwiceIsRefusedAndSoAreNamesThatCannotBe) {
  EXPECT_FALSE(list_of({entry(), entry()}));
  Json one = entry();
  one["file"] = "small-00001-of-00002.gguf";
  EXPECT_NE(error_of(one), "read");
  one["file"] = "small.safetensors";
  EXPECT_NE(error_of(one), "read");
  one = entry();
  one["id"] = "Small Model";
  EXPECT_NE(error_of(one), "read");
  EXPECT_FALSE(read_catalogue("[]"));
  EXPECT_FALSE(read_catalogue("{"));
}

Json sized(const std::string& id, uint64_t billions, uint64_t bytes) {
  Json one = entry(id);
  one["parameters"] = billions * 1'000'000'000;
  one["size_bytes"] = bytes;
  one["file"] = id + ".gguf";
  return one;
}

TEST(Catalogue, AModelAtHandIsKnownByItsIdOrItsFile) {
  const Entry& entry = catalogue().front();
  Model model;
  model.id = entry.id;
  model.file = "/models/other.gguf";
  EXPECT_EQ(entry_of(model), &entry);
  EXPECT_EQ(title_of(model), entry.title);
  model.id = "mine";
  EXPECT_EQ(entry_of(model), nullptr);
  EXPECT_EQ(title_of(model), "");
  model.file = "/models/" + lower(entry.file);
  EXPECT_EQ(entry_of(model), &entry);
  model.id = "smollm2-135m-instruct-q4_1";
  EXPECT_EQ(title_of(model), "SmolLM2 135M Instruct");
}

TEST(Ranking, TheMostAbleThatFitsAndIsQuickIsRecommended) {
  const auto all = list_of({sized("one", 1, 700'000'000), sized("three", 3, 2'000'000'000),
                            sized("eight", 8, 5'000'000'000), sized("thirty", 30, 18'000'000'000)});
  ASSERT_TRUE(all) << all.error().message;
  auto order = ranked(*all, {.budget = GiB(8), .speeds = speeds(1e11)}, "", {});
  EXPECT_EQ(order[0].entry->id, "eight");
  EXPECT_TRUE(order[0].recommended);
  EXPECT_EQ(order[3].entry->id, "thirty");
  EXPECT_FALSE(order[3].fits);
  EXPECT_NE(order[3].why.find("memory.budget allows 8.0 GiB"), std::string::npos) << order[3].why;
  // on a slow machine the large one writes slower than people read
  order = ranked(*all, {.budget = GiB(8), .speeds = speeds(1.2e10)}, "", {});
  EXPECT_EQ(order[0].entry->id, "three");
  EXPECT_EQ(order[2].entry->id, "eight");
  EXPECT_NE(order[2].why.find("slower than people read"), std::string::npos) << order[2].why;
  // and on a very slow one none is recommended
  order = ranked(*all, {.budget = GiB(8), .speeds = speeds(1e9)}, "", {});
  EXPECT_FALSE(order[0].recommended);
  EXPECT_EQ(order[0].entry->id, "one");
}

TEST(Ranking, WithoutAMeasurementTheRateGoesBySize) {
  const auto all = list_of({sized("one", 1, 700'000'000)});
  const auto order =
      ranked(*all, {.budget = GiB(8), .tokens_per_s = 100, .of_model = Bytes{70'000'000}}, "", {});
  ASSERT_TRUE(order[0].predicted);
  EXPECT_NEAR(order[0].predicted->tokens_per_s, 10, 2);
  EXPECT_EQ(order[0].predicted->prompt_tokens_per_s, 0);
}

TEST(Ranking, WithoutAnySpeedALargeModelIsNotCalledBetter) {
  const auto all = list_of({sized("one", 1, 700'000'000), sized("three", 3, 2'000'000'000),
                            sized("fourteen", 14, 9'000'000'000)});
  const auto order = ranked(*all, {.budget = GiB(24)}, "", {});
  EXPECT_EQ(order[0].entry->id, "three");
  EXPECT_TRUE(order[0].recommended);
  EXPECT_FALSE(order[0].predicted);
  EXPECT_TRUE(order[2].fits);
  EXPECT_NE(order[2].why.find("not known yet"), std::string::npos) << order[2].why;
}

TEST(Ranking, WithoutAMeasurementTheEngineIsTakenToCopyAllMatrices) {
  const auto all = list_of({sized("one", 1, 700'000'000)});
  Speeds copying = speeds(1e11);
  copying.types["Q4_K"].copied = kCopiedMost;
  const auto needs_with = [&](const std::optional<Speeds>& measured) {
    return ranked(*all, {.budget = GiB(8), .speeds = measured}, "", {})[0].needs;
  };
  EXPECT_EQ(needs_with(std::nullopt), needs_with(copying));
  EXPECT_GT(needs_with(std::nullopt).n, needs_with(speeds(1e11)).n + 500'000'000);
}

TEST(Ranking, OneThatThinksMustBeQuicker) {
  Json thinker = sized("thinker", 3, 2'000'000'000);
  thinker["thinks"] = true;
  const auto all = list_of({sized("one", 1, 700'000'000), thinker});
  const auto order = ranked(*all, {.budget = GiB(8), .speeds = speeds(1.4e10)}, "", {});
  EXPECT_EQ(order[0].entry->id, "one");
  EXPECT_NE(order[1].why.find("thinks before it answers"), std::string::npos) << order[1].why;
}

TEST(Ranking, WordsMustAllStandAndWhatIsHereIsTold) {
  const auto all = list_of({sized("one", 1, 700'000'000), sized("three", 3, 2'000'000'000)});
  EXPECT_EQ(ranked(*all, {.budget = GiB(8)}, "THREE mit", {}).size(), 1u);
  EXPECT_EQ(ranked(*all, {.budget = GiB(8)}, "three apache", {}).size(), 0u);
  const auto order = ranked(*all, {.budget = GiB(8)}, "", {"three.gguf"});
  EXPECT_TRUE(order[0].have);
  EXPECT_FALSE(order[1].have);
}

TEST(Ranking, ExpertsThatAreNotAskedCostNoTime) {
  Json dense = sized("dense", 30, 18'000'000'000);
  Json experts = sized("experts", 30, 18'000'000'000);
  experts["shape"]["experts"] = 128u;
  experts["shape"]["experts_used"] = 8u;
  experts["shape"]["feed_forward"] = 768u;
  const auto all = list_of({dense, experts});
  const Speeds machine = speeds(1e10);
  EXPECT_GT(predicted_rates((*all)[1].info, machine)->tokens_per_s,
            4 * predicted_rates((*all)[0].info, machine)->tokens_per_s);
}

}  // namespace
}  // namespace lares::inventory
