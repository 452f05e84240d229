#include "base/json.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "base/text.h"

namespace lares {
namespace {

// Counts depth and values and stops at the first one too many; builds nothing. The parser behind it
// keeps its state on the heap, so depth costs no stack here.
class Counter {
 public:
  explicit Counter(JsonLimits limits) : limits_(limits) {}

  bool null() { return value(); }
  bool boolean(bool) { return value(); }
  bool number_integer(int64_t) { return value(); }
  bool number_unsigned(uint64_t) { return value(); }
  bool number_float(double number, const std::string&) {
    if (!std::isfinite(number)) return refuse("a number is larger than any double");
    return value();
  }
  bool string(std::string&) { return value(); }
  bool binary(std::vector<uint8_t>&) { return value(); }
  bool key(std::string&) { return value(); }
  bool start_object(size_t) { return deeper(); }
  bool start_array(size_t) { return deeper(); }
  bool end_object() {
    depth_--;
    return true;
  }
  bool end_array() {
    depth_--;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) {
    if (!why_.empty()) return false;
    // the library's text repeats its own name and number first; people need only what follows
    std::string_view what = e.what();
    if (const size_t at = what.find("] "); at != std::string_view::npos) what.remove_prefix(at + 2);
    if (const size_t at = what.find("; last read"); at != std::string_view::npos)
      what = what.substr(0, at);
    why_ = cat("byte ", position, ": ", std::string(what));
    return false;
  }
  const std::string& why() const { return why_; }

 private:
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }
  bool value() {
    if (++values_ > limits_.values_max)
      return refuse(cat("more than ", limits_.values_max, " values"));
    return true;
  }
  bool deeper() {
    if (++depth_ > limits_.depth_max)
      return refuse(cat("nested deeper than ", limits_.depth_max, " levels"));
    return value();
  }

  const JsonLimits limits_;
  size_t depth_ = 0;
  size_t values_ = 0;
  std::string why_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  try {
    Counter counter(limits);
    if (!Json::sax_parse(text.begin(), text.end(), &counter))
      return Error{Code::Invalid, cat("this is not JSON that we take: ", counter.why())};
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {  // the library's edge
    return Error{Code::Invalid, cat("this is not JSON that we take: ", e.what())};
  }
}

Result<Json> parse_cbor(std::string_view bytes, JsonLimits limits) {
  try {
    Counter counter(limits);
    if (!Json::sax_parse(bytes.begin(), bytes.end(), &counter, Json::input_format_t::cbor))
      return Error{Code::Corrupt, cat("reading CBOR: ", counter.why())};
    return Json::from_cbor(bytes.begin(), bytes.end());
  } catch (const Json::exception& e) {
    return Error{Code::Corrupt, cat("reading CBOR: ", e.what())};
  }
}

std::string to_cbor(const Json& value) {
  std::string out;
  Json::to_cbor(value, out);
  return out;
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lares
