#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace lares {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{Code::Invalid, "odd"};
  return n / 2;
}

Result<int> quarter(int n) {
  TRY_AS(const int first, half(n));
  TRY(half(first));
  return half(first);
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_TRUE(half(4));
  EXPECT_EQ(*half(4), 2);
  EXPECT_FALSE(half(3));
  EXPECT_EQ(half(3).error().code, Code::Invalid);
}

TEST(Result, TryReturnsTheFirstErrorAndElseGoesOn) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(quarter(3).error().message, "odd");
}

TEST(Result, MovesWhatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto pass = [&]() -> Result<std::unique_ptr<int>> {
    TRY_AS(auto made, make());
    return made;
  };
  EXPECT_EQ(**pass(), 7);
}

TEST(Result, AnErrorSaysWhatWasBeingDoneAndKeepsItsParam) {
  const Error error =
      Error{Code::NoRoom, "it is full", "n"}.within("loading 'x'").within("answering");
  EXPECT_EQ(error.message, "answering: loading 'x': it is full");
  EXPECT_EQ(error.param, "n");
  EXPECT_EQ(error.code, Code::NoRoom);
}

TEST(ResultDeathTest, ReadingTheSideThatIsNotThereIsABug) {
  EXPECT_DEATH({ *half(3); }, "state_.index");
  EXPECT_DEATH({ half(4).error(); }, "state_.index");
}

TEST(Codes, EachHasOneRowWithANameOfItsOwnAndItsOwnExitStatus) {
  std::set<std::string> names;
  std::set<int> exits;
  for (int i = 0; i <= static_cast<int>(Code::Unsupported); i++) {
    const CodeRow& r = row(static_cast<Code>(i));
    EXPECT_TRUE(names.emplace(r.name).second) << r.name;
    // to a shell a prompt that is too long is one more request that is wrong
    EXPECT_EQ(exits.insert(r.exit_status).second, r.code != Code::TooLong) << r.name;
    EXPECT_EQ(row_named(r.name), &r);
    EXPECT_GE(r.http_status, 400);
    EXPECT_LT(r.http_status, 600);
    EXPECT_FALSE(r.api_type.empty());
  }
  EXPECT_EQ(row_of_status(400).code, Code::Invalid);
  EXPECT_EQ(row_of_status(429).code, Code::Busy);
  EXPECT_EQ(row_of_status(418).code, Code::Invalid);
  EXPECT_EQ(row_of_status(599).code, Code::Io);
  EXPECT_EQ(row_named("fine"), nullptr);
  EXPECT_EQ(row_named(""), nullptr);
}

TEST(Codes, HaveTheExitStatusesOfTheCommandLine) {
  EXPECT_EQ(row(Code::Invalid).exit_status, 2);
  EXPECT_EQ(row(Code::NotFound).exit_status, 3);
  EXPECT_EQ(row(Code::Denied).exit_status, 4);
  EXPECT_EQ(row(Code::NoRoom).exit_status, 5);
  EXPECT_EQ(row(Code::Busy).exit_status, 6);
  EXPECT_EQ(row(Code::Offline).exit_status, 7);
  EXPECT_EQ(row(Code::TooLong).exit_status, 2);
  EXPECT_EQ(row(Code::Timeout).exit_status, 8);
  EXPECT_EQ(row(Code::Corrupt).exit_status, 9);
  EXPECT_EQ(row(Code::Unsupported).exit_status, 10);
  EXPECT_EQ(row(Code::WorkerDied).exit_status, 11);
  EXPECT_EQ(row(Code::Io).exit_status, 12);
  EXPECT_EQ(row(Code::Cancelled).exit_status, 130);
}

}  // namespace
}  // namespace lares
