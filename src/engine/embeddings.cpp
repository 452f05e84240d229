#include "engine/embeddings.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/text.h"
#include "engine/options.h"

namespace lares::engine {
namespace {

Error wrong(std::string_view what, std::string_view field = "input") {
  return {Code::Invalid, cat("'", field, "' ", what), std::string(field)};
}

// float32, little-endian
void append_bytes(std::string& out, std::span<const float> values) {
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((bits >> shift) & 0xFF);
  }
}

}  // namespace

Result<std::vector<Token>> Embeddings::tokens_of(const Json& input, size_t number) const {
  const Facts& facts = model_.facts();
  std::vector<Token> tokens;
  if (input.is_string()) {
    const auto& text = input.get_ref<const std::string&>();
    if (!is_utf8(text)) return wrong("is not UTF-8");
    const Pulse::Quiet quiet(pulse_, tokenise_max(text.size()));
    TRY_AS(tokens, model_.tokenize(text, Special::AsText));
  } else if (input.is_array()) {
    for (const Json& item : input) {
      const auto token = token_id(item, facts.vocabulary);
      if (!token)
        return wrong(
            cat("has something that is no token id; they are 0 to ", facts.vocabulary - 1));
      tokens.push_back(*token);
    }
  } else {
    return wrong("is neither strings nor arrays of token ids");
  }
  if (tokens.empty()) return wrong(cat("number ", number, " is empty"));
  if (tokens.size() > longest())
    return wrong(cat("number ", number, " has ", grouped(tokens.size()),
                     " tokens, but this model takes ", grouped(longest()),
                     "; split it into shorter pieces"));
  return tokens;
}

Result<> Embeddings::add(uint64_t id, const wire::Embed& message) {
  if (!model_.facts().pools) {
    return Error{Code::Invalid,
                 "this is a chat model without pooling; embeddings need an embedding model such as "
                 "all-minilm-l6-v2",
                 "model"};
  }
  const Json& inputs = message.inputs;
  if (!inputs.is_array() || inputs.empty()) return wrong("is not an array of at least one input");
  if (inputs.size() > kInputsMax)
    return wrong(cat("has ", grouped(inputs.size()), " inputs, at most ", grouped(kInputsMax),
                     " are allowed"));
  Request request;
  request.id = id;
  request.lane = message.lane;
  request.owner = message.owner;
  for (const Json& input : inputs) {
    TRY_AS(auto tokens, tokens_of(input, request.inputs.size()));
    request.inputs.push_back(std::move(tokens));
  }
  shares_.enter(request.lane, request.owner);
  waiting_.push_back(std::move(request));
  return Unit{};
}

std::deque<Embeddings::Request>::iterator Embeddings::find(uint64_t id) {
  return std::find_if(waiting_.begin(), waiting_.end(),
                      [id](const Request& each) { return each.id == id; });
}

Result<> Embeddings::rank(uint64_t id, const wire::Rank& message) {
  if (!model_.facts().ranks) {
    return Error{
        Code::Invalid,
        "this model does not rank; a reranker is needed, whose file has the pooling 'rank'",
        "model"};
  }
  constexpr std::string_view kDocuments = "documents";
  const Json& documents = message.documents;
  if (!is_utf8(message.query)) return wrong("is not UTF-8", "query");
  if (!documents.is_array() || documents.empty())
    return wrong("is not an array of at least one document", kDocuments);
  if (documents.size() > kInputsMax)
    return wrong(cat("has ", grouped(documents.size()), " documents, at most ", grouped(kInputsMax),
                     " are allowed"),
                 kDocuments);
  Request request;
  request.id = id;
  request.lane = message.lane;
  request.owner = message.owner;
  request.end = "ranked";
  for (const Json& document : documents) {
    const size_t number = request.inputs.size();
    const auto* text = document.get_ptr<const std::string*>();
    if (!text || !is_utf8(*text)) return wrong(cat("number ", number, " is no text"), kDocuments);
    const Pulse::Quiet quiet(pulse_, tokenise_max(message.query.size() + text->size()));
    TRY_AS(auto tokens, model_.tokenize_pair(message.query, *text));
    if (tokens.size() > longest())
      return wrong(cat("number ", number, " has ", grouped(tokens.size()),
                       " tokens together with the query, but this model takes ", grouped(longest()),
                       "; split it into shorter pieces"),
                   kDocuments);
    request.inputs.push_back(std::move(tokens));
  }
  shares_.enter(request.lane, request.owner);
  waiting_.push_back(std::move(request));
  return Unit{};
}

bool Embeddings::remove(uint64_t id) {
  const auto found = find(id);
  if (found == waiting_.end()) return false;
  shares_.leave(found->lane, found->owner);
  waiting_.erase(found);
  return true;
}

bool Embeddings::has(uint64_t id) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [id](const Request& each) { return each.id == id; });
}

bool Embeddings::has_up_to(Lane worst) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [worst](const Request& each) { return each.lane <= worst; });
}

Embeddings::Next Embeddings::next(size_t rows_max, Lane worst) {
  assert(has_up_to(worst));
  const auto before = [&](const Request& a, const Request& b) {
    if ((a.lane <= worst) != (b.lane <= worst)) return a.lane <= worst;
    return shares_.before({a.lane, a.owner}, {b.lane, b.owner});
  };
  Request& request = *std::min_element(waiting_.begin(), waiting_.end(), before);
  const Facts& facts = model_.facts();
  Next next;
  next.id = request.id;
  next.lane = request.lane;
  next.begins = !request.began;
  if (!request.began) request.began = clock_.now();
  for (const auto& input : request.inputs) next.tokens += static_cast<Tokens>(input.size());
  rows_max = std::min<size_t>(facts.batch, rows_max);
  for (size_t i = request.next; i < request.inputs.size() && next.inputs.size() < facts.sequences;
       i++) {
    const auto& input = request.inputs[i];
    if (!next.inputs.empty() && next.rows + input.size() > rows_max) break;
    next.rows += input.size();
    next.inputs.emplace_back(input);
  }
  return next;
}

void Embeddings::charge(const Next& computed, double cpu_ms) {
  const auto request = find(computed.id);
  if (request == waiting_.end()) return;
  request->cpu_ms += cpu_ms;
  shares_.charge(request->lane, request->owner, cpu_ms);
}

std::optional<wire::Done> Embeddings::took(const Next& computed, std::span<const float> vectors) {
  const auto found = find(computed.id);
  assert(found != waiting_.end());
  Request& request = *found;
  append_bytes(request.vectors, vectors);
  request.next += computed.inputs.size();
  if (request.next < request.inputs.size()) return std::nullopt;

  wire::Done done;
  done.reason = request.end;
  done.prompt_tokens = computed.tokens;
  for (const auto& input : request.inputs)
    done.input_tokens.push_back(static_cast<Tokens>(input.size()));
  done.prefill_ms =
      std::chrono::duration<double, std::milli>(clock_.now() - *request.began).count();
  done.cpu_ms = request.cpu_ms;
  done.vectors = std::move(request.vectors);
  remove(request.id);
  return done;
}

}  // namespace lares::engine
