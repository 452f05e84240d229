#include "api/orders.h"

#include <charconv>

#include "api/requests.h"
#include "base/text.h"

namespace lares::api {

Reply answer_with(std::shared_ptr<Responder> responder) {
  return [responder = std::move(responder)](Result<Json> result) {
    if (!result) return responder->error(result.error());
    answer_json(*responder, *result);
  };
}

bool says_json(const Request& request, Responder& responder) {
  const std::string type = request.header("content-type");
  if (lower(trimmed(split(type, ';').front())) == "application/json") return true;
  responder.error({Code::Invalid, cat("reading the request: the content type is '",
                                      type.substr(0, 64), "', but must be 'application/json'")});
  return false;
}

Result<std::string> string_field(const Json& body, const char* name, size_t bytes_max,
                                 bool required) {
  const auto found = body.find(name);
  const auto wrong = [&](std::string_view is) {
    return Error{
        Code::Invalid,
        cat("reading the request: '", name, "' is ", is, "a string of 1 to ", bytes_max, " bytes"),
        name};
  };
  if (found == body.end() || found->is_null()) {
    if (!required) return std::string();
    return wrong("missing; it must be ");
  }
  if (!found->is_string() || found->get_ref<const std::string&>().size() > bytes_max ||
      found->get_ref<const std::string&>().empty())
    return wrong(cat(shown(*found), ", but must be "));
  return found->get<std::string>();
}

Result<std::optional<int64_t>> number_query(const Request& request, const char* name, int64_t least,
                                            int64_t most) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return std::optional<int64_t>();
  const std::string& text = found->second;
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number < least ||
      number > most) {
    return Error{Code::Invalid,
                 cat("reading the request: '", name, "' is '", utf8_repaired(text.substr(0, 24)),
                     "', but must be an integer from ", least, " to ", most),
                 name};
  }
  return std::optional<int64_t>(number);
}

}  // namespace lares::api
