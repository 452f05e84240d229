#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"

namespace lares {
namespace {

constexpr size_t kNameShownMax = 64;

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
  bool binary(std::vector<uint8_t>&) { return refuse("bytes"); }  // CBOR's, not JSON's
  bool key(std::string& name) {
    if (limits_.twice_named == TwiceNamed::Refused) names_.push_back(std::move(name));
    return value();
  }
  bool start_object(size_t) {
    begins_.push_back(names_.size());
    return deeper();
  }
  bool start_array(size_t) { return deeper(); }
  bool end_object() {
    depth_--;
    const auto begin = names_.begin() + static_cast<ptrdiff_t>(begins_.back());
    begins_.pop_back();
    std::sort(begin, names_.end());
    if (const auto twice = std::adjacent_find(begin, names_.end()); twice != names_.end()) {
      return refuse(cat("an object names ", shown(*twice), " twice; send it once"));
    }
    names_.erase(begin, names_.end());
    return true;
  }
  bool end_array() {
    depth_--;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) {
    if (!why_.empty()) return false;
    // the library's text says first where it was and what it did; people need only what is wrong
    std::string_view what = e.what();
    if (const size_t at = what.find("] "); at != std::string_view::npos) what.remove_prefix(at + 2);
    if (const size_t at = what.find("syntax error while parsing "); at != std::string_view::npos) {
      if (const size_t dash = what.find(" - ", at); dash != std::string_view::npos)
        what.remove_prefix(dash + 3);
    }
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
      return refuse(
          cat(field(), "nested deeper than ", limits_.depth_max, " levels; send what is flatter"));
    return value();
  }
  static std::string shown(const std::string& name) {
    return name.size() > kNameShownMax ? cat("something of ", name.size(), " bytes")
                                       : dump(Json(name));
  }
  // Of the outermost object, the member that is being read, where names are kept.
  std::string field() const {
    const size_t named = begins_.size() > 1 ? begins_[1] : names_.size();
    return begins_.empty() || named == 0 ? "" : cat(shown(names_[named - 1]), " is ");
  }

  const JsonLimits limits_;
  size_t depth_ = 0;
  size_t values_ = 0;
  // Of the objects that are open, when twice_named is Refused: the names so far, and where each
  // object's begin.
  std::vector<std::string> names_;
  std::vector<size_t> begins_;
  std::string why_;
};

// Walks over CBOR without building anything and without recursion: the parser behind it recurses in
// nested strings of unknown length, which 16 MB of one byte would turn into the end of the stack.
// What to_cbor() never writes (unknown lengths, tags, numbers that are none) is refused.
class CborWalk {
 public:
  CborWalk(std::string_view bytes, JsonLimits limits) : bytes_(bytes), limits_(limits) {}

  // Empty when the bytes are one well-formed value within the limits; else what is wrong.
  std::string wrong() {
    if (!item()) return why_;
    while (!open_.empty()) {
      Open& innermost = open_.back();
      if (innermost.left == 0) {
        open_.pop_back();
        continue;
      }
      innermost.left--;
      if (innermost.keys && innermost.left % 2 == 1 && !is_text()) return why_;
      if (!item()) return why_;
    }
    if (at_ != bytes_.size()) refuse("bytes after the value");
    return why_;
  }

 private:
  struct Open {
    uint64_t left;  // values still to come; of a map, keys too
    bool keys;
  };

  bool refuse(std::string_view why) {
    if (why_.empty()) why_ = cat("byte ", at_, ": ", why);
    return false;
  }
  bool is_text() {
    if (at_ < bytes_.size() && (static_cast<unsigned char>(bytes_[at_]) >> 5) == 3) return true;
    return refuse("a key that is no text");
  }
  // The number behind an item's first byte; `info` are that byte's low five bits.
  bool argument(unsigned info, uint64_t& value) {
    value = info;
    if (info < 24) return true;
    if (info > 27) return refuse(info == 31 ? "a length that is not known" : "a reserved length");
    const size_t size = size_t{1} << (info - 24);
    if (bytes_.size() - at_ < size) return refuse("the end inside a number");
    value = 0;
    for (size_t i = 0; i < size; i++)
      value = value << 8 | static_cast<unsigned char>(bytes_[at_ + i]);
    at_ += size;
    return true;
  }
  bool item() {
    if (at_ == bytes_.size()) return refuse("the end where a value should be");
    const auto first = static_cast<unsigned char>(bytes_[at_]);
    const unsigned major = first >> 5;
    const unsigned info = first & 31;
    at_++;
    if (++values_ > 2 * limits_.values_max)  // keys count here, so twice
      return refuse(cat("more than ", limits_.values_max, " values"));
    uint64_t value = 0;
    if (!argument(info, value)) return false;
    const uint64_t rest = bytes_.size() - at_;
    switch (major) {
      case 0: return true;
      case 1: return value <= INT64_MAX || refuse("a number below any that we hold");
      case 2:
      case 3:
        if (value > rest) return refuse("a string longer than what is left");
        at_ += value;
        return true;
      case 4:
      case 5: {
        const uint64_t each = major == 5 ? 2 : 1;
        if (value > rest / each) return refuse("more values than bytes are left");
        open_.push_back({value * each, major == 5});
        return open_.size() <= limits_.depth_max ||
               refuse(cat("nested deeper than ", limits_.depth_max, " levels"));
      }
      case 6: return refuse("a tag");
      default: return simple(info, value);
    }
  }
  bool simple(unsigned info, uint64_t bits) {
    if (info >= 20 && info <= 22) return true;  // false, true, null
    const uint64_t exponent = info == 25   ? 0x7C00
                              : info == 26 ? 0x7F800000
                              : info == 27 ? 0x7FF0000000000000
                                           : 0;
    if (exponent == 0) return refuse("a simple value that is none of ours");
    return (bits & exponent) != exponent || refuse("a number larger than any double, or none");
  }

  const std::string_view bytes_;
  const JsonLimits limits_;
  size_t at_ = 0;
  size_t values_ = 0;
  std::vector<Open> open_;
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
    if (const std::string wrong = CborWalk(bytes, limits).wrong(); !wrong.empty())
      return Error{Code::Corrupt, cat("reading CBOR: ", wrong)};
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
