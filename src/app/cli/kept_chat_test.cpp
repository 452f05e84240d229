// lares chat with the daemon that keeps its conversations, and what it does when one is too long.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "app/cli/chat.h"
#include "app/cli/cli_testing.h"
#include "app/cli/compaction.h"
#include "app/cli/transcript.h"

namespace lares::app {
namespace {

using Words = std::vector<std::string>;

class Typed final : public Lines {
 public:
  explicit Typed(Words lines) : lines_(std::move(lines)) {}
  Got next(std::string_view, std::string& line) override {
    if (at_ == lines_.size()) return Got::End;
    line = lines_[at_++];
    return Got::Line;
  }

 private:
  Words lines_;
  size_t at_ = 0;
};

const Json kTooLong = {
    {"error",
     {{"message", "the prompt has 9,000 tokens, but this model's context is 8,192"},
      {"code", "context_length_exceeded"}}}};

struct KeptChat : ::testing::Test {
  KeptChat() {
    daemon.will("POST /lares/v1/conversations", {{"id", "c-1"}});
    for (int i = 1; i <= 9; i++) daemon.will("POST " + kMessages, {{"id", cat("q-", i)}});
  }
  void will_answer(const std::string& text, const std::string& id) {
    daemon.will_say({text}, {{"lares", {{"id", "r-1"}, {"message", id}}}});
  }
  void will_summarise(const std::string& text) {
    daemon.will("POST /v1/chat/completions",
                {{"choices", {{{"message", {{"role", "assistant"}, {"content", text}}}}}}});
  }
  int chat(const Words& typed, Conversation::Start start = {.system = "Be kind."},
           const char* goes_on = nullptr) {
    Typed lines(typed);
    Context context{screen, daemon, home};
    screen.terminal = true;
    Conversation conversation(context, lines, std::move(start));
    if (goes_on) {
      const auto done = conversation.go_on(goes_on);
      EXPECT_TRUE(done) << done.error().message;
    }
    return *conversation.run();
  }
  // The bodies that were sent to a route.
  std::vector<Json> sent(const std::string& route) const {
    std::vector<Json> bodies;
    for (const auto& each : daemon.asked) {
      if (each.route == route) bodies.push_back(each.body);
    }
    return bodies;
  }
  // A conversation of two exchanges, as the daemon shows it.
  void will_show_one() {
    daemon.will(
        "GET /lares/v1/conversations?limit=500",
        Json::array({{{"id", "c-7f"}, {"title", "Newts"}, {"updated_ms", 2}, {"messages", 5}},
                     {{"id", "c-70"}, {"title", "Toads"}, {"updated_ms", 1}, {"messages", 1}}}));
    daemon.will("GET /lares/v1/conversations/c-7f",
                Json::parse(R"({"id":"c-7f","title":"Newts","model":"tiny","head":"d","messages":[
      {"id":"a","parent":null,"role":"user","content":"What is a newt?"},
      {"id":"b","parent":"a","role":"assistant","content":"An amphibian."},
      {"id":"x","parent":"a","role":"assistant","content":"A bird."},
      {"id":"c","parent":"b","role":"user","content":[{"type":"text","text":"And a toad?"}]},
      {"id":"d","parent":"c","role":"assistant","content":"Another."}]})"));
    for (int i = 1; i <= 5; i++)
      daemon.will("POST /lares/v1/conversations/c-7f/messages", {{"id", cat("n-", i)}});
    daemon.will("PATCH /lares/v1/conversations/c-7f", Json::object());
  }

  static inline const std::string kMessages = "/lares/v1/conversations/c-1/messages";
  FakeScreen screen;
  FakeDaemon daemon;
  Home home{"/h/config", "/h/share", "/h/cache", "/h/run"};
};

TEST_F(KeptChat, IsKeptInTheDaemonMessageByMessage) {
  will_answer("Hello!", "a-1");
  will_answer("Again!", "a-2");
  EXPECT_EQ(chat({"Hi", "Once more"}), 0);
  ASSERT_EQ(sent("POST /lares/v1/conversations").size(), 1u);
  const auto messages = sent("POST " + kMessages);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0], (Json{{"parent", nullptr}, {"role", "user"}, {"content", "Hi"}}));
  EXPECT_EQ(messages[1], (Json{{"parent", "a-1"}, {"role", "user"}, {"content", "Once more"}}));
  EXPECT_EQ(daemon.chats()[1]["lares"], (Json{{"conversation", "c-1"}, {"parent", "q-2"}}));
  EXPECT_EQ(daemon.chats()[1]["messages"].size(), 4u);
}

TEST_F(KeptChat, PrivateOnesAreKeptNowhere) {
  will_answer("Hello!", "");
  EXPECT_EQ(chat({"Hi", "Ho"}, {.keep = Transcript::Keep::Nowhere}), 0);
  for (const auto& each : daemon.asked)
    EXPECT_EQ(each.route.find("conversations"), std::string::npos) << each.route;
  EXPECT_FALSE(daemon.chats()[0].contains("lares"));
  EXPECT_EQ(daemon.chats()[1]["messages"].size(), 3u);
}

TEST_F(KeptChat, GoesOnAllTheSameWhenItCannotBeKept) {
  daemon.answers["POST " + kMessages].clear();
  daemon.will("POST " + kMessages, {{"error", {{"message", "no room"}, {"code", "no_room"}}}}, 507);
  will_answer("Hello!", "");
  EXPECT_EQ(chat({"Hi", "Ho"}), 0);
  EXPECT_EQ(sent("POST " + kMessages).size(), 1u) << "and says so once";
  EXPECT_NE(screen.written_err.find("this conversation is not kept: no room"), std::string::npos);
  EXPECT_EQ(daemon.chats().size(), 2u);
}

TEST_F(KeptChat, AnAnswerThatTheDaemonCouldNotKeepIsSaid) {
  daemon.will_say({"Hello!"}, {{"lares", {{"id", "r-1"}, {"not_kept", "the disk is full"}}}});
  EXPECT_EQ(chat({"Hi"}), 0);
  EXPECT_NE(screen.written_err.find("not kept: the disk is full"), std::string::npos);
}

TEST_F(KeptChat, ASystemPromptOfThePersonIsKeptWithIt) {
  will_answer("ok", "a-1");
  EXPECT_EQ(chat({"Hi", "/system Be brief.", "Ho"}), 0);
  const auto messages = sent("POST " + kMessages);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[1]["role"], "system");
  EXPECT_EQ(messages[1]["content"], "Be brief.");
  EXPECT_EQ(messages[2]["parent"], "q-2");
}

TEST_F(KeptChat, GoesOnWithTheBranchThatIsShown) {
  will_show_one();
  will_answer("Bufo bufo.", "e");
  EXPECT_EQ(chat({"Name one"}, {}, ""), 0);
  EXPECT_EQ(daemon.chats()[0]["messages"],
            Json::parse(R"([{"role":"user","content":"What is a newt?"},
                            {"role":"assistant","content":"An amphibian."},
                            {"role":"user","content":"And a toad?"},
                            {"role":"assistant","content":"Another."},
                            {"role":"user","content":"Name one"}])"));
  EXPECT_EQ(daemon.chats()[0]["model"], "tiny");
  EXPECT_EQ(sent("POST /lares/v1/conversations/c-7f/messages")[0]["parent"], "d");
  EXPECT_NE(screen.written_err.find("going on with 'Newts', 4 messages"), std::string::npos);
  EXPECT_NE(screen.written_err.find("Another."), std::string::npos);
}

TEST_F(KeptChat, OneIsMeantByItsIdItsBeginningOrItsWords) {
  will_show_one();
  EXPECT_EQ(*conversation_meant(daemon, ""), "c-7f");
  EXPECT_EQ(*conversation_meant(daemon, "c-70"), "c-70");
  EXPECT_EQ(*conversation_meant(daemon, "7f"), "c-7f");
  EXPECT_EQ(conversation_meant(daemon, "c-7").error().code, Code::NotFound);
  daemon.will("GET /lares/v1/conversations?limit=500&query=warty%20toad",
              Json::array({{{"id", "c-70"}}}));
  EXPECT_EQ(*conversation_meant(daemon, "warty toad"), "c-70");
  daemon.will("GET /lares/v1/conversations?limit=500&query=none", Json::array());
  EXPECT_EQ(conversation_meant(daemon, "none").error().code, Code::NotFound);
}

TEST_F(KeptChat, RetryAsksAgainBesideTheFirstAnswer) {
  will_answer("One", "a-1");
  will_answer("Two", "a-2");
  EXPECT_EQ(chat({"Hi", "/retry", "And?"}), 0);
  EXPECT_EQ(daemon.chats()[1]["lares"]["parent"], "q-1");
  EXPECT_EQ(sent("POST " + kMessages)[1]["parent"], "a-2");
}

TEST_F(KeptChat, AfterAStoppedAnswerTheNextQuestionFollowsIt) {
  Transcript transcript(daemon, Transcript::Keep::InDaemon);
  ASSERT_TRUE(transcript.ask("Hi", ""));
  transcript.answered("Hel", "");  // Ctrl-C: the daemon's id for it never came
  daemon.will("GET /lares/v1/conversations/c-1",
              {{"messages",
                {{{"id", "q-1"}, {"parent", nullptr}, {"role", "user"}},
                 {{"id", "a-9"}, {"parent", "q-1"}, {"role", "assistant"}}}}});
  ASSERT_TRUE(transcript.ask("Go on", ""));
  EXPECT_EQ(sent("POST " + kMessages)[1]["parent"], "a-9");
  EXPECT_EQ(transcript.messages("").size(), 3u);
}

// ---- a context that is full

TEST_F(KeptChat, AFullContextBecomesASummaryAndTheQuestionIsAnswered) {
  will_show_one();
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  will_summarise("They spoke of newts.");
  will_answer("Bufo bufo.", "e");
  EXPECT_EQ(chat({"Name one"}, {.system = "Be kind."}, "c-7f"), 0);

  const auto chats = daemon.chats();
  ASSERT_EQ(chats.size(), 3u);
  EXPECT_FALSE(chats[1].contains("lares")) << "a summary is no message of the model's";
  EXPECT_NE(chats[1]["messages"][1]["content"].get<std::string>().find("An amphibian."),
            std::string::npos);
  EXPECT_EQ(
      chats[2]["messages"],
      Json::parse(R"([{"role":"system","content":"Be kind.\n\nWhat was said before, in short:\n)"
                  R"(They spoke of newts."},
                            {"role":"user","content":"And a toad?"},
                            {"role":"assistant","content":"Another."},
                            {"role":"user","content":"Name one"}])"));
  const auto messages = sent("POST /lares/v1/conversations/c-7f/messages");
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[1], (Json{{"parent", "n-1"},
                               {"role", "summary"},
                               {"content", "They spoke of newts."},
                               {"covers", "b"}}));
  EXPECT_EQ(chats[2]["lares"]["parent"], "n-2");
  EXPECT_NE(
      screen.written_err.find("the context was full: 2 earlier messages are now a summary; /undo"),
      std::string::npos)
      << screen.written_err;
  EXPECT_NE(screen.written_out.find("Bufo bufo."), std::string::npos);
}

TEST_F(KeptChat, UndoTakesTheSummaryBackAndAllIsInViewAgain) {
  will_show_one();
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  will_summarise("They spoke of newts.");
  will_answer("Bufo bufo.", "e");
  will_answer("Now with all of it.", "f");
  EXPECT_EQ(chat({"Name one", "/undo", "Name two", "/undo"}, {}, "c-7f"), 0);
  EXPECT_EQ(sent("PATCH /lares/v1/conversations/c-7f").back(), (Json{{"head", "n-1"}}));
  EXPECT_EQ(daemon.chats()[3]["messages"].size(), 5u);
  EXPECT_EQ(daemon.chats()[3]["messages"].back()["content"], "Name two");
  EXPECT_EQ(sent("POST /lares/v1/conversations/c-7f/messages").back()["parent"], "d");
  EXPECT_NE(screen.written_err.find("nothing was summarised here"), std::string::npos);
}

TEST_F(KeptChat, AnOldConversationTooLongForOneSummaryIsSummarisedInPieces) {
  Transcript transcript(daemon, Transcript::Keep::Nowhere);
  for (int i = 0; i < 20; i++) {
    ASSERT_TRUE(transcript.ask(std::string(400, 'q'), ""));
    transcript.answered(std::string(400, 'a'), "");
  }
  ASSERT_TRUE(transcript.ask("last", ""));
  Context context{screen, daemon, home};
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  for (const char* summary : {"one", "two", "three", "four", "five", "six"})
    will_summarise(summary);
  const auto done = compact(context, {}, transcript);
  ASSERT_TRUE(done && *done);
  EXPECT_GE(daemon.chats().size(), 4u);
  EXPECT_NE(daemon.chats().back()["messages"][1]["content"].get<std::string>().find(
                "Summary of the earlier part:\n"),
            std::string::npos);
  EXPECT_EQ(transcript.in_view().size(), 3u);
}

TEST_F(KeptChat, ASummaryThatOnlyRepeatsItselfIsNotTaken) {
  will_show_one();
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  daemon.will("POST /v1/chat/completions",
              {{"choices", {{{"message", {{"role", "assistant"}, {"content", "newt newt newt"}}}}}},
               {"lares", {{"outcome", "repeats"}}}});
  EXPECT_NE(chat({"Name one"}, {}, "c-7f"), 0);
  EXPECT_NE(screen.written_err.find("summarising: the model only repeated itself"),
            std::string::npos);
  for (const Json& message : sent("POST /lares/v1/conversations/c-7f/messages"))
    EXPECT_NE(message["role"], "summary");
}

TEST_F(KeptChat, AQuestionTooLongByItselfIsSaidAndNothingIsSummarised) {
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  EXPECT_EQ(chat({"much too long"}), 2);
  EXPECT_EQ(daemon.chats().size(), 1u);
  EXPECT_NE(screen.written_err.find("9,000 tokens"), std::string::npos);
}

TEST_F(KeptChat, OlderTurnsAreNotSummarisedForAQuestionTooLongByItself) {
  will_show_one();
  const Json model = {
      {"id", "tiny"}, {"use", "chat"}, {"default", true}, {"info", {{"context", 8192}}}};
  for (int i = 0; i < 3; i++) daemon.will("GET /lares/v1/models", Json::array({model}));
  daemon.will("POST /v1/chat/completions", kTooLong, 400);
  EXPECT_EQ(chat({std::string(45'000, 'x')}, {}, "c-7f"), 2);
  EXPECT_EQ(daemon.chats().size(), 1u);
  EXPECT_NE(screen.written_err.find("9,000 tokens"), std::string::npos);
}

TEST(TurnsKept, LeaveTheQuestionAndWhereThereIsMoreTheExchangeBeforeIt) {
  EXPECT_EQ(turns_kept(0), 0u);
  EXPECT_EQ(turns_kept(1), 0u);
  EXPECT_EQ(turns_kept(2), 1u);
  EXPECT_EQ(turns_kept(3), 1u);
  EXPECT_EQ(turns_kept(5), 3u);
}

// ---- --list and --delete

TEST_F(KeptChat, AreListedAndDeleted) {
  will_show_one();
  Context context{screen, daemon, home};
  Arguments arguments;
  arguments.values_["--list"] = "";
  EXPECT_EQ(*lares::app::chat(context, arguments), 0);
  EXPECT_NE(screen.written_out.find("c-7f"), std::string::npos);
  EXPECT_NE(screen.written_out.find("Newts"), std::string::npos);
  daemon.will("DELETE /lares/v1/conversations/c-7f", Json::object());
  Arguments deleting;
  deleting.values_["--delete"] = "";
  EXPECT_EQ(lares::app::chat(context, deleting).error().code, Code::Invalid) << "which?";
  deleting.words_ = {"7f"};
  EXPECT_EQ(*lares::app::chat(context, deleting), 0);
  EXPECT_EQ(daemon.asked.back().route, "DELETE /lares/v1/conversations/c-7f");
  EXPECT_NE(screen.written_out.find("deleted 'Newts', 5 messages"), std::string::npos);
}

TEST_F(KeptChat, JsonWithoutAListIsRefusedAndNothingIsDeleted) {
  Context context{screen, daemon, home};
  for (const char* with : {"--json", "--delete", "--continue"}) {
    Arguments arguments;
    arguments.values_["--json"] = arguments.values_[with] = "";
    arguments.words_ = {"7f"};
    const auto refused = lares::app::chat(context, arguments);
    EXPECT_EQ(refused.error().code, Code::Invalid) << with;
    EXPECT_NE(refused.error().message.find("lares chat --list"), std::string::npos) << with;
  }
  EXPECT_TRUE(daemon.asked.empty());
}

TEST_F(KeptChat, WordsWithoutContinueAreToldWhatToWrite) {
  Context context{screen, daemon, home};
  Arguments arguments;
  arguments.words_ = {"c-7f"};
  const auto refused = lares::app::chat(context, arguments);
  EXPECT_EQ(refused.error().code, Code::Invalid);
  EXPECT_NE(refused.error().message.find("lares chat --continue c-7f"), std::string::npos);
}

}  // namespace
}  // namespace lares::app
