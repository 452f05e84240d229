#include "engine/backends/llama_tokens.h"

#include "base/text.h"

namespace lares::engine::llama {
namespace {

constexpr std::string_view kQuery = "{query}";
constexpr std::string_view kDocument = "{document}";

void append(std::vector<Token>& to, std::span<const Token> tokens) {
  to.insert(to.end(), tokens.begin(), tokens.end());
}

// In one pass, so that what a query says of "{document}" stays its text.
std::string filled(std::string_view pattern, std::string_view query, std::string_view document) {
  std::string out;
  while (!pattern.empty()) {
    if (pattern.starts_with(kQuery)) {
      out += query;
      pattern.remove_prefix(kQuery.size());
    } else if (pattern.starts_with(kDocument)) {
      out += document;
      pattern.remove_prefix(kDocument.size());
    } else {
      out += pattern.front();
      pattern.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

Tokenizer::Tokenizer(const llama_model* model) : vocab_(llama_model_get_vocab(model)) {
  if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM) read_word_pieces();
  if (const char* pattern = llama_model_chat_template(model, "rerank")) pair_template_ = pattern;
  fill_ = {llama_vocab_fim_pre(vocab_), llama_vocab_fim_suf(vocab_), llama_vocab_fim_mid(vocab_),
           llama_vocab_fim_rep(vocab_), llama_vocab_fim_sep(vocab_)};
}

// Without both special tokens the engine's own way must do.
void Tokenizer::read_word_pieces() {
  WordPieces::Specials specials{llama_vocab_bos(vocab_), llama_vocab_sep(vocab_), 0};
  if (specials.begin < 0 || specials.end < 0) return;
  std::vector<std::string> texts;
  for (Token token = 0; token < llama_vocab_n_tokens(vocab_); token++) {
    texts.emplace_back(llama_vocab_get_text(vocab_, token));
    if (texts.back() == "[UNK]") specials.unknown = token;
  }
  word_pieces_.emplace(texts, specials);
}

Result<std::vector<Token>> Tokenizer::read(std::string_view text, bool add_special,
                                           Special special) const {
  if (text.size() > INT32_MAX / 2) return Error{Code::Invalid, "the text is longer than 1 GiB"};
  try {
    const auto length = static_cast<int32_t>(text.size());
    std::vector<Token> tokens(text.size() / 3 + 16);
    const auto call = [&] {
      return llama_tokenize(vocab_, text.data(), length, tokens.data(),
                            static_cast<int32_t>(tokens.size()), add_special,
                            special == Special::Parsed);
    };
    int32_t n = call();
    if (n < 0 && n != INT32_MIN) {
      tokens.resize(static_cast<size_t>(-n));
      n = call();
    }
    if (n < 0) return Error{Code::Invalid, "the text has more tokens than can be counted"};
    tokens.resize(static_cast<size_t>(n));
    return tokens;
  } catch (const std::exception& e) {
    return Error{Code::Invalid, cat("reading the text as tokens: ", e.what())};
  }
}

Result<std::vector<Token>> Tokenizer::around(std::string_view text, Special special) const {
  if (word_pieces_) return word_pieces_->tokens(text);
  return read(text, true, special);
}

Result<std::vector<Token>> Tokenizer::bare(std::string_view text, Special special) const {
  if (!word_pieces_) return read(text, false, special);
  const std::vector<Token> tokens = word_pieces_->tokens(text);
  return std::vector<Token>(tokens.begin() + 1, tokens.end() - 1);
}

Result<std::vector<Token>> Tokenizer::pair(std::string_view query,
                                           std::string_view document) const {
  if (!pair_template_.empty())
    return read(filled(pair_template_, query, document), true, Special::Parsed);
  TRY_AS(const auto first, bare(query, Special::AsText));
  TRY_AS(const auto second, bare(document, Special::AsText));
  const Token separator = llama_vocab_sep(vocab_);
  const Token end = llama_vocab_eos(vocab_) >= 0 ? llama_vocab_eos(vocab_) : separator;
  // BERT's own way has one [SEP] behind each
  const bool ends = llama_vocab_get_add_eos(vocab_) && end >= 0;
  std::vector<Token> tokens;
  if (llama_vocab_get_add_bos(vocab_)) tokens.push_back(llama_vocab_bos(vocab_));
  append(tokens, first);
  if (ends) tokens.push_back(end);
  if (llama_vocab_get_add_sep(vocab_) && separator >= 0) tokens.push_back(separator);
  append(tokens, second);
  if (ends) {
    tokens.push_back(end);
  } else if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM && separator >= 0) {
    tokens.push_back(separator);
  }
  return tokens;
}

Result<std::vector<Token>> Tokenizer::gap(const Gap& gap, size_t most) const {
  GapTokens parts;
  TRY_AS(parts.prefix, bare(gap.prefix, Special::AsText));
  TRY_AS(parts.suffix, bare(gap.suffix, Special::AsText));
  TRY_AS(parts.prompt, bare(gap.prompt, Special::AsText));
  const bool files = fill_.separator >= 0;
  if (fill_.repository >= 0) {
    TRY_AS(parts.repository, bare("repository\n", Special::AsText));
  }
  for (const Gap::Extra& extra : gap.extra) {
    std::vector<Token> one;
    if (files) one.push_back(fill_.separator);
    TRY_AS(const auto name, bare(files ? extra.filename + "\n" : "\n\n", Special::AsText));
    append(one, name);
    TRY_AS(const auto text, bare(extra.text, Special::AsText));
    append(one, text);
    parts.extra.push_back(std::move(one));
  }
  if (files && !gap.extra.empty()) {
    TRY_AS(parts.file, bare("file\n", Special::AsText));
  }
  const bool begins = llama_vocab_get_add_bos(vocab_) && llama_vocab_bos(vocab_) >= 0;
  return assemble(parts, fill_, begins ? llama_vocab_bos(vocab_) : Token{-1}, most);
}

}  // namespace lares::engine::llama
