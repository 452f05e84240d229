// What a sequence's state is, byte by byte: a fork has its source's and leaves that as it was, a
// conversation that was parked comes back as it was, and a step that was given up leaves no trace.
// With a generated model, which is always there, and with a real one.
#include <thread>

#include "engine/testing/talk.h"
#include "engine/testing/timed_model.h"
#include "generated_vision.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

using Bytes = std::vector<std::byte>;

struct Case {
  const char* name;
  std::function<Result<std::unique_ptr<Model>>(const wire::Load&, Pulse&)> load;
};
void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

// Wide enough that a step takes milliseconds, so that one can be given up in its middle.
Result<std::unique_ptr<Model>> generated(const wire::Load& shape, Pulse& pulse) {
  static const TempFile file(text_model("llama", 1, 512));
  return load_file(file.path, shape, pulse);
}

class States : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    Pulse pulse;
    const auto model = GetParam().load(shape(), pulse);
    if (!model && model.error().code == Code::NotFound) GTEST_SKIP() << model.error().message;
    ASSERT_TRUE(model) << model.error().message;
  }
  static wire::Load shape() {
    return {.name = "m", .context = 1024, .sequences = 4, .threads = 2, .batch = 64};
  }
  static std::unique_ptr<Model> load(Pulse& pulse) {
    auto model = GetParam().load(shape(), pulse);
    EXPECT_TRUE(model) << model.error().message;
    return *std::move(model);
  }
  static std::unique_ptr<Talk> talk() {
    return std::make_unique<Talk>([](Pulse& pulse) { return load(pulse); });
  }

  // Has the number of the sequence in it.
  static Bytes state(Model& model, Sequence sequence) {
    Bytes bytes(model.state_size(sequence));
    EXPECT_TRUE(bytes.empty() || model.save(sequence, bytes));
    return bytes;
  }
  // Of its positions before `until`, by way of the last sequence, which nobody else uses.
  static Bytes state(Model& model, Sequence sequence, Position until) {
    const auto spare = static_cast<Sequence>(model.facts().sequences) - 1;
    EXPECT_EQ(model.first_position(spare), -1);
    model.share(sequence, spare, until);
    Bytes bytes = state(model, spare);
    EXPECT_TRUE(model.cut(spare, 0));
    return bytes;
  }
  // Tokens `from` to `to` of a text that has no end, in one step.
  static void compute(Model& model, Sequence sequence, Position from, Position to, int text = 1) {
    std::vector<Row> rows;
    for (Position at = from; at < to; at++)
      rows.push_back({100 + (at * 31 + text * 57) % 150, at, sequence, at + 1 == to});
    ASSERT_EQ(model.decode(rows), Decoded::Ok);
  }

  static std::string words(size_t count) {
    std::string text;
    for (size_t i = 0; i < count; i++) text += i % 7 == 3 ? " house" : " the";
    return text;
  }
  static Json greedy(Tokens tokens) {
    return {{"temperature", 0}, {"max_tokens", tokens}, {"ignore_eos", true}};
  }
  // The sequence that holds so many tokens of the request, or more, but not `other`.
  static Sequence holding(const Talk& talk, std::span<const Token> tokens, Sequence other = -1) {
    const Slots& slots = talk.batcher.slots();
    for (Sequence s = 0; s < static_cast<Sequence>(slots.count()); s++) {
      if (s != other && common_prefix(slots[s].tokens, tokens) == tokens.size()) return s;
    }
    return -1;
  }
};

TEST_P(States, AForkHasItsSourcesStateAndLeavesItAsItWas) {
  Pulse pulse;
  const auto model = load(pulse);
  constexpr Position kAll = 1'000;
  compute(*model, 0, 0, 40);
  const Bytes prefix = state(*model, 0, kAll);
  compute(*model, 0, 40, 48);
  const Bytes source = state(*model, 0, kAll);
  ASSERT_GT(prefix.size(), 40U * 64);
  ASSERT_GT(source.size(), prefix.size());

  model->share(0, 1, 40);
  EXPECT_TRUE(state(*model, 1, kAll) == prefix);
  EXPECT_TRUE(state(*model, 0, kAll) == source);
  compute(*model, 1, 40, 48, 2);  // goes another way
  EXPECT_TRUE(state(*model, 0, kAll) == source);
  EXPECT_TRUE(state(*model, 1, 40) == prefix);
  EXPECT_EQ(state(*model, 1, kAll).size(), source.size());
  EXPECT_FALSE(state(*model, 1, kAll) == source);
  ASSERT_TRUE(model->cut(1, 40));
  EXPECT_TRUE(state(*model, 1, kAll) == prefix);
  ASSERT_TRUE(model->cut(0, 0));  // what it shares stays
  EXPECT_TRUE(state(*model, 1, kAll) == prefix);
}

TEST_P(States, AnAnswerThatForksAnotherHasItsStateAndLeavesItAsItWas) {
  const auto t = talk();
  t->complete(1, words(150), greedy(40));
  while (!(*t)[1].started || (*t)[1].tokens < 4) ASSERT_TRUE(t->batcher.step());
  std::vector<Token> prompt = *t->model->tokenize(words(150), Special::Parsed);
  prompt.pop_back();  // the last one is always computed anew
  const auto until = static_cast<Position>(prompt.size());
  const Sequence source = holding(*t, prompt);
  ASSERT_NE(source, -1);
  const Bytes before = state(*t->model, source, until);
  ASSERT_GT(before.size(), prompt.size() * 64);

  t->complete(2, words(150) + " dog", greedy(20));
  while (!(*t)[2].started || (*t)[2].tokens < 4) ASSERT_TRUE(t->batcher.step());
  ASSERT_FALSE((*t)[1].ended());
  EXPECT_GE((*t)[2].started->reused_tokens, prompt.size());
  const Sequence fork = holding(*t, prompt, source);
  ASSERT_NE(fork, -1);
  EXPECT_TRUE(state(*t->model, fork, until) == before);
  EXPECT_TRUE(state(*t->model, source, until) == before);
  ASSERT_TRUE(t->run());
  EXPECT_TRUE((*t)[1].done && (*t)[2].done);
}

TEST_P(States, AConversationThatWasParkedComesBackByteForByte) {
  const auto t = talk();
  t->complete(1, words(200), greedy(8));
  ASSERT_TRUE(t->run());
  ASSERT_EQ(t->batcher.parked().count(), 1U);
  std::vector<Token> prompt = *t->model->tokenize(words(200), Special::Parsed);
  prompt.pop_back();
  const auto until = static_cast<Position>(prompt.size());
  const Sequence first = holding(*t, prompt);
  ASSERT_NE(first, -1);
  const Bytes before = state(*t->model, first, until);
  ASSERT_GT(before.size(), prompt.size() * 64);

  t->complete(2, " one two" + words(60), greedy(4));
  ASSERT_TRUE(t->run());
  ASSERT_EQ(holding(*t, prompt), -1) << "the first is still there";

  t->complete(3, words(200) + " dog", greedy(4));
  ASSERT_TRUE(t->run());
  EXPECT_GE((*t)[3].started->reused_tokens, prompt.size());
  const Sequence again = holding(*t, prompt);
  ASSERT_NE(again, -1);
  EXPECT_TRUE(state(*t->model, again, until) == before);
}

// Aborted in the middle of its prompt, and in the middle of its answer, by what is more urgent, and
// computed again: bit for bit what it says undisturbed, and what it holds then.
TEST_P(States, AStepThatWasGivenUpIsComputedAgainBitForBit) {
  size_t aborted = 0, in_prompt = 0;
  const auto say = [&](bool disturbed, Bytes& held) {
    FakeClock clock;
    TimedModel* timed = nullptr;
    Talk talk([&](Pulse& pulse) {
      auto made = std::make_unique<TimedModel>(load(pulse), clock, 0, 0);
      timed = made.get();
      return made;
    });
    std::jthread other;
    size_t seen = 0;
    bool just_aborted = false;
    timed->on_step = [&] {
      just_aborted = timed->aborted != seen;
      seen = timed->aborted;
      if (!disturbed || just_aborted) return;
      const uint64_t from = talk.pulse.progress();
      other = std::jthread([&pulse = talk.pulse, from](const std::stop_token& stop) {
        while (pulse.progress() < from + 9 && !stop.stop_requested()) {
        }
        pulse.abort();  // as hurry() does, wherever the step is
      });
    };
    talk.lane = Lane::Background;
    talk.complete(1, words(200),
                  {{"seed", 3},
                   {"temperature", 0.7},
                   {"max_tokens", 24},
                   {"logprobs", true},
                   {"ignore_eos", true}});
    while (!talk[1].ended()) {
      talk.batcher.step();
      other = {};
      if (talk[1].tokens == 0) in_prompt = timed->aborted;
    }
    EXPECT_TRUE(talk[1].done);
    aborted = timed->aborted;
    const std::vector<Token> prompt = *talk.model->tokenize(words(200), Special::Parsed);
    const Sequence sequence = holding(talk, prompt);
    EXPECT_NE(sequence, -1);
    held = state(timed->inner(), sequence);
    return talk[1];
  };
  Bytes of_alone, of_disturbed;
  const Heard alone = say(false, of_alone);
  EXPECT_EQ(aborted, 0U);
  const Heard disturbed = say(true, of_disturbed);
  EXPECT_GT(in_prompt, 0U) << "no step of the prompt was given up";
  EXPECT_GT(aborted, in_prompt) << "no step of the answer was given up";
  std::printf("%zu steps were given up, %zu of them in the prompt\n", aborted, in_prompt);
  EXPECT_EQ(disturbed.text, alone.text);
  EXPECT_EQ(disturbed.logprobs, alone.logprobs);
  EXPECT_TRUE(of_disturbed == of_alone);
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Generated, States, ::testing::Values(Case{"Llama", generated}), case_name);
INSTANTIATE_TEST_SUITE_P(Real, States,
                         ::testing::Values(Case{"SmolLM2",
                                                [](const wire::Load& shape, Pulse& pulse) {
                                                  return testing::load(kSmolLm, shape, pulse);
                                                }}),
                         case_name);

}  // namespace
}  // namespace lares::engine::testing
