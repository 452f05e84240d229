#include "engine/testing/contract.h"

namespace lares::engine::testing {
namespace {

Result<std::unique_ptr<Model>> load(const wire::Load& shape, Pulse& pulse) {
  return fake_model({}, shape, pulse);
}
Result<std::unique_ptr<Model>> load_with_window(const wire::Load& shape, Pulse& pulse) {
  return fake_model({{"window", "64"}}, shape, pulse);
}

INSTANTIATE_TEST_SUITE_P(Fake, BackendContract,
                         ::testing::Values(ContractCase{"whole", load},
                                           ContractCase{"window", load_with_window}),
                         contract_name);

TEST(Fake, RefusesOptionsThatAreNoCounts) {
  const auto* const backend = Registered<Backend>::find("fake");
  for (const char* name : {"load-ms", "tokens-per-s", "size", "window"}) {
    Options options{{name, "many"}};
    const auto prepared = backend->prepare(options);
    ASSERT_FALSE(prepared) << name;
    EXPECT_NE(prepared.error().message.find(name), std::string::npos);
  }
}

TEST(Fake, LeavesOptionsThatAreNotItsOwn) {
  Options options{{"variant", "x"}, {"size", "300MiB"}};
  ASSERT_TRUE(Registered<Backend>::find("fake")->prepare(options));
  EXPECT_EQ(options.size(), 1U);
}

TEST(Fake, TellsTheClockInOrder) {
  Talk talk;
  const int64_t before = std::chrono::steady_clock::now().time_since_epoch().count();
  talk.complete(1, "clock: 5");
  ASSERT_TRUE(talk.run());
  const int64_t after = std::chrono::steady_clock::now().time_since_epoch().count();
  ASSERT_EQ(talk[1].pieces.size(), 5U);
  int64_t last = before;
  for (const std::string& piece : talk[1].pieces) {
    const int64_t stamp = std::stoll(piece);
    EXPECT_GE(stamp, last);
    last = stamp;
  }
  EXPECT_LE(last, after);
}

TEST(Fake, LikeTextsHaveLikeVectors) {
  wire::Load load;
  load.embeddings = true;
  Pulse pulse;
  const auto model = fake_model({}, load, pulse);
  const auto vector = [&](const std::string& text) {
    const auto tokens = model->tokenize(text, Special::AsText);
    const std::span<const Token> one[] = {*tokens};
    return *model->embed(one);
  };
  const auto cosine = [&](const std::string& a, const std::string& b) {
    const auto x = vector(a);
    const auto y = vector(b);
    float sum = 0;
    for (size_t i = 0; i < x.size(); i++) sum += x[i] * y[i];
    return sum;
  };
  EXPECT_GT(cosine("a small house", "a small mouse"), cosine("a small house", "17 + 4 = 21"));
}

}  // namespace
}  // namespace lares::engine::testing
