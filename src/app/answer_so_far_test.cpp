#include "app/answer_so_far.h"

#include <gtest/gtest.h>

namespace lares::app {
namespace {

wire::Delta piece(std::string text, std::vector<Tokens> ids, Tokens told) {
  wire::Delta delta{std::move(text), nullptr, told};
  delta.ids = std::move(ids);
  return delta;
}

TEST(AnswerSoFar, KeepsIdsAndWhereSomethingWasSaid) {
  AnswerSoFar said;
  EXPECT_FALSE(said.begun());
  said.started({10, 0, 77, 64});
  EXPECT_FALSE(said.begun());
  EXPECT_EQ(said.heard(piece("a", {1, 0x1234567}, 1))->size(), 1u);
  EXPECT_EQ(said.heard(piece("", {2}, 1))->size(), 1u);
  EXPECT_TRUE(said.begun());
  EXPECT_TRUE(said.lost());
  EXPECT_EQ(said.tokens(), 3u);
  const wire::Resume resume = said.resume("payload", Lane::Agent, 4);
  EXPECT_EQ(resume.generate, "payload");
  EXPECT_EQ(resume.chance, 77u);
  EXPECT_EQ(resume.thinking_max, 64);
  EXPECT_EQ(resume.ids, std::string("\x01\0\0\0\x67\x45\x23\x81\x02\0\0\0", 12));
  EXPECT_EQ(resume.lane, Lane::Agent);
  EXPECT_EQ(resume.owner, 4u);
}

TEST(AnswerSoFar, HoldsTheEndBackUntilItIsOne) {
  AnswerSoFar said;
  wire::Delta last = piece("z", {9}, 1);
  last.last = true;
  EXPECT_TRUE(said.heard(last)->empty());
  EXPECT_FALSE(said.begun());
  EXPECT_TRUE(said.lost());
  EXPECT_TRUE(said.done().empty()) << "another worker says it";
  for (size_t i = 0; i < wire::kLastDeltasMax; i++) EXPECT_TRUE(said.heard(last));
  EXPECT_EQ(said.heard(last).error().code, Code::Corrupt);
  EXPECT_EQ(said.done().size(), wire::kLastDeltasMax);
}

TEST(AnswerSoFar, CannotGoOnFromTokensThatItWasNotTold) {
  AnswerSoFar said;
  EXPECT_TRUE(said.heard(piece("ab", {1}, 2)));
  EXPECT_FALSE(said.lost());
  AnswerSoFar echo;  // of a prompt: no tokens of the answer
  EXPECT_TRUE(echo.heard(piece("prompt", {}, 0)));
  EXPECT_TRUE(echo.begun());
  EXPECT_TRUE(echo.lost());
}

TEST(AnswerSoFar, RefusesMoreTokensThanAnAnswerHas) {
  AnswerSoFar said;
  EXPECT_TRUE(said.heard(piece("a", std::vector<Tokens>(AnswerSoFar::kTokensMax, 1), 1)));
  EXPECT_EQ(said.heard(piece("a", {1}, 1)).error().code, Code::Corrupt);
}

}  // namespace
}  // namespace lares::app
