// Fields: writing one payload, and reading it field by field with every type and range checked. For
// the files of this room that define messages.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "wire/message.h"

namespace lares::wire {

inline Frame pack(Type type, uint64_t id, const Json& payload) {
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

}  // namespace lares::wire
