#include "wire/message.h"

#include "base/text.h"
#include "wire/fields.h"

namespace lares::wire {
Frame to_frame(const Hello& m) {
  return pack(Type::Hello, 0,
              {{"engine", m.engine},
               {"variant", m.variant},
               {"sandbox", m.sandbox},
               {"missing", m.missing}});
}
Frame to_frame(const Load& m) {
  return pack(Type::Load, 0,
              {{"name", m.name},
               {"context", m.context},
               {"sequences", m.sequences},
               {"threads", m.threads},
               {"batch", m.batch},
               {"embeddings", m.embeddings}});
}
Frame to_frame(const Loaded& m) {
  return pack(Type::Loaded, 0,
              {{"info", m.info}, {"load_ms", m.load_ms}, {"memory_bytes", m.memory_bytes}});
}
Frame to_frame(const Generate& m, uint64_t id) {
  return pack(Type::Generate, id, {{"kind", m.kind}, {"body", m.body}});
}
Frame to_frame(const Embed& m, uint64_t id) {
  return pack(Type::Embed, id, {{"inputs", m.inputs}});
}
Frame to_frame(const Started& m, uint64_t id) {
  return pack(Type::Started, id,
              {{"prompt_tokens", m.prompt_tokens}, {"reused_tokens", m.reused_tokens}});
}
Frame to_frame(const Delta& m, uint64_t id) {
  return pack(Type::Delta, id, {{"text", m.text}, {"logprobs", m.logprobs}, {"tokens", m.tokens}});
}
Frame to_frame(const Done& m, uint64_t id) {
  return pack(Type::Done, id,
              {{"reason", m.reason},
               {"prompt_tokens", m.prompt_tokens},
               {"completion_tokens", m.completion_tokens},
               {"reused_tokens", m.reused_tokens},
               {"prefill_ms", m.prefill_ms},
               {"decode_ms", m.decode_ms},
               {"stop", m.stop},
               {"vectors", Json::binary({m.vectors.begin(), m.vectors.end()})},
               {"input_tokens", m.input_tokens}});
}
Frame to_frame(const Failed& m, uint64_t id) {
  return pack(
      Type::Failed, id,
      {{"code", row(m.error.code).name}, {"message", m.error.message}, {"param", m.error.param}});
}
Frame to_frame(const Beat& m) {
  return pack(Type::Beat, 0, {{"progress", m.progress}, {"busy", m.busy}});
}
Frame to_frame(const Progress& m, uint64_t id) {
  return pack(Type::Progress, id, {{"phase", m.phase}, {"fraction", m.fraction}});
}
Frame to_frame(Type bare, uint64_t id) { return pack(bare, id, Json::object()); }

template <>
Result<Hello> from_frame(const Frame& frame) {
  Fields f(frame, Type::Hello);
  Hello m;
  f.read("engine", m.engine);
  f.read("variant", m.variant);
  f.read("sandbox", m.sandbox);
  f.read("missing", m.missing);
  return f.done(std::move(m));
}
template <>
Result<Load> from_frame(const Frame& frame) {
  Fields f(frame, Type::Load);
  Load m;
  f.read("name", m.name);
  f.read("context", m.context);
  f.read("sequences", m.sequences);
  f.read("threads", m.threads);
  f.read("batch", m.batch);
  f.read("embeddings", m.embeddings);
  return f.done(std::move(m));
}
template <>
Result<Loaded> from_frame(const Frame& frame) {
  Fields f(frame, Type::Loaded);
  Loaded m;
  f.read("info", m.info, Json::value_t::object);
  f.read("load_ms", m.load_ms);
  f.read("memory_bytes", m.memory_bytes);
  return f.done(std::move(m));
}
template <>
Result<Generate> from_frame(const Frame& frame) {
  Fields f(frame, Type::Generate);
  Generate m;
  f.read("kind", m.kind);
  f.read("body", m.body, Json::value_t::object);
  return f.done(std::move(m));
}
template <>
Result<Embed> from_frame(const Frame& frame) {
  Fields f(frame, Type::Embed);
  Embed m;
  f.read("inputs", m.inputs, Json::value_t::array);
  return f.done(std::move(m));
}
template <>
Result<Started> from_frame(const Frame& frame) {
  Fields f(frame, Type::Started);
  Started m;
  f.read("prompt_tokens", m.prompt_tokens);
  f.read("reused_tokens", m.reused_tokens);
  return f.done(m);
}
template <>
Result<Delta> from_frame(const Frame& frame) {
  Fields f(frame, Type::Delta);
  Delta m;
  f.read("text", m.text);
  f.read("logprobs", m.logprobs, Json::value_t::array, true);
  f.read("tokens", m.tokens);
  return f.done(std::move(m));
}
template <>
Result<Done> from_frame(const Frame& frame) {
  Fields f(frame, Type::Done);
  Done m;
  f.read("reason", m.reason);
  f.read("prompt_tokens", m.prompt_tokens);
  f.read("completion_tokens", m.completion_tokens);
  f.read("reused_tokens", m.reused_tokens);
  f.read("prefill_ms", m.prefill_ms);
  f.read("decode_ms", m.decode_ms);
  f.read("stop", m.stop);
  f.read("vectors", m.vectors);
  f.read("input_tokens", m.input_tokens);
  return f.done(std::move(m));
}
template <>
Result<Failed> from_frame(const Frame& frame) {
  Fields f(frame, Type::Failed);
  std::string code;
  std::string message;
  std::string param;
  f.read("code", code);
  f.read("message", message);
  f.read("param", param);
  TRY(f.done(Unit{}));
  const CodeRow* found = row_named(code);
  if (!found) return Error{Code::Corrupt, cat("reading a message: unknown code '", code, "'")};
  return Failed{{found->code, std::move(message), std::move(param)}};
}
template <>
Result<Beat> from_frame(const Frame& frame) {
  Fields f(frame, Type::Beat);
  Beat m;
  f.read("progress", m.progress);
  f.read("busy", m.busy);
  return f.done(m);
}
template <>
Result<Progress> from_frame(const Frame& frame) {
  Fields f(frame, Type::Progress);
  Progress m;
  f.read("phase", m.phase);
  f.read("fraction", m.fraction);
  return f.done(std::move(m));
}

}  // namespace lares::wire
