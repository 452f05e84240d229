#include "engine/embeddings.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

// What waits for a model, and what makes it.
struct Waiting {
  Waiting(Options options, const wire::Load& load)
      : model(testing::fake_model(std::move(options), load, pulse)),
        embeddings(*model, clock, shares),
        maker(*model, pulse, clock, [] { return 1U; }) {}
  Result<> add(Result<Made> made) {
    TRY_AS(Made request, std::move(made));
    embeddings.add(std::get<PooledRequest>(std::move(request)));
    return Unit{};
  }
  Result<> add(uint64_t id, const wire::Embed& message) { return add(maker.embed(id, message)); }
  Result<> rank(uint64_t id, const wire::Rank& message) { return add(maker.rank(id, message)); }

  Pulse pulse;
  FakeClock clock;
  Shares shares;
  std::unique_ptr<Model> model;
  Embeddings embeddings;
  RequestMaker maker;
};

wire::Load pooling(uint32_t context, uint32_t batch, uint32_t sequences) {
  wire::Load load;
  load.context = context;
  load.batch = batch;
  load.sequences = sequences;
  load.embeddings = true;
  return load;
}

// An embedder whose tokens are letters: at most `batch` of them are computed at once, of at most
// `sequences` inputs.
struct Queue : Waiting {
  explicit Queue(uint32_t batch = 512, uint32_t sequences = 8)
      : Waiting({}, pooling(8192, batch, sequences)) {}
  // The vectors of what comes next, each of one value; the request's end, if it was its last.
  std::optional<wire::Done> step(const Embeddings::Next& next) {
    return embeddings.took(next, std::vector<float>(next.inputs.size(), 1.0F));
  }
};

Json letters(std::vector<size_t> lengths) {
  Json inputs = Json::array();
  for (const size_t length : lengths) inputs.push_back(std::string(length, 'a'));
  return inputs;
}

TEST(Embeddings, ShortInputsAreComputedTogetherAndALongOneAlone) {
  Queue queue;
  ASSERT_TRUE(queue.add(1, {letters({10, 20, 400, 500, 5})}));
  std::vector<size_t> together;
  std::optional<wire::Done> done;
  while (!done) {
    const auto next = queue.embeddings.next();
    EXPECT_EQ(next.begins, together.empty());
    EXPECT_LE(next.rows, kEmbedRows);
    together.push_back(next.inputs.size());
    done = queue.step(next);
  }
  EXPECT_EQ(together, (std::vector<size_t>{3, 2}));
  EXPECT_EQ(done->vectors.size(), 5 * sizeof(float));
  EXPECT_EQ(done->input_tokens.size(), 5u);
  EXPECT_TRUE(queue.embeddings.empty());
}

TEST(Embeddings, NoMoreInputsTogetherThanTheModelHasSequences) {
  Queue queue(512, 2);
  ASSERT_TRUE(queue.add(1, {letters({1, 1, 1, 1, 1})}));
  size_t steps = 0;
  for (std::optional<wire::Done> done; !done; steps++) {
    const auto next = queue.embeddings.next();
    EXPECT_LE(next.inputs.size(), 2u);
    done = queue.step(next);
  }
  EXPECT_EQ(steps, 3u);
}

TEST(Embeddings, OneRequestAfterTheOtherAndNoneAfterItWasRemoved) {
  Queue queue;
  for (const uint64_t id : {1, 2, 3}) ASSERT_TRUE(queue.add(id, {letters({4})}));
  EXPECT_TRUE(queue.embeddings.has(2));
  EXPECT_TRUE(queue.embeddings.remove(2));
  EXPECT_FALSE(queue.embeddings.remove(2));
  EXPECT_FALSE(queue.embeddings.has(2));
  for (const uint64_t id : {1, 3}) {
    const auto next = queue.embeddings.next();
    EXPECT_EQ(next.id, id);
    EXPECT_TRUE(queue.step(next));
  }
  EXPECT_TRUE(queue.embeddings.empty());
}

TEST(Embeddings, VectorsTravelAsLittleEndianFloats) {
  Queue queue;
  ASSERT_TRUE(queue.add(1, {letters({1})}));
  const auto done = queue.embeddings.took(queue.embeddings.next(), std::vector<float>{1.0F, -2.0F});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->vectors, std::string("\x00\x00\x80\x3F\x00\x00\x00\xC0", 8));
}

struct Ranker : Waiting {
  Ranker() : Waiting({{"pooling", "rank"}}, pooling(64, 64, wire::Load{}.sequences)) {}
};

TEST(Rankings, EachDocumentIsReadTogetherWithTheQuery) {
  Ranker ranker;
  ASSERT_TRUE(ranker.rank(1, wire::Rank{"q", Json::array({"a", "bc"}), Lane::Agent}));
  const auto next = ranker.embeddings.next();
  EXPECT_EQ(next.lane, Lane::Agent);
  ASSERT_EQ(next.inputs.size(), 2U);
  for (size_t i = 0; i < 2; i++) {
    const auto pair = ranker.model->tokenize_pair("q", i == 0 ? "a" : "bc");
    EXPECT_EQ(std::vector<Token>(next.inputs[i].begin(), next.inputs[i].end()), *pair);
  }
  const auto done = ranker.embeddings.took(next, std::vector<float>{1, 2});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->reason, "ranked");
  EXPECT_EQ(done->vectors.size(), 2 * sizeof(float));
  EXPECT_EQ(done->prompt_tokens, done->input_tokens[0] + done->input_tokens[1]);
}

TEST(Rankings, WhatCannotBeRankedNamesItsField) {
  Ranker ranker;
  const auto refused = [&](std::string query, Json documents) {
    auto added = ranker.rank(1, wire::Rank{std::move(query), std::move(documents)});
    EXPECT_FALSE(added);
    return added ? Error{} : added.error();
  };
  EXPECT_EQ(refused("q", Json::array()).param, "documents");
  EXPECT_EQ(refused("q", Json::array({1})).param, "documents");
  EXPECT_EQ(refused("\xFF", Json::array({"a"})).param, "query");
  EXPECT_EQ(refused("q", Json::array({"a", "\xFF"})).message, "'documents' number 1 is no text");
  EXPECT_EQ(refused("q", Json(std::vector<std::string>(kInputsMax + 1, "a"))).param, "documents");
  EXPECT_NE(refused("q", Json::array({std::string(80, 'x')})).message.find("takes 64"),
            std::string::npos);
  EXPECT_TRUE(ranker.embeddings.empty());
}

TEST(Rankings, AnEmbedderAndAChatModelDoNotRank) {
  Queue queue;
  EXPECT_EQ(queue.rank(1, wire::Rank{"q", Json::array({"a"})}).error().param, "model");
  Ranker ranker;
  EXPECT_EQ(ranker.add(1, wire::Embed{Json::array({"a"})}).error().param, "model");
}

TEST(Rankings, ARankerScoresAndDoesNotAnswer) {
  testing::Talk t({{"pooling", "rank"}}, {.context = 256, .batch = 256, .embeddings = true});
  t.batcher.rank(1, {"ab", Json::array({"xy", "ab", "ax"})});
  ASSERT_TRUE(t.run());
  ASSERT_TRUE(t[1].done) << t[1].failed->message;
  EXPECT_EQ(t[1].done->reason, "ranked");
  std::array<float, 3> scores{};
  ASSERT_EQ(t[1].done->vectors.size(), sizeof scores);
  std::memcpy(scores.data(), t[1].done->vectors.data(), sizeof scores);
  EXPECT_EQ(scores, (std::array<float, 3>{0, 1, 0.5F}));
  t.complete(2, "hello");
  EXPECT_EQ(t[2].failed->message, "this is a reranker; answers need a chat model");
}

}  // namespace
}  // namespace lares::engine
