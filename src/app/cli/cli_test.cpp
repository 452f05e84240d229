// The pure parts of the command line.
#include <gtest/gtest.h>

#include "app/cli/arguments.h"
#include "app/cli/first_answer.h"
#include "app/cli/help.h"
#include "app/cli/plain_text.h"
#include "app/cli/program.h"
#include "app/cli/prompt.h"
#include "app/cli/table.h"
#include "app/system_prompt.h"
#include "base/text.h"

namespace lares::app {
namespace {

using Words = std::vector<std::string>;

TEST(PlainText, DropsEveryControlCharacterButNewlineAndTab) {
  EXPECT_EQ(plain("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(plain("\x1b[31mred\x1b[0m"), "[31mred[0m");
  EXPECT_EQ(plain("\x1b]0;title\x07over\rwritten\b"), "]0;titleoverwritten");
  EXPECT_EQ(plain("csi \xC2\x9B"
                  "31m and del \x7F"),
            "csi 31m and del ");
  std::string all;
  for (int c = 0; c < 256; c++) all += static_cast<char>(c);
  for (const char c : plain(all))
    EXPECT_TRUE(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
}

TEST(PlainText, MarksCharactersThatTurnALineAround) {
  EXPECT_EQ(plain("a\u202Eb"), "a\uFFFDb");
  EXPECT_EQ(plain("a\u2066b"), "a\uFFFDb");
  EXPECT_EQ(plain("\u05E9\u05DC\u05D5\u05DD"), "\u05E9\u05DC\u05D5\u05DD") << "Hebrew itself stays";
}

TEST(PlainText, IsTheSameHoweverTheTextIsCut) {
  const std::string text = "gr\u00FC\u00DFe \xC2\x9B \U0001F600 \xFF\xC3 \u202E end\x1b";
  const std::string whole = plain(text);
  for (size_t first = 0; first <= text.size(); first++) {
    for (size_t second = first; second <= text.size(); second++) {
      PlainText pieces;
      std::string out = pieces.feed(text.substr(0, first));
      out += pieces.feed(text.substr(first, second - first));
      out += pieces.feed(text.substr(second));
      EXPECT_EQ(out + pieces.end(), whole) << first << " " << second;
    }
  }
}

TEST(PlainText, CountsColumns) {
  EXPECT_EQ(columns("abc"), 3U);
  EXPECT_EQ(columns("gr\u00FC\u00DFe"), 5U);
  EXPECT_EQ(columns("\u65E5\u672C"), 4U);
  EXPECT_EQ(columns("e\u0301"), 1U);
}

TEST(Prompt, JoinsWordsAndPutsThePipeBelow) {
  EXPECT_EQ(*join_prompt(Words{"Why", "is", "it?"}, ""), "Why is it?");
  EXPECT_EQ(*join_prompt(Words{"explain"}, "diff\n"), "explain\n\ndiff\n");
  EXPECT_EQ(*join_prompt({}, "only a pipe"), "only a pipe");
  EXPECT_EQ(*join_prompt(Words{"hi"}, ""), "hi");
  EXPECT_EQ(*join_prompt(Words{"hi"}, "\n \n"), "hi") << "an empty pipe adds nothing";
  EXPECT_EQ(*join_prompt({}, "\xEF\xBB\xBFtext"), "text") << "a byte order mark is no text";
}

TEST(Prompt, RefusesNothingAndTooMuch) {
  EXPECT_EQ(join_prompt({}, "").error().code, Code::Invalid);
  EXPECT_EQ(join_prompt(Words{" "}, "\n").error().code, Code::Invalid);
  const auto long_one = join_prompt({}, std::string(10'000'000, 'a'));
  ASSERT_FALSE(long_one);
  EXPECT_NE(long_one.error().message.find("3 MiB"), std::string::npos) << long_one.error().message;
}

TEST(Prompt, SaysWhereTheTextIsNoText) {
  const auto latin = join_prompt({}, "caf\xE9 au lait");
  ASSERT_FALSE(latin);
  EXPECT_EQ(latin.error().code, Code::Invalid);
  EXPECT_NE(latin.error().message.find("byte 3"), std::string::npos) << latin.error().message;
  const auto binary = join_prompt({}, std::string("ELF\0x", 5));
  ASSERT_FALSE(binary);
  EXPECT_NE(binary.error().message.find("byte 3 is zero"), std::string::npos);
  EXPECT_NE(join_prompt({}, "\xFF\xFEh").error().message.find("UTF-16"), std::string::npos);
  EXPECT_NE(join_prompt({}, "cut \xE2\x82").error().message.find("byte 4"), std::string::npos)
      << join_prompt({}, "cut \xE2\x82").error().message;
}

TEST(Prompt, TheSystemPromptIsShortAndDated) {
  const std::string text = system_prompt(WallTime(std::chrono::seconds(1'700'000'000)));
  EXPECT_NE(text.find("2023"), std::string::npos) << text;
  EXPECT_LE(text.size(), 120U) << "about four letters a token";
}

TEST(Table, AlignsAndCutsTheColumnThatGives) {
  Table table({{"NAME", Table::Side::Left, true}, {"SIZE", Table::Side::Right}});
  table.add({"a", "94 MiB"});
  table.add({"a-very-long-name-that-does-not-fit", "1.0 GiB"});
  EXPECT_EQ(table.print(0),
            "NAME                                   SIZE\n"
            "a                                    94 MiB\n"
            "a-very-long-name-that-does-not-fit  1.0 GiB\n");
  EXPECT_EQ(table.print(24),
            "NAME                SIZE\n"
            "a                 94 MiB\n"
            "a-very-long-na…  1.0 GiB\n");
  Table hostile({{"NAME"}});
  hostile.add({"x\x1b[2J\ny"});
  EXPECT_EQ(hostile.print(0), "NAME\nx[2J y\n");
}

TEST(Table, WrapsAtSpaces) {
  EXPECT_EQ(wrapped("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 9, 2), "one two\n  three");
  EXPECT_EQ(wrapped("unbreakable", 4), "unbreakable");
}

TEST(Table, SaysDurationsInWords) {
  EXPECT_EQ(duration_words(250), "250 ms");
  EXPECT_EQ(duration_words(61'000), "1 min 1 s");
  EXPECT_EQ(duration_words(3'660'000), "1 h 1 min");
  EXPECT_EQ(duration_words(90'000'000), "1 d 1 h");
  EXPECT_EQ(ago(0, 5'000), "never");
  EXPECT_EQ(ago(4'500, 5'000), "now");
  EXPECT_EQ(ago(9'000, 5'000), "now");
  EXPECT_EQ(ago(1'000, 5'000), "4 s ago");
}

TEST(Verbs, HaveExamplesAndSentences) {
  const auto verbs = Registered<Verb>::all();
  EXPECT_GT(verbs.size(), 20U);
  for (const Verb* verb : verbs) {
    EXPECT_FALSE(verb->summary.empty()) << verb->name;
    EXPECT_FALSE(verb->examples.empty()) << verb->name;
    EXPECT_NE(verb->run, nullptr) << verb->name;
    for (const Option& option : verb->options)
      EXPECT_TRUE(option.name.starts_with("--")) << option.name;
    for (const Example& example : verb->examples)
      EXPECT_NE(example.command.find("lares"), std::string_view::npos) << example.command;
  }
}

TEST(Verbs, AgreeOnWhetherAnOptionTakesAValue) {
  std::map<std::string_view, bool> takes;  // the completions look for options of any verb
  for (const Verb* verb : Registered<Verb>::all()) {
    for (const Option& option : verb->options) {
      const auto [known, is_new] = takes.emplace(option.name, !option.value.empty());
      EXPECT_EQ(known->second, !option.value.empty()) << verb->name << " " << option.name;
    }
  }
}

TEST(Verbs, AreFoundByTheirWords) {
  const Words list{"models", "list", "--json"};
  EXPECT_EQ(meant_by(list)->verb->name, "models list");
  EXPECT_EQ(meant_by(list)->rest.size(), 1U);
  EXPECT_EQ(meant_by(Words{"models"})->verb->name, "models");
  EXPECT_EQ(meant_by(Words{"models", "--json"})->verb->name, "models");
  EXPECT_EQ(meant_by({})->verb->name, "ask");
  EXPECT_EQ(meant_by(Words{"Why is the sky blue?"})->verb->name, "ask");
  EXPECT_EQ(meant_by(Words{"tell", "me"})->verb->name, "ask");
  EXPECT_EQ(meant_by(Words{"--", "ps"})->verb->name, "ask");
  EXPECT_EQ(meant_by(Words{"ask"})->verb->name, "ask") << "no verb that is written";
  EXPECT_EQ(meant_by(Words{"--help"})->verb, nullptr);
  EXPECT_EQ(meant_by(Words{"--version"})->verb->name, "version");
}

TEST(Verbs, ASlipOfTheFingersIsNotAsked) {
  const auto slip = meant_by(Words{"modles"});
  ASSERT_FALSE(slip);
  EXPECT_EQ(slip.error().code, Code::Invalid);
  EXPECT_NE(slip.error().message.find("did you mean `lares models`"), std::string::npos)
      << slip.error().message;
  EXPECT_NE(slip.error().message.find("lares -- modles"), std::string::npos);
  for (const char* word :
       {"hi", "hello", "test", "what", "who", "yes", "explain", "summary", "poem"})
    EXPECT_TRUE(meant_by(Words{word})) << word;
}

TEST(Verbs, ASlipBeforeWhatOnlyAVerbTakesIsNotAsked) {
  for (const auto& [words, meant] : std::vector<std::pair<Words, std::string>>{
           {{"modells", "list"}, "models list"},
           {{"model", "list", "--json"}, "models list"},
           {{"Models", "show", "smollm2"}, "models show"},
           {{"modles", "add", "x.gguf", "--name", "y"}, "models add"},
           {{"modles", "add"}, "models add"},
           {{"docter", "--failed"}, "doctor"},
           {{"stauts", "--json"}, "status"},
           {{"staus", "--help"}, "status"},
           {{"chatt", "-m", "qwen"}, "chat"},
           {{"completon", "bash"}, "completion"}}) {
    const auto slip = meant_by(words);
    ASSERT_FALSE(slip) << words[0];
    EXPECT_EQ(slip.error().code, Code::Invalid);
    EXPECT_NE(slip.error().message.find(cat("did you mean `lares ", meant, "`?")),
              std::string::npos)
        << slip.error().message;
  }
  EXPECT_EQ(meant_by(Words{"modells", "list"}).error().message,
            "reading the command line: there is no verb 'modells'; did you mean `lares models "
            "list`? a question is put in quotes: lares \"modells list\"");
  EXPECT_EQ(meant_by(Words{"stauts", "--json"}).error().message,
            "reading the command line: there is no verb 'stauts'; did you mean `lares status`? a "
            "question of one word is asked with: lares -- stauts");
}

TEST(Verbs, AQuestionMayBeginWithAWordThatIsNearAVerb) {
  for (const Words& words : std::vector<Words>{{"modells list"},
                                               {"module", "list", "in", "python"},
                                               {"model", "trains", "for", "sale"},
                                               {"model", "list", "of", "ships"},
                                               {"doctors", "in", "Paris"},
                                               {"status of a bill"},
                                               {"state", "the", "obvious"},
                                               {"chart", "--max-tokens", "9", "my", "course"},
                                               {"tell", "me", "--json"},
                                               {"--", "modells", "list"},
                                               {"-m", "x", "modells", "list"}}) {
    const auto meant = meant_by(words);
    ASSERT_TRUE(meant) << words[0] << ": " << meant.error().message;
    EXPECT_EQ(meant->verb->name, "ask") << words[0];
  }
}

TEST(Verbs, AQuestionThatBeginsLikeAVerbIsToldAboutQuotes) {
  const auto parts = meant_by(Words{"models", "are", "great"});
  ASSERT_FALSE(parts);
  EXPECT_NE(parts.error().message.find("lares \"models are great\""), std::string::npos)
      << parts.error().message;
  EXPECT_NE(meant_by(Words{"models", "lst"}).error().message.find("did you mean 'list'"),
            std::string::npos);
  const auto why =
      parse_arguments(*Registered<Verb>::find("why"), Words{"is", "the", "sky", "blue?"});
  ASSERT_FALSE(why);
  EXPECT_NE(why.error().message.find("lares \"why is the sky blue?\""), std::string::npos)
      << why.error().message;
  EXPECT_FALSE(meant_by(Words{"--json", "ps"}));
}

TEST(Verbs, OnesOfOtherRuntimesAndLaterVersionsAreAnsweredHere) {
  const auto told = [](const Words& words) {
    const auto meant = meant_by(words);
    EXPECT_FALSE(meant) << words[0];
    if (meant) return std::string();
    EXPECT_EQ(meant.error().code, Code::Invalid) << words[0];
    return meant.error().message;
  };
  EXPECT_EQ(told({"webui"}),
            "reading the command line: there is no verb 'webui': `lares ui` opens the page; a "
            "question of one word "
            "is asked with: lares -- webui");
  for (const auto& [words, part] : std::vector<std::pair<Words, std::string>>{
           {{"pull", "llama3"}, "lares models pull SOURCE"},
           {{"pull", "requests"}, "lares \"pull requests\""},
           {{"run"}, "lares -m MODEL"},
           {{"run", "llama3:8b", "--verbose"}, "lares -m MODEL"},
           {{"run", "llama3", "Why is the sky blue?"}, "lares -m MODEL"},
           {{"logs", "-f"}, "laresd.log"},
           {{"search", "qwen"}, "lares models search"},
           {{"list"}, "lares models list"}})
    EXPECT_NE(told(words).find(part), std::string::npos) << words[0];
}

TEST(Verbs, AQuestionMayBeginAsAVerbOfOthersDoes) {
  for (const Words& words : std::vector<Words>{{"run is a verb?"},
                                               {"run", "is", "a", "verb?"},
                                               {"list", "the planets"},
                                               {"list", "three", "trees"},
                                               {"show", "me", "a", "poem"},
                                               {"--", "run"}}) {
    const auto meant = meant_by(words);
    ASSERT_TRUE(meant) << words[0] << ": " << meant.error().message;
    EXPECT_EQ(meant->verb->name, "ask") << words[0];
  }
}

Result<Parsed> asked(const Words& words) {
  return parse_arguments(*Registered<Verb>::find("ask"), words);
}

TEST(Arguments, AreReadInAnyOrder) {
  const auto parsed = asked({"why", "-m", "tiny", "is", "--seed=7", "it?"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->arguments.words(), (Words{"why", "is", "it?"}));
  EXPECT_EQ(parsed->arguments.value("--model"), "tiny");
  EXPECT_EQ(**parsed->arguments.integer("--seed", 0, 10), 7);
  EXPECT_FALSE(*parsed->arguments.integer("--max-tokens", 0, 10));
}

TEST(Arguments, KeepWordsAsTheyWereWritten) {
  EXPECT_EQ(asked({"[1,2,3]"})->arguments.words(), (Words{"[1,2,3]"})) << "no list";
  EXPECT_EQ(asked({"-s", "[a,b]", "x"})->arguments.value("--system"), "[a,b]");
  EXPECT_EQ(asked({"-s", "", "x"})->arguments.value("--system", "other"), "");
  EXPECT_EQ(asked({"--", "--json", "-x", "--"})->arguments.words(), (Words{"--json", "-x", "--"}));
  EXPECT_EQ(asked({"-"})->arguments.words(), (Words{"-"}));
  EXPECT_EQ(asked({"a \"quoted\" 'word' \\n %d"})->arguments.words(),
            (Words{"a \"quoted\" 'word' \\n %d"}));
  EXPECT_EQ(asked({"-m", "a", "-m", "b", "x"})->arguments.value("--model"), "b")
      << "the last one counts";
}

TEST(Arguments, NameTheNearestOption) {
  const auto unknown = asked({"--temprature", "1", "x"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::Invalid);
  EXPECT_NE(unknown.error().message.find("did you mean '--temperature'"), std::string::npos)
      << unknown.error().message;
  EXPECT_NE(asked({"--seed"}).error().message.find("'--seed' wants a value, N"), std::string::npos)
      << asked({"--seed"}).error().message;
  EXPECT_FALSE(asked({"--json=perhaps", "x"}));
}

TEST(Arguments, NumbersAreWholeAndInRange) {
  for (const char* wrong :
       {"x", "1x", "", "-1", "1e99", "99999999999999999999", "nan", "0x10", " 1"}) {
    const auto parsed = asked({"--seed", wrong, "x"});
    ASSERT_TRUE(parsed) << wrong;
    EXPECT_FALSE(parsed->arguments.integer("--seed", 0, 1000)) << wrong;
  }
  for (const char* wrong : {"nan", "inf", "-0.1", "2.1", "1,5", ""}) {
    const auto parsed = asked({"--temperature", wrong, "x"});
    ASSERT_TRUE(parsed) << wrong;
    EXPECT_FALSE(parsed->arguments.number("--temperature", 0, 2)) << wrong;
  }
  EXPECT_EQ(**asked({"--temperature", "0.5"})->arguments.number("--temperature", 0, 2), 0.5);
}

TEST(Completion, KnowsEveryVerbForEveryShell) {
  const auto verbs = Registered<Verb>::all();
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(shell, verbs);
    ASSERT_TRUE(script);
    for (const Verb* verb : verbs) {
      for (const std::string& word : split(verb->name, ' ')) {
        if (verb->name != "ask" && verb->listed) {
          EXPECT_NE(script->find(word), std::string::npos) << shell << " " << word;
        }
      }
    }
    EXPECT_NE(script->find("lares models list --names"), std::string::npos) << shell;
  }
  EXPECT_FALSE(completion_script("csh", verbs));
}

TEST(FirstAnswer, NamesTheModelThatTheCatalogueRecommends) {
  const Bytes tiny{MiB(94)};
  Json entry = {{"id", "big"},
                {"title", "Big 8B"},
                {"quantization", "Q4_K_M"},
                {"size_bytes", 5'000'000'000u},
                {"predicted", {{"tokens_per_s", 7.25}}},
                {"fits", true},
                {"recommended", true},
                {"have", false}};
  const Json larger = larger_model(Json::array({entry, entry}), tiny);
  ASSERT_EQ(larger, entry);
  const std::string line = first_answer_line("smollm2-135m-instruct", tiny, larger);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 0);
  EXPECT_NE(line.find("often wrong"), std::string::npos) << line;
  EXPECT_NE(line.find("Big 8B Q4_K_M (4.7 GiB, about 7.2 tokens/s here) fits this machine better;"),
            std::string::npos)
      << line;
  EXPECT_NE(line.find("lares models search"), std::string::npos) << line;
  entry["predicted"] = nullptr;
  EXPECT_TRUE(larger_model(Json::array({entry}), tiny).is_null()) << "not measured, not said";
}

TEST(FirstAnswer, SaysOfASlowMachineThatALargerModelIsSlow) {
  const Json entry = {{"title", "Small 1B"},
                      {"quantization", "Q4_0"},
                      {"size_bytes", 734'003'200u},
                      {"predicted", {{"tokens_per_s", 2.5}}},
                      {"fits", true},
                      {"recommended", false},
                      {"have", false}};
  const std::string line = first_answer_line("x", MiB(94), larger_model(Json::array({entry}), {}));
  EXPECT_NE(line.find("Small 1B Q4_0 (700 MiB, about 2.5 tokens/s here) is the quickest of the "
                      "better ones, though slower here than people read;"),
            std::string::npos)
      << line;
}

TEST(FirstAnswer, NamesNoneThatIsHereOrThatSuitsNoBetter) {
  const auto named = [](const Json& entry) {
    return !larger_model(Json::array({entry}), MiB(94)).is_null();
  };
  const Json entry = {{"fits", true},
                      {"have", false},
                      {"size_bytes", 5'000'000'000u},
                      {"predicted", {{"tokens_per_s", 3.0}}}};
  EXPECT_TRUE(named(entry));
  Json other = entry;
  other["have"] = true;
  EXPECT_FALSE(named(other));
  other = entry;
  other["size_bytes"] = 50'000'000u;
  EXPECT_FALSE(named(other));
  other = entry;
  other["fits"] = false;
  EXPECT_FALSE(named(other));
  EXPECT_TRUE(larger_model(Json::array(), MiB(94)).is_null());
  EXPECT_TRUE(larger_model(Json("nonsense"), MiB(94)).is_null());
  EXPECT_EQ(first_answer_line("smollm2-135m-instruct", MiB(94), nullptr),
            "This was smollm2-135m-instruct (94 MiB), a very small model: its sums and its "
            "languages other than English are often wrong.");
}

TEST(Path, IsEscaped) {
  EXPECT_EQ(path_escaped("smollm2-135m:q4_1"), "smollm2-135m:q4_1");
  EXPECT_EQ(path_escaped("a b/\u00FC?#"), "a%20b%2F%C3%BC%3F%23");
}

}  // namespace
}  // namespace lares::app
