#include "inventory/models.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "base/text.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

struct ModelsTest : testing::Test {
  ModelsTest() {
    char name[] = "/tmp/lares-models-XXXXXX";
    root = mkdtemp(name);
    folder = root / "models";
    fs::create_directory(folder);
  }
  ~ModelsTest() override { fs::remove_all(root); }

  Models open() {
    auto models = Models::open(folder, log);
    EXPECT_TRUE(models) << models.error().message;
    return *std::move(models);
  }
  fs::path put(const fs::path& file, const std::string& content = "GGUF and the rest") {
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

  Log log = Log::silent();
  fs::path root;
  fs::path folder;
};

const Json kChat = {{"pooling", "none"}};
const Json kEmbedding = {{"pooling", "mean"}};

TEST_F(ModelsTest, TakesInFilesThatLieInItsFolder) {
  put(folder / "SmolLM2-135M-Instruct.Q4_1.gguf");
  put(folder / "notes.txt");
  Models models = open();
  ASSERT_EQ(models.all().size(), 1u);
  EXPECT_EQ(models.all()[0].id, "smollm2-135m-instruct.q4_1");
  EXPECT_TRUE(models.all()[0].ours);
}

TEST_F(ModelsTest, RemembersWhatWasAdded) {
  const fs::path file = put(root / "My Model (v2).gguf");
  {
    Models models = open();
    auto added = models.add(file, "", kChat);
    ASSERT_TRUE(added) << added.error().message;
    EXPECT_EQ((*added)->id, "my-model--v2-");
    ASSERT_TRUE(models.add(put(root / "b.gguf"), "embedder", kEmbedding));
  }
  Models models = open();
  ASSERT_EQ(models.all().size(), 2u);
  EXPECT_EQ((*models.default_for(Use::Embedding))->id, "embedder");
  EXPECT_EQ((*models.default_for(Use::Chat))->id, "my-model--v2-");
  EXPECT_FALSE(models.all()[0].ours);
}

TEST_F(ModelsTest, FindsByIdByBeginningAndByDefault) {
  Models models = open();
  ASSERT_TRUE(models.add(put(root / "alpha-1.gguf"), "", kChat));
  ASSERT_TRUE(models.add(put(root / "alpha-2.gguf"), "", kChat));
  ASSERT_TRUE(models.add(put(root / "beta.gguf"), "", kChat));
  EXPECT_EQ((*models.find("ALPHA-2"))->id, "alpha-2");
  EXPECT_EQ((*models.find("be"))->id, "beta");
  EXPECT_EQ((*models.find(""))->id, "alpha-1");
  EXPECT_EQ((*models.find("default"))->id, "alpha-1");
  EXPECT_FALSE(models.find("alpha"));  // two begin so
}

TEST_F(ModelsTest, NamesTheNearestForAnUnknownModel) {
  Models models = open();
  ASSERT_TRUE(models.add(put(root / "smollm2.gguf"), "", kChat));
  EXPECT_EQ(models.find("smolm2").error().message, "no model 'smolm2'; did you mean 'smollm2'?");
  EXPECT_EQ(models.find("gpt-4").error().message, "no model 'gpt-4'; there are: smollm2");
  EXPECT_EQ(models.find("gpt-4").error().code, Code::NotFound);
}

TEST_F(ModelsTest, NamesTheNearestForASlipInTheBeginningOfAName) {
  put(folder / "SmolLM2-135M-Instruct.Q4_1.gguf");
  put(folder / "all-minilm-l6-v2.gguf");
  Models models = open();
  for (const char* slip : {"smolm2", "smolm2-135m", "smollm2-153m", "SmolLM3-135M"})
    EXPECT_EQ(models.find(slip).error().message,
              cat("no model '", slip, "'; did you mean 'smollm2-135m-instruct.q4_1'?"));
  for (const char* other : {"gpt-4", "x", "qwen2.5"})
    EXPECT_EQ(
        models.find(other).error().message,
        cat("no model '", other, "'; there are: all-minilm-l6-v2, smollm2-135m-instruct.q4_1"));
}

TEST_F(ModelsTest, NamesAHandfulOfManyModels) {
  for (int i = 1; i <= 7; i++) put(folder / cat("model-", i, ".gguf"));
  EXPECT_EQ(open().find("gpt-4").error().message,
            "no model 'gpt-4'; there are: model-1, model-2, model-3, model-4, model-5 and 2 more; "
            "`lares models list` names them all");
}

TEST_F(ModelsTest, AFileThatNobodyAddedIsAsOldAsItsFile) {
  const fs::path file = put(folder / "a.gguf");
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  {
    Models models = open();
    EXPECT_EQ(models.all()[0].added_unix, 1'700'000'000);
    ASSERT_TRUE(models.set_info("a", kChat));
  }
  EXPECT_EQ(open().all()[0].added_unix, 1'700'000'000);
  put(folder / "models.json", R"({"format": 1, "models": [
      {"id": "a", "file": ")" + file.string() +
                                  R"(", "added_unix": 0, "ours": true}]})");
  EXPECT_EQ(open().all()[0].added_unix, 1'700'000'000) << "an earlier version wrote a zero";
}

TEST_F(ModelsTest, SaysWhatAFileIsThatIsNoModel) {
  Models models = open();
  const auto why = [&](const std::string& content) {
    return models.add(put(root / "x.gguf", content), "", kChat).error().message;
  };
  EXPECT_NE(why("").find("this is an empty file"), std::string::npos);
  EXPECT_NE(why("%PDF-1.7 ...").find("this is a PDF"), std::string::npos);
  EXPECT_NE(why("<!DOCTYPE html><html>").find("this is an HTML page"), std::string::npos);
  EXPECT_NE(why("version https://git-lfs.example/spec/v1").find("Git LFS pointer"),
            std::string::npos);
  EXPECT_NE(why(std::string("\x10\0\0\0\0\0\0\0{\"a\":1}", 15)).find("safetensors"),
            std::string::npos);
  EXPECT_NE(why(std::string("\x81\x82\0\1", 4)).find("of an unknown kind"), std::string::npos);
  EXPECT_NE(models.add(root, "", kChat).error().message.find("this is a folder"),
            std::string::npos);
  EXPECT_EQ(models.add(root / "nowhere.gguf", "", kChat).error().code, Code::NotFound);
  EXPECT_TRUE(models.all().empty());
}

TEST_F(ModelsTest, RefusesANameThatIsTakenOrIsNoName) {
  Models models = open();
  ASSERT_TRUE(models.add(put(root / "a.gguf"), "", kChat));
  EXPECT_EQ(models.add(put(root / "b.gguf"), "a", kChat).error().code, Code::Invalid);
  for (const char* name : {"../a", "A", "a b", "-x", "\xff"})
    EXPECT_FALSE(models.add(root / "b.gguf", name, kChat)) << name;
  EXPECT_TRUE(models.add(root / "a.gguf", "a", kChat));  // the same file again is no quarrel
  EXPECT_EQ(models.all().size(), 1u);
}

TEST_F(ModelsTest, DeletesOnlyItsOwnFiles) {
  put(folder / "ours.gguf");
  const fs::path theirs = put(root / "theirs.gguf");
  Models models = open();
  ASSERT_TRUE(models.add(theirs, "", kChat));
  ASSERT_TRUE(models.remove("ours"));
  ASSERT_TRUE(models.remove("theirs"));
  EXPECT_FALSE(fs::exists(folder / "ours.gguf"));
  EXPECT_TRUE(fs::exists(theirs));
  EXPECT_EQ(models.remove("ours").error().code, Code::NotFound);
}

TEST_F(ModelsTest, SetsADamagedListAside) {
  put(folder / "models.json", "{\"format\": 1, \"models\": [");
  put(folder / "a.gguf");
  Models models = open();
  EXPECT_EQ(models.all().size(), 1u);
  size_t aside = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    aside += entry.path().string().find(".damaged-") != std::string::npos;
  EXPECT_EQ(aside, 1u);
}

TEST_F(ModelsTest, RefusesAListThatANewerLaresWrote) {
  const std::string newer = "{\"format\": 2, \"models\": []}";
  put(folder / "models.json", newer);
  auto refused = Models::open(folder, log);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unsupported);
  EXPECT_EQ(*read_file(folder / "models.json"), newer);
}

TEST_F(ModelsTest, LeavesOutEntriesThatMakeNoSense) {
  put(folder / "models.json",
      R"({"format": 1, "models": [7, {"id": "../x", "file": "/a"}, {"id": "x", "file": "relative"},
          {"id": "gone", "file": "/nowhere/gone.gguf", "ours": true}]})");
  EXPECT_TRUE(open().all().empty());
}

TEST_F(ModelsTest, FindsTheModelsOfOtherPrograms) {
  const std::string big = "GGUF" + std::string(MiB(1).n, 'x');
  const auto deep = [&](const fs::path& file, const std::string& content) {
    fs::create_directories(file.parent_path());
    put(file, content);
  };
  const std::string digest(64, 'a');
  deep(root / ".ollama/models/blobs" / ("sha256-" + digest), big);
  deep(root / ".ollama/models/manifests/registry.example/library/llama3/8b",
       cat(R"({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:)",
           digest, R"("}]})"));
  deep(
      root / ".ollama/models/manifests/registry.example/library/evil/1",
      R"({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../x"}]})");
  deep(root / ".lmstudio/models/maker/name/file.gguf", big);
  deep(root / ".lmstudio/models/maker/name/mmproj-file.gguf", big);
  deep(root / ".lmstudio/models/maker/name/small.gguf", "GGUF");
  deep(root / ".lmstudio/models/maker/name/other.gguf", "PK" + big);
  deep(root / ".lmstudio/models/maker/name/large-00001-of-00002.gguf", big);
  deep(root / ".lmstudio/models/maker/name/large-00002-of-00002.gguf", big);
  deep(root / ".lmstudio/models/maker/name/alone-00001-of-00001.gguf", big);
  deep(root / ".lmstudio/.internal/bundled-models/nomic-ai/embed/embed.gguf", big);
  deep(root / ".local/share/nomic.ai/GPT4All/desktop.gguf", big);
  deep(root / ".cache/gpt4all/python.gguf", big);
  const fs::path hub = root / ".cache/huggingface/hub/models--a--b";
  deep(hub / "blobs/0123", big + "y");
  fs::create_directories(hub / "snapshots/deadbeef/sub");
  fs::create_directories(hub / "snapshots/rev");
  fs::create_symlink("../../blobs/0123", hub / "snapshots/rev/model.gguf");
  deep(hub / "blobs/4567", big + "w");
  fs::create_symlink("../../../blobs/4567", hub / "snapshots/deadbeef/sub/other.gguf");
  deep(root / ".cache/huggingface/hub/models--old/snapshots/1/plain.gguf", big);
  deep(root / ".cache/huggingface/hub/datasets--a--b/snapshots/1/no.gguf", big);
  deep(root / "outside.gguf", big + "z");
  fs::create_symlink(root / "outside.gguf", hub / "snapshots/rev/escaped.gguf");
  for (const char* name :
       {"OLLAMA_MODELS", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "HF_HOME", "HF_HUB_CACHE"})
    unsetenv(name);

  std::string found;
  for (const Found& each : find_elsewhere(root)) found += cat(each.program, " ", each.name, "\n");
  EXPECT_EQ(found,
            "GPT4All desktop\n"
            "GPT4All python\n"
            "Hugging Face a/b/model\n"
            "Hugging Face a/b/sub/other\n"
            "Hugging Face old/plain\n"
            "LM Studio maker/name/alone-00001-of-00001\n"
            "LM Studio maker/name/file\n"
            "LM Studio nomic-ai/embed/embed\n"
            "Ollama llama3:8b\n");
}

TEST_F(ModelsTest, SaysThatAModelInSeveralFilesIsNotSupported) {
  put(folder / "Large-00002-of-00002.gguf");
  Models models = open();
  EXPECT_TRUE(models.all().empty()) << "nor does it take them in from its own folder";
  const fs::path part = put(root / "Large-00002-of-00003.gguf");
  const auto refused = models.add(part, "", kChat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unsupported);
  for (const char* words : {"part 2 of 3", "--merge Large-00001-of-00003.gguf whole.gguf"})
    EXPECT_NE(refused.error().message.find(words), std::string::npos) << refused.error().message;
  const fs::path link = root / "Link-00001-of-00002.gguf";
  fs::create_symlink(put(root / "blob"), link);
  EXPECT_EQ(models.add(link, "", kChat).error().code, Code::Unsupported);
  EXPECT_TRUE(models.add(put(root / "one-00001-of-00001.gguf"), "", kChat));
  for (const char* whole : {"x-00001-of-0002.gguf", "00001-of-00002.gguf", "x-0000a-of-00002.gguf",
                            "x-00001-of-00002.bin", ""})
    EXPECT_FALSE(part_of(whole)) << whole;
}

}  // namespace
}  // namespace lares::inventory
