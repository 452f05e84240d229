// The verbs against a daemon that answers from a list: what a person sees, and the exit status.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "app/cli/chat.h"
#include "app/cli/cli_testing.h"
#include "app/cli/help.h"
#include "base/golden_testing.h"
#include "inventory/models.h"

namespace lares::app {
namespace {

using Words = std::vector<std::string>;

class VerbsTest : public testing::Test {
 protected:
  VerbsTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / cat("lares-cli-", random_hex(4));
    std::filesystem::create_directories(folder_ / "share");
    home_ = Home{folder_ / "config", folder_ / "share", folder_ / "cache", folder_ / "run"};
  }
  ~VerbsTest() override { std::filesystem::remove_all(folder_); }

  int run(const Words& words) { return run_program(words, screen_, daemon_, home_); }
  const std::string& out() const { return screen_.written_out; }
  const std::string& err() const { return screen_.written_err; }

  std::filesystem::path folder_;
  Result<Home> home_ = Home{};
  FakeScreen screen_;
  FakeDaemon daemon_;
};

using Asking = VerbsTest;

TEST_F(Asking, WritesTheAnswerAsItComesAndEndsItsLine) {
  daemon_.will_say({"Hel", "lo", "!"});
  EXPECT_EQ(run({"Say", "hello"}), 0);
  EXPECT_EQ(out(), "Hello!\n");
  EXPECT_EQ(err(), "");
  const Json body = daemon_.chats().front();
  EXPECT_EQ(body["model"], "default");
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["messages"][0]["role"], "system");
  EXPECT_EQ(body["messages"][1]["content"], "Say hello");
  EXPECT_FALSE(body.contains("temperature")) << "what was not asked for is not sent";
}

TEST_F(Asking, SendsWhatTheOptionsSay) {
  daemon_.will_say({"x\n"});
  EXPECT_EQ(
      run({"-m", "tiny", "-s", "", "--temperature", "0", "--max-tokens", "5", "--seed", "7", "q"}),
      0);
  EXPECT_EQ(out(), "x\n") << "a line that is ended is not ended again";
  const Json body = daemon_.chats().front();
  EXPECT_EQ(body["messages"].size(), 1U) << "an empty system prompt is none";
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["temperature"], 0.0);
  EXPECT_EQ(body["max_tokens"], 5);
  EXPECT_EQ(body["seed"], 7);
}

TEST_F(Asking, SaysWhoWaits) {
  daemon_.will_say({"x"});
  EXPECT_EQ(run({"--priority", "background", "q"}), 0);
  EXPECT_EQ(daemon_.chats().front()["lares"], (Json{{"priority", "background"}}));
  EXPECT_EQ(run({"--priority", "low", "q"}), 2);
  EXPECT_NE(err().find("--priority is 'low', but interactive, agent or background is wanted"),
            std::string::npos)
      << err();
}

TEST_F(Asking, TakesEverySeedThatTheApiTakes) {
  for (const int64_t seed : {INT64_MIN, int64_t{-1}, INT64_MAX}) {
    FakeDaemon daemon;
    daemon.will_say({"x"});
    const Words words{cat("--seed=", seed), "q"};
    EXPECT_EQ(run_program(words, screen_, daemon, home_), 0) << err();
    EXPECT_EQ(daemon.chats().front()["seed"], seed);
  }
  EXPECT_EQ(run({"--seed=9223372036854775808", "q"}), 2);
  EXPECT_NE(err().find("--seed is '9223372036854775808', but a whole number from "
                       "-9223372036854775808 to 9223372036854775807 is wanted"),
            std::string::npos)
      << err();
}

TEST_F(Asking, TheEmbeddedModelIsAskedAsItsMakersRecommend) {
  const auto asked_with = [&](const char* standard, const Words& words) {
    FakeDaemon daemon;
    const auto chats = [](const char* id, bool answers) {
      return Json{{"id", id},
                  {"use", "chat"},
                  {"default", answers},
                  {"sampling", inventory::recommended_sampling(id)}};
    };
    daemon.will("GET /lares/v1/models",
                Json::array({chats("smollm2-135m-instruct-q4_1", false),
                             chats("smol", false),
                             {{"id", "all-minilm"}, {"use", "embedding"}, {"default", true}},
                             chats(standard, true)}));
    daemon.will_say({"ok"});
    daemon.will("POST /v1/chat/completions", {{"id", "x"}});
    EXPECT_EQ(run_program(words, screen_, daemon, home_), 0);
    const Json body = daemon.chats().front();
    return cat(body.value("temperature", -1.0), " ", body.value("top_p", -1.0));
  };
  const char* embedded = "smollm2-135m-instruct.q4_1";
  EXPECT_EQ(asked_with(embedded, {"q"}), "0.2 0.9");
  EXPECT_EQ(asked_with("qwen", {"-m", "SmolLM2-135M", "q"}), "0.2 0.9");
  EXPECT_EQ(asked_with("qwen", {"-m", "smol", "q"}), "-1 -1") << "another's whole name";
  EXPECT_EQ(asked_with(embedded, {"--temperature", "0.7", "q"}), "0.7 -1");
  EXPECT_EQ(asked_with("qwen", {"q"}), "-1 -1");
  EXPECT_EQ(asked_with(embedded, {"-m", "qwen", "q"}), "-1 -1");
}

TEST_F(Asking, AnAnswerThatOnlyRepeatsItselfIsEndedAndSaidToBeSo) {
  daemon_.will_say({"ha ha ha"}, {{"lares", {{"id", "r-1"}, {"outcome", "repeats"}}}});
  EXPECT_EQ(run({"laugh"}), 0);
  EXPECT_TRUE(daemon_.chats().front().value("stop_repeating", false));
  EXPECT_NE(err().find("over and over"), std::string::npos) << err();
}

TEST_F(Asking, WhatIsThoughtIsNoPartOfWhatIsSaid) {
  daemon_.will_think("hm,\x1b so", "four");
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_EQ(out(), "four\n");
  EXPECT_EQ(err(), "");

  FakeScreen screen;
  FakeDaemon daemon;
  daemon.will_think("hm,\x1b so", "four");
  EXPECT_EQ(run_program(Words{"--thoughts", "q"}, screen, daemon, home_), 0);
  EXPECT_EQ(screen.written_out, "four\n");
  EXPECT_EQ(screen.written_err, "hm, so\n\n");
}

TEST_F(Asking, TheFirstInterruptEndsTheThoughtsAndNotTheAnswer) {
  screen_.terminal = true;
  daemon_.will_think("hm", "four");
  bool pressed = false;
  daemon_.on_piece = [&](const std::string& before) {
    const size_t thought = before.find("\"hm\"");
    if (pressed || thought == std::string::npos ||
        before.find("\n\n", thought) == std::string::npos)
      return;
    pressed = true;
    std::raise(SIGINT);
    daemon_.thoughts_ended.wait(0);
  };
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_TRUE(pressed);
  EXPECT_EQ(daemon_.thoughts_ended, 1);
  EXPECT_EQ(daemon_.thoughts_of, "chatcmpl-7");
  EXPECT_EQ(out(), "four\n");
  EXPECT_NE(err().find("thinking … 0 s, Ctrl-C ends that"), std::string::npos) << err();
  EXPECT_TRUE(err().ends_with("\r\x1b[K")) << err();
}

TEST_F(Asking, AQuestionWhoseDaemonEndsBeforeTheFirstWordIsAskedAgain) {
  const auto ends_after = [](const std::string& said) {
    const Json role = {{"model", "m"},
                       {"choices", {{{"index", 0}, {"delta", {{"content", said}}}}}}};
    return Daemon::Answer{
        200,
        cat("data: ", dump(role), "\n\ndata: ",
            R"({"error": {"message": "the daemon is stopping", "type": "connection_error", "code": "offline"}})",
            "\n\n")};
  };
  daemon_.answers["POST /v1/chat/completions"].push_back(ends_after(""));
  daemon_.will_say({"Hello"});
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_EQ(out(), "Hello\n");

  FakeDaemon other;
  other.answers["POST /v1/chat/completions"].push_back(ends_after("Hel"));
  EXPECT_EQ(run_program(Words{"q"}, screen_, other, home_), 7) << "what was said was said";
  EXPECT_EQ(other.chats().size(), 1U);
}

TEST_F(Asking, PutsThePipeBelowTheQuestion) {
  screen_.is_piped = true;
  screen_.piped = "+ a line\n";
  daemon_.will_say({"ok"});
  EXPECT_EQ(run({"explain"}), 0);
  EXPECT_EQ(daemon_.chats().front()["messages"][1]["content"], "explain\n\n+ a line\n");
}

TEST_F(Asking, RefusesAPipeThatIsNoText) {
  screen_.is_piped = true;
  screen_.piped = std::string(
      "\x7F"
      "ELF\0",
      5);
  EXPECT_EQ(run({"explain"}), 2);
  EXPECT_NE(err().find("only text"), std::string::npos) << err();
  EXPECT_TRUE(daemon_.asked.empty());
}

TEST_F(Asking, NothingOfAModelsControlCharactersReachesTheScreen) {
  daemon_.will_say({"a\x1b", "[2J\x07", "b\xC2\x9B", "c\r"});
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_EQ(out(), "a[2Jbc\n");
}

TEST_F(Asking, AnErrorOfTheDaemonGivesItsExitStatus) {
  for (size_t i = 0; i <= static_cast<size_t>(Code::Unsupported); i++) {
    const CodeRow& kind = row(static_cast<Code>(i));
    FakeScreen screen;
    FakeDaemon daemon;
    daemon.will(
        "POST /v1/chat/completions",
        {{"error", {{"message", "loading 'x': it\x1b is so"}, {"code", std::string(kind.name)}}}},
        kind.http_status);
    EXPECT_EQ(run_program(Words{"q"}, screen, daemon, home_), kind.exit_status) << kind.name;
    EXPECT_EQ(screen.written_err, "lares: loading 'x': it is so\n");
  }
}

TEST_F(Asking, AnErrorInTheMiddleKeepsWhatCameBeforeAndFails) {
  daemon_.answers["POST /v1/chat/completions"].push_back(Daemon::Answer{
      200,
      "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n"
      "data: {\"error\":{\"message\":\"the worker ended\",\"code\":\"worker_died\"}}\n\n"});
  EXPECT_EQ(run({"q"}), 11);
  EXPECT_EQ(out(), "half\n");
  EXPECT_EQ(err(), "lares: the worker ended\n");
}

TEST_F(Asking, AnAnswerThatBreaksOffIsAnError) {
  daemon_.answers["POST /v1/chat/completions"].push_back(
      Daemon::Answer{200, "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n"});
  EXPECT_EQ(run({"q"}), 12);
  EXPECT_NE(err().find("broke off"), std::string::npos);
}

TEST_F(Asking, WhatIsNoAnswerIsNamed) {
  for (const char* events :
       {"data: {not json\n\n", "data: []\n\n", "data: {\"choices\":[3]}\n\n",
        "data: {\"choices\":{}}\n\ndata: {\"lares\":7,\"usage\":\"x\",\"timings\":[]}\n\n"}) {
    FakeScreen screen;
    FakeDaemon daemon;
    daemon.answers["POST /v1/chat/completions"].push_back(Daemon::Answer{200, events});
    EXPECT_NE(run_program(Words{"q"}, screen, daemon, home_), 0) << events;
    EXPECT_NE(screen.written_err, "") << events;
  }
}

TEST_F(Asking, AFullDiskIsAnError) {
  screen_.out_is_full = true;
  daemon_.will_say({"Hello"});
  EXPECT_EQ(run({"q"}), 5);
  EXPECT_NE(err().find("standard output"), std::string::npos);
}

TEST_F(Asking, JsonIsTheWholeAnswer) {
  daemon_.will("POST /v1/chat/completions",
               {{"id", "chatcmpl-1"}, {"model", "m"}, {"choices", Json::array()}});
  EXPECT_EQ(run({"--json", "q"}), 0);
  EXPECT_EQ((*parse_json(out()))["id"], "chatcmpl-1");
  EXPECT_EQ(daemon_.chats().front()["stream"], false);
}

TEST_F(Asking, JsonOnATerminalIsAscii) {
  screen_.terminal = true;
  daemon_.will("POST /v1/chat/completions", {{"text", "\x1b\xC2\x9B\x7F\u00FC"}});
  EXPECT_EQ(run({"--json", "q"}), 0);
  for (const char c : out()) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7F));
}

TEST_F(Asking, TheFirstAnswerOfTheEmbeddedModelEndsWithOneLineOnce) {
  const Json last = {{"model", "smollm2-135m-instruct.q4_1"},
                     {"timings", {{"predicted_per_second", 100.0}}}};
  daemon_.will("GET /lares/v1/models/smollm2-135m-instruct.q4_1", {{"size_bytes", 98'000'000}});
  daemon_.will_say({"Hello"}, last);
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_EQ(out(), "Hello\n") << "a pipe holds the answer alone";
  EXPECT_NE(err().find("often wrong"), std::string::npos) << err();
  EXPECT_EQ(std::count(err().begin(), err().end(), '\n'), 1);
  screen_.written_err.clear();
  daemon_.will_say({"Hello"}, last);
  EXPECT_EQ(run({"q"}), 0);
  EXPECT_EQ(err(), "");
}

TEST_F(Asking, NothingToAskIsUsage) {
  EXPECT_EQ(run({""}), 2);
  EXPECT_EQ(run({"--temperature", "hot", "q"}), 2);
  EXPECT_EQ(run({"--nonsense", "q"}), 2);
  EXPECT_TRUE(daemon_.asked.empty());
}

TEST_F(VerbsTest, WithoutAHomeOnlyHelpWorks) {
  home_ = Error{Code::Invalid, "looking for your folders: HOME is not set"};
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({"completion", "bash"}), 0);
  EXPECT_EQ(run({"version"}), 0);
  EXPECT_EQ(run({"ps"}), 2);
  EXPECT_NE(err().find("HOME is not set"), std::string::npos);
}

TEST_F(VerbsTest, PlanShowsPredictedBesideMeasured) {
  const Json plan = {
      {"model", "m"},
      {"weights_bytes", 1'000'000'000u},
      {"state_bytes", 100'000'000u},
      {"compute_bytes", 50'000'000u},
      {"needs_bytes", 1'200'000'000u},
      {"fits", true},
      {"budget_bytes", 4'294'967'296u},
      {"in_memory", false},
      {"room_now", true},
      {"would_evict", {"other", "third"}},
      {"predicted",
       {{"memory_bytes", 1'150'000'000u}, {"tokens_per_s", 12.0}, {"prompt_tokens_per_s", 90.0}}},
      {"measured",
       {{"memory_bytes", nullptr},
        {"tokens_per_s", 11.0},
        {"prompt_tokens_per_s", nullptr},
        {"answers", 3}}}};
  daemon_.will("GET /lares/v1/models/m/plan", plan);
  EXPECT_EQ(run({"plan", "m"}), 0);
  EXPECT_NE(out().find("yes, into 4.0 GiB"), std::string::npos) << out();
  const std::string shown = out();
  const size_t worker = shown.find("  the worker");
  ASSERT_NE(worker, std::string::npos) << shown;
  EXPECT_NE(shown.find("48 MiB\n", worker), std::string::npos) << "the parts are all of it";
  EXPECT_NE(out().find("other, third"), std::string::npos) << out();
  EXPECT_NE(out().find("about 12 tokens/s, 11 tokens/s measured"), std::string::npos) << out();
  EXPECT_NE(out().find("about 90 tokens/s\n"), std::string::npos) << out();
  EXPECT_EQ(run({"plan", "m", "--json"}), 0);
  EXPECT_EQ(run({"plan"}), 2);
}

TEST_F(VerbsTest, PlanSaysWhatIsTooLarge) {
  daemon_.will("GET /lares/v1/models/m/plan", {{"model", "m"},
                                               {"needs_bytes", 9'000'000'000u},
                                               {"fits", false},
                                               {"budget_bytes", 4'294'967'296u},
                                               {"predicted", nullptr},
                                               {"measured", nullptr}});
  EXPECT_EQ(run({"plan", "m"}), 0);
  EXPECT_NE(out().find("no: memory.budget is 4.0 GiB"), std::string::npos) << out();
}

TEST_F(VerbsTest, SearchShowsTheBestForThisMachineFirst) {
  const Json best = {{"id", "best-q4"},
                     {"title", "Best"},
                     {"size_bytes", 1'000'000'000u},
                     {"needs_bytes", 1'400'000'000u},
                     {"licence", "mit"},
                     {"fits", true},
                     {"recommended", true},
                     {"have", false},
                     {"predicted", {{"tokens_per_s", 12.5}}},
                     {"measured", nullptr},
                     {"why", "the most able that fits"}};
  Json large = best;
  large["id"] = "large-q4";
  large["fits"] = false;
  large["recommended"] = false;
  Json here = best;
  here["id"] = "here-q4";
  here["recommended"] = false;
  here["have"] = true;
  here["measured"] = {{"tokens_per_s", 30.0}};
  daemon_.will("GET /lares/v1/catalogue?query=a%20b", Json::array({best, here, large}));
  EXPECT_EQ(run({"models", "search", "a", "b"}), 0);
  for (const char* part :
       {"best-q4", "about 12", "best here", "30 measured", "here", "too large", "mit"})
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  daemon_.will("GET /lares/v1/catalogue?query=none", Json::array());
  EXPECT_EQ(run({"models", "search", "none"}), 0);
  EXPECT_NE(err().find("'none'"), std::string::npos) << err();
}

TEST_F(VerbsTest, ATemplateIsShownWithWhatItIsKnownAs) {
  Json model = {{"id", "m"},
                {"template",
                 {{"sha256", "abc"}, {"known", "ChatML, as in X"}, {"text", "{{ a }}\n{{ b }}"}}}};
  daemon_.will("GET /lares/v1/models/m", model);
  EXPECT_EQ(run({"models", "show", "m", "--template"}), 0);
  EXPECT_EQ(out(), "{{ a }}\n{{ b }}\n");
  EXPECT_NE(err().find("known: ChatML, as in X"), std::string::npos) << err();
  screen_.written_out.clear();
  model["template"]["known"] = nullptr;
  model["id"] = "n";
  daemon_.will("GET /lares/v1/models/n", model);
  EXPECT_EQ(run({"models", "show", "n"}), 0);
  EXPECT_NE(out().find("unknown, read it: lares models show n --template"), std::string::npos)
      << out();
  daemon_.will("GET /lares/v1/models/o", {{"id", "o"}, {"template", nullptr}});
  EXPECT_EQ(run({"models", "show", "o", "--template"}), 3);
}

TEST_F(VerbsTest, AModelThatWasPulledSaysFromWhereAndWhen) {
  const std::string sha(64, 'a');
  daemon_.will("GET /lares/v1/models/m", {{"id", "m"},
                                          {"info", {{"licence", "apache-2.0"}}},
                                          {"pulled",
                                           {{"source", "hf:o/r:m.gguf"},
                                            {"sha256", sha},
                                            {"pulled_ms", 1'795'737'600'000},
                                            {"licence", "llama3.2"}}}});
  EXPECT_EQ(run({"models", "show", "m"}), 0);
  for (const std::string& part : {std::string("hf:o/r:m.gguf"), std::string("2026-11-27"), sha,
                                  std::string("apache-2.0"), std::string("llama3.2")})
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
}

TEST_F(VerbsTest, ModelsListShowsWhatThereIs) {
  daemon_.will("GET /lares/v1/models",
               Json::array({{{"id", "smollm2"},
                             {"default", true},
                             {"size_bytes", 98'000'000},
                             {"use", "chat"},
                             {"state", "ready"},
                             {"info", {{"quantization", "Q4_1"}, {"context_train", 8192}}}},
                            {{"id", "evil\x1b[2J"}, {"use", "embedding"}, {"state", "absent"}},
                            7}));
  EXPECT_EQ(run({"models"}), 0);
  EXPECT_EQ(out(),
            "NAME         SIZE  FOR        STATE    FORMAT  CONTEXT\n"
            "* smollm2  93 MiB  chat       ready    Q4_1       8192\n"
            "  evil[2J          embedding  on disk\n"
            "\n");
  screen_.written_out.clear();
  EXPECT_EQ(run({"models", "list", "--json"}), 0);
  EXPECT_EQ((*parse_json(out())).size(), 3U);
}

TEST_F(VerbsTest, AModelThatIsNotInMemoryIsOnDiskEverywhere) {
  const Json model = {{"id", "m"}, {"state", "absent"}};
  daemon_.will("GET /lares/v1/models", Json::array({model}));
  daemon_.will("GET /lares/v1/models/m", model);
  EXPECT_EQ(run({"models", "show", "m"}), 0);
  EXPECT_EQ(run({"models", "list"}), 0);
  EXPECT_EQ(out().find("absent"), std::string::npos) << out();
  EXPECT_NE(out().find("state  on disk"), std::string::npos) << out();
}

TEST_F(VerbsTest, NamesAreAListOfJsonToo) {
  daemon_.will("GET /lares/v1/models", Json::array({{{"id", "a"}}, {{"id", "b"}}}));
  EXPECT_EQ(run({"models", "--names"}), 0);
  EXPECT_EQ(out(), "a\nb\n");
  screen_.written_out.clear();
  EXPECT_EQ(run({"models", "list", "--names", "--json"}), 0);
  EXPECT_EQ(*parse_json(out()), Json::array({"a", "b"}));
  screen_.written_out.clear();
  daemon_.runs = false;
  EXPECT_EQ(run({"models", "list", "--names", "--json"}), 0);
  EXPECT_EQ(*parse_json(out()), Json::array());
}

TEST_F(VerbsTest, WhatWasRemovedIsSaidInJsonToo) {
  daemon_.will("GET /lares/v1/models/m",
               {{"id", "m"}, {"file", "/s/m.gguf"}, {"size_bytes", 7}, {"ours", true}});
  daemon_.will("DELETE /lares/v1/models/m", Json::object());
  EXPECT_EQ(run({"models", "rm", "m", "--json"}), 0);
  EXPECT_EQ(*parse_json(out()),
            (Json{{"id", "m"}, {"file", "/s/m.gguf"}, {"size_bytes", 7}, {"file_deleted", true}}));
}

TEST_F(VerbsTest, CompletionsStartNoDaemon) {
  daemon_.runs = false;
  EXPECT_EQ(run({"models", "list", "--names"}), 0);
  EXPECT_EQ(run({"ps"}), 0);
  EXPECT_EQ(run({"status"}), 3);
  EXPECT_EQ(run({"stop"}), 0);
  EXPECT_TRUE(daemon_.asked.empty());
}

TEST_F(VerbsTest, PsAndStatusSayWhyBackgroundWaits) {
  daemon_.will("GET /lares/v1/ps",
               Json::array({{{"model", "qwen"}, {"state", "ready"}, {"paused", "on battery"}}}));
  ASSERT_EQ(run({"ps"}), 0);
  EXPECT_EQ(err(), "lares: background requests wait: on battery\n");
  daemon_.will("GET /lares/v1/status",
               {{"restraint", "on battery"}, {"paused_lanes", Json::array({"background"})}});
  ASSERT_EQ(run({"status"}), 0);
  EXPECT_NE(out().find("on battery; background requests wait"), std::string::npos) << out();
}

TEST_F(VerbsTest, PsShowsWhoComputesHowFastAndWhoWaits) {
  daemon_.will("GET /lares/v1/status",
               {{"memory_bytes", MiB(500).n}, {"memory_budget_bytes", MiB(2000).n}});
  daemon_.will("GET /lares/v1/ps", Json::array({{{"model", "qwen"},
                                                 {"state", "ready"},
                                                 {"rung", "hot"},
                                                 {"to_rung", "hot"},
                                                 {"idle_s", 3},
                                                 {"pinned", true},
                                                 {"memory_bytes", MiB(300).n},
                                                 {"requests", 3},
                                                 {"lane", "interactive"},
                                                 {"tokens_per_s", 12.34},
                                                 {"waiting", 5},
                                                 {"waiting_ms", 2640},
                                                 {"up_s", 65},
                                                 {"variant", "icelake"},
                                                 {"draft_refused", nullptr},
                                                 {"pid", 77}},
                                                {{"model", "idle"},
                                                 {"state", "ready"},
                                                 {"rung", "parked"},
                                                 {"to_rung", "hot"},
                                                 {"idle_s", nullptr},
                                                 {"back_ms", 23.4},
                                                 {"memory_bytes", MiB(200).n},
                                                 {"requests", 0},
                                                 {"lane", nullptr},
                                                 {"tokens_per_s", 0.0},
                                                 {"waiting", 0},
                                                 {"waiting_ms", 0},
                                                 {"up_s", 5},
                                                 {"variant", "icelake"},
                                                 {"pid", 78}}}));
  ASSERT_EQ(run({"ps"}), 0);
  EXPECT_EQ(
      out(),
      "MODEL  IS               MEMORY     USED  BACK IN  ANSWERING  LANE         TOK/S  WAITING    "
      "FOR         UP  ENGINE   DRAFT  PID\n"
      "qwen   hot, pinned     300 MiB  3 s ago                   3  interactive   12.3        5  "
      "2.6 s  1 min 5 s  icelake          77\n"
      "idle   parked, to hot  200 MiB    never    23 ms          0                            0    "
      " "
      "          5 s  icelake          78\n"
      "\nmemory  ##########------------------------------  500 MiB of 2.0 GiB\n");
}

TEST_F(VerbsTest, ModelsAddTakesAFileANumberOrAName) {
  const Json found =
      Json::array({{{"program", "Ollama"}, {"name", "llama3:8b"}, {"file", "/o/one"}},
                   {{"program", "Jan"}, {"name", "phi"}, {"file", "/j/two"}},
                   {{"program", "LM Studio"}, {"name", "phi"}, {"file", "/l/three"}}});
  daemon_.will("GET /lares/v1/models-found", found);
  daemon_.will("GET /lares/v1/models", Json::array());
  daemon_.will("POST /lares/v1/models", {{"id", "added"}, {"use", "chat"}, {"size_bytes", 1}});
  EXPECT_EQ(run({"models", "add", "2"}), 0);
  EXPECT_EQ(daemon_.asked.back().body["file"], "/j/two");
  EXPECT_EQ(run({"models", "add", "llama3:8b", "--name", "mine"}), 0);
  EXPECT_EQ(daemon_.asked.back().body["file"], "/o/one");
  EXPECT_EQ(daemon_.asked.back().body["name"], "mine");
  EXPECT_EQ(run({"models", "add", "phi"}), 2) << "two have this name";
  EXPECT_EQ(run({"models", "add", "4"}), 3);
  EXPECT_EQ(run({"models", "add", "llama3"}), 3);
  EXPECT_NE(err().find("did you mean 'llama3:8b'"), std::string::npos) << err();
  std::ofstream(folder_ / "x.gguf") << "GGUF";
  EXPECT_EQ(run({"models", "add", (folder_ / "share/../x.gguf").string()}), 0);
  EXPECT_EQ(daemon_.asked.back().body["file"], (folder_ / "x.gguf").string());
  EXPECT_FALSE(daemon_.asked.back().body.contains("name")) << "a file's own name is good enough";
  EXPECT_EQ(run({"models", "add", "/nowhere/x.gguf"}), 3);
  std::filesystem::create_symlink("nowhere.gguf", folder_ / "link.gguf");
  std::filesystem::create_symlink("circle.gguf", folder_ / "circle.gguf");
  for (const char* link : {"link.gguf", "circle.gguf"}) {
    EXPECT_EQ(run({"models", "add", (folder_ / link).string()}), 0) << "the daemon knows more";
    EXPECT_EQ(daemon_.asked.back().body["file"], (folder_ / link).string());
  }
}

TEST_F(VerbsTest, AFoundModelIsAddedByItsWholeNameAndCalledAfterIt) {
  daemon_.will("GET /lares/v1/models-found",
               Json::array({{{"name", "bartowski/Foo-GGUF:latest"}, {"file", "/o/sha256-bb"}},
                            {{"name", "org/repo/sub/Same"}, {"file", "/h/blobs/abc"}},
                            {{"name", "other/repo/Same"}, {"file", "/h/blobs/def"}},
                            {{"name", "a/b/Twice"}, {"file", "/h/blobs/012"}}}));
  daemon_.will("GET /lares/v1/models", Json::array({{{"id", "same"}, {"file", "/h/blobs/abc"}},
                                                    {{"id", "twice"}, {"file", "/t/1"}},
                                                    {{"id", "a-b-twice"}, {"file", "/t/2"}}}));
  daemon_.will("POST /lares/v1/models", {{"id", "added"}, {"use", "chat"}, {"size_bytes", 1}});
  const auto added = [&](const char* written) {
    EXPECT_EQ(run({"models", "add", written}), 0) << written << ": " << err();
    const Json& body = daemon_.asked.back().body;
    return cat(body.value("file", ""), " ", body.value("name", ""));
  };
  EXPECT_EQ(added("bartowski/Foo-GGUF:latest"), "/o/sha256-bb foo-gguf:latest");
  EXPECT_EQ(added("2"), "/h/blobs/abc same") << "its name is its own already";
  EXPECT_EQ(added("other/repo/Same"), "/h/blobs/def other-repo-same");
  EXPECT_EQ(added("4"), "/h/blobs/012 a-b-twice-2");
  EXPECT_EQ(run({"models", "add", "bartowski/Fo-GGUF:latest"}), 3);
  EXPECT_NE(err().find("did you mean 'bartowski/Foo-GGUF:latest'"), std::string::npos) << err();
}

TEST_F(VerbsTest, WhyExplainsAReceipt) {
  const Json receipt = {{"id", "r-0123456789abcdef"},
                        {"model", "m"},
                        {"place", "local"},
                        {"principal", "owner"},
                        {"endpoint", "/v1/chat/completions"},
                        {"outcome", "stop"},
                        {"queue_ms", 0},
                        {"load_ms", 120},
                        {"ttft_ms", 250},
                        {"total_ms", 2300},
                        {"cpu_ms", 4100},
                        {"prompt_tokens", 40},
                        {"prompt_tokens_reused", 30},
                        {"completion_tokens", 20},
                        {"decode_tokens_per_s", 98.7},
                        {"why", {"place: local"}}};
  daemon_.will("GET /lares/v1/why", receipt);
  daemon_.will("GET /lares/v1/why/r-0123456789abcdef", receipt);
  EXPECT_EQ(run({"why"}), 0);
  for (const char* part :
       {"on this machine; nothing left it", "40 tokens, 30 of them known from before",
        "20 tokens, at 99 tokens/s", "after 250 ms", "and 4 s of CPU time", "- place: local"})
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  EXPECT_EQ(run({"why", "r-0123456789abcdef"}), 0);
  EXPECT_EQ(run({"why", "chatcmpl-0123456789abcdef"}), 0)
      << "the id of an answer leads to its receipt";
  EXPECT_EQ(run({"why", "me?"}), 2);
}

TEST_F(VerbsTest, DoctorPassesFailsAndTells) {
  daemon_.will("GET /lares/v1/doctor",
               Json::array({{{"check", "engine"}, {"ok", true}, {"detail", "haswell"}},
                            {{"check", "NPU"}, {"ok", nullptr}, {"detail", "not used"}}}));
  EXPECT_EQ(run({"doctor"}), 0);
  EXPECT_EQ(out(), "  pass  engine: haswell\n     -  NPU: not used\n1 check passed, 0 failed\n");
  screen_.written_out.clear();
  FakeDaemon bad;
  bad.will(
      "GET /lares/v1/doctor",
      Json::array({{{"check", "disk"}, {"ok", false}, {"detail", "full"}, {"next", "make room"}}}));
  EXPECT_EQ(run_program(Words{"doctor"}, screen_, bad, home_), 1);
  EXPECT_NE(out().find("FAIL  disk: full\n        next: make room\n"), std::string::npos) << out();
}

TEST_F(VerbsTest, DoctorSaysWhyADaemonDoesNotStart) {
  EXPECT_EQ(run({"doctor"}), 7) << "nothing is prepared: offline";
  EXPECT_NE(out().find("FAIL  daemon"), std::string::npos) << out();
  EXPECT_NE(out().find("laresd.log"), std::string::npos) << out();
  screen_.written_out.clear();
  daemon_.finds_itself = Json::array({{{"check", "folder /x"}, {"ok", false}, {"detail", "full"}},
                                      {{"check", "sandbox"}, {"ok", true}, {"detail", "holds"}}});
  EXPECT_EQ(run({"doctor"}), 7);
  EXPECT_NE(out().find("FAIL  folder /x: full\n  pass  sandbox: holds\n1 check passed, 2 failed\n"),
            std::string::npos)
      << out();
  screen_.written_out.clear();
  daemon_.finds_itself = Error{Code::Io, "no laresd"};
  EXPECT_EQ(run({"doctor"}), 7);
  EXPECT_NE(out().find("FAIL  self-test: no laresd\n"), std::string::npos) << out();
}

TEST_F(VerbsTest, ConfigShowsOneOrAll) {
  daemon_.will("GET /lares/v1/config", Json::array({{{"name", "api.port"},
                                                     {"value", "5273"},
                                                     {"source", "default"},
                                                     {"says", "the port"}}}));
  EXPECT_EQ(run({"config", "api.port"}), 0);
  EXPECT_EQ(out(), "5273\n");
  EXPECT_EQ(run({"config", "api.prot"}), 3);
  EXPECT_NE(err().find("did you mean 'api.port'"), std::string::npos);
}

TEST_F(VerbsTest, TokenIsShownOnlyWhenAsked) {
  std::filesystem::create_directories(folder_ / "config");
  std::ofstream(folder_ / "config/token") << "secret\n";
  EXPECT_EQ(run({"token"}), 0);
  EXPECT_EQ(out().find("secret"), std::string::npos);
  screen_.written_out.clear();
  EXPECT_EQ(run({"token", "--show"}), 0);
  EXPECT_EQ(out(), "secret\n");
}

TEST_F(VerbsTest, HelpForMoreThanAVerbNamesTheVerb) {
  const auto said = [&](const Words& words) {
    screen_.written_err.clear();
    EXPECT_EQ(run(words), 3);
    return err();
  };
  EXPECT_EQ(said({"help", "models", "add", "extra"}),
            "lares: there is no verb 'models add extra', but there is 'models add': lares help "
            "models add\n");
  EXPECT_EQ(said({"help", "chat", "foo"}),
            "lares: there is no verb 'chat foo', but there is 'chat': lares help chat\n");
  EXPECT_EQ(said({"help", "models", "foo"}),
            "lares: there is no verb 'models foo'; `lares models` has add, evict, find, list, pin, "
            "pull, rm, "
            "search, show, unpin\n");
  EXPECT_EQ(said({"help", "modells", "list"}),
            "lares: there is no verb 'modells list'; did you mean 'models list'?\n");
  EXPECT_EQ(said({"help", "xyzzy"}),
            "lares: there is no verb 'xyzzy'; `lares help` lists them all\n");
}

TEST_F(VerbsTest, HelpNamesTheNearestVerb) {
  EXPECT_EQ(run({"help", "models", "ad"}), 3);
  EXPECT_NE(err().find("did you mean"), std::string::npos) << err();
  EXPECT_EQ(run({"help", "models", "add"}), 0);
  EXPECT_EQ(out(), verb_help(*Registered<Verb>::find("models add")));
}

// Chat over lines that a test gives it.
class Typed final : public Lines {
 public:
  explicit Typed(Words lines) : lines_(std::move(lines)) {}
  Got next(std::string_view, std::string& line) override {
    if (at_ == lines_.size()) return Got::End;
    line = lines_[at_++];
    return line == "^C" ? Got::Interrupted : Got::Line;
  }

 private:
  Words lines_;
  size_t at_ = 0;
};

class Chatting : public VerbsTest {
 protected:
  int chat(const Words& typed) {
    Typed lines(typed);
    Context context{screen_, daemon_, *home_};
    screen_.terminal = true;
    const auto status =
        Conversation(context, lines, {.system = "Be kind.", .keep = Transcript::Keep::Nowhere})
            .run();
    EXPECT_TRUE(status);
    return *status;
  }
  Json messages(size_t request) { return daemon_.chats()[request]["messages"]; }
};

TEST_F(Chatting, SendsTheWholeConversation) {
  daemon_.will_say({"Hello!"});
  daemon_.will_say({"Again hello!"});
  EXPECT_EQ(chat({"Hi", "  ", "Once more"}), 0);
  ASSERT_EQ(daemon_.chats().size(), 2U);
  EXPECT_EQ(messages(1), Json::array({{{"role", "system"}, {"content", "Be kind."}},
                                      {{"role", "user"}, {"content", "Hi"}},
                                      {{"role", "assistant"}, {"content", "Hello!"}},
                                      {{"role", "user"}, {"content", "Once more"}}}));
}

TEST_F(Chatting, LinesAreJoinedByBackslashesAndFences) {
  daemon_.will_say({"ok"});
  EXPECT_EQ(chat({"one\\", "two", "\"\"\"a", "", "b\"\"\"", "\"\"\"c\"\"\"", "^C", "\"\"\"lost",
                  "^C", "//slash"}),
            0);
  ASSERT_EQ(daemon_.chats().size(), 4U);
  EXPECT_EQ(messages(0).back()["content"], "one\ntwo");
  EXPECT_EQ(messages(1).back()["content"], "a\n\nb");
  EXPECT_EQ(messages(2).back()["content"], "c");
  EXPECT_EQ(messages(3).back()["content"], "/slash");
}

TEST_F(Chatting, CommandsDoWhatHelpSays) {
  daemon_.will_say({"ok"});
  daemon_.will("GET /lares/v1/models/tiny", {{"id", "tiny-model"}});
  EXPECT_EQ(chat({"Hi", "/model tiny", "/system Be brief.", "/new", "Ho", "/retry", "/halp",
                  "/quit", "never"}),
            0);
  ASSERT_EQ(daemon_.chats().size(), 3U);
  EXPECT_EQ(daemon_.chats()[1]["model"], "tiny-model");
  EXPECT_EQ(messages(1), Json::array({{{"role", "system"}, {"content", "Be brief."}},
                                      {{"role", "user"}, {"content", "Ho"}}}));
  EXPECT_EQ(messages(2), messages(1)) << "the same question again";
  EXPECT_NE(err().find("did you mean '/help'"), std::string::npos) << err();
}

TEST_F(Chatting, AnErrorLeavesTheConversationUsable) {
  daemon_.will(
      "POST /v1/chat/completions",
      {{"error", {{"message", "9000 tokens, but the context holds 8192"}, {"code", nullptr}}}},
      400);
  daemon_.will_say({"ok"});
  EXPECT_EQ(chat({"long", "short"}), 0);
  EXPECT_NE(err().find("9000 tokens"), std::string::npos);
  EXPECT_EQ(messages(1).size(), 2U) << "the question without an answer is gone";
}

TEST_F(Chatting, SaveNeverOverwrites) {
  daemon_.will_say({"Hello!"});
  const std::string file = (folder_ / "chat.md").string();
  EXPECT_EQ(chat({"Hi", "/save " + file, "/save " + file, "/save"}), 0);
  EXPECT_EQ(*read_file(file), "## You\n\nHi\n\n## Lares\n\nHello!\n\n");
  EXPECT_NE(err().find("exists already"), std::string::npos);
}

TEST_F(Chatting, APipeEndsAtTheFirstError) {
  Typed lines({"a", "b"});
  Context context{screen_, daemon_, *home_};
  daemon_.will("POST /v1/chat/completions", {{"error", {{"message", "no"}, {"code", "busy"}}}},
               429);
  EXPECT_EQ(*Conversation(context, lines, {.keep = Transcript::Keep::Nowhere}).run(), 6);
  EXPECT_EQ(daemon_.chats().size(), 1U);
}

// Every --help and the page of commands.
TEST(Golden, EveryHelpIsAsItStands) {
  const auto verbs = Registered<Verb>::all();
  expect_golden("tests/golden/help/lares.txt", overall_help(verbs));
  for (const Verb* verb : verbs) {
    std::string name(verb->name);
    std::replace(name.begin(), name.end(), ' ', '-');
    expect_golden(cat("tests/golden/help/", name, ".txt"), verb_help(*verb));
    for (const std::string& line : split(verb_help(*verb), '\n'))
      EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(Golden, ThePageOfCommandsIsMadeFromTheTables) {
  expect_golden("docs/commands.md", commands_page(Registered<Verb>::all()));
}

using KeyVerb = VerbsTest;

Json key_place(const char* kind, bool locked) {
  return {{"kind", kind},
          {"locked", locked},
          {"where", "in a place"},
          {"protects", "from some"},
          {"next", "a better one"}};
}

TEST_F(KeyVerb, ShowsWhereTheKeyLiesAndHowItIsOpened) {
  daemon_.answers["GET /lares/v1/key"] = {Daemon::Answer{200, dump(key_place("file", false))},
                                          Daemon::Answer{200, dump(key_place("passphrase", true))}};
  EXPECT_EQ(run({"key"}), 0);
  EXPECT_NE(out().find("a better one"), std::string::npos) << out();
  screen_.written_out.clear();
  EXPECT_EQ(run({"key"}), 0);
  EXPECT_NE(out().find("passphrase, locked"), std::string::npos) << out();
  EXPECT_NE(out().find("lares key unlock"), std::string::npos) << out();
}

TEST_F(KeyVerb, AsksForWhatTheKindNeedsAndSendsNoMore) {
  screen_.terminal = true;
  daemon_.answers["GET /lares/v1/key"] = {
      Daemon::Answer{200, dump(key_place("passphrase", true))},
      Daemon::Answer{200, dump(key_place("passphrase", true))},
      Daemon::Answer{200, dump(key_place("secret-service", true))}};
  daemon_.answers["POST /lares/v1/key/unlock"] = {Daemon::Answer{200, "{}"},
                                                  Daemon::Answer{200, "{}"}};
  daemon_.answers["POST /lares/v1/key/move"] = {
      Daemon::Answer{200, R"({"kind":"passphrase","left":""})"}};
  screen_.typed = {"old", "old", "new", "new"};
  EXPECT_EQ(run({"key", "unlock"}), 0);
  EXPECT_EQ(daemon_.asked.back().body, (Json{{"passphrase", "old"}}));
  EXPECT_EQ(run({"key", "change"}), 0);
  EXPECT_EQ(daemon_.asked.back().body,
            (Json{{"to", "passphrase"}, {"passphrase", "old"}, {"next", "new"}}));
  EXPECT_EQ(run({"key", "unlock"}), 0) << "the desktop's keyring wants none from us";
  EXPECT_EQ(daemon_.asked.back().body, Json::object());
  EXPECT_EQ((out() + err()).find("old"), std::string::npos);
}

TEST_F(KeyVerb, TwoThatDifferAreRefusedBeforeAnythingIsSent) {
  screen_.terminal = true;
  daemon_.answers["GET /lares/v1/key"] = {Daemon::Answer{200, dump(key_place("file", false))}};
  screen_.typed = {"new", "nwe"};
  EXPECT_EQ(run({"key", "move", "--to", "passphrase"}), 2);
  EXPECT_EQ(daemon_.asked.size(), 1u);
}

TEST_F(KeyVerb, WhatCouldNotBeTakenAwayIsSaid) {
  daemon_.answers["GET /lares/v1/key"] = {
      Daemon::Answer{200, dump(key_place("secret-service", false))}};
  daemon_.answers["POST /lares/v1/key/move"] = {
      Daemon::Answer{200, R"({"kind":"file","left":"a copy is still there"})"}};
  EXPECT_EQ(run({"key", "move", "--to", "file"}), 0);
  EXPECT_NE(err().find("a copy is still there"), std::string::npos);
}

TEST_F(KeyVerb, TheKeyIsPrintedOnATerminalAndWithYesAlone) {
  EXPECT_EQ(run({"key", "export", "--yes"}), 4) << "no terminal";
  screen_.terminal = true;
  EXPECT_EQ(run({"key", "export"}), 4);
  EXPECT_TRUE(daemon_.asked.empty());
  daemon_.answers["GET /lares/v1/key"] = {Daemon::Answer{200, dump(key_place("file", false))}};
  daemon_.answers["POST /lares/v1/key/export"] = {
      Daemon::Answer{200, R"({"copy":"lares-key-0123"})"}};
  EXPECT_EQ(run({"key", "export", "--yes"}), 0);
  EXPECT_EQ(out(), "lares-key-0123\n");
}

}  // namespace
}  // namespace lares::app
