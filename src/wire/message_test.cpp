#include "wire/message.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lares::wire {
namespace {

// One example of each message, with every field set to something of its own.
struct Example {
  const char* name;
  Frame frame;
  std::function<Result<Frame>(const Frame&)> through;  // reads it and writes it again
};

template <class Message>
Example example(const char* name, const Message& message) {
  return {name, to_frame(message), [](const Frame& frame) -> Result<Frame> {
            TRY_AS(auto read, from_frame<Message>(frame));
            return to_frame(read);
          }};
}

template <class Message>
Example example(const char* name, const Message& message, uint64_t id) {
  return {name, to_frame(message, id), [](const Frame& frame) -> Result<Frame> {
            TRY_AS(auto read, from_frame<Message>(frame));
            return to_frame(read, frame.id);
          }};
}

std::vector<Example> examples() {
  return {
      example("Hello",
              Hello{"llama", "haswell", {"seccomp", "landlock:7"}, {"user-namespace: denied"}}),
      example("Load", Load{"m", 4096, 4, 2, 256, true, {"a", "b"}, 512, 20, "d"}),
      example("Loaded",
              Loaded{{{"architecture", "bert"}}, 120, 1u << 30, 1u << 20, "it is another"}),
      example("Generate",
              Generate{"chat", {{"messages", Json::array()}, {"temperature", 0.5}}, Lane::Agent, 3},
              7),
      example("Embed", Embed{Json::array({"text", Json::array({1, 2})}), Lane::Background, 4}, 8),
      example("Rank", Rank{"which", Json::array({"this", "that"}), Lane::Agent, 5}, 14),
      example("Resume", Resume{"\xA0", 77, 64, std::string("\x07\0\0\x80", 4), Lane::Agent, 6}, 15),
      example("Move", Move{Rung::Parked, true}),
      example("Moved", Moved{Rung::Warm, 1.5, 1u << 20}),
      example("Started", Started{100, 60, 77, 64}, 9),
      example("Delta",
              Delta{"word",
                    Json::array({{{"token", "word"}}}),
                    1,
                    "hm",
                    Json::array({{{"index", 0}, {"name", "f"}}}),
                    {5, 6},
                    true},
              10),
      example("Done",
              Done{"stop",
                   10,
                   20,
                   5,
                   1.5,
                   2.5,
                   3.5,
                   "END",
                   std::string("\0\xFF\x80", 3),
                   {3, 7},
                   4,
                   9,
                   8,
                   7,
                   6},
              11),
      example("Failed", Failed{{Code::NoRoom, "it is full; retry", "n"}, 3.5}, 12),
      example("Beat", Beat{12345678901234, true}),
      example("Progress", Progress{"load", 0.25}, 13),
  };
}

// The frame with its payload changed by `change`.
Frame with(const Frame& frame, const std::function<void(Json&)>& change) {
  Json payload = *parse_cbor(frame.payload);
  change(payload);
  return {frame.type, frame.id, to_cbor(payload)};
}

TEST(Message, EveryOneReadsBackAsItWasWritten) {
  for (const Example& e : examples()) {
    const auto back = e.through(e.frame);
    ASSERT_TRUE(back) << e.name << ": " << back.error().message;
    EXPECT_EQ(*back, e.frame) << e.name;
  }
}

TEST(Message, ARungIsOneOnWhichAWorkerStands) {
  const Frame move = to_frame(Move{Rung::Warm, false});
  for (const char* wrong : {"absent", "hotter", ""}) {
    const auto read = from_frame<Move>(with(move, [&](Json& p) { p["rung"] = wrong; }));
    ASSERT_FALSE(read) << wrong;
    EXPECT_NE(read.error().message.find("rung"), std::string::npos) << read.error().message;
  }
}

TEST(Message, WithoutOneOfItsFieldsIsCorruptAndSaysWhich) {
  for (const Example& e : examples()) {
    const Json payload = *parse_cbor(e.frame.payload);
    for (const auto& [field, value] : payload.items()) {
      static const std::set<std::string> not_in_all = {"reasoning", "tool_calls",
                                                       "reasoning_tokens", "ids", "last"};
      if (not_in_all.contains(field) && std::string(e.name) != "Resume") continue;
      if (std::string(e.name) == "Started" && (field == "chance" || field == "thinking_max"))
        continue;
      if (std::string(e.name) == "Failed" && field == "cpu_ms") continue;
      if (field.find("draft") != std::string::npos || field == "accepted_tokens" ||
          field == "model_accepted_tokens")
        continue;
      const auto back = e.through(with(e.frame, [&](Json& p) { p.erase(field); }));
      ASSERT_FALSE(back) << e.name << " without " << field;
      EXPECT_EQ(back.error().code, Code::Corrupt);
      EXPECT_EQ(back.error().message, "reading a message: '" + field + "' is missing") << e.name;
    }
  }
}

TEST(Message, WithAFieldOfAnotherTypeIsCorrupt) {
  const std::vector<Json> kinds{nullptr,           true,          -1, 0.5, "x", Json::array(),
                                Json::array({-1}), Json::object()};
  for (const Example& e : examples()) {
    const Json payload = *parse_cbor(e.frame.payload);
    for (const auto& [field, value] : payload.items()) {
      for (const Json& kind : kinds) {
        const bool both_numbers = value.is_number() && kind.is_number();
        const bool both_texts = (value.is_string() || value.is_binary()) && kind.is_string();
        if (kind.type() == value.type() || both_numbers || both_texts) continue;
        if (std::string(e.name) == "Delta" && field == "logprobs" && kind.is_null()) continue;
        const auto back = e.through(with(e.frame, [&](Json& p) { p[field] = kind; }));
        ASSERT_FALSE(back) << e.name << "." << field << " as " << dump(kind);
        EXPECT_EQ(back.error().code, Code::Corrupt) << e.name << "." << field;
        EXPECT_NE(back.error().message.find("'" + field + "' is "), std::string::npos)
            << back.error().message;
      }
    }
  }
}

TEST(Message, WithACountOutOfRangeIsCorrupt) {
  const auto wrong = [](const Frame& frame, const char* field, const Json& value) {
    const Frame changed = with(frame, [&](Json& p) { p[field] = value; });
    for (const Example& e : examples()) {
      if (e.frame.type == frame.type) return !e.through(changed);
    }
    return false;
  };
  EXPECT_TRUE(wrong(to_frame(Started{}, 1), "prompt_tokens", -1));
  EXPECT_TRUE(wrong(to_frame(Started{}, 1), "prompt_tokens", 1ULL << 32));
  EXPECT_TRUE(wrong(to_frame(Started{}, 1), "prompt_tokens", 1.5));
  EXPECT_TRUE(wrong(to_frame(Loaded{Json::object()}), "load_ms", 1ULL << 63));
  EXPECT_TRUE(wrong(to_frame(Loaded{Json::object()}), "memory_bytes", -1));
  EXPECT_TRUE(wrong(to_frame(Done{}, 1), "input_tokens", Json::array({1ULL << 32})));
  EXPECT_TRUE(wrong(to_frame(Hello{}), "sandbox", Json::array({"a", 1})));
  EXPECT_TRUE(wrong(to_frame(Failed{{Code::Io, ""}}, 1), "code", "no_such_code"));
  EXPECT_TRUE(wrong(to_frame(Generate{"chat", Json::object()}, 1), "lane", "urgent"));
  EXPECT_TRUE(wrong(to_frame(Generate{"chat", Json::object()}, 1), "owner", -1));
  EXPECT_TRUE(wrong(to_frame(Embed{Json::array()}, 1), "lane", ""));
  EXPECT_TRUE(wrong(to_frame(Resume{}, 1), "ids", "12345"));
  EXPECT_TRUE(wrong(to_frame(Delta{}, 1), "ids", Json::array({1ULL << 32})));
}

TEST(Message, WhatMostAnswersDoNotHaveTakesNoRoomInTheirPieces) {
  const Json plain = *parse_cbor(to_frame(Delta{"word", nullptr, 1, "", nullptr}, 1).payload);
  EXPECT_EQ(plain.size(), 3u);
  const auto back = from_frame<Delta>({static_cast<uint8_t>(Type::Delta), 1, to_cbor(plain)});
  ASSERT_TRUE(back);
  EXPECT_EQ(back->reasoning, "");
  EXPECT_TRUE(back->tool_calls.is_null());
}

TEST(Message, OfAnotherTypeOrWithNoObjectIsCorrupt) {
  for (const Example& e : examples()) {
    EXPECT_FALSE(e.through({0, 0, e.frame.payload})) << e.name;
    EXPECT_FALSE(e.through({e.frame.type, 0, ""})) << e.name;
    EXPECT_FALSE(e.through({e.frame.type, 0, to_cbor(Json::array())})) << e.name;
    EXPECT_FALSE(e.through({e.frame.type, 0, "\xFF"})) << e.name;
    EXPECT_FALSE(e.through({e.frame.type, 0, std::string(1 << 20, '\x7F')})) << e.name;
  }
}

TEST(Message, FieldsOfANewerDaemonAreIgnored) {
  for (const Example& e : examples())
    EXPECT_TRUE(e.through(with(e.frame, [](Json& p) { p["newer"] = 1; }))) << e.name;
}

TEST(Message, EveryErrorCodeTravels) {
  for (int i = 0; i <= static_cast<int>(Code::Unsupported); i++) {
    const auto back = from_frame<Failed>(to_frame(Failed{{static_cast<Code>(i), "why", "p"}}, 3));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->error.code, static_cast<Code>(i));
    EXPECT_EQ(back->error.message, "why");
    EXPECT_EQ(back->error.param, "p");
  }
}

TEST(Message, BareOnesCarryTheirTypeAndId) {
  const Frame cancel = to_frame(Type::Cancel, 42);
  EXPECT_EQ(cancel.type, static_cast<uint8_t>(Type::Cancel));
  EXPECT_EQ(cancel.id, 42u);
}

}  // namespace
}  // namespace lares::wire
