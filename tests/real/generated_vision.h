// A small language model and projectors for it, with random weights, written by hand: nothing that
// they say makes sense, but every part of the way of a picture is computed.
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "engine/testing/gguf_file.h"

namespace lares::engine::testing {

class RandomFile {
 public:
  explicit RandomFile(uint32_t seed) : random_(seed) {}

  void matrix(const std::string& name, const std::vector<uint64_t>& size, double deviation) {
    file.floats(name, size, drawn(size, deviation));
  }
  // As the engine wants the kernels of its convolutions over sounds.
  void half_matrix(const std::string& name, const std::vector<uint64_t>& size, double deviation) {
    file.halves(name, size, drawn(size, deviation));
  }
  // From `in` to `out`, so that what comes out is about as large as what goes in.
  void linear(const std::string& name, uint64_t in, uint64_t out) {
    matrix(name + ".weight", {in, out}, 1 / std::sqrt(static_cast<double>(in)));
  }
  void linear_with_bias(const std::string& name, uint64_t in, uint64_t out) {
    linear(name, in, out);
    matrix(name + ".bias", {out}, 0.1);
  }
  void ones(const std::string& name, uint64_t width) {
    file.floats(name, {width}, std::vector<float>(width, 1));
  }
  void norm(const std::string& name, uint64_t width) {
    ones(name + ".weight", width);
    matrix(name + ".bias", {width}, 0.1);
  }
  void integers(const std::string& key, const std::vector<int32_t>& values) {
    std::string all = GgufFile::number(uint32_t{5}) + GgufFile::number(uint64_t{values.size()});
    for (const int32_t value : values) all += GgufFile::number(value);
    file.typed(key, 9, all);
  }
  void numbers(const std::string& key, const std::vector<float>& values) {
    std::string all = GgufFile::number(uint32_t{6}) + GgufFile::number(uint64_t{values.size()});
    for (const float value : values) all += GgufFile::number(value);
    file.typed(key, 9, all);
  }

  GgufFile file;

 private:
  std::vector<float> drawn(const std::vector<uint64_t>& size, double deviation) {
    size_t count = 1;
    for (const uint64_t n : size) count *= static_cast<size_t>(n);
    std::normal_distribution<float> draw(0, static_cast<float>(deviation));
    std::vector<float> values(count);
    for (float& value : values) value = draw(random_);
    return values;
  }
  std::mt19937 random_;
};

constexpr uint64_t kTextWidth = 64, kTextHeads = 4, kTextHeadSize = 16, kTextLayers = 3;

// A byte as GPT-2's vocabularies write it.
inline std::string byte_piece(unsigned byte) {
  uint32_t code = byte;
  const auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  if (!printable(byte)) {
    code = 256;
    for (unsigned before = 0; before < byte; before++) code += printable(before) ? 0 : 1;
  }
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// "llama", or "qwen2vl", whose positions are places in a picture.
inline std::string text_model(const std::string& architecture, uint32_t seed = 1,
                              uint64_t width = kTextWidth) {
  RandomFile model(seed);
  GgufFile& file = model.file;
  const auto own = [&](const char* key) { return cat(architecture, ".", key); };
  std::vector<std::string> tokens;
  std::vector<int32_t> kinds;
  for (unsigned byte = 0; byte < 256; byte++) tokens.push_back(byte_piece(byte));
  tokens.push_back(byte_piece(' ') + "t");
  kinds.assign(tokens.size(), 1);
  for (const char* control :
       {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
        "<start_of_image>", "<end_of_image>", "<fake_token_around_image>", "<global-img>"}) {
    tokens.emplace_back(control);
    kinds.push_back(3);
  }
  // what idefics3 puts around the pieces of a picture
  tokens.push_back(byte_piece('\n') + byte_piece('\n'));
  kinds.push_back(1);
  file.text("general.architecture", architecture);
  file.text("general.name", "a generated model");
  file.u32("general.file_type", 0);
  file.u32(own("context_length"), 2048);
  file.u32(own("embedding_length"), static_cast<uint32_t>(width));
  file.u32(own("feed_forward_length"), static_cast<uint32_t>(2 * width));
  file.u32(own("block_count"), kTextLayers);
  file.u32(own("attention.head_count"), kTextHeads);
  file.u32(own("attention.head_count_kv"), kTextHeads / 2);
  file.u32(own("attention.key_length"), kTextHeadSize);
  file.u32(own("attention.value_length"), kTextHeadSize);
  file.u32(own("rope.dimension_count"), kTextHeadSize);
  file.f32(own("attention.layer_norm_rms_epsilon"), 1e-5F);
  file.f32(own("rope.freq_base"), 10'000);
  const bool grid = architecture == "qwen2vl";
  if (grid) model.integers(own("rope.dimension_sections"), {2, 3, 3, 0});
  file.text("tokenizer.ggml.model", "gpt2");
  file.text("tokenizer.ggml.pre", "gpt-2");
  file.texts("tokenizer.ggml.tokens", tokens);
  model.integers("tokenizer.ggml.token_type", kinds);
  file.texts("tokenizer.ggml.merges", {byte_piece(' ') + " t"});
  file.u32("tokenizer.ggml.bos_token_id", 257);
  file.u32("tokenizer.ggml.eos_token_id", 259);
  file.boolean("tokenizer.ggml.add_bos_token", false);
  file.text(
      "tokenizer.chat_template",
      "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
      "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
  model.matrix("token_embd.weight", {width, tokens.size()}, 1);
  const uint64_t heads = kTextHeads * kTextHeadSize;
  for (uint64_t i = 0; i < kTextLayers; i++) {
    const std::string layer = cat("blk.", i, ".");
    model.ones(layer + "attn_norm.weight", width);
    for (const auto& [name, out] : {std::pair{"attn_q", heads}, std::pair{"attn_k", heads / 2},
                                    std::pair{"attn_v", heads / 2}}) {
      model.linear(layer + name, width, out);
      if (grid) model.matrix(cat(layer, name, ".bias"), {out}, 0.1);
    }
    model.linear(layer + "attn_output", heads, width);
    model.ones(layer + "ffn_norm.weight", width);
    model.linear(layer + "ffn_gate", width, 2 * width);
    model.linear(layer + "ffn_up", width, 2 * width);
    model.linear(layer + "ffn_down", 2 * width, width);
  }
  model.ones("output_norm.weight", width);
  model.matrix("output.weight", {width, tokens.size()}, 0.5);
  return file.bytes();
}

constexpr uint64_t kEyeWidth = 32, kEyeHeads = 2, kEyeLayers = 2, kEyeSide = 64, kPatch = 8;

// Of the kinds "gemma3" (16 rows for every picture, which see each other), "idefics3" (pieces of a
// larger picture, 16 rows each) and "qwen2vl_merger" (a row for 16 by 16 pixels, placed in a grid).
inline std::string projector(const std::string& kind, uint32_t seed = 2,
                             uint64_t width = kTextWidth, uint64_t side = kEyeSide) {
  RandomFile model(seed);
  GgufFile& file = model.file;
  file.text("general.architecture", "clip");
  file.text("general.name", "a generated projector");
  file.text("clip.projector_type", kind);
  file.boolean("clip.has_vision_encoder", true);
  file.boolean("clip.use_gelu", true);
  file.u32("clip.vision.embedding_length", kEyeWidth);
  file.u32("clip.vision.feed_forward_length", 2 * kEyeWidth);
  file.u32("clip.vision.block_count", kEyeLayers);
  file.u32("clip.vision.attention.head_count", kEyeHeads);
  file.f32("clip.vision.attention.layer_norm_epsilon", 1e-6F);
  file.u32("clip.vision.projection_dim", static_cast<uint32_t>(width));
  file.u32("clip.vision.image_size", static_cast<uint32_t>(side));
  file.u32("clip.vision.patch_size", kPatch);
  model.numbers("clip.vision.image_mean", {0.5F, 0.5F, 0.5F});
  model.numbers("clip.vision.image_std", {0.5F, 0.5F, 0.5F});
  const bool grid = kind == "qwen2vl_merger";
  if (!grid) file.u32("clip.vision.projector.scale_factor", 2);
  if (kind == "idefics3") file.u32("clip.vision.preproc_image_size", 2 * kEyeSide);
  const double in_patch = 1 / std::sqrt(kPatch * kPatch * 3.0);
  model.matrix("v.patch_embd.weight", {kPatch, kPatch, 3, kEyeWidth}, in_patch);
  if (grid) {
    model.matrix("v.patch_embd.weight.1", {kPatch, kPatch, 3, kEyeWidth}, in_patch);
  } else {
    model.matrix("v.patch_embd.bias", {kEyeWidth}, 0.1);
    const uint64_t patches = side / kPatch * (side / kPatch);
    model.matrix("v.position_embd.weight", {kEyeWidth, patches}, 0.2);
  }
  for (uint64_t i = 0; i < kEyeLayers; i++) {
    const std::string layer = cat("v.blk.", i, ".");
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_out"})
      model.linear_with_bias(layer + name, kEyeWidth, kEyeWidth);
    model.norm(layer + "ln1", kEyeWidth);
    model.norm(layer + "ln2", kEyeWidth);
    model.linear_with_bias(layer + "ffn_up", kEyeWidth, 2 * kEyeWidth);
    model.linear_with_bias(layer + "ffn_down", 2 * kEyeWidth, kEyeWidth);
  }
  model.norm("v.post_ln", kEyeWidth);
  if (kind == "gemma3") {
    model.ones("mm.soft_emb_norm.weight", kEyeWidth);
    model.matrix("mm.input_projection.weight", {width, kEyeWidth}, 0.4);
  } else if (kind == "idefics3") {
    model.linear("mm.model.fc", 4 * kEyeWidth, width);
  } else {
    model.linear_with_bias("mm.0", 4 * kEyeWidth, 4 * kEyeWidth);
    model.linear_with_bias("mm.2", 4 * kEyeWidth, width);
  }
  return file.bytes();
}

// One that hears, of the kind "qwen2a": 750 rows for up to half a minute.
inline std::string ears(uint32_t seed = 3) {
  constexpr uint64_t kBands = 16, kFrames = 1500;
  RandomFile model(seed);
  GgufFile& file = model.file;
  file.text("general.architecture", "clip");
  file.text("general.name", "a generated projector for sounds");
  file.text("clip.projector_type", "qwen2a");
  file.boolean("clip.has_audio_encoder", true);
  file.boolean("clip.use_gelu", true);
  file.u32("clip.audio.embedding_length", kEyeWidth);
  file.u32("clip.audio.feed_forward_length", 2 * kEyeWidth);
  file.u32("clip.audio.block_count", 1);
  file.u32("clip.audio.attention.head_count", kEyeHeads);
  file.f32("clip.audio.attention.layer_norm_epsilon", 1e-6F);
  file.u32("clip.audio.projection_dim", kTextWidth);
  file.u32("clip.audio.num_mel_bins", kBands);
  model.half_matrix("a.conv1d.1.weight", {3, kBands, kEyeWidth}, 0.3);
  model.matrix("a.conv1d.1.bias", {1, kEyeWidth}, 0.1);
  model.half_matrix("a.conv1d.2.weight", {3, kEyeWidth, kEyeWidth}, 0.2);
  model.matrix("a.conv1d.2.bias", {1, kEyeWidth}, 0.1);
  model.matrix("a.position_embd.weight", {kEyeWidth, kFrames}, 0.2);
  model.linear_with_bias("a.blk.0.attn_q", kEyeWidth, kEyeWidth);
  model.linear("a.blk.0.attn_k", kEyeWidth, kEyeWidth);
  for (const char* name : {"attn_v", "attn_out"})
    model.linear_with_bias(cat("a.blk.0.", name), kEyeWidth, kEyeWidth);
  model.norm("a.blk.0.ln1", kEyeWidth);
  model.norm("a.blk.0.ln2", kEyeWidth);
  model.linear_with_bias("a.blk.0.ffn_up", kEyeWidth, 2 * kEyeWidth);
  model.linear_with_bias("a.blk.0.ffn_down", 2 * kEyeWidth, kEyeWidth);
  model.norm("a.post_ln", kEyeWidth);
  model.linear_with_bias("mm.a.fc", kEyeWidth, kTextWidth);
  return file.bytes();
}

}  // namespace lares::engine::testing
