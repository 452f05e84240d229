#include "inventory/models.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
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

TEST_F(ModelsTest, TakesInWhatWasPutThereSince) {
  put(folder / "b.gguf");
  Models models = open();
  put(folder / "a.gguf");
  EXPECT_FALSE(models.find("a"));
  models.look_again();
  ASSERT_EQ(models.all().size(), 2u);
  EXPECT_EQ(models.all()[0].id, "a");
  EXPECT_GT(models.all()[0].added_unix, 0);
}

TEST_F(ModelsTest, AModelWithoutAChatTemplateChatsOnlyWhereNothingElseDoes) {
  Models models = open();
  const Json plain = {{"pooling", "none"}, {"has_template", false}};
  ASSERT_TRUE(models.add(put(root / "a-base.gguf"), "", plain));
  EXPECT_EQ(models.all()[0].use, Use::Completion);
  EXPECT_EQ((*models.default_for(Use::Chat))->id, "a-base");
  ASSERT_TRUE(models.add(put(root / "b-chat.gguf"), "", kChat));
  EXPECT_EQ((*models.default_for(Use::Chat))->id, "b-chat");
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

// No file may hold a byte, as on a full disk, while this lives.
struct FullDisk {
  FullDisk() {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit full{0, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before{};
};

TEST_F(ModelsTest, WhatAFullDiskRefusesLeavesAllAsItWas) {
  put(folder / "ours.gguf");
  Models models = open();
  const fs::path theirs = put(root / "theirs.gguf");
  const fs::path other = put(root / "other.gguf");
  ASSERT_TRUE(models.add(theirs, "", kChat));
  {
    const FullDisk full;
    EXPECT_EQ(models.remove("theirs").error().code, Code::NoRoom);
    EXPECT_EQ(models.add(other, "", kChat).error().code, Code::NoRoom);
    EXPECT_EQ(models.add(theirs, "theirs", kEmbedding).error().code, Code::NoRoom);
  }
  ASSERT_EQ(models.all().size(), 2u);
  EXPECT_EQ(models.all()[1].id, "theirs");
  EXPECT_EQ(models.all()[1].use, Use::Chat);
  EXPECT_TRUE(fs::exists(theirs));
  EXPECT_EQ(open().all().size(), 2u);
}

TEST_F(ModelsTest, AFullDiskCanBeMadeRoomOn) {
  put(folder / "ours.gguf");
  Models models = open();
  ASSERT_TRUE(models.add(put(root / "theirs.gguf"), "", kChat));  // so that there is a list
  ASSERT_NE(read_file(folder / "models.json")->find("ours.gguf"), std::string::npos);
  {
    const FullDisk full;
    EXPECT_TRUE(models.remove("ours"));
  }
  EXPECT_FALSE(fs::exists(folder / "ours.gguf"));
  EXPECT_EQ(models.all().size(), 1u);
  EXPECT_EQ(open().all().size(), 1u) << "though the list still names it";
}

TEST_F(ModelsTest, AFileThatCannotBeDeletedLeavesAllAsItWas) {
  put(folder / "ours.gguf");
  Models models = open();
  ASSERT_TRUE(models.set_info("ours", kChat));
  fs::remove(folder / "ours.gguf");
  fs::create_directory(folder / "ours.gguf");  // which unlink() does not delete
  EXPECT_NE(models.remove("ours").error().message.find("deleting '"), std::string::npos);
  EXPECT_EQ(models.all().size(), 1u);
  EXPECT_NE(read_file(folder / "models.json")->find("ours.gguf"), std::string::npos);
}

TEST_F(ModelsTest, NoModelIsCalledWhatStandsForAnother) {
  put(folder / "default.gguf");
  put(folder / "smollm2-135m-instruct.gguf");
  Models models = open();
  const auto refused = models.add(put(root / "other.gguf"), "default", kChat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Invalid);
  EXPECT_NE(refused.error().message.find("'default' is no name for a model, because it stands for"),
            std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(models.add(put(root / "default.gguf"), "", kChat)) << "nor by its file's name";
  EXPECT_EQ((*models.find("default"))->id, "smollm2-135m-instruct");
  EXPECT_EQ((*models.find("default-model"))->file, folder / "default.gguf");
  put(folder / "models.json", cat(R"({"format": 1, "models": [{"id": "default", "file": ")",
                                  (root / "other.gguf").string(), R"("}]})"));
  Models before = open();  // as a list that was written before has it
  EXPECT_EQ((*before.find("default-model"))->file, root / "other.gguf");
  EXPECT_TRUE(before.remove("default-model"));
}

TEST_F(ModelsTest, SaysWhereALinkLeads) {
  Models models = open();
  fs::create_symlink("nowhere.gguf", root / "dangling.gguf");
  fs::create_symlink("one.gguf", root / "two.gguf");
  fs::create_symlink("two.gguf", root / "one.gguf");
  const auto said = [&](const char* name) {
    Model model;
    model.file = root / name;
    const auto opened = Models::open_file(model);
    const auto added = models.add(model.file, "", kChat);
    EXPECT_FALSE(opened || added);
    for (const std::string& message : {opened.error().message, added.error().message}) {
      EXPECT_EQ(message.find("o such file"), std::string::npos) << message;
    }
    return added.error();
  };
  EXPECT_EQ(said("dangling.gguf").code, Code::NotFound);
  EXPECT_NE(said("dangling.gguf").message.find("a link to 'nowhere.gguf', which leads to no file"),
            std::string::npos);
  EXPECT_EQ(said("one.gguf").code, Code::Invalid);
  EXPECT_NE(said("one.gguf").message.find("round in a circle"), std::string::npos);
}

TEST_F(ModelsTest, SetsADamagedListAside) {
  for (const char* damaged : {"{\"format\": 1, \"models\": [", "{\"format\": 1}", "7"}) {
    put(folder / "models.json", damaged);
    put(folder / "a.gguf");
    EXPECT_EQ(Models::look(folder, log).error().code, Code::Corrupt);
    EXPECT_EQ(*read_file(folder / "models.json"), damaged) << "who only looks changes nothing";
    testing::internal::CaptureStderr();
    {
      Log told("test");
      auto models = Models::open(folder, told);
      ASSERT_TRUE(models);
      EXPECT_EQ(models->all().size(), 1u);
    }
    const std::string said = testing::internal::GetCapturedStderr();
    fs::path aside;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().string().find(".damaged-") != std::string::npos) aside = entry.path();
    }
    EXPECT_EQ(*read_file(aside), damaged);
    EXPECT_NE(said.find(aside.filename().string()), std::string::npos) << said;
    fs::remove(aside);
  }
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
