#include "engine/backends/llama_draft.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "wire/draft_rows.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kShownMax = 40;  // bytes of a token that an error repeats

std::string shown(const llama_vocab* vocab, llama_token token) {
  const std::string_view text = llama_vocab_get_text(vocab, token);
  return cat("'", utf8_repaired(text.substr(0, kShownMax)), "'");
}

std::string_view kind_name(const llama_vocab* vocab) {
  switch (llama_vocab_type(vocab)) {
    case LLAMA_VOCAB_TYPE_NONE: return "none";
    case LLAMA_VOCAB_TYPE_SPM: return "SentencePiece";
    case LLAMA_VOCAB_TYPE_BPE: return "BPE";
    case LLAMA_VOCAB_TYPE_WPM: return "WordPiece";
    case LLAMA_VOCAB_TYPE_UGM: return "Unigram";
    case LLAMA_VOCAB_TYPE_RWKV: return "RWKV";
    case LLAMA_VOCAB_TYPE_PLAMO2: return "PLaMo-2";
    case LLAMA_VOCAB_TYPE_TEST: return "test";
  }
  return "unknown";
}

llama_token begin(const llama_vocab* vocab) {
  return llama_vocab_get_add_bos(vocab) ? llama_vocab_bos(vocab) : LLAMA_TOKEN_NULL;
}

std::string first(const llama_vocab* vocab) {
  const llama_token token = begin(vocab);
  return token == LLAMA_TOKEN_NULL ? "no token of its own" : shown(vocab, token);
}

Error another(std::string what) {
  return {Code::Invalid, cat("its vocabulary is another: ", what,
                             "; name a smaller model of the same family in models.draft, or none")};
}

}  // namespace

// Where a text would end is not compared: a base model and one for chats say that with different
// tokens, which is no reason not to draft.
Result<> check_same_vocabulary(const llama_model* model, const llama_model* draft) {
  const llama_vocab* const own = llama_model_get_vocab(draft);
  const llama_vocab* const other = llama_model_get_vocab(model);
  if (llama_vocab_type(own) != llama_vocab_type(other))
    return another(cat("of the kind ", kind_name(own), " and not ", kind_name(other)));
  const int32_t count = llama_vocab_n_tokens(own);
  const int32_t count_other = llama_vocab_n_tokens(other);
  if (std::abs(count - count_other) > static_cast<int32_t>(wire::kVocabularyFillMax)) {
    return another(cat("of ", grouped(static_cast<uint64_t>(count)), " tokens and not ",
                       grouped(static_cast<uint64_t>(count_other))));
  }
  if (begin(own) != begin(other))
    return another(cat("a text begins with ", first(own), " and not with ", first(other)));
  for (llama_token token = 0; token < std::min(count, count_other); token++) {
    const std::string_view text = llama_vocab_get_text(own, token);
    if (text == llama_vocab_get_text(other, token)) continue;
    return another(
        cat("its token ", token, " is ", shown(own, token), " and not ", shown(other, token)));
  }
  return Unit{};
}

}  // namespace lares::engine::llama
