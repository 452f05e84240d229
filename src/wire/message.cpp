#include "wire/message.h"

#include "wire/fields.h"

namespace lares::wire {
namespace {

Result<> stands(Rung rung) {
  if (rung == Rung::Absent) return Error{Code::Corrupt, "'rung' is absent, where no worker stands"};
  return Unit{};
}

}  // namespace

template <>
struct Layout<Hello> {
  static constexpr Type kType = Type::Hello;
  static void fields(auto& field, auto& m) {
    field("engine", m.engine);
    field("variant", m.variant);
    field("sandbox", m.sandbox);
    field("missing", m.missing);
  }
};

template <>
struct Layout<Load> {
  static constexpr Type kType = Type::Load;
  static void fields(auto& field, auto& m) {
    field("name", m.name);
    field("context", m.context);
    field("sequences", m.sequences);
    field("threads", m.threads);
    field("batch", m.batch);
    field("embeddings", m.embeddings);
    field("adapters", m.adapters);
    field("reasoning_budget", m.reasoning_budget);
    field("reasoning_seconds", m.reasoning_seconds);
    field.more("draft", m.draft);
  }
};

template <>
struct Layout<Loaded> {
  static constexpr Type kType = Type::Loaded;
  static void fields(auto& field, auto& m) {
    field("info", m.info, Json::value_t::object);
    field("load_ms", m.load_ms);
    field("memory_bytes", m.memory_bytes);
    field.more("draft_memory_bytes", m.draft_memory_bytes);
    field.more("draft_refused", m.draft_refused);
  }
};

template <>
struct Layout<Generate> {
  static constexpr Type kType = Type::Generate;
  static void fields(auto& field, auto& m) {
    field("kind", m.kind);
    field("body", m.body, Json::value_t::object);
    field("lane", m.lane);
    field("owner", m.owner);
  }
};

template <>
struct Layout<Embed> {
  static constexpr Type kType = Type::Embed;
  static void fields(auto& field, auto& m) {
    field("inputs", m.inputs, Json::value_t::array);
    field("lane", m.lane);
    field("owner", m.owner);
  }
};

template <>
struct Layout<Rank> {
  static constexpr Type kType = Type::Rank;
  static void fields(auto& field, auto& m) {
    field("documents", m.documents, Json::value_t::array);
    field("for", m.query);  // "query" would stand behind the two that lane_of() looks for
    field("lane", m.lane);
    field("owner", m.owner);
  }
};

template <>
struct Layout<Resume> {
  static constexpr Type kType = Type::Resume;
  static void fields(auto& field, auto& m) {
    field.bytes("generate", m.generate);
    field("chance", m.chance);
    field("budget", m.thinking_max);  // its own name would stand behind the two of lane_of()
    field.bytes("ids", m.ids);
    field("lane", m.lane);
    field("owner", m.owner);
  }
  static Result<> check(const Resume& m) {
    if (m.ids.size() % sizeof(uint32_t) == 0) return Unit{};
    return Error{Code::Corrupt, cat("reading a message: 'ids' has ", m.ids.size(),
                                    " bytes, which are no numbers")};
  }
};

template <>
struct Layout<Started> {
  static constexpr Type kType = Type::Started;
  static void fields(auto& field, auto& m) {
    field("prompt_tokens", m.prompt_tokens);
    field("reused_tokens", m.reused_tokens);
    field.more("chance", m.chance);
    field.more("thinking_max", m.thinking_max, kThinkFreely);
  }
};

template <>
struct Layout<Delta> {
  static constexpr Type kType = Type::Delta;
  static void fields(auto& field, auto& m) {
    field("text", m.text);
    field("logprobs", m.logprobs, Json::value_t::array, true);
    field("tokens", m.tokens);
    field.more("reasoning", m.reasoning);
    field.more("tool_calls", m.tool_calls, Json::value_t::array);
    field.more("ids", m.ids);
    field.more("last", m.last);
  }
};

template <>
struct Layout<Done> {
  static constexpr Type kType = Type::Done;
  static void fields(auto& field, auto& m) {
    field("reason", m.reason);
    field("prompt_tokens", m.prompt_tokens);
    field("completion_tokens", m.completion_tokens);
    field("reused_tokens", m.reused_tokens);
    field("prefill_ms", m.prefill_ms);
    field("decode_ms", m.decode_ms);
    field("cpu_ms", m.cpu_ms);
    field("stop", m.stop);
    field.bytes("vectors", m.vectors);
    field("input_tokens", m.input_tokens);
    field.more("reasoning_tokens", m.reasoning_tokens);
    field.more("drafted_tokens", m.drafted_tokens);
    field.more("accepted_tokens", m.accepted_tokens);
    field.more("model_drafted_tokens", m.model_drafted_tokens);
    field.more("model_accepted_tokens", m.model_accepted_tokens);
  }
};

template <>
struct Layout<Failed> {
  static constexpr Type kType = Type::Failed;
  static void fields(auto& field, auto& m) {
    field("code", m.error.code);
    field("message", m.error.message);
    field("param", m.error.param);
    field.more("cpu_ms", m.cpu_ms);
  }
};

template <>
struct Layout<Beat> {
  static constexpr Type kType = Type::Beat;
  static void fields(auto& field, auto& m) {
    field("progress", m.progress);
    field("busy", m.busy);
  }
};

template <>
struct Layout<Progress> {
  static constexpr Type kType = Type::Progress;
  static void fields(auto& field, auto& m) {
    field("phase", m.phase);
    field("fraction", m.fraction);
  }
};

template <>
struct Layout<Move> {
  static constexpr Type kType = Type::Move;
  static void fields(auto& field, auto& m) {
    field("rung", m.rung);
    field("for_others", m.for_others);
  }
  static Result<> check(const Move& m) { return stands(m.rung); }
};

template <>
struct Layout<Moved> {
  static constexpr Type kType = Type::Moved;
  static void fields(auto& field, auto& m) {
    field("rung", m.rung);
    field("ms", m.ms);
    field("memory_bytes", m.memory_bytes);
  }
  static Result<> check(const Moved& m) { return stands(m.rung); }
};

Frame to_frame(const Hello& m) { return write(m); }
Frame to_frame(const Load& m) { return write(m); }
Frame to_frame(const Loaded& m) { return write(m); }
Frame to_frame(const Generate& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Embed& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Rank& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Resume& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Move& m) { return write(m); }
Frame to_frame(const Moved& m) { return write(m); }
Frame to_frame(const Started& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Delta& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Done& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Failed& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Beat& m) { return write(m); }
Frame to_frame(const Progress& m, uint64_t id) { return write(m, id); }
Frame to_frame(Type bare, uint64_t id) { return Writer().frame(bare, id); }

template Result<Hello> from_frame(const Frame& frame);
template Result<Load> from_frame(const Frame& frame);
template Result<Loaded> from_frame(const Frame& frame);
template Result<Generate> from_frame(const Frame& frame);
template Result<Embed> from_frame(const Frame& frame);
template Result<Rank> from_frame(const Frame& frame);
template Result<Resume> from_frame(const Frame& frame);
template Result<Move> from_frame(const Frame& frame);
template Result<Moved> from_frame(const Frame& frame);
template Result<Started> from_frame(const Frame& frame);
template Result<Delta> from_frame(const Frame& frame);
template Result<Done> from_frame(const Frame& frame);
template Result<Failed> from_frame(const Frame& frame);
template Result<Beat> from_frame(const Frame& frame);
template Result<Progress> from_frame(const Frame& frame);

}  // namespace lares::wire
