#include "engine/gguf_facts.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace lares::engine::gguf {
namespace {

// How many layers in a row stand behind the window before one sees everything, where the file has
// no pattern of its own: what the engine takes for each architecture (src/models of llama.cpp).
// Others with a window are counted as seeing everything, which is never too little.
struct Pattern {
  std::string_view architecture;
  uint64_t every;  // one of so many sees everything
  bool first;      // the first of them, else the last
};
constexpr Pattern kPatterns[] = {{"gemma2", 2, false},  {"gemma3", 6, false},
                                 {"gemma3n", 5, false}, {"cohere2", 4, false},
                                 {"exaone4", 4, false}, {"gpt-oss", 2, false},
                                 {"llama4", 4, false},  {"gemma-embedding", 6, false},
                                 {"olmo2", 4, false},   {"smallthinker", 4, true}};

// Whether each layer sees only a window. `phi3` has one in its file that the engine leaves out.
std::vector<bool> windowed(const Head& head, const std::string& architecture, uint64_t layers) {
  std::vector<bool> all(static_cast<size_t>(layers), false);
  if (head.count(cat(architecture, ".attention.sliding_window")) == 0) return all;
  const auto own = head.keys.find(cat(architecture, ".attention.sliding_window_pattern"));
  if (own != head.keys.end()) {
    if (const auto* flags = std::get_if<std::vector<double>>(&own->second)) {
      for (size_t i = 0; i < std::min(all.size(), flags->size()); i++) all[i] = (*flags)[i] != 0;
      return all;
    }
  }
  for (const Pattern& pattern : kPatterns) {
    if (pattern.architecture != architecture) continue;
    const uint64_t every = std::max<uint64_t>(
        1, head.count(cat(architecture, ".attention.sliding_window_pattern"), pattern.every));
    for (uint64_t i = 0; i < layers; i++)
      all[static_cast<size_t>(i)] = i % every != (pattern.first ? 0 : every - 1);
  }
  return all;
}

// A sum that stops at what a file could hold, a thousand times over.
void add(uint64_t& sum, uint64_t more) {
  constexpr uint64_t kMost = uint64_t{1} << 60;
  sum = std::min(kMost, sum + std::min(kMost, more));
}

bool is_matrix(const Tensor& tensor) {
  return tensor.dimensions >= 2 && tensor.size[1] > 1 && tensor.name.ends_with(".weight");
}

// Rows of these are looked up, not multiplied with.
bool is_lookup(const Tensor& tensor) {
  return tensor.name.starts_with("token_embd") || tensor.name.starts_with("position_embd") ||
         tensor.name.starts_with("token_types") || tensor.name.starts_with("per_layer_token_embd");
}

}  // namespace

Json work_of(const Head& head) {
  const std::string architecture = head.text("general.architecture");
  const auto own = [&](std::string_view key) { return cat(architecture, ".", key); };
  const uint64_t layers = std::min(head.count(own("block_count")), kKeptElementsMax);
  const uint64_t width = std::min<uint64_t>(head.count(own("embedding_length")), 1u << 24);
  const auto heads = head.per_layer(own("attention.head_count"), layers, 0);
  const uint64_t most_heads =
      heads.empty() ? 0
                    : std::min<uint64_t>(*std::max_element(heads.begin(), heads.end()), 1u << 16);
  const auto kv_heads = head.per_layer(own("attention.head_count_kv"), layers, most_heads);
  const uint64_t head_size = most_heads > 0 ? width / most_heads : 0;
  const auto size_of = [&](std::string_view key) {
    return std::min<uint64_t>(head.count(own(key), head_size), 1u << 20);
  };
  const uint64_t key_size = size_of("attention.key_length");
  const uint64_t value_size = size_of("attention.value_length");
  const std::vector<bool> behind_window = windowed(head, architecture, layers);
  const auto feed = head.per_layer(own("feed_forward_length"), layers, 0);
  const uint64_t experts = std::min<uint64_t>(head.count(own("expert_count")), 1u << 16);
  const uint64_t used = std::min(head.count(own("expert_used_count")), experts);

  uint64_t state = 0;
  uint64_t window_state = 0;
  uint64_t recurrent = 0;
  for (size_t i = 0; i < kv_heads.size(); i++) {
    const uint64_t bytes = std::min<uint64_t>(kv_heads[i], 1u << 16) * (key_size + value_size) * 2;
    if (bytes == 0) recurrent++;
    add(behind_window[i] ? window_state : state, bytes);
  }

  const bool has_output = std::any_of(head.tensors.begin(), head.tensors.end(),
                                      [](const Tensor& t) { return t.name == "output.weight"; });
  struct Sum {
    uint64_t bytes = 0;
    uint64_t decode_bytes = 0;
    uint64_t prefill_values = 0;
  };
  std::map<std::string, Sum, std::less<>> sums;
  std::map<uint64_t, uint64_t> rows;
  std::string logit_type;
  uint64_t logit_bytes = 0;
  uint64_t logit_values = 0;
  uint64_t other_values = 0;    // of what is multiplied with for each row
  uint64_t first = UINT64_MAX;  // of what is no matrix to multiply with
  uint64_t last = 0;
  for (const Tensor& tensor : head.tensors) {
    if (!is_matrix(tensor) || is_lookup(tensor)) {
      first = std::min(first, tensor.offset);
      last = std::max(last, tensor.offset + tensor.bytes);
    }
    const Packing& packed = *packing(tensor.type);
    Sum& sum = sums[std::string(packed.name)];
    add(sum.bytes, tensor.bytes);
    if (!is_matrix(tensor)) continue;
    const bool logits = tensor.name == (has_output ? "output.weight" : "token_embd.weight");
    if (logits) {
      logit_type = packed.name;
      logit_bytes = tensor.bytes;
      logit_values = tensor.bytes / packed.bytes * packed.values;
      add(sum.decode_bytes, tensor.bytes);
      continue;
    }
    if (is_lookup(tensor)) continue;
    const bool shared_out = experts > 0 && tensor.name.find("_exps.") != std::string::npos;
    const auto part = [&](uint64_t n) { return shared_out ? n / experts * used : n; };
    const uint64_t values = tensor.bytes / packed.bytes * packed.values;
    add(sum.decode_bytes, part(tensor.bytes));
    add(sum.prefill_values, part(values));
    add(other_values, part(values));
    if (rows.size() < 64 || rows.contains(tensor.size[0])) add(rows[tensor.size[0]], part(values));
  }

  Json weights = Json::array();
  for (const auto& [type, sum] : sums) {
    weights.push_back({{"type", type},
                       {"bytes", sum.bytes},
                       {"decode_bytes", sum.decode_bytes},
                       {"prefill_values", sum.prefill_values}});
  }
  Json by_row = Json::array();
  for (const auto& [row, values] : rows) by_row.push_back({{"row", row}, {"values", values}});
  return {{"heads", most_heads},
          {"kv_heads", kv_heads.empty() ? 0 : *std::max_element(kv_heads.begin(), kv_heads.end())},
          {"head_size", key_size},
          {"feed_forward", feed.empty() ? 0 : *std::max_element(feed.begin(), feed.end())},
          {"experts", experts},
          {"experts_used", used},
          {"state_bytes_per_token", state},
          {"window_state_bytes_per_token", window_state},
          {"recurrent_layers", recurrent},
          {"weights", std::move(weights)},
          {"logit_type", logit_type},
          {"logit_bytes", logit_bytes},
          {"logit_rows", other_values > 0
                             ? static_cast<double>(logit_values) / static_cast<double>(other_values)
                             : 0.0},
          {"looked_up_bytes", last > first ? last - first : 0},
          {"rows", std::move(by_row)}};
}

Json licence_of(const Head& head) {
  const auto text = [&](std::string_view key) {
    return utf8_repaired(head.text(key).substr(0, 256));
  };
  Json licence = Json::object();
  for (const auto& [name, key] :
       {std::pair{"id", "general.license"}, std::pair{"name", "general.license.name"},
        std::pair{"link", "general.license.link"}}) {
    if (std::string value = text(key); !value.empty()) licence[name] = std::move(value);
  }
  return licence;
}

Json adapter_of(const Head& head) {
  if (head.text("general.type") != "adapter") return nullptr;
  uint64_t rank = 0;
  uint64_t bytes = 0;
  size_t pairs = 0;
  for (const Tensor& tensor : head.tensors) {
    add(bytes, tensor.bytes);
    if (!tensor.name.ends_with(".lora_b")) continue;
    pairs++;
    rank = std::max(rank, tensor.size[0]);
  }
  const auto alpha = head.keys.find("adapter.lora.alpha");
  const double* strength = alpha != head.keys.end() ? std::get_if<double>(&alpha->second) : nullptr;
  return {{"type", "adapter"},
          {"architecture", utf8_repaired(head.text("general.architecture").substr(0, 64))},
          {"name", utf8_repaired(head.text("general.name").substr(0, 256))},
          {"licence", utf8_repaired(head.text("general.license").substr(0, 256))},
          {"size_bytes", bytes},
          {"adapter",
           {{"kind", utf8_repaired(head.text("adapter.type").substr(0, 64))},
            {"rank", rank},
            {"alpha", strength ? Json(*strength) : Json()},
            {"tensors", pairs}}}};
}

Json projector_of(const Head& head) {
  if (head.text("general.architecture") != "clip") return nullptr;
  uint64_t bytes = 0;
  for (const Tensor& tensor : head.tensors) add(bytes, tensor.bytes);
  std::string kind;
  for (const char* key :
       {"clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type"}) {
    if (kind.empty()) kind = utf8_repaired(head.text(key).substr(0, 64));
  }
  const bool sees = head.count("clip.has_vision_encoder") != 0;
  return {{"type", "projector"},
          {"architecture", "clip"},
          {"name", utf8_repaired(head.text("general.name").substr(0, 256))},
          {"licence", utf8_repaired(head.text("general.license").substr(0, 256))},
          {"size_bytes", bytes},
          {"projector",
           {{"kind", kind},
            {"sees", sees},
            {"hears", head.count("clip.has_audio_encoder") != 0},
            {"embedding_length",
             head.count(sees ? "clip.vision.projection_dim" : "clip.audio.projection_dim")}}}};
}

}  // namespace lares::engine::gguf
