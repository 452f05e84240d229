#include "wire/message.h"

#include <type_traits>

#include "base/text.h"

namespace lares::wire {
namespace {

Frame pack(Type type, uint64_t id, const Json& payload) {
  return {static_cast<uint8_t>(type), id, to_cbor(payload)};
}

// Reads named fields of one payload and remembers the first thing that was wrong.
class Fields {
 public:
  Fields(const Frame& frame, Type type) {
    if (frame.type != static_cast<uint8_t>(type)) {
      wrong_ = cat("type ", frame.type, " instead of ", static_cast<int>(type));
      return;
    }
    auto parsed = parse_cbor(frame.payload);
    if (!parsed) {
      wrong_ = parsed.error().message;
    } else if (!parsed->is_object()) {
      wrong_ = "the payload is not an object";
    } else {
      object_ = *std::move(parsed);
    }
  }

  template <class T>
  void read(const char* name, T& out) {
    if (!wrong_.empty()) return;
    const auto found = object_.find(name);
    if (found == object_.end()) return wrong(name, "missing");
    if constexpr (std::is_same_v<T, Json>) {
      out = std::move(*found);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!found->is_boolean()) return wrong(name, "not a boolean");
      out = found->template get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (found->is_binary()) {
        const auto& bytes = found->get_binary();
        out.assign(bytes.begin(), bytes.end());
      } else if (found->is_string()) {
        out = found->template get_ref<const std::string&>();
      } else {
        return wrong(name, "not a string");
      }
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!found->is_number()) return wrong(name, "not a number");
      out = found->template get<T>();
    } else if constexpr (std::is_integral_v<T>) {
      if (!found->is_number_integer()) return wrong(name, "not an integer");
      if (found->is_number_unsigned()) {
        const auto number = found->template get<uint64_t>();
        if (!std::in_range<T>(number)) return wrong(name, "out of range");
        out = static_cast<T>(number);
      } else {
        const auto number = found->template get<int64_t>();
        if (!std::in_range<T>(number)) return wrong(name, "out of range");
        out = static_cast<T>(number);
      }
    } else {  // a vector
      if (!found->is_array()) return wrong(name, "not an array");
      for (const Json& item : *found) {
        using Item = typename T::value_type;
        if constexpr (std::is_same_v<Item, std::string>) {
          if (!item.is_string()) return wrong(name, "not an array of strings");
        } else {
          if (!item.is_number_unsigned() || !std::in_range<Item>(item.template get<uint64_t>()))
            return wrong(name, "not an array of counts");
        }
        out.push_back(item.template get<Item>());
      }
    }
  }

  // A field that holds an object, or an array, or (with `null`) nothing.
  void read(const char* name, Json& out, Json::value_t shape, bool null = false) {
    read(name, out);
    if (wrong_.empty() && out.type() != shape && !(null && out.is_null()))
      wrong(name, shape == Json::value_t::object ? "not an object" : "not an array");
  }

  template <class Message>
  Result<Message> done(Message message) {
    if (!wrong_.empty()) return Error{Code::Corrupt, cat("reading a message: ", wrong_)};
    return message;
  }

 private:
  void wrong(const char* name, const char* what) { wrong_ = cat("'", name, "' is ", what); }
  Json object_;
  std::string wrong_;
};

}  // namespace

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
