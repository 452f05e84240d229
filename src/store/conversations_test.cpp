#include "store/conversations.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "store/conversation_text.h"
#include "store/conversations_testing.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> titles(const std::vector<Conversation>& all) {
  std::vector<std::string> out;
  for (const Conversation& one : all) out.push_back(one.title);
  return out;
}

using Names = std::vector<std::string>;

TEST(Conversations, AreATreeOfWhichOneBranchIsShown) {
  const TestFolder folder;
  std::string id;
  Message first;
  Message edited;
  {
    Conversations store = opened(folder.path());
    id = store.create("owner", "", "tiny", 1000)->id;
    first = *store.append("owner", id, said(Role::User, "What is a newt?"), 1001);
    const Message answer =
        *store.append("owner", id, said(Role::Assistant, "An amphibian.", first.id), 1002);
    EXPECT_EQ(store.find("owner", id)->head, answer.id);
    edited = *store.append("owner", id, said(Role::User, "What is a toad?"), 1003);
    EXPECT_EQ(store.find("owner", id)->head, edited.id);
    EXPECT_EQ(store.change("owner", id, {.head = answer.id}, 1004)->head, answer.id);
  }
  // and all of it is there after a restart
  Conversations store = opened(folder.path());
  const Conversation found = *store.find("owner", id);
  EXPECT_EQ(found.title, "What is a newt?");
  EXPECT_EQ(found.model, "tiny");
  EXPECT_EQ(found.messages, 3u);
  EXPECT_EQ(found.created_ms, 1000);
  EXPECT_EQ(found.updated_ms, 1004);
  const std::vector<Message> all = *store.messages("owner", id);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].parent, first.id);
  EXPECT_EQ(all[1].role, Role::Assistant);
  EXPECT_EQ(all[2].id, edited.id);
  EXPECT_EQ(all[2].parent, "");
}

TEST(Conversations, OfAnotherPrincipalAreNotThere) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  const std::string id = store.create("owner", "secret plans", "", 1)->id;
  const Message first = *store.append("owner", id, said(Role::User, "secret words"), 2);
  const std::string own = store.create("app:a", "", "", 3)->id;

  EXPECT_EQ(store.find("app:a", id).error().code, Code::NotFound);
  EXPECT_EQ(store.messages("app:a", id).error().code, Code::NotFound);
  EXPECT_EQ(store.change("app:a", id, {.title = "mine"}, 4).error().code, Code::NotFound);
  EXPECT_EQ(store.append("app:a", id, said(Role::User, "x"), 4).error().code, Code::NotFound);
  EXPECT_EQ(store.begin("app:a", id, "", 4).error().code, Code::NotFound);
  EXPECT_EQ(store.remove("app:a", id).error().code, Code::NotFound);
  EXPECT_EQ(titles(*store.list("app:a", {.query = "secret"})), Names{});
  EXPECT_EQ(store.list("app:a", {})->size(), 1u);
  // nor can a message of one be a parent in another
  EXPECT_EQ(store.append("app:a", own, said(Role::User, "x", first.id), 4).error().code,
            Code::NotFound);
  EXPECT_EQ(store.find("owner", id)->title, "secret plans");
}

TEST(Conversations, AreListedNewestFirstInPages) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  for (int i = 0; i < 7; i++)
    ASSERT_TRUE(store.create("owner", cat("n", i), "", 500));  // a clock that stands still
  const auto first = *store.list("owner", {.limit = 3});
  EXPECT_EQ(titles(first), (Names{"n6", "n5", "n4"}));
  const auto second = *store.list("owner", {.limit = 3, .before_ms = first.back().updated_ms});
  EXPECT_EQ(titles(second), (Names{"n3", "n2", "n1"}));
  const auto third = *store.list("owner", {.limit = 3, .before_ms = second.back().updated_ms});
  EXPECT_EQ(titles(third), (Names{"n0"}));
}

TEST(Conversations, AreNotFoundByWordsThatOnlyASummaryHas) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  const std::string id = store.create("owner", "Zoology", "", 1)->id;
  const Message asked = *store.append("owner", id, said(Role::User, "What is a newt?"), 2);
  Message summary = said(Role::Summary, "The person likes newts and dragons.", asked.id);
  summary.covers = asked.id;
  ASSERT_TRUE(store.append("owner", id, summary, 3));
  EXPECT_EQ(store.list("owner", {.query = "dragons"})->size(), 0u);
  const auto found = store.list("owner", {.query = "newt"});
  ASSERT_EQ(found->size(), 1u);
  EXPECT_NE(found->front().snippet.find("What is a newt?"), std::string::npos);
}

TEST(Conversations, AreFoundByWordsOfMessagesAndTitles) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  const std::string one = store.create("owner", "Zoology", "", 1)->id;
  ASSERT_TRUE(store.append("owner", one, said(Role::User, "Tell me of the great crested newt"), 2));
  ASSERT_TRUE(store.create("owner", "Newts at home", "", 3));
  ASSERT_TRUE(store.create("owner", "Cooking", "", 4));

  EXPECT_EQ(titles(*store.list("owner", {.query = "newt"})), (Names{"Newts at home", "Zoology"}));
  const auto found = *store.list("owner", {.query = "CRESTED great"});
  ASSERT_EQ(titles(found), Names{"Zoology"});
  EXPECT_NE(found[0].snippet.find("great crested newt"), std::string::npos);
  EXPECT_EQ(titles(*store.list("owner", {.query = "cook"})), Names{"Cooking"});
  // what means something to the index means nothing here
  for (const char* odd : {"newt OR", "\"", "*", "a:b", "NEAR(", "-newt ^", "(((", "col : x"})
    EXPECT_TRUE(store.list("owner", {.query = odd})) << odd;
  ASSERT_TRUE(store.change("owner", one, {.title = "Botany"}, 5));
  EXPECT_EQ(titles(*store.list("owner", {.query = "zoology"})), Names{});
  EXPECT_EQ(titles(*store.list("owner", {.query = "botany"})), Names{"Botany"});
}

TEST(Conversations, NothingOfADeletedOneIsLeftInTheFile) {
  const TestFolder folder;
  const auto words = [](int i) { return cat("xylophone", i, "zebra quagga", i, "okapi"); };
  Conversations store = opened(folder.path());
  const std::string kept = store.create("owner", "kept", "", 1)->id;
  ASSERT_TRUE(store.append("owner", kept, said(Role::User, "the walrus stays"), 2));
  const std::string gone = store.create("owner", "xylophone in the title", "", 3)->id;
  std::string parent;
  for (int i = 0; i < 300; i++) {
    auto message = said(i % 2 ? Role::Assistant : Role::User, "", parent);
    // long ones too, which lie in pages of their own
    for (int times = 0; times < (i % 50 == 0 ? 2000 : 3); times++) message.text += words(i) + " ";
    message.parts = message.text;
    parent = store.append("owner", gone, std::move(message), 10 + i)->id;
  }
  const auto answer = *store.begin("owner", gone, parent, 900);
  ASSERT_TRUE(store.keep(answer, "m", "half a xylophone"));
  ASSERT_NE(store.database().pages_in_clear()->find("xylophone"), std::string::npos);
  ASSERT_GT(fs::file_size(folder.file().string() + "-wal"), 0u);

  ASSERT_TRUE(store.remove("owner", gone));
  EXPECT_EQ(store.find("owner", gone).error().code, Code::NotFound);
  EXPECT_EQ(store.list("owner", {.query = "xylophone"})->size(), 0u);
  const std::string pages = *store.database().pages_in_clear();
  for (const char* word : {"xylophone", "quagga", "okapi", "zebra"})
    EXPECT_EQ(pages.find(word), std::string::npos) << word;
  EXPECT_NE(pages.find("the walrus stays"), std::string::npos);
  EXPECT_EQ(fs::file_size(folder.file().string() + "-wal"), 0u);
  // an answer that ends after that has nowhere to be
  EXPECT_EQ(store.keep(answer, "m", "more").error().code, Code::NotFound);
  EXPECT_EQ(store.end(answer, {}, 901).error().code, Code::NotFound);
  EXPECT_EQ(store.list("owner", {.query = "walrus"})->size(), 1u);
}

TEST(Conversations, AnAnswerThatWasCutByTheEndOfTheProcessIsThereAsStopped) {
  const TestFolder folder;
  std::string id;
  Message question;
  const fs::path copy = folder.path() / "killed";
  fs::create_directories(copy);
  {
    Conversations store = opened(folder.path());
    id = store.create("owner", "", "", 1)->id;
    question = *store.append("owner", id, said(Role::User, "Count"), 2);
    const auto answer = *store.begin("owner", id, question.id, 3);
    ASSERT_TRUE(store.keep(answer, "tiny", "one, "));
    ASSERT_TRUE(store.keep(answer, "tiny", "two"));
    // as the files lie when the process is killed now
    for (const char* end : {"", "-wal"})
      fs::copy(folder.file().string() + end, copy / (std::string("conversations.db") + end));
  }
  auto again = Conversations::open(copy, kTestKey);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->interrupted, 1u);
  const auto all = *again->conversations.messages("owner", id);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].text, "one, two");
  EXPECT_EQ(all[1].state, MessageState::Stopped);
  EXPECT_EQ(all[1].parent, question.id);
  EXPECT_EQ(all[1].model, "tiny");
  EXPECT_EQ(again->conversations.find("owner", id)->head, all[1].id);
}

TEST(Conversations, AnAnswerThatEndsReplacesWhatWasKeptOfIt) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  const std::string id = store.create("owner", "", "", 1)->id;
  const Message question = *store.append("owner", id, said(Role::User, "Count"), 2);
  const auto answer = *store.begin("owner", id, "", 3);
  EXPECT_EQ(answer.parent, question.id);
  ASSERT_TRUE(store.keep(answer, "tiny", "one, "));
  Message whole;
  whole.text = "one, two";
  whole.receipt = "r-1";
  const Message ended = *store.end(answer, whole, 4);
  EXPECT_EQ(ended.id, answer.message);
  EXPECT_EQ(store.messages("owner", id)->size(), 2u);
  auto pieces = store.database().query("SELECT count(*) FROM piece");
  ASSERT_TRUE(pieces && *pieces->next());
  EXPECT_EQ(pieces->integer(0), 0);
}

TEST(Conversations, OfADamagedFileAreSetAsideAndNothingIsOverwritten) {
  const TestFolder folder;
  {
    ASSERT_TRUE(opened(folder.path()).create("owner", "old", "", 1));
  }
  std::string bytes = *read_file(folder.file());
  for (const size_t at : {size_t{100}, bytes.size() / 2, bytes.size() - 50}) {
    std::string damaged = bytes;
    for (size_t i = 0; i < 40; i++) damaged[at + i] = static_cast<char>(damaged[at + i] ^ 0x55);
    ASSERT_TRUE(write_file(folder.file(), damaged));
    auto opened = Conversations::open(folder.path(), kTestKey);
    ASSERT_TRUE(opened) << opened.error().message;
    ASSERT_FALSE(opened->set_aside.empty()) << at;
    EXPECT_EQ(*read_file(opened->set_aside), damaged);
    EXPECT_EQ(opened->conversations.list("owner", {})->size(), 0u);
    EXPECT_TRUE(opened->conversations.create("owner", "new", "", 2));
  }
}

TEST(Conversations, OfAnotherKeyAreSetAsideAndFitAgainWithTheirOwn) {
  const TestFolder folder;
  {
    ASSERT_TRUE(opened(folder.path()).create("owner", "old", "", 1));
  }
  fs::path aside;
  {
    auto other = Conversations::open(folder.path(), std::string(32, 'x'));
    ASSERT_TRUE(other) << other.error().message;
    aside = other->set_aside;
  }
  fs::rename(aside, folder.file());
  EXPECT_EQ(opened(folder.path()).list("owner", {})->front().title, "old");
}

TEST(Conversations, OfANewerLaresAreRefused) {
  const TestFolder folder;
  {
    ASSERT_TRUE(opened(folder.path()).database().script("PRAGMA user_version = 77"));
  }
  const std::string before = *read_file(folder.file());
  const auto refused = Conversations::open(folder.path(), kTestKey);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unsupported);
  EXPECT_EQ(*read_file(folder.file()), before);
}

TEST(Conversations, HoldNoMoreThanTheirLimits) {
  const TestFolder folder;
  Conversations store = opened(folder.path());
  const std::string id = store.create("owner", "", "", 1)->id;
  ASSERT_TRUE(store.database().run("UPDATE conversation SET messages = ?",
                                   static_cast<int64_t>(kConversationMessagesMax)));
  EXPECT_EQ(store.append("owner", id, said(Role::User, "x"), 2).error().code, Code::NoRoom);
  const std::string large = store.create("owner", "", "", 3)->id;
  ASSERT_TRUE(store.database().run("UPDATE conversation SET bytes = ? WHERE id = ?",
                                   static_cast<int64_t>(kConversationBytesMax.n - 3), large));
  EXPECT_EQ(store.append("owner", large, said(Role::User, "four"), 4).error().code, Code::NoRoom);
  EXPECT_TRUE(store.append("owner", large, said(Role::User, "one"), 5));
}

TEST(TitleFrom, TakesTheFirstWordsOfTheFirstLine) {
  EXPECT_EQ(title_from("  Why is\tthe  sky blue?\nBecause"), "Why is the sky blue?");
  EXPECT_EQ(title_from("\n\n  \n"), "");
  const std::string title = title_from(
      "Would you explain to me at length how the mitochondria of the cell came to be there at all");
  EXPECT_EQ(title, "Would you explain to me at length how the mitochondria of…");
  std::string umlauts;
  for (int i = 0; i < 100; i++) umlauts += "ü";
  EXPECT_EQ(title_from(umlauts).size(), 2 * kTitleFromWords + std::string("…").size());
  EXPECT_TRUE(is_utf8(title_from(umlauts)));
}

TEST(SearchExpression, QuotesEveryWord) {
  EXPECT_EQ(search_expression(""), "");
  EXPECT_EQ(search_expression(" \n"), "");
  EXPECT_EQ(search_expression("newt"), "\"newt\"*");
  EXPECT_EQ(search_expression("a b"), "\"a\" \"b\"") << "no beginning of one letter";
  EXPECT_EQ(search_expression("newt "), "\"newt\"");
  EXPECT_EQ(search_expression("a OR \"b"), "\"a\" \"OR\" \" b\"*");
}

TEST(SnippetOf, ShowsTheFirstWordThatWasFoundAndThoseAroundIt) {
  EXPECT_EQ(snippet_of("The great\ncrested newt", "newt"), "The great crested newt");
  std::string longer;
  for (int i = 0; i < 40; i++) longer += "before ";
  longer += "a Newt in the pond ";
  for (int i = 0; i < 40; i++) longer += "after ";
  const std::string snippet = snippet_of(longer, "pond newt");
  EXPECT_TRUE(snippet.starts_with("…before ")) << snippet;
  EXPECT_NE(snippet.find("a Newt in the pond after"), std::string::npos) << snippet;
  EXPECT_TRUE(snippet.ends_with("after…")) << snippet;
  EXPECT_LE(snippet.size(), kSnippetBytes + 2 * std::string("…").size());
  EXPECT_EQ(snippet_of("no such word", "newt"), "no such word");
  EXPECT_EQ(snippet_of("unnewtly newts", "newt"), "unnewtly newts");
  std::string umlauts;
  for (int i = 0; i < 200; i++) umlauts += "ü";
  EXPECT_TRUE(is_utf8(snippet_of(umlauts, "x")));
  EXPECT_TRUE(is_utf8(snippet_of(umlauts + " newt " + umlauts, "newt")));
  EXPECT_EQ(snippet_of("", "newt"), "");
}

}  // namespace
}  // namespace lares::store
