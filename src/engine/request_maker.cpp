#include "engine/request_maker.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "base/text.h"
#include "engine/options.h"
#include "engine/thinking_budget.h"

namespace lares::engine {
namespace {

// Of all its strings.
size_t text_bytes(const Json& json) {
  if (json.is_string()) return json.get_ref<const std::string&>().size();
  if (!json.is_structured()) return 0;
  return std::accumulate(json.begin(), json.end(), size_t{0},
                         [](size_t sum, const Json& inside) { return sum + text_bytes(inside); });
}

// Of what stands for media in messages.
size_t media_bytes(const Json& messages) {
  size_t bytes = 0;
  for (const Json& message : messages) {
    if (!message.is_object() || !message.contains("content") || !message["content"].is_array())
      continue;
    for (const Json& part : message["content"]) {
      const auto data = part.is_object() ? part.find("data") : part.end();
      if (part.is_object() && data != part.end() && data->is_string())
        bytes += data->get_ref<const std::string&>().size();
    }
  }
  return bytes;
}

Error wrong(std::string_view what, std::string_view field = "input") {
  return {Code::Invalid, cat("'", field, "' ", what), std::string(field)};
}

}  // namespace

RequestMaker::RequestMaker(Model& model, Pulse& pulse, const Clock& clock, Seeds seeds,
                           ThinkingMax thinking, TokenMs token_ms)
    : model_(model),
      pulse_(pulse),
      clock_(clock),
      seeds_(std::move(seeds)),
      thinking_(thinking),
      token_ms_(std::move(token_ms)) {}

// --- answers
// ------------------------------------------------------------------------------------------

Result<Made> RequestMaker::generate(uint64_t id, const wire::Generate& message,
                                    const std::optional<Begun>& begun) {
  const double cpu_from = thread_cpu_ms();
  const Facts& facts = model_.facts();
  if (!facts.generates) {
    return Error{Code::Invalid,
                 facts.ranks ? "this is a reranker; answers need a chat model"
                             : "this is an embedding model; answers need a chat model",
                 "model"};
  }
  const uint32_t chance = begun && begun->chance != 0 ? begun->chance : std::max(1U, seeds_());
  TRY_AS(GenerateOptions options, read_options(message, facts.vocabulary, chance, facts.adapters));
  if (options.echo && options.top) {
    return Error{Code::Unsupported,
                 "'echo' together with 'logprobs' is not supported; leave one of them out",
                 "logprobs"};
  }
  const Structure& structure = options.structure;
  if (structure.exact && *structure.thinking_max > facts.context) {
    return Error{
        Code::Invalid,
        cat("'reasoning_budget' is ", grouped(*structure.thinking_max),
            " tokens, but this model's context is ", grouped(facts.context), "; ask for less"),
        "reasoning_budget"};
  }
  const int64_t chosen_before = begun ? begun->thinking_max : wire::kThinkFreely;
  choose_thinking(options, chosen_before);
  const std::optional<Tokens> thinking_asked = structure.thinking_max;
  // known before the chat is rendered, so that templates that can leave thoughts out do
  const Tokens most = options.max_tokens.value_or(0);
  if (options.chat && most > 0 && thinking_room(most, 0) == 0) options.structure.thinking_max = 0;
  auto request = std::make_unique<Request>(id, message, std::move(options), chance);
  if (begun) {
    TRY_AS(request->replay, Replay::from(begun->ids, facts.vocabulary));
    request->resumes = true;
  }
  Sampling& sampling = request->options.sampling;
  if (const Must& must = request->options.structure.must; !must.empty() && !request->options.chat) {
    const Pulse::Quiet quiet(pulse_, structure_max(request->options.structure));
    TRY_AS(sampling.constraint, model_.constrain(must));
  }
  TRY_AS(request->tokens, prompt_tokens(*request));
  request->prompt = request->tokens.size();
  limit_thinking(*request, thinking_asked, chosen_before);
  {
    // each of DRY's breakers is looked for in every token
    const Pulse::Quiet quiet(
        pulse_, tokenise_max((sampling.dry_sequence_breakers.size() + 1) * facts.vocabulary));
    TRY_AS(request->sampler, model_.sampler(sampling, request->tokens));
  }
  request->cpu_ms = thread_cpu_ms() - cpu_from;
  return Made(std::move(request));
}

Result<> RequestMaker::check_length(size_t at_least, bool exact, std::string_view param) const {
  const size_t context = model_.facts().context;
  if (at_least <= context) return Unit{};
  const size_t trained = model_.facts().info.value("context_train", size_t{0});
  return Error{Code::TooLong,
               cat("the prompt has ", exact ? "" : "at least ", grouped(at_least),
                   " tokens, but this model's context is ", grouped(context), "; shorten it, or ",
                   trained > context ? cat("set models.context to more (it was trained with ",
                                           grouped(trained), "; see `lares config`)")
                                     : "choose another model: this one was trained with no more"),
               std::string(param)};
}

// How long a chat may think of which the request does not say that. `chosen_before`: by the worker
// that had begun with it.
void RequestMaker::choose_thinking(GenerateOptions& options, int64_t chosen_before) const {
  Structure& structure = options.structure;
  if (!options.chat) return;
  if (!structure.thinking_max && structure.effort.empty() && !structure.automatic) {
    structure.automatic = thinking_.tokens == wire::kThinkByQuestion;
    if (thinking_.tokens >= 0) structure.thinking_max = static_cast<Tokens>(thinking_.tokens);
  }
  if (!structure.automatic) return;
  if (chosen_before >= 0) {
    structure.thinking_max = static_cast<Tokens>(chosen_before);
    return;
  }
  const double token_ms = token_ms_();
  const double speed = token_ms > 0 ? 1000 / token_ms : kSpeedUnknown;
  Tokens budget = thinking_budget(features_of_last(options.messages), thinking_.seconds, speed);
  if (structure.deadline) budget = std::min(budget, thinking_in_time(*structure.deadline, speed));
  structure.thinking_max = budget;
}

// Thoughts leave room for the answer, whatever was asked for.
void RequestMaker::limit_thinking(Request& request, std::optional<Tokens> asked,
                                  int64_t chosen_before) const {
  Structure& structure = request.options.structure;
  if (request.thought_tags > 0) {
    const size_t context_left = model_.facts().context + 1 - request.prompt;
    const size_t left =
        std::min<size_t>(request.options.max_tokens.value_or(context_left), context_left);
    Tokens most = thinking_room(left, request.thought_tags);
    if (chosen_before >= 0) most = std::min(most, static_cast<Tokens>(chosen_before));
    structure.thinking_max = std::min(structure.thinking_max.value_or(most), most);
    structure.lowered = structure.thinking_max != asked;
  }
  request.options.sampling.thinking_max = structure.thinking_max;
}

Result<std::vector<Media>> RequestMaker::media_of(Json& messages) {
  if (!has_media(messages)) return std::vector<Media>();
  const Pulse::Quiet quiet(pulse_, media_max(media_bytes(messages)));
  return take_media(messages, model_.facts().senses);
}

// The tokens of a prompt with media, and its pieces.
Result<std::vector<Token>> RequestMaker::media_tokens(Request& request, std::string_view prompt,
                                                      std::span<const Media> media) {
  size_t bytes = 0;
  for (const Media& each : media) bytes += each.rgb.size() + each.samples.size() * sizeof(float);
  const Pulse::Quiet quiet(pulse_, tokenise_max(prompt.size()) + media_max(bytes));
  TRY_AS(std::vector<PromptPart> parts, model_.tokenize_media(prompt, media));
  std::vector<Token> tokens;
  for (PromptPart& part : parts) {
    if (!part.media) {
      tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
      continue;
    }
    const uint32_t number = media_numbers_.of(part.media->identity);
    const size_t begin = tokens.size();
    for (size_t row = 0; row < part.media->rows; row++) tokens.push_back(media_token(number, row));
    request.media.push_back({begin, std::move(part.media)});
  }
  return tokens;
}

// What is around the gap gives way to the answer, but keeps half of the context.
Result<std::vector<Token>> RequestMaker::gap_tokens(const Gap& gap, std::optional<Tokens> answer) {
  const Facts& facts = model_.facts();
  if (!facts.fills) {
    return Error{Code::Invalid,
                 "this model has no tokens for filling a gap; choose one that was trained for it "
                 "(its vocabulary has the tokens fim_pre, fim_suf and fim_mid, as coders' models "
                 "have), or send the text before the gap as a prompt without a suffix",
                 "model"};
  }
  size_t bytes = gap.prefix.size() + gap.suffix.size() + gap.prompt.size();
  bool readable = is_utf8(gap.prefix) && is_utf8(gap.suffix) && is_utf8(gap.prompt);
  for (const Gap::Extra& extra : gap.extra) {
    bytes += extra.filename.size() + extra.text.size();
    readable = readable && is_utf8(extra.filename) && is_utf8(extra.text);
  }
  if (!readable) return Error{Code::Invalid, "the text around the gap is not UTF-8"};
  const size_t room = facts.context - std::min<size_t>(facts.context / 2, answer.value_or(256));
  const Pulse::Quiet quiet(pulse_, tokenise_max(bytes));
  return model_.tokenize_gap(gap, room);
}

Result<std::vector<Token>> RequestMaker::prompt_tokens(Request& request) {
  const Facts& facts = model_.facts();
  GenerateOptions& options = request.options;
  const std::string_view param = options.chat ? "messages" : "prompt";
  std::vector<std::string> stops = options.stops;
  std::vector<Token> tokens;
  if (options.gap) {
    TRY_AS(tokens, gap_tokens(*options.gap, options.max_tokens));
    options.gap.reset();
  } else if (const auto* given = std::get_if<std::vector<Token>>(&options.prompt);
             given && !options.chat) {
    tokens = *given;
  } else {
    std::string prompt;
    std::vector<Media> media;
    if (options.chat) {
      TRY_AS(media, media_of(options.messages));
      const Pulse::Quiet quiet(pulse_,
                               template_max(options.messages.size(), text_bytes(options.messages)) +
                                   structure_max(options.structure));
      TRY_AS(Rendered rendered,
             model_.render_chat({options.messages, options.template_kwargs, options.structure}));
      prompt = std::move(rendered.prompt);
      stops.insert(stops.end(), rendered.stops.begin(), rendered.stops.end());
      options.messages = nullptr;
      options.sampling.constraint = std::move(rendered.constraint);
      request.thought_tags = rendered.thought_tags;
      if (rendered.format)
        request.reader.emplace(std::move(rendered.format), clock_, request.chance,
                               options.structure.parallel_tool_calls ? SIZE_MAX : 1);
    } else {
      prompt = std::get<std::string>(options.prompt);
    }
    if (!is_utf8(prompt)) {
      return Error{Code::Invalid, cat("'", param, "' is not UTF-8"), std::string(param)};
    }
    // what is too long at a glance is not worth tokenising
    if (facts.piece_max > 0) TRY(check_length(prompt.size() / facts.piece_max, false, param));
    if (!media.empty()) {
      TRY_AS(tokens, media_tokens(request, prompt, media));
    } else {
      const Pulse::Quiet quiet(pulse_, tokenise_max(prompt.size()));
      TRY_AS(tokens, model_.tokenize(prompt, Special::Parsed));
    }
  }
  if (tokens.empty()) {
    return Error{Code::Invalid,
                 cat("'", param, "' is empty, and this model needs at least one token"),
                 std::string(param)};
  }
  TRY(check_length(tokens.size(), true, param));
  request.text = TextOut(std::move(stops));
  return tokens;
}

// --- vectors and scores
// -------------------------------------------------------------------------------

size_t RequestMaker::longest_input() const {
  return std::min(model_.facts().context, model_.facts().batch);
}

Result<std::vector<Token>> RequestMaker::input_tokens(const Json& input, size_t number) {
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
  if (tokens.size() > longest_input())
    return wrong(cat("number ", number, " has ", grouped(tokens.size()),
                     " tokens, but this model takes ", grouped(longest_input()),
                     "; split it into shorter pieces"));
  return tokens;
}

Result<Made> RequestMaker::embed(uint64_t id, const wire::Embed& message) {
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
  PooledRequest request;
  request.id = id;
  request.lane = message.lane;
  request.owner = message.owner;
  for (const Json& input : inputs) {
    TRY_AS(auto tokens, input_tokens(input, request.inputs.size()));
    request.inputs.push_back(std::move(tokens));
  }
  return Made(std::move(request));
}

Result<Made> RequestMaker::rank(uint64_t id, const wire::Rank& message) {
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
  PooledRequest request;
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
    if (tokens.size() > longest_input())
      return wrong(cat("number ", number, " has ", grouped(tokens.size()),
                       " tokens together with the query, but this model takes ",
                       grouped(longest_input()), "; split it into shorter pieces"),
                   kDocuments);
    request.inputs.push_back(std::move(tokens));
  }
  return Made(std::move(request));
}

}  // namespace lares::engine
