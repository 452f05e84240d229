#include "inventory/projectors.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "inventory/models.h"
#include "inventory/needs.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("lares-projectors-" + random_hex(8))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path put(const std::string& name, size_t size = 8) const {
    std::ofstream(path / name) << "GGUF" << std::string(size - 4, 'x');
    return path / name;
  }
  fs::path path;
};

const Json kSees = {{"type", "projector"},
                    {"architecture", "clip"},
                    {"projector", {{"kind", "gemma3"}, {"sees", true}, {"hears", false}}}};

TEST(Projectors, AreKnownByTheirNames) {
  EXPECT_TRUE(is_projector_name("mmproj-model-f16.gguf"));
  EXPECT_TRUE(is_projector_name("MMPROJ-F16.GGUF"));
  EXPECT_FALSE(is_projector_name("gemma-mmproj.gguf"));
  EXPECT_FALSE(is_projector_name("mmproj-f16.bin"));
}

TEST(Projectors, BelongToTheModelThatTheyAreNamedAfter) {
  const auto of = [](std::string_view id, const std::vector<std::string>& names) {
    return projector_named_for(id, names);
  };
  const std::vector<std::string> names = {"gemma-3-4b-it-q4_k_m.gguf",
                                          "mmproj-gemma-3-4b-it-f16.gguf", "mmproj-gemma-3.gguf",
                                          "mmproj-qwen2.5-vl.gguf", "mmproj-f16.gguf"};
  EXPECT_EQ(of("gemma-3-4b-it-q4_k_m", names), "mmproj-gemma-3-4b-it-f16.gguf");
  EXPECT_EQ(of("gemma-3-4b-it", names), "mmproj-gemma-3-4b-it-f16.gguf");
  EXPECT_EQ(of("gemma-3-12b-it", names), "mmproj-gemma-3.gguf");
  EXPECT_EQ(of("gemma-30b", names), "") << "part of a word is no name";
  EXPECT_EQ(of("smollm2-135m", names), "");
  EXPECT_EQ(of("qwen2.5-vl-7b", names), "mmproj-qwen2.5-vl.gguf");
  EXPECT_EQ(of("a", {"mmproj-a-f16.gguf", "mmproj-a-q8_0.gguf"}), "") << "which of two?";
}

TEST(Projectors, InTheFolderOfModelsGoWithTheirModelAndAreNone) {
  const Folder folder;
  Log log = Log::silent();
  folder.put("tiny-vl-q4_0.gguf");
  const fs::path file = folder.put("mmproj-tiny-vl-f16.gguf", 20);
  folder.put("other.gguf");
  folder.put("mmproj-of-nothing.gguf");
  auto models = Models::open(folder.path, log);
  ASSERT_TRUE(models);
  ASSERT_EQ(models->all().size(), 2U);
  const auto model = models->find("tiny-vl-q4_0");
  ASSERT_TRUE(model);
  ASSERT_TRUE((*model)->projector);
  EXPECT_EQ((*model)->projector->file, file);
  EXPECT_EQ((*model)->projector->size.n, 20U);
  EXPECT_FALSE((*models->find("other"))->projector);
  EXPECT_EQ(inputs_of(**model), (std::vector<std::string>{"text"})) << "not read yet";
  ASSERT_TRUE(models->set_projector_info("tiny-vl-q4_0", kSees));
  EXPECT_EQ(inputs_of(**models->find("tiny-vl-q4_0")), (std::vector<std::string>{"text", "image"}));
  EXPECT_TRUE(Models::open_projector(**models->find("tiny-vl-q4_0")));
  // and it is known the next time, as long as its file is there
  EXPECT_EQ(inputs_of(**Models::open(folder.path, log)->find("tiny-vl-q4_0")).size(), 2U);
  fs::remove(file);
  EXPECT_FALSE((*Models::open(folder.path, log)->find("tiny-vl-q4_0"))->projector);
}

TEST(Projectors, AreAddedWithTheirModelAndCounted) {
  const Folder folder, elsewhere;
  Log log = Log::silent();
  auto models = Models::open(folder.path, log);
  const fs::path file = elsewhere.put("model.gguf");
  const fs::path eyes = elsewhere.put("mmproj-f16.gguf", 1'000);
  EXPECT_EQ(projector_beside(file), eyes);
  const auto alone = models->add(file, "m", Json::object());
  ASSERT_TRUE(alone);
  const Bytes needs_alone = needs(**alone, {});
  const auto both = models->add(file, "m", Json::object(), Projector{eyes, Bytes{1'000}, kSees});
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ(inputs_of(**both).back(), "image");
  EXPECT_EQ(needs(**both, {}), needs_alone + needs_of(*(*both)->projector));
  EXPECT_GT(needs_of(*(*both)->projector).n, 1'000U);
  elsewhere.put("mmproj-q8_0.gguf");
  EXPECT_FALSE(projector_beside(file)) << "which of two?";
}

TEST(Projectors, CannotBeAddedAsModelsNorModelsAsProjectors) {
  const Folder folder, elsewhere;
  Log log = Log::silent();
  auto models = Models::open(folder.path, log);
  const auto added = models->add(elsewhere.put("mmproj-f16.gguf"), "", kSees);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::Invalid);
  EXPECT_NE(added.error().message.find("--projector"), std::string::npos);
  EXPECT_TRUE(check_projector("/a", kSees));
  const auto refused = check_projector("/a", {{"architecture", "llama"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "projector");
  EXPECT_NE(refused.error().message.find("'llama' file"), std::string::npos);
}

}  // namespace
}  // namespace lares::inventory
