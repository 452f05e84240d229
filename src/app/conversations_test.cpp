#include "app/conversations.h"

#include <gtest/gtest.h>

#include <thread>

#include "app/testing/fake_house.h"
#include "consent/keyring.h"

namespace lares::app {
namespace {

using testing::Folder;
using testing::Heard;

const consent::Principal kOwner{"owner", consent::Right::Owner, 1000};

// Plays Core: keeps what it was given, and the test says what becomes of it.
class Played final : public api::Service {
 public:
  api::WorkId submit(api::Work work, std::shared_ptr<api::Sink> sink) override {
    const MutexLock lock(mutex);
    works.push_back(std::move(work));
    sinks.push_back(std::move(sink));
    return works.size();
  }
  void cancel(api::WorkId work) override { cancelled.push_back(work); }
  void ask(const std::string& question, Json, api::Reply reply) override {
    reply(Json::array({question}));
  }
  size_t given() {
    const MutexLock lock(mutex);
    return works.size();
  }
  Mutex mutex;
  std::vector<api::Work> works;
  std::vector<std::shared_ptr<api::Sink>> sinks;
  std::vector<api::WorkId> cancelled;
};

// There is no desktop here.
class NoDesktop final : public consent::Vault {
 public:
  Result<> ready() override { return none(); }
  Result<> store(const std::string&, const consent::SecretBytes&) override { return none(); }
  Result<consent::SecretBytes> find(const std::string&) override { return none(); }
  Result<> remove(const std::string&) override { return none(); }

 private:
  static Error none() { return {Code::Unsupported, "there is no session bus"}; }
};

struct KeptConversationsTest : ::testing::Test {
  KeptConversationsTest() : loop(clock) { start(); }
  ~KeptConversationsTest() override { disk->end(); }

  void start() {
    disk = std::make_unique<Background>();
    keyring = std::make_unique<consent::Keyring>(folder.path(), no_desktop,
                                                 consent::Keyring::Options{.effort = {1, KiB(8)}});
    kept = std::make_unique<KeptConversations>(core, loop, log, *disk, *keyring, folder.path(),
                                               folder.path());
  }
  void restart() {
    disk->end();
    kept.reset();
    start();
  }
  // Everything that was given to the background, and what it brought to the loop.
  void settle() {
    for (int round = 0; round < 3; round++) {
      bool done = false;
      kept->settle([&] { done = true; });
      while (!done) {
        if (!loop.run_one()) std::this_thread::yield();
      }
      while (loop.run_one()) continue;
    }
  }
  Result<Json> ask(const std::string& name, Json arguments) {
    if (!arguments.contains("who")) arguments["who"] = "owner";
    std::optional<Result<Json>> answer;
    kept->ask(name, std::move(arguments), [&](Result<Json> got) { answer = std::move(got); });
    settle();
    return *answer;
  }
  // A conversation with one question.
  void begin() {
    conversation = (*ask("conversations.create", Json::object()))["id"];
    question = (*ask("conversations.append",
                     {{"id", conversation}, {"role", "user"}, {"text", "What is a newt?"}}))["id"];
  }
  std::shared_ptr<Heard> answer(const std::string& parent = "") {
    api::Work work;
    work.who = kOwner;
    work.conversation = conversation;
    work.parent = parent;
    auto heard = std::make_shared<Heard>();
    id = kept->submit(std::move(work), heard);
    settle();
    return heard;
  }
  api::Sink& told() { return *core.sinks.back(); }
  static api::Ended end(Result<> result = Unit{}) {
    api::Ended ended;
    ended.result = std::move(result);
    ended.receipt.id = "r-1";
    ended.receipt.model = "tiny";
    return ended;
  }
  Json messages() { return (*ask("conversations.show", {{"id", conversation}}))["messages"]; }
  Json last() { return messages().back(); }

  Folder folder;
  FakeClock clock;
  Log log = Log::silent();
  Loop loop;
  Played core;
  NoDesktop no_desktop;
  std::unique_ptr<consent::Keyring> keyring;
  std::unique_ptr<Background> disk;
  std::unique_ptr<KeptConversations> kept;
  std::string conversation;
  std::string question;
  api::WorkId id = 0;
};

TEST_F(KeptConversationsTest, AnAnswerIsOnDiskBeforeItsEndIsTold) {
  begin();
  const auto heard = answer(question);
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "An amphib", nullptr});
  told().on(api::Delta{0, "ian.", nullptr});
  told().on(end());
  EXPECT_FALSE(heard->ended);
  settle();
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->texts.at(0), "An amphibian.");
  const Json kept_answer = last();
  EXPECT_EQ(heard->ended->message, kept_answer["id"].get<std::string>());
  EXPECT_EQ(heard->ended->not_kept, "");
  EXPECT_EQ(kept_answer["parent"], question);
  EXPECT_EQ(kept_answer["content"], "An amphibian.");
  EXPECT_EQ(kept_answer["state"], "whole");
  EXPECT_EQ(kept_answer["model"], "tiny");
  EXPECT_EQ(kept_answer["receipt"], "r-1");
}

TEST_F(KeptConversationsTest, WhatWasThoughtBeforeItIsKeptBetweenTags) {
  begin();
  const auto heard = answer(question);
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "", nullptr, "It has "});
  told().on(api::Delta{0, "", nullptr, "gills."});
  told().on(api::Delta{0, "A fish", nullptr});
  told().on(api::Delta{0, ".", nullptr});
  told().on(end());
  settle();
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(last()["content"], "<think>It has gills.</think>\n\nA fish.");
}

TEST_F(KeptConversationsTest, WorkWithoutAConversationPassesAsItIs) {
  auto heard = std::make_shared<Heard>();
  EXPECT_EQ(kept->submit({}, heard), 1u);
  EXPECT_EQ(core.sinks.at(0), heard);
  kept->cancel(1);
  EXPECT_EQ(core.cancelled, std::vector<api::WorkId>{1});
  EXPECT_EQ(*ask("status", Json::object()), Json::array({"status"}));
}

TEST_F(KeptConversationsTest, AConversationOfAnotherIsNotAnswered) {
  begin();
  api::Work work;
  work.who = {"app:other", consent::Right::App, 1000};
  work.conversation = conversation;
  auto heard = std::make_shared<Heard>();
  kept->submit(std::move(work), heard);
  settle();
  ASSERT_TRUE(heard->ended && !heard->ended->result);
  EXPECT_EQ(heard->ended->result.error().code, Code::NotFound);
  EXPECT_EQ(core.given(), 0u);
  EXPECT_EQ(ask("conversations.show", {{"who", "app:other"}, {"id", conversation}}).error().code,
            Code::NotFound);
}

TEST_F(KeptConversationsTest, WhatAClientLeftIsKeptAsStopped) {
  begin();
  answer();
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "An amphib", nullptr});
  kept->cancel(id);
  settle();
  ASSERT_EQ(core.cancelled, std::vector<api::WorkId>{1});
  told().on(end(Error{Code::Cancelled, "the request was cancelled"}));
  settle();
  EXPECT_EQ(last()["content"], "An amphib");
  EXPECT_EQ(last()["state"], "stopped");
  EXPECT_FALSE(last().contains("error"));
}

TEST_F(KeptConversationsTest, OnlyWhatWentWrongHereIsKeptAsFailed) {
  begin();
  answer();
  told().on(end(Error{Code::TooLong, "the prompt is too long"}));
  settle();
  EXPECT_EQ(messages().size(), 1u);
  answer();
  told().on(end(Error{Code::Cancelled, "stopped before a word was said"}));
  settle();
  EXPECT_EQ(messages().size(), 1u);
  answer();
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "An", nullptr});
  told().on(end(Error{Code::WorkerDied, "it died"}));
  settle();
  EXPECT_EQ(last()["state"], "failed");
  EXPECT_EQ(last()["error"], "it died");
  EXPECT_EQ(last()["content"], "An");
}

TEST_F(KeptConversationsTest, AProcessThatDiesLosesLessThanASecondOfAnAnswer) {
  begin();
  answer(question);
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "one ", nullptr});
  told().on(api::Delta{0, "two ", nullptr});
  clock.advance(KeptConversations::kKeepEvery);
  settle();
  told().on(api::Delta{0, "three", nullptr});  // a moment ago
  // the files as they lie when the process is killed now
  const std::filesystem::path copy = folder.path() / "killed";
  std::filesystem::create_directories(copy);
  for (const char* file : {"conversations.db", "conversations.db-wal"})
    std::filesystem::copy(folder.path() / file, copy / file);
  consent::Keyring same(folder.path(), no_desktop, {});
  auto again = store::Conversations::open(copy, (*same.key())->reveal());
  ASSERT_TRUE(again) << again.error().message;
  const auto all = *again->conversations.messages("owner", conversation);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].text, "one two ");
  EXPECT_EQ(all[1].parent, question);
  EXPECT_EQ(all[1].state, store::MessageState::Stopped);
}

TEST_F(KeptConversationsTest, AnAnswerWhoseConversationWasDeletedIsGivenAllTheSame) {
  begin();
  const auto heard = answer();
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "An", nullptr});
  ASSERT_TRUE(ask("conversations.remove", {{"id", conversation}}));
  told().on(end());
  settle();
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->ended->message, "");
  EXPECT_NE(heard->ended->not_kept, "");
}

TEST_F(KeptConversationsTest, AStoreThatCannotBeOpenedIsSaidAndAnswersAreGiven) {
  begin();
  disk->end();
  kept.reset();
  std::filesystem::remove(consent::key_file(folder.path()));
  ASSERT_TRUE(write_file(consent::key_file(folder.path()), "no key"));
  start();
  EXPECT_EQ(ask("conversations.list", Json::object()).error().code, Code::Corrupt);
  const Json lines = *ask("doctor", Json::object());
  EXPECT_EQ(lines.back()["check"], "conversations");
  EXPECT_EQ(lines.back()["ok"], false);
  auto heard = std::make_shared<Heard>();
  EXPECT_LT(kept->submit({}, heard), 1u << 20);
}

TEST_F(KeptConversationsTest, ADamagedFileIsSetAsideAndNewOnesAreKept) {
  begin();
  disk->end();
  kept.reset();
  ASSERT_TRUE(write_file(folder.path() / "conversations.db", std::string(20'000, 'x')));
  start();
  begin();
  const Json line = ask("doctor", Json::object())->back();
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(messages().size(), 1u);
}

TEST_F(KeptConversationsTest, UnderAPassphraseTheyAreLockedUntilItIsGiven) {
  begin();
  EXPECT_EQ((*ask("key.show", Json::object()))["kind"], "file");
  ASSERT_TRUE(ask("key.move", {{"to", "passphrase"}, {"next", "a passphrase"}}));
  EXPECT_EQ(messages().size(), 1u) << "who has just given it goes on";
  restart();
  const Error locked = ask("conversations.list", Json::object()).error();
  EXPECT_EQ(locked.code, Code::Denied);
  EXPECT_EQ(locked.message, "the key is locked; run: lares key unlock");
  EXPECT_EQ((*ask("key.show", Json::object()))["locked"], true);
  const Json line = ask("doctor", Json::object())->back();
  EXPECT_EQ(line["ok"], Json(nullptr));
  EXPECT_EQ(line["next"], "lares key unlock");
  const auto refused = answer(question);
  ASSERT_TRUE(refused->ended);
  EXPECT_EQ(refused->ended->result.error().code, Code::Denied);
  EXPECT_EQ(ask("key.unlock", {{"passphrase", "another"}}).error().code, Code::Denied);
  EXPECT_EQ(ask("key.unlock", {{"passphrase", "a passphrase"}}).error().code, Code::Busy);
  restart();  // which forgets how often
  ASSERT_TRUE(ask("key.unlock", {{"passphrase", "a passphrase"}}));
  EXPECT_EQ(messages().size(), 1u);
  EXPECT_EQ(ask("doctor", Json::object())->back()["ok"], true);
}

TEST_F(KeptConversationsTest, LockingWaitsForTheAnswersThatAreKeptAndNeverCutsOne) {
  begin();
  ASSERT_TRUE(ask("key.move", {{"to", "passphrase"}, {"next", "a passphrase"}}));
  const auto heard = answer(question);
  told().on(api::Started{"r-1", "tiny", 5});
  told().on(api::Delta{0, "An amphibian.", nullptr});
  const Error busy = ask("key.lock", Json::object()).error();
  EXPECT_EQ(busy.code, Code::Busy);
  EXPECT_NE(busy.message.find("1 answer is being written"), std::string::npos) << busy.message;
  told().on(end());
  // before the end is on disk, and so before the answer is told
  ASSERT_TRUE(ask("key.lock", Json::object()));
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->ended->not_kept, "");
  EXPECT_EQ(ask("conversations.list", Json::object()).error().code, Code::Denied);
  ASSERT_TRUE(ask("key.unlock", {{"passphrase", "a passphrase"}}));
  EXPECT_EQ(last()["content"], "An amphibian.");
}

TEST_F(KeptConversationsTest, AKeyInAFileIsNotLocked) {
  begin();
  EXPECT_EQ(ask("key.lock", Json::object()).error().code, Code::Invalid);
  EXPECT_EQ(messages().size(), 1u);
}

TEST_F(KeptConversationsTest, ACopyOfTheKeyOpensWhatAForgottenPassphraseClosed) {
  begin();
  ASSERT_TRUE(ask("key.move", {{"to", "passphrase"}, {"next", "forgotten"}}));
  EXPECT_EQ(ask("key.export", {{"passphrase", "wrong"}}).error().code, Code::Denied);
  restart();
  const Json copy = (*ask("key.export", {{"passphrase", "forgotten"}}))["copy"];
  restart();
  EXPECT_EQ(ask("key.import", {{"copy", "lares-key-0"}}).error().code, Code::Invalid);
  const auto back = ask("key.import", {{"copy", copy}});
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_NE((*back)["aside"], "");
  EXPECT_EQ(messages().size(), 1u);
}

TEST_F(KeptConversationsTest, WithoutADesktopMovingThereIsRefusedAndAllStays) {
  begin();
  EXPECT_EQ(ask("key.move", {{"to", "secret-service"}}).error().code, Code::Unsupported);
  EXPECT_EQ(ask("key.move", {{"to", "under the mat"}}).error().code, Code::Invalid);
  EXPECT_EQ(ask("key.move", {{"to", "passphrase"}}).error().code, Code::Invalid);
  restart();
  EXPECT_EQ(messages().size(), 1u);
}

}  // namespace
}  // namespace lares::app
