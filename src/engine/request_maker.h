// RequestMaker: makes of what is asked what a step can compute: its options are read, its chat is
// rendered, its grammar made, its text tokenised. That needs no device and may take long, so it is
// one thread's, which need not be the computing one: other answers go on meanwhile (intake.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "engine/model.h"
#include "engine/request.h"
#include "engine/step_cost.h"
#include "wire/message.h"

namespace lares::engine {

inline constexpr size_t kInputsMax = 2048;  // of one request for vectors or scores

// How long chats may think that say nothing of it.
struct ThinkingMax {
  int64_t tokens = wire::kThinkFreely;  // or kThinkByQuestion
  double seconds = 30;                  // that a person waits for thoughts
};

// An answer that another worker had begun.
struct Begun {
  uint32_t chance = 0;                        // wire::Started::chance
  int64_t thinking_max = wire::kThinkFreely;  // its thinking_max
  std::string ids;                            // as in wire::Resume
};

using Made = std::variant<std::unique_ptr<Request>, PooledRequest>;

inline uint64_t id_of(const Made& made) {
  const auto* const answer = std::get_if<std::unique_ptr<Request>>(&made);
  return answer ? (*answer)->id : std::get<PooledRequest>(made).id;
}
inline Error cancelled() { return {Code::Cancelled, "the request was cancelled"}; }

class RequestMaker {
 public:
  using Seeds = std::function<uint32_t()>;  // for requests that name none
  // What a token of an answer takes at present, in ms; 0: unknown. Called on this one's thread.
  using TokenMs = std::function<double()>;

  // `model`, `pulse` and `clock` must outlive it; the model computes meanwhile, perhaps, and the
  // pulse is this thread's. `thinking`: of requests that say nothing of it.
  RequestMaker(
      Model& model, Pulse& pulse, const Clock& clock, Seeds seeds, ThinkingMax thinking = {},
      TokenMs token_ms = [] { return 0.0; });

  // Errors name what is wrong with the request, with the field in `param`.
  Result<Made> generate(uint64_t id, const wire::Generate& message,
                        const std::optional<Begun>& begun = std::nullopt);
  Result<Made> embed(uint64_t id, const wire::Embed& message);
  Result<Made> rank(uint64_t id, const wire::Rank& message);

 private:
  Result<> check_length(size_t at_least, bool exact, std::string_view param) const;
  void choose_thinking(GenerateOptions& options, int64_t chosen_before) const;
  void limit_thinking(Request& request, std::optional<Tokens> asked, int64_t chosen_before) const;
  Result<std::vector<Token>> prompt_tokens(Request& request);
  Result<std::vector<Token>> gap_tokens(const Gap& gap, std::optional<Tokens> answer);
  Result<std::vector<Media>> media_of(Json& messages);
  Result<std::vector<Token>> media_tokens(Request& request, std::string_view prompt,
                                          std::span<const Media> media);
  Result<std::vector<Token>> input_tokens(const Json& input, size_t number);
  size_t longest_input() const;

  Model& model_;
  Pulse& pulse_;
  const Clock& clock_;
  const Seeds seeds_;
  const ThinkingMax thinking_;
  const TokenMs token_ms_;
  MediaNumbers media_numbers_;
};

}  // namespace lares::engine
