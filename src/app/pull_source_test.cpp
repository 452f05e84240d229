#include "app/pull_source.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::app {
namespace {

std::string read(std::string_view written) {
  const auto source = pull_source_from(written);
  return source ? source->text() : cat(row(source.error().code).name);
}

TEST(PullSource, ReadsEachKindInOneSpelling) {
  EXPECT_EQ(read("hf:o/r"), "hf:o/r");
  EXPECT_EQ(read("hf:o/r:Q4_K_M"), "hf:o/r:Q4_K_M");
  EXPECT_EQ(read("hf:o/r:sub/m-q8.gguf"), "hf:o/r:sub/m-q8.gguf");
  EXPECT_EQ(read("hf.co/o/r:Q8_0"), "hf:o/r:Q8_0");
  EXPECT_EQ(read("https://huggingface.co/o/r"), "hf:o/r");
  EXPECT_EQ(read("https://huggingface.co/o/r/tree/main"), "hf:o/r");
  EXPECT_EQ(read("https://huggingface.co/o/r/resolve/main/m.gguf?download=true"), "hf:o/r:m.gguf");
  EXPECT_EQ(read("https://huggingface.co/o/r/resolve/0123abc/m.gguf"),
            "https://huggingface.co/o/r/resolve/0123abc/m.gguf");
  EXPECT_EQ(read("ollama:llama3.2"), "ollama:llama3.2:latest");
  EXPECT_EQ(read("ollama:llama3.2:1b"), "ollama:llama3.2:1b");
  EXPECT_EQ(read("ollama:me/mine:v1"), "ollama:me/mine:v1");
  EXPECT_EQ(read(" https://x.org/m.gguf "), "https://x.org/m.gguf");
  EXPECT_EQ(read("/models/m.gguf"), "/models/m.gguf");
}

TEST(PullSource, APlaceIsTheFileThatTheRegistryChose) {
  const auto place = [](std::string_view written, std::string_view found) {
    return place_of(*pull_source_from(written), found);
  };
  for (const char* written : {"hf:o/r", "hf:o/r:Q4_K_M", "hf:o/r:m-Q4_K_M.gguf"})
    EXPECT_EQ(place(written, "m-Q4_K_M.gguf"), "hf:o/r:m-Q4_K_M.gguf");
  EXPECT_EQ(place("hf:o/r:BF16/m.gguf", "m.gguf"), "hf:o/r:BF16/m.gguf");
  EXPECT_EQ(place("ollama:a:1b", "a:1b"), "ollama:a:1b");
  EXPECT_EQ(place("https://x.org/a?file=2", "a"), "https://x.org/a?file=2");
}

TEST(PullSource, APasswordIsRefusedAndNotRepeated) {
  for (const char* written : {"https://me:secret@x.org/m.gguf", "http://secret@x.org?a=@b",
                              "HTTPS://me:se@cret@huggingface.co/o/r"}) {
    const auto source = pull_source_from(written);
    ASSERT_FALSE(source) << written;
    EXPECT_EQ(source.error().message.find("cret"), std::string::npos) << source.error().message;
    EXPECT_NE(source.error().message.find("...@"), std::string::npos) << source.error().message;
  }
  EXPECT_TRUE(pull_source_from("https://x.org/a@b.gguf"));
}

TEST(PullSource, RefusesWhatNamesNoModel) {
  for (const char* bad :
       {"", "llama3", "hf:o", "hf:o/r/x", "hf:../x", "hf:o/..", "hf:o/r:../../x",
        "hf:o/r:", "hf:o/r:a//b", "ollama:", "ollama:a/b/c", "ollama:..", "ollama:a:b/c",
        "ollama:a?x", "ollama:a b", "ftp://x/", "file:///etc/passwd", "https://x\ny"})
    EXPECT_EQ(read(bad), "invalid") << bad;
  EXPECT_EQ(read(std::string(3'000, 'a')), "invalid");
}

}  // namespace
}  // namespace lares::app
