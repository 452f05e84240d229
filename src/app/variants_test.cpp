#include "app/variants.h"

#include <gtest/gtest.h>

#include "app/testing/fake_house.h"
#include "base/text.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

// A worker program that is a script: it answers a probe by what the test wrote for the variant, and
// notes that it was asked. The variants are those that this machine claims.
struct VariantsTest : ::testing::Test {
  VariantsTest() {
    home.cache = folder.path();
    programs.worker = folder.path() / "worker";
    programs.variants = folder.path();
    claimed = inventory::claimed_variants(inventory::cpu());
    const std::string script =
        cat("#!/bin/sh\necho \"$1\" >> ", (folder.path() / "asked").string(),
            "\nname=${1##*libggml-cpu-}\n. ", folder.path().string(), "/says-${name%.so}\n");
    EXPECT_TRUE(write_file(programs.worker, script, 0700));
  }
  void SetUp() override {
    if (claimed.size() < 2) GTEST_SKIP() << "this CPU claims fewer than two variants";
    fast = claimed[0];
    slow = claimed[1];
  }
  void build(const std::string& variant, const std::string& says) {
    EXPECT_TRUE(write_file(folder.path() / cat("libggml-cpu-", variant, ".so"), "library"));
    EXPECT_TRUE(write_file(folder.path() / cat("says-", variant), says + "\n"));
  }
  static std::string right(int prefill, int decode) {
    return cat("echo '{\"ok\": true, \"gflops_prefill\": ", prefill,
               ", \"gflops_decode\": ", decode, "}'");
  }
  Result<Variants> choose(const std::string& only = "") {
    return choose_variant(programs, home, only, log);
  }
  size_t asked() {
    auto lines = read_file(folder.path() / "asked");
    return lines ? static_cast<size_t>(std::count(lines->begin(), lines->end(), '\n')) : 0;
  }

  testing::Folder folder;
  Log log = Log::silent();
  Home home;
  Programs programs;
  std::vector<std::string> claimed;
  std::string fast;
  std::string slow;
};

TEST_F(VariantsTest, TheFastestThatComputesRightlyIsChosen) {
  build(fast, right(10, 10));
  build(slow, right(30, 10));
  auto variants = choose();
  ASSERT_TRUE(variants) << variants.error().message;
  EXPECT_EQ(variants->chosen, slow);
  const EngineChoice engine = engine_choice(programs, *variants);
  EXPECT_EQ(engine.arguments[1],
            cat("--variant=", (folder.path() / cat("libggml-cpu-", slow, ".so")).string()));
}

TEST_F(VariantsTest, OneThatDiesOrComputesWronglyCostsALineAndNothingElse) {
  build(fast, "kill -ILL $$");
  build(slow, right(1, 1));
  auto variants = choose();
  ASSERT_TRUE(variants);
  EXPECT_EQ(variants->chosen, slow);
  EXPECT_NE(variants->probed[0].why.find("SIGILL"), std::string::npos) << variants->probed[0].why;

  build(fast, "echo '{\"ok\": false, \"error_max\": 0.5}'");
  fs::remove(folder.path() / "variants.json");
  variants = choose();
  ASSERT_TRUE(variants);
  EXPECT_EQ(variants->probed[0].why, "computes wrong products (relative error 0.5)");
}

TEST_F(VariantsTest, WhereTheBestClaimsAllFailTheNextOnesAreTriedUntilOneIsRight) {
  if (claimed.size() < kProbesCompared + 3) GTEST_SKIP() << "this CPU claims too few variants";
  for (size_t i = 0; i <= kProbesCompared; i++) build(claimed[i], "kill -ILL $$");
  const std::string fallback = claimed[kProbesCompared + 1];
  const std::string last = claimed[kProbesCompared + 2];
  build(fallback, right(1, 1));
  build(last, right(99, 99));
  for (int remembered = 0; remembered < 2; remembered++) {
    auto variants = choose();
    ASSERT_TRUE(variants) << variants.error().message;
    EXPECT_EQ(variants->chosen, fallback);
    ASSERT_EQ(variants->probed.size(), kProbesCompared + 3);
    EXPECT_EQ(variants->probed.back().variant, last);
    EXPECT_FALSE(variants->probed.back().tried);
    EXPECT_EQ(
        variants->probed.back().why,
        cat("was not tried: '", fallback, "', which claims more instructions, computes right"));
  }
  EXPECT_EQ(asked(), kProbesCompared + 2);
}

TEST(NextProbe, TheBestClaimsAreComparedAndThenOneRightIsEnough) {
  std::vector<Probed> so_far;
  for (size_t i = 0; i < kProbesCompared; i++) {
    EXPECT_TRUE(next_probe(so_far, milliseconds{}).wanted) << i;
    so_far.push_back({.variant = "v", .ok = true});
  }
  EXPECT_FALSE(next_probe(so_far, milliseconds{}).wanted);
  for (Probed& probed : so_far) probed.ok = false;
  EXPECT_TRUE(next_probe(so_far, milliseconds{}).wanted);
}

TEST(NextProbe, NoneIsBegunWhenTheTimeIsUp) {
  EXPECT_TRUE(next_probe({}, kProbingMax - milliseconds(1)).wanted);
  const NextProbe next = next_probe({{.variant = "v"}}, kProbingMax);
  EXPECT_FALSE(next.wanted);
  EXPECT_EQ(next.why, "was not tried: the others took 60 s");
}

TEST_F(VariantsTest, WhatWasFoundIsRememberedUntilAFileChanges) {
  build(fast, right(10, 10));
  ASSERT_TRUE(choose());
  ASSERT_TRUE(choose());
  EXPECT_EQ(asked(), 1u);
  build(slow, right(99, 99));
  EXPECT_EQ(choose()->chosen, slow);
  EXPECT_EQ(asked(), 3u);
}

TEST_F(VariantsTest, ADamagedMemoryIsProbedAgain) {
  build(fast, right(10, 10));
  for (const char* damage : {"", "{", "[]", R"({"key": 1})", R"({"key": {}, "probed": "x"})"}) {
    ASSERT_TRUE(write_file(folder.path() / "variants.json", damage));
    EXPECT_TRUE(choose()) << damage;
  }
}

TEST_F(VariantsTest, AProbeThatSaysNonsenseIsNoVariant) {
  build(fast, "echo '[1, 2]'");
  auto variants = choose();
  ASSERT_FALSE(variants);
  EXPECT_EQ(variants.error().code, Code::Unsupported);
  EXPECT_NE(variants.error().message.find("nothing that makes sense"), std::string::npos);
}

TEST_F(VariantsTest, WithoutAnyItSaysHowToBuildOne) {
  EXPECT_NE(choose().error().message.find("`tools/bootstrap variants all`"), std::string::npos);
}

TEST_F(VariantsTest, ThePersonsChoiceIsTakenOrRefusedByName) {
  build(fast, "kill -ILL $$");
  build(slow, right(1, 1));
  EXPECT_EQ(choose(slow)->chosen, slow);
  EXPECT_NE(choose(fast).error().message.find(cat("engine.variant = '", fast, "'")),
            std::string::npos);
  EXPECT_FALSE(choose("no-such-variant"));
}

}  // namespace
}  // namespace lares::app
