#include "engine/backends/llama_adapters.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <map>
#include <vector>

#include "base/text.h"
#include "engine/backends/llama_log.h"

namespace lares::engine::llama {
namespace {

constexpr uint64_t kRankMax = 4096;
constexpr std::string_view kA = ".lora_a";
constexpr std::string_view kB = ".lora_b";

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};

Error unreadable() {
  return {Code::Io, "its file cannot be read; look at the disk, or add it again"};
}

Error damaged(std::string what) {
  return {Code::Corrupt, std::move(what) + "; fetch the adapter again, or convert it anew"};
}

// What the engine multiplies with here, whatever the model's own matrices are.
bool known_packing(uint32_t type) {
  const gguf::Packing* const packing = gguf::packing(type);
  if (!packing) return false;
  for (const std::string_view name : {"F32", "F16", "BF16", "Q8_0"}) {
    if (packing->name == name) return true;
  }
  return false;
}

// Corrupt when a weight is no number, which would make every answer none.
Result<> check_values(int file, const gguf::Head& head) {
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  std::vector<char> bytes;
  for (const gguf::Tensor& tensor : head.tensors) {
    const gguf::Packing* const packing = gguf::packing(tensor.type);
    const uint64_t piece = kPiece / packing->bytes * packing->bytes;
    for (uint64_t at = 0; at < tensor.bytes; at += piece) {
      bytes.resize(std::min(piece, tensor.bytes - at));
      const ssize_t got =
          ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(tensor.offset + at));
      if (got < 0 || static_cast<size_t>(got) != bytes.size()) return unreadable();
      if (!ggml_validate_row_data(static_cast<ggml_type>(tensor.type), bytes.data(), bytes.size()))
        return damaged(cat("its tensor '", utf8_repaired(tensor.name),
                           "' has a value that is no finite number"));
    }
  }
  return Unit{};
}

std::string metadata(const llama_model* model, const char* key) {
  char value[65] = {};
  return llama_model_meta_val_str(model, key, value, sizeof value) < 0 ? "" : value;
}

}  // namespace

Result<> check_adapter(const gguf::Head& head, std::string_view architecture) {
  if (head.text("general.type") != "adapter")
    return Error{Code::Invalid, "the file is no adapter; add it as a model"};
  if (head.text("adapter.type") != "lora")
    return Error{Code::Unsupported, cat("an adapter of the type '",
                                        utf8_repaired(head.text("adapter.type").substr(0, 32)),
                                        "' is not supported; only 'lora' is")};
  if (head.keys.contains("adapter.alora.invocation_tokens"))
    return Error{Code::Unsupported,
                 "an activated adapter (aLoRA) is not supported; only those that always hold are"};
  const std::string own = head.text("general.architecture");
  if (own != architecture)
    return Error{Code::Invalid,
                 cat("it is for '", utf8_repaired(own.substr(0, 32)), "' models, and this one is '",
                     architecture, "'; name the model that it was made for")};
  if (const auto alpha = head.keys.find("adapter.lora.alpha");
      alpha != head.keys.end() && !std::holds_alternative<double>(alpha->second))
    return damaged("its alpha is no number with a point");

  struct Pair {
    const gguf::Tensor* a = nullptr;
    const gguf::Tensor* b = nullptr;
  };
  std::map<std::string, Pair> pairs;
  for (const gguf::Tensor& tensor : head.tensors) {
    const std::string& name = tensor.name;
    if (name.ends_with("_norm.weight")) continue;  // which the engine leaves out
    if (!name.ends_with(kA) && !name.ends_with(kB))
      return damaged(cat("its tensor '", utf8_repaired(name), "' is no half of a pair"));
    if (tensor.dimensions > 2 || !known_packing(tensor.type))
      return Error{Code::Unsupported,
                   cat("its tensor '", utf8_repaired(name),
                       "' is no matrix of F32, F16, BF16 or Q8_0; convert the adapter to F16")};
    Pair& pair = pairs[name.substr(0, name.size() - kA.size())];
    (name.ends_with(kA) ? pair.a : pair.b) = &tensor;
  }
  if (pairs.empty()) return damaged("it holds no weights");
  for (const auto& [name, pair] : pairs) {
    if (!pair.a || !pair.b)
      return damaged(cat("of '", utf8_repaired(name), "' it has only one half"));
    const uint64_t rank = pair.b->size[0];
    const uint64_t other = name.ends_with("token_embd.weight") ? pair.a->size[0] : pair.a->size[1];
    if (rank == 0 || rank > kRankMax || rank != other)
      return damaged(cat("the halves of '", utf8_repaired(name), "' have the ranks ", other,
                         " and ", rank, ", which must be the same and at most ", kRankMax));
  }
  return Unit{};
}

Adapters::Adapters(llama_model* model, std::vector<std::string> names, std::vector<int> files)
    : model_(model),
      names_(std::move(names)),
      files_(std::move(files)),
      loaded_(names_.size(), nullptr) {
  assert(files_.size() == names_.size());
}

Adapters::~Adapters() = default;

Result<> Adapters::load(size_t index) {
  assert(index < names_.size());
  if (loaded_[index]) return Unit{};
  const std::string doing = cat("adapter '", names_[index], "'");
  const auto refuse = [&](Error error) {
    error.param = "lora";
    return std::move(error).within(doing);
  };
  auto head = gguf::read_descriptor(files_[index]);
  if (!head) return refuse(std::move(head).error());
  if (auto good = check_adapter(*head, metadata(model_, "general.architecture")); !good)
    return refuse(std::move(good).error());
  if (auto numbers = check_values(files_[index], *head); !numbers)
    return refuse(std::move(numbers).error());
  const int copy = ::dup(files_[index]);
  const std::unique_ptr<FILE, CloseFile> file(copy < 0 ? nullptr : ::fdopen(copy, "rb"));
  if (!file || std::fseek(file.get(), 0, SEEK_SET) != 0) return refuse(unreadable());
  forget_last_error();
  try {
    loaded_[index] = llama_adapter_lora_init_from_file_ptr(model_, file.get());
  } catch (const std::exception& e) {
    return refuse({Code::Corrupt, e.what()});
  }
  if (loaded_[index]) return Unit{};
  const std::string why = last_error();
  return refuse(
      {Code::Invalid, cat(why.empty() ? "the engine did not say why it cannot be used" : why,
                          "; name the model that it was made for")});
}

void Adapters::use(llama_context* context, std::span<const Adapter> adapters) {
  if (std::equal(adapters.begin(), adapters.end(), used_.begin(), used_.end())) return;
  std::vector<llama_adapter_lora*> which;
  std::vector<float> scales;
  for (const Adapter& adapter : adapters) {
    assert(loaded_[adapter.index]);
    which.push_back(loaded_[adapter.index]);
    scales.push_back(adapter.scale);
  }
  llama_set_adapters_lora(context, which.data(), which.size(), scales.data());
  used_.assign(adapters.begin(), adapters.end());
}

}  // namespace lares::engine::llama
