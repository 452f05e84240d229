// What the fake engine says: its tokens, what a prompt orders, and the format of its answers.
//
// It answers what the prompt's last line orders:
//   repeat: TEXT    TEXT
//   count: N        "1 2 3 ... N"
//   bytes: HEX      those raw bytes
//   random: N       N letters, by the sampling options
//   clock: N        N tokens, each the moment at which it is made: nanoseconds of CLOCK_MONOTONIC
//   and a space
//   look            "N pieces in R rows" of the prompt's pictures and sounds
//   anything else   "The prompt has N words."
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model.h"

namespace lares::engine::fake {

// Tokens are single bytes, some common words and numbers, and control tokens.
inline constexpr std::array<std::string_view, 32> kWords = {
    " the", " The", " and",   " of",   " is",    " has",   " words", " prompt",
    " you", " one", " two",   "Hello", " hello", " world", "lares",  " house",
    " 1",   " 2",   " 3",     " 4",    " 5",     " 6",     " 7",     " 8",
    " 9",   " 10",  "repeat", "count", "random", "bytes",  "The",    "ing"};
enum Control : Token { kBegin = 256, kEnd, kSystem, kUser, kAssistant, kTool, kClock, kFirstWord };
inline constexpr std::array<std::string_view, 7> kControls = {
    "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|clock|>"};
inline constexpr Tokens kVocabulary = kFirstWord + kWords.size();

// The bytes of a token; control tokens and media have none, but for the clock, which tells the
// time.
std::string raw_piece(Token token);
std::string text_of(std::span<const Token> tokens);
// With the begin.
std::vector<Token> tokens_of(std::string_view text, Special special);

// What the prompt orders, as the tokens of the answer.
struct Script {
  std::vector<Token> answer;
  size_t random = 0;  // so many letters, chosen freely
};

class FakeConstraint final : public Constraint {
 public:
  std::string says;  // whatever is ordered; "": what is
};

inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";

// <think>THOUGHTS</think> at the beginning of an answer, and with tools
// <tool_call>{"name": NAME, "arguments": {...}}</tool_call> at its end.
class FakeFormat final : public AnswerFormat {
 public:
  explicit FakeFormat(bool calls) : calls_(calls) {}
  Result<Said> read(const std::string& raw) const override;

 private:
  const bool calls_;
};

// `constraint`: a FakeConstraint, or nullptr.
Script script_for(std::span<const Token> prompt, const Constraint* constraint);

}  // namespace lares::engine::fake
