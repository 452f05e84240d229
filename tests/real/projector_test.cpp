// Pictures with the real engine, through libmtmd: a generated language model and generated
// projectors of three kinds. What the rows mean is never asked, only that they count, that they are
// the picture's, and that nothing computed for one is taken for another's. No real projector is
// tried here.
#include <cmath>
#include <thread>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include "engine/testing/media_files.h"
#include "engine/testing/talk.h"
#include "generated_vision.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

struct Pair {
  const char* architecture;
  const char* projector;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.projector; }

struct Files {
  explicit Files(const std::string& model_bytes, const std::string& projector_bytes)
      : model_file(model_bytes),
        projector_file(projector_bytes),
        model(::open(model_file.path.c_str(), O_RDONLY | O_CLOEXEC)),
        projector(::open(projector_file.path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  TempFile model_file, projector_file;
  Fd model, projector;
};

Result<std::unique_ptr<Model>> load_both(const Files& files, Pulse& pulse, wire::Load shape,
                                         bool with_projector = true) {
  if (!variant()) return variant().error();
  LoadOrder order;
  order.load = std::move(shape);
  order.file = files.model.get();
  order.projector = with_projector ? files.projector.get() : -1;
  return Registered<Backend>::find("llama")->load(order, pulse);
}

Json text(const std::string& words) { return {{"type", "text"}, {"text", words}}; }
Json image(uint32_t width, uint32_t height, const Painter& paint) {
  return {{"type", "image"},
          {"data", base64(png(width, height, paint))},
          {"param", "messages[0].content[1].image_url.url"}};
}
const Painter kBoard = board(8);
const Painter kRed = plain({220, 20, 10});

class Pictures : public ::testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    if (!variant()) GTEST_SKIP() << variant().error().message;
    files_ = std::make_unique<Files>(text_model(GetParam().architecture),
                                     projector(GetParam().projector));
  }
  std::unique_ptr<Talk> talk(wire::Load shape = {.context = 1024, .sequences = 4, .batch = 128}) {
    return std::make_unique<Talk>([&](Pulse& pulse) {
      auto model = load_both(*files_, pulse, shape);
      EXPECT_TRUE(model) << model.error().message;
      return *std::move(model);
    });
  }
  static void look(Talk& talk, uint64_t id, Json content, Tokens most = 12) {
    talk.batcher.generate(
        id, {"chat",
             {{"messages", Json::array({{{"role", "user"}, {"content", std::move(content)}}})},
              {"temperature", 0},
              {"max_tokens", most},
              {"ignore_eos", true},
              {"logprobs", true},
              {"top_logprobs", 5}},
             talk.lane,
             talk.owner});
  }
  static std::vector<double> first_logprobs(const Heard& heard) {
    std::vector<double> all;
    for (const Json& each : heard.logprobs[0]["top_logprobs"]) all.push_back(each["logprob"]);
    return all;
  }
  static double apart(const std::vector<double>& a, const std::vector<double>& b) {
    double most = 0;
    for (size_t i = 0; i < a.size(); i++) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
  }
  // What is said of it in a model that has seen nothing else.
  Heard alone(const Json& content) {
    const auto t = talk();
    look(*t, 1, content);
    EXPECT_TRUE(t->run());
    EXPECT_TRUE((*t)[1].done) << (*t)[1].failed->message;
    return (*t)[1];
  }
  std::unique_ptr<Files> files_;
};

TEST_P(Pictures, ChangeWhatIsSaidAndTheSameSayTheSame) {
  const Heard one = alone({text("What is this?"), image(64, 64, kBoard)});
  const Heard again = alone({text("What is this?"), image(64, 64, kBoard)});
  const Heard other = alone({text("What is this?"), image(64, 64, kRed)});
  const Heard none = alone(Json::array({text("What is this?")}));
  EXPECT_EQ(one.text, again.text);
  EXPECT_EQ(first_logprobs(one), first_logprobs(again));
  EXPECT_NE(first_logprobs(one), first_logprobs(other));
  EXPECT_NE(first_logprobs(one), first_logprobs(none));
  EXPECT_GE(one.done->prompt_tokens, none.done->prompt_tokens + 16);
  EXPECT_EQ(one.done->prompt_tokens, other.done->prompt_tokens);
}

TEST_P(Pictures, OfEqualConversationsShareNothingBehindThem) {
  const std::string before = "Here is something to look at, and a few words before it: ";
  const auto t = talk();
  look(*t, 1, {text(before), image(64, 64, kBoard), text("Well?")});
  ASSERT_TRUE(t->run());
  ASSERT_TRUE((*t)[1].done) << (*t)[1].failed->message;
  EXPECT_EQ((*t)[1].started->reused_tokens, 0U);
  look(*t, 2, {text(before), image(64, 64, kRed), text("Well?")});
  ASSERT_TRUE(t->run());
  const Tokens shared = (*t)[2].started->reused_tokens;
  EXPECT_GE(shared, before.size() / 2) << "the text before it is shared";
  EXPECT_LT(shared + 16, (*t)[2].done->prompt_tokens);
  look(*t, 3, {text(before), image(64, 64, kBoard), text("Well?")});
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[3].started->reused_tokens, (*t)[1].done->prompt_tokens - 1);
  // whatever was built upon, each says what it says alone, up to the order of its sums
  for (const auto& [id, paint] : {std::pair{1, kBoard}, std::pair{2, kRed}, std::pair{3, kBoard}}) {
    const Heard expected = alone({text(before), image(64, 64, paint), text("Well?")});
    const auto is = first_logprobs((*t)[static_cast<uint64_t>(id)]);
    const auto must = first_logprobs(expected);
    ASSERT_EQ(is.size(), must.size());
    for (size_t i = 0; i < is.size(); i++) EXPECT_NEAR(is[i], must[i], 1e-3) << id << ": " << i;
  }
}

TEST_P(Pictures, GoOnInTheNextTurn) {
  const auto t = talk();
  const Json first = Json::array({text("Look: "), image(96, 64, kBoard)});
  look(*t, 1, first);
  ASSERT_TRUE(t->run());
  ASSERT_TRUE((*t)[1].done) << (*t)[1].failed->message;
  const auto ask = [&](Talk& which, uint64_t id) {
    which.batcher.generate(
        id, {"chat",
             {{"messages", Json::array({{{"role", "user"}, {"content", first}},
                                        {{"role", "assistant"}, {"content", "Hm."}},
                                        {{"role", "user"}, {"content", "And now?"}}})},
              {"temperature", 0},
              {"max_tokens", 8},
              {"ignore_eos", true},
              {"logprobs", true},
              {"top_logprobs", 5}},
             which.lane,
             which.owner});
    ASSERT_TRUE(which.run());
    ASSERT_TRUE(which[id].done) << which[id].failed->message;
  };
  ask(*t, 2);
  EXPECT_GT((*t)[2].started->reused_tokens, (*t)[1].done->prompt_tokens - 4);
  const auto fresh = talk();
  ask(*fresh, 1);
  EXPECT_EQ((*fresh)[1].started->reused_tokens, 0U);
  const auto is = first_logprobs((*t)[2]);
  const auto must = first_logprobs((*fresh)[1]);
  for (size_t i = 0; i < is.size(); i++) EXPECT_NEAR(is[i], must[i], 1e-3) << i;
}

TEST_P(Pictures, ComeBackFromTheirParkedState) {
  const auto t = talk({.context = 384, .sequences = 2, .batch = 128});
  const Json content = {text("Look at this for a while, it will be asked again: "),
                        image(64, 64, kBoard), text("Well?")};
  look(*t, 1, content);
  ASSERT_TRUE(t->run());
  ASSERT_TRUE((*t)[1].done) << (*t)[1].failed->message;
  ASSERT_GT(t->batcher.parked().count(), 0U);
  for (uint64_t id = 2; id < 4; id++) {  // all of them find room where conversations rest
    t->chat(id, cat(id, std::string(60, 'x')), {{"max_tokens", 4}});
    ASSERT_TRUE(t->run());
    ASSERT_TRUE((*t)[id].done) << (*t)[id].failed->message;
  }
  look(*t, 9, content);
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[9].started->reused_tokens, (*t)[9].done->prompt_tokens - 1);
  const auto is = first_logprobs((*t)[9]);
  const auto must = first_logprobs((*t)[1]);
  for (size_t i = 0; i < is.size(); i++) EXPECT_NEAR(is[i], must[i], 1e-3) << i;
}

TEST_P(Pictures, LetOthersGoOnAndAreNotMixedUp) {
  const auto t = talk();
  t->complete(1, "The quick brown fox",
              {{"temperature", 0}, {"max_tokens", 40}, {"ignore_eos", true}});
  for (uint64_t id = 2; id <= 5; id++)
    look(*t, id, {text("What?"), image(64, 64, id % 2 == 0 ? kBoard : kRed)});
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[1].done->completion_tokens, 40U);
  const auto board_alone = first_logprobs(alone({text("What?"), image(64, 64, kBoard)}));
  const auto red_alone = first_logprobs(alone({text("What?"), image(64, 64, kRed)}));
  for (uint64_t id = 2; id <= 5; id++) {
    ASSERT_TRUE((*t)[id].done) << (*t)[id].failed->message;
    // rows that are computed together are summed in another order
    const auto is = first_logprobs((*t)[id]);
    EXPECT_LT(apart(is, id % 2 == 0 ? board_alone : red_alone), 0.02) << id;
    EXPECT_GT(apart(is, id % 2 == 0 ? red_alone : board_alone), 0.04) << id;
  }
}

TEST_P(Pictures, ThatCannotBeReadEndTheirRequestAlone) {
  const auto t = talk();
  t->complete(1, "The quick", {{"temperature", 0}, {"max_tokens", 8}, {"ignore_eos", true}});
  Json broken = image(8, 8, kRed);
  broken["data"] = "aGVsbG8=";
  look(*t, 2, {text("What?"), broken});
  Json huge = image(8, 8, kRed);
  huge["data"] = base64(png_around(50'000, 50'000, "x"));
  look(*t, 3, {text("What?"), huge});
  Json sound = {{"type", "audio"}, {"data", base64(wav(16'000, 0.1, 440))}, {"param", "p"}};
  look(*t, 4, {text("What?"), sound});
  look(*t, 5, {text("What?"), image(40, 64, kRed)});
  ASSERT_TRUE(t->run());
  EXPECT_TRUE((*t)[1].done);
  for (const uint64_t id : {2U, 3U, 4U}) {
    ASSERT_TRUE((*t)[id].failed) << id;
    EXPECT_EQ((*t)[id].failed->code, Code::Invalid) << id;
  }
  EXPECT_NE((*t)[3].failed->message.find("50000 x 50000"), std::string::npos);
  EXPECT_NE((*t)[4].failed->message.find("takes no sounds"), std::string::npos);
  EXPECT_TRUE((*t)[5].done) << (*t)[5].failed->message;
}

// The engine asks before each node of a graph whether it should go on.
TEST_P(Pictures, AreLeftInTheMiddleWhenTheyAreNotWantedAnyMore) {
  Pulse pulse;
  auto model = load_both(*files_, pulse, {.context = 512, .sequences = 1, .batch = 128});
  ASSERT_TRUE(model) << model.error().message;
  Json messages =
      Json::array({{{"role", "user"}, {"content", Json::array({image(64, 64, kBoard)})}}});
  const auto media = take_media(messages, (*model)->facts().senses);
  ASSERT_TRUE(media) << media.error().message;
  const auto rendered = (*model)->render_chat({messages, nullptr, {}});
  ASSERT_TRUE(rendered) << rendered.error().message;
  const auto parts = (*model)->tokenize_media(rendered->prompt, *media);
  ASSERT_TRUE(parts) << parts.error().message;
  const auto piece = std::find_if(parts->begin(), parts->end(),
                                  [](const PromptPart& part) { return part.media != nullptr; });
  ASSERT_NE(piece, parts->end());
  const uint64_t before = pulse.progress();
  ASSERT_EQ((*model)->encode(*piece->media), Decoded::Ok);
  const uint64_t nodes = pulse.progress() - before;
  EXPECT_GT(nodes, 20U) << "it beats while it computes";
  (*model)->forget_rows(*piece->media);
  EXPECT_FALSE(piece->media->encoded);
  std::thread other([&, from = pulse.progress()] {
    while (pulse.progress() < from + nodes / 4) std::this_thread::yield();
    pulse.abort();
  });
  Decoded done = Decoded::Ok;
  // on a busy machine it may be over before the other thread looks
  for (int i = 0; i < 1000 && done == Decoded::Ok; i++) done = (*model)->encode(*piece->media);
  other.join();
  EXPECT_EQ(done, Decoded::Aborted);
  pulse.allow();
  EXPECT_EQ((*model)->encode(*piece->media), Decoded::Ok);
}

TEST_P(Pictures, AreCountedInMemoryAndSaidToBeTaken) {
  Pulse with, without;
  const wire::Load shape{.context = 512, .sequences = 1, .batch = 128};
  const auto eyes = load_both(*files_, with, shape);
  const auto blind = load_both(*files_, without, shape, false);
  ASSERT_TRUE(eyes && blind);
  EXPECT_EQ((*eyes)->facts().info["inputs"], (Json{"text", "image"}));
  EXPECT_EQ((*blind)->facts().info["inputs"], (Json{"text"}));
  EXPECT_GT((*eyes)->facts().memory_bytes, (*blind)->facts().memory_bytes + 20'000);
  EXPECT_GT((*eyes)->facts().info["memory"]["projector_bytes"].get<uint64_t>(), 20'000U);
}

INSTANTIATE_TEST_SUITE_P(Generated, Pictures,
                         ::testing::Values(Pair{"llama", "gemma3"}, Pair{"llama", "idefics3"},
                                           Pair{"qwen2vl", "qwen2vl_merger"}),
                         [](const auto& which) { return std::string(which.param.projector); });

class Projectors : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!variant()) GTEST_SKIP() << variant().error().message;
  }
  static Error refusal(const std::string& projector_bytes) {
    const Files files(text_model("llama"), projector_bytes);
    Pulse pulse;
    auto model = load_both(files, pulse, {.context = 256, .sequences = 1, .batch = 64});
    EXPECT_FALSE(model);
    return model ? Error{} : model.error();
  }
};

TEST_F(Projectors, OfAnotherModelOrNoneAreRefused) {
  {
#if defined(__SANITIZE_ADDRESS__)  // libmtmd keeps what it has when it refuses a projector like
                                   // this
    const __lsan::ScopedDisabler not_ours;
#endif
    EXPECT_NE(refusal(projector("gemma3", 2, 96)).message.find("mismatch"), std::string::npos);
  }
  EXPECT_NE(refusal(text_model("llama")).message.find("is none"), std::string::npos);
  EXPECT_NE(refusal(projector("a new kind")).message.find("unknown projector type"),
            std::string::npos);
  EXPECT_EQ(refusal("hello").code, Code::Invalid);
  const std::string whole = projector("gemma3");
  EXPECT_EQ(refusal(whole.substr(0, whole.size() - 5'000)).code, Code::Corrupt);
}

TEST_F(Projectors, AreNoModelAndSayWhatTheyAre) {
  const TempFile file(projector("gemma3"));
  Pulse pulse;
  const auto loaded = load_file(file.path, {}, pulse);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::Invalid);
  EXPECT_NE(loaded.error().message.find("--projector"), std::string::npos);
  const Fd opened(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto about = Registered<Backend>::find("llama")->addition(opened.get());
  ASSERT_TRUE(about) << about.error().message;
  EXPECT_EQ((*about)["type"], "projector");
  EXPECT_EQ((*about)["projector"]["kind"], "gemma3");
  EXPECT_EQ((*about)["projector"]["sees"], true);
  EXPECT_EQ((*about)["projector"]["hears"], false);
  EXPECT_EQ((*about)["projector"]["embedding_length"], kTextWidth);
}

TEST_F(Projectors, ThatHearTakeSoundsAndNoPictures) {
  const Files files(text_model("llama"), ears());
  const auto said = [&](const Json& part) {
    Talk t([&](Pulse& pulse) {
      auto model = load_both(files, pulse, {.context = 2048, .sequences = 1, .batch = 256});
      EXPECT_TRUE(model) << model.error().message;
      return *std::move(model);
    });
    EXPECT_EQ(t.model->facts().info["inputs"], (Json{"text", "audio"}));
    t.batcher.generate(
        1, {"chat",
            {{"messages", Json::array({{{"role", "user"},
                                        {"content", Json::array({text("What is it?"), part})}}})},
             {"temperature", 0},
             {"max_tokens", 4},
             {"ignore_eos", true},
             {"logprobs", true}},
            t.lane,
            t.owner});
    EXPECT_TRUE(t.run());
    return t[1];
  };
  const auto tone = [](double hz) -> Json {
    return {{"type", "audio"}, {"data", base64(wav(8'000, 2, hz))}, {"param", "p"}};
  };
  const Heard low = said(tone(200));
  ASSERT_TRUE(low.done) << low.failed->message;
  EXPECT_GT(low.done->prompt_tokens, 100U);
  const Heard again = said(tone(200));
  const Heard high = said(tone(2'000));
  ASSERT_TRUE(again.done && high.done);
  EXPECT_EQ(low.logprobs, again.logprobs);
  EXPECT_NE(low.logprobs, high.logprobs);
  const Heard picture = said(image(8, 8, kRed));
  ASSERT_TRUE(picture.failed);
  EXPECT_NE(picture.failed->message.find("takes no pictures"), std::string::npos);
}

// All rows of a picture see each other there, so that one step must have them.
TEST_F(Projectors, WhosePicturesAreLargerThanAStepSaySo) {
  const Files files(text_model("llama"), projector("gemma3", 2, kTextWidth, 2 * kEyeSide));
  Talk t([&](Pulse& pulse) {
    auto model = load_both(files, pulse, {.context = 256, .sequences = 1, .batch = 32});
    EXPECT_TRUE(model) << model.error().message;
    return *std::move(model);
  });
  t.batcher.generate(
      1, {"chat",
          {{"messages",
            Json::array({{{"role", "user"}, {"content", Json::array({image(64, 64, kRed)})}}})},
           {"max_tokens", 2}},
          t.lane,
          t.owner});
  ASSERT_TRUE(t.run());
  ASSERT_TRUE(t[1].failed);
  EXPECT_EQ(t[1].failed->code, Code::Unsupported);
  EXPECT_NE(t[1].failed->message.find("64 tokens"), std::string::npos) << t[1].failed->message;
}

}  // namespace
}  // namespace lares::engine::testing
