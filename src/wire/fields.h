// Fields: what the fields of each message are, said once (Layout), and from it both directions:
// writing one payload, and reading it with every type and range checked. For the files of this room
// that define messages.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "wire/message.h"

namespace lares::wire {

// One for each message: kType; fields(field, m), which calls field(name, m.member),
// field.bytes(name, m.member), or field.more(name, m.member) for what may be left out, for each;
// and, if it has more to say of what was read, check(m) -> Result<Unit>.
template <class Message>
struct Layout;

class Writer {
 public:
  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (std::is_same_v<T, Code>)
      object_[name] = row(value).name;
    else if constexpr (std::is_same_v<T, Lane> || std::is_same_v<T, Rung>)
      object_[name] = lares::name(value);
    else
      object_[name] = value;
  }
  void operator()(const char* name, const Json& value, Json::value_t /*shape*/,
                  bool /*null*/ = false) {
    object_[name] = value;
  }
  // A field that most messages of its kind do not have: left out where it says nothing, so that it
  // costs nothing there.
  template <class T>
  void more(const char* name, const T& value, const T& nothing = T()) {
    if (value != nothing) (*this)(name, value);
  }
  void more(const char* name, const Json& value, Json::value_t shape) {
    if (!value.is_null()) (*this)(name, value, shape);
  }
  void bytes(const char* name, const std::string& value) { object_[name] = binary(value); }
  void bytes(const char* name, const std::vector<std::string>& values) {
    Json all = Json::array();
    for (const std::string& value : values) all.push_back(binary(value));
    object_[name] = std::move(all);
  }

  Frame frame(Type type, uint64_t id) const {
    return {static_cast<uint8_t>(type), id, to_cbor(object_)};
  }

 private:
  static Json binary(const std::string& value) {
    return Json::binary({value.begin(), value.end()});
  }
  Json object_ = Json::object();
};

// Reads named fields of one payload and remembers the first thing that was wrong.
class Reader {
 public:
  Reader(const Frame& frame, Type type) {
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
  void operator()(const char* name, T& out) {
    Json* found = this->found(name);
    if (!found) return;
    if constexpr (std::is_same_v<T, Json>) {
      out = std::move(*found);
    } else if constexpr (std::is_same_v<T, Code>) {
      std::string code;
      (*this)(name, code);
      if (!wrong_.empty()) return;
      const CodeRow* known = row_named(code);
      if (!known) return wrong(name, cat("an unknown code: '", code, "'"));
      out = known->code;
    } else if constexpr (std::is_same_v<T, Lane>) {
      std::string text;
      (*this)(name, text);
      if (!wrong_.empty()) return;
      const auto known = lane_named(text);
      if (!known) return wrong(name, cat("an unknown lane: '", text, "'"));
      out = *known;
    } else if constexpr (std::is_same_v<T, Rung>) {
      std::string text;
      (*this)(name, text);
      if (!wrong_.empty()) return;
      const auto known = rung_named(text);
      if (!known) return wrong(name, cat("an unknown rung: '", text, "'"));
      out = *known;
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
  void operator()(const char* name, Json& out, Json::value_t shape, bool null = false) {
    (*this)(name, out);
    if (wrong_.empty() && out.type() != shape && !(null && out.is_null()))
      wrong(name, shape == Json::value_t::object ? "not an object" : "not an array");
  }

  template <class T>
  void more(const char* name, T& out, const T& nothing = T()) {
    if (object_.contains(name))
      (*this)(name, out);
    else
      out = nothing;
  }
  void more(const char* name, Json& out, Json::value_t shape) {
    if (object_.contains(name)) (*this)(name, out, shape);
  }

  void bytes(const char* name, std::string& out) { (*this)(name, out); }
  void bytes(const char* name, std::vector<std::string>& out) {
    const Json* found = this->found(name);
    if (!found) return;
    if (!found->is_array()) return wrong(name, "not an array");
    for (const Json& item : *found) {
      if (!item.is_binary()) return wrong(name, "not an array of bytes");
      const auto& bytes = item.get_binary();
      out.emplace_back(bytes.begin(), bytes.end());
    }
  }

  Result<Unit> end() const {
    if (!wrong_.empty()) return Error{Code::Corrupt, cat("reading a message: ", wrong_)};
    return Unit{};
  }

 private:
  Json* found(const char* name) {
    if (!wrong_.empty()) return nullptr;
    const auto found = object_.find(name);
    if (found != object_.end()) return &*found;
    wrong(name, "missing");
    return nullptr;
  }
  void wrong(const char* name, std::string_view what) { wrong_ = cat("'", name, "' is ", what); }
  Json object_;
  std::string wrong_;
};

template <class Message>
Frame write(const Message& message, uint64_t id = 0) {
  Writer writer;
  Layout<Message>::fields(writer, message);
  return writer.frame(Layout<Message>::kType, id);
}

template <class Message>
Result<Message> from_frame(const Frame& frame) {
  Reader reader(frame, Layout<Message>::kType);
  Message message;
  Layout<Message>::fields(reader, message);
  TRY(reader.end());
  if constexpr (requires { Layout<Message>::check(message); }) TRY(Layout<Message>::check(message));
  return message;
}

}  // namespace lares::wire
