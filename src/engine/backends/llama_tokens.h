// How a text becomes tokens of this engine's vocabularies: one text, a query with a document for a
// model that ranks, the two sides of a gap for one that fills it. Not the chat template
// (llama_chat.h). Owned by the LlamaModel; its thread. Texts may be any bytes; errors are Invalid.
#pragma once

#include <llama.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gap.h"
#include "engine/model.h"
#include "engine/wordpiece.h"

namespace lares::engine::llama {

class Tokenizer {
 public:
  // `model` must outlive it.
  explicit Tokenizer(const llama_model* model);

  // With the tokens that the model wants around every text (BOS ...).
  Result<std::vector<Token>> around(std::string_view text, Special special) const;
  // Without them.
  Result<std::vector<Token>> bare(std::string_view text, Special special) const;
  // [BOS] query [EOS] [SEP] document [EOS], each as the vocabulary wants it, or what the model's
  // own template "rerank" says.
  Result<std::vector<Token>> pair(std::string_view query, std::string_view document) const;
  // At most `most` tokens; see engine/gap.h for what is left out.
  Result<std::vector<Token>> gap(const Gap& gap, size_t most) const;
  bool fills() const { return fill_.complete(); }

 private:
  void read_word_pieces();
  Result<std::vector<Token>> read(std::string_view text, bool add_special, Special special) const;

  const llama_vocab* const vocab_;
  std::optional<WordPieces> word_pieces_;  // where the engine's own differ from the reference
  std::string pair_template_;
  FillTokens fill_;
};

}  // namespace lares::engine::llama
