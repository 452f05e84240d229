#include "engine/backends/llama_grammar.h"

#include <common.h>
#include <llama-grammar.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "engine/backends/llama_grammar_check.h"
#include "engine/grammar_text.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kWordsMax = 160;  // of what the engine's parser says
constexpr size_t kWaitTailMax = 256;

// "parse: error parsing grammar: WORDS\n\n<the grammar>"
std::string parser_words(const std::string& said) {
  constexpr std::string_view kBefore = "error parsing grammar: ";
  const size_t at = said.find(kBefore);
  if (at == std::string::npos) return "is no grammar";
  std::string_view words = std::string_view(said).substr(at + kBefore.size());
  words = words.substr(0, std::min(words.find('\n'), kWordsMax));
  return cat("is no grammar: ", utf8_repaired(trimmed(words)));
}

// The first of the tokens that are named by their numbers, <[5]>, of which the model has none.
// Without a vocabulary nothing is known of them.
std::optional<uint32_t> unknown_token(const llama_grammar_rules& rules, const llama_vocab* vocab) {
  if (!vocab) return std::nullopt;
  const auto tokens = static_cast<uint32_t>(llama_vocab_n_tokens(vocab));
  for (const auto& rule : rules) {
    for (const llama_grammar_element& element : rule) {
      const bool names =
          element.type == LLAMA_GRETYPE_TOKEN || element.type == LLAMA_GRETYPE_TOKEN_NOT;
      if (names && element.value >= tokens) return element.value;
    }
  }
  return std::nullopt;
}

}  // namespace

Hush::Hush() : before_(stderr), file_(open_memstream(&text_, &size_)) {
  if (file_) stderr = file_;
}

Hush::~Hush() {
  stderr = before_;
  if (file_) std::fclose(file_);
  std::free(text_);
}

std::string Hush::said() {
  if (!file_ || std::fflush(file_) != 0) return "";
  return {text_, size_};
}

std::string token_text(const llama_vocab* vocab, Token token) {
  return common_token_to_piece(vocab, token, true);
}

void Grammar::Free::operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }

Grammar::Grammar(const llama_vocab* vocab, llama_grammar* grammar, Triggers triggers,
                 std::vector<Token> controls, std::string param)
    : vocab_(vocab),
      grammar_(grammar),
      triggers_(std::move(triggers)),
      controls_(std::move(controls)),
      param_(std::move(param)),
      waiting_(!triggers_.words.empty()) {}
Grammar::~Grammar() = default;

Result<std::unique_ptr<Grammar>> Grammar::make(const llama_vocab* vocab, const std::string& text,
                                               const Triggers& triggers,
                                               std::vector<Token> controls, std::string param,
                                               Ambiguity ambiguity) {
  const auto wrong = [&](std::string_view what) {
    return Error{Code::Invalid, cat("'", param, "' ", what), param};
  };
  TRY(check_grammar_text(text, param));
  Hush hush;
  llama_grammar_parser parser(vocab);
  if (!parser.parse(text.c_str()) || parser.rules.empty()) return wrong(parser_words(hush.said()));
  const auto root = parser.symbol_ids.find("root");
  if (root == parser.symbol_ids.end())
    return wrong("has no rule 'root', with which it would begin");
  if (const auto unknown = unknown_token(parser.rules, vocab))
    return wrong(cat("names the token ", *unknown, ", and this model has ",
                     llama_vocab_n_tokens(vocab), ", counted from 0"));
  if (const std::string what = check_rules(parser.rules, root->second); !what.empty())
    return wrong(what);
  // the engine's own waiting searches all of the text again for each token, so words are ours
  std::vector<const char*> patterns;
  for (const auto& pattern : triggers.patterns) patterns.push_back(pattern.c_str());
  const bool lazy = !triggers.patterns.empty() || !triggers.tokens.empty();
  llama_grammar* const made =
      llama_grammar_init_impl(vocab, text.c_str(), "root", lazy, patterns.data(), patterns.size(),
                              triggers.tokens.data(), triggers.tokens.size());
  if (!made) return wrong("is a grammar that the engine cannot follow");
  std::unique_ptr<Grammar> grammar(new Grammar(vocab, made, triggers, std::move(controls), param));
  if (ambiguity == Ambiguity::Known) return grammar;
  if (const std::string what = check_ambiguity(*made); !what.empty()) return wrong(what);
  return grammar;
}

bool Grammar::in_force() const { return !waiting_ && !grammar_->awaiting_trigger; }

bool Grammar::takes_part(Token token) const {
  return !llama_vocab_is_control(vocab_, token) || llama_vocab_is_eog(vocab_, token) ||
         std::find(controls_.begin(), controls_.end(), token) != controls_.end();
}

bool Grammar::allows(Token token) const {
  if (!in_force()) return true;
  if (!takes_part(token)) return false;
  llama_token_data one{token, 1, 0};
  llama_token_data_array list{&one, 1, -1, false};
  llama_grammar_apply_impl(*grammar_, &list);
  return one.logit != -INFINITY;
}

bool Grammar::mask(std::span<float> logits) const {
  if (!in_force()) return true;
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++) {
    const auto token = static_cast<Token>(i);
    if (logits[i] == -INFINITY) continue;
    if (takes_part(token)) {
      candidates_.push_back({token, logits[i], 0});
    } else {
      logits[i] = -INFINITY;
    }
  }
  llama_token_data_array list{candidates_.data(), candidates_.size(), -1, false};
  llama_grammar_apply_impl(*grammar_, &list);
  bool any = false;
  for (const llama_token_data& each : candidates_) {
    logits[each.id] = each.logit;
    any = any || each.logit != -INFINITY;
  }
  return any;
}

bool Grammar::may_end() const {
  if (!in_force()) return true;
  for (const auto& stack : grammar_->stacks) {
    if (stack.empty()) return true;
  }
  return false;
}

bool Grammar::must_end() const {
  return in_force() && std::all_of(grammar_->stacks.begin(), grammar_->stacks.end(),
                                   [](const auto& stack) { return stack.empty(); });
}

Error Grammar::broken() const {
  return {Code::Invalid, cat("'", param_, "' can go on with none of this model's tokens"), param_};
}

// Looks for the words in the last of what was written.
Result<> Grammar::wait(Token token) {
  const std::string piece = token_text(vocab_, token);
  tail_ += piece;
  tail_tokens_.emplace_back(token, piece.size());
  size_t first = std::string::npos;
  for (const std::string& word : triggers_.words) first = std::min(first, tail_.find(word));
  if (first == std::string::npos) {
    while (tail_.size() > kWaitTailMax && tail_tokens_.size() > 1) {
      tail_.erase(0, tail_tokens_.front().second);
      tail_tokens_.erase(tail_tokens_.begin());
    }
    return Unit{};
  }
  waiting_ = false;
  size_t at = 0;
  for (const auto& [each, size] : tail_tokens_) {
    const size_t end = at + size;
    const size_t from = std::max(at, first);
    if (end > from) llama_grammar_accept_token(*grammar_, each, tail_.substr(from, end - from));
    at = end;
  }
  return Unit{};
}

Result<> Grammar::accept(Token token) {
  try {
    if (waiting_) return wait(token);
    if (grammar_->awaiting_trigger || !llama_vocab_is_eog(vocab_, token))
      llama_grammar_accept_impl(*grammar_, token);
  } catch (const std::exception&) {  // its words quote the answer
    return broken();
  }
  return Unit{};
}

Result<> Grammar::accept(const std::string& text) {
  try {
    if (!text.empty()) llama_grammar_accept_str(*grammar_, text);
  } catch (const std::exception&) {
    return broken();
  }
  return Unit{};
}

}  // namespace lares::engine::llama
