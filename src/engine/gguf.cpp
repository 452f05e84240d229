#include "engine/gguf.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/text.h"

namespace lares::engine::gguf {
namespace {

static_assert(std::endian::native == std::endian::little, "the reader copies numbers as they lie");

constexpr size_t kWindow = 64u << 10;  // read ahead
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kKeyLeast = 13;     // bytes: name's length, a type, a value
constexpr uint64_t kTensorLeast = 24;  // bytes: name's length, dimensions, type, offset

constexpr std::string_view kAgain = "; fetch it again, or use another";

Error damaged(std::string_view what) {
  return {Code::Corrupt, cat("the file cannot be used: ", what, kAgain)};
}

// A name as it can be shown: short, and UTF-8.
std::string shown(std::string_view name) { return utf8_repaired(name.substr(0, 80)); }

// Numbers of types as they stand in files (ggml.h); values and bytes of a block (ggml-common.h).
constexpr Packing kPackings[] = {
    {"F32", 1, 4},        {"F16", 1, 2},       {"Q4_0", 32, 18},     {"Q4_1", 32, 20},
    {"", 0, 0},           {"", 0, 0},          {"Q5_0", 32, 22},     {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},     {"Q8_1", 32, 36},    {"Q2_K", 256, 84},    {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},   {"Q5_K", 256, 176},  {"Q6_K", 256, 210},   {"Q8_K", 256, 292},
    {"IQ2_XXS", 256, 66}, {"IQ2_XS", 256, 74}, {"IQ3_XXS", 256, 98}, {"IQ1_S", 256, 50},
    {"IQ4_NL", 32, 18},   {"IQ3_S", 256, 110}, {"IQ2_S", 256, 82},   {"IQ4_XS", 256, 136},
    {"I8", 1, 1},         {"I16", 1, 2},       {"I32", 1, 4},        {"I64", 1, 8},
    {"F64", 1, 8},        {"IQ1_M", 256, 56},  {"BF16", 1, 2},       {"", 0, 0},
    {"", 0, 0},           {"", 0, 0},          {"TQ1_0", 256, 54},   {"TQ2_0", 256, 66},
    {"", 0, 0},           {"", 0, 0},          {"", 0, 0},           {"MXFP4", 32, 17},
    {"NVFP4", 64, 36},    {"Q1_0", 128, 18},   {"Q2_0", 64, 18},
};

enum class Kind : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  Text = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

// Bytes of one value; 0 for texts, arrays and what is unknown.
size_t width_of(Kind kind) {
  switch (kind) {
    case Kind::U8:
    case Kind::I8:
    case Kind::Bool: return 1;
    case Kind::U16:
    case Kind::I16: return 2;
    case Kind::U32:
    case Kind::I32:
    case Kind::F32: return 4;
    case Kind::U64:
    case Kind::I64:
    case Kind::F64: return 8;
    case Kind::Text:
    case Kind::Array: break;
  }
  return 0;
}

// Reads on through the file, a window at a time.
class Cursor {
 public:
  Cursor(const ReadAt& read_at, uint64_t file_size) : read_at_(read_at), end_(file_size) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return end_ - at_; }

  // The next bytes are there, and the head does not grow beyond its limit.
  Result<> expect(uint64_t bytes, std::string_view what) const {
    if (bytes > left()) {
      return Error{Code::Corrupt, cat("the file cannot be used: it ends after ", end_,
                                      " bytes, within ", what, " that takes ", bytes, " from byte ",
                                      at_, "; it was cut short, fetch it again")};
    }
    if (bytes > kHeadMax.n - std::min(at_, kHeadMax.n))
      return damaged(cat("its head is larger than ", kHeadMax, " (", what, " at byte ", at_, ")"));
    return Unit{};
  }

  Result<> take(std::span<char> into, std::string_view what) {
    TRY(expect(into.size(), what));
    for (size_t done = 0; done < into.size();) {
      if (at_ < from_ || at_ >= from_ + window_.size()) TRY(fill());
      const auto offset = static_cast<size_t>(at_ - from_);
      const size_t n = std::min(into.size() - done, window_.size() - offset);
      std::memcpy(into.data() + done, window_.data() + offset, n);
      done += n;
      at_ += n;
    }
    return Unit{};
  }
  template <class T>
  Result<T> number(std::string_view what) {
    T value{};
    TRY(take(std::span(reinterpret_cast<char*>(&value), sizeof value), what));
    return value;
  }
  Result<> skip(uint64_t bytes, std::string_view what) {
    TRY(expect(bytes, what));
    at_ += bytes;
    return Unit{};
  }

 private:
  Result<> fill() {
    window_.resize(static_cast<size_t>(std::min<uint64_t>(kWindow, end_ - at_)));
    TRY_AS(const size_t got, read_at_(at_, window_));
    window_.resize(got);
    from_ = at_;
    if (got == 0)
      return Error{Code::Corrupt, cat("the file cannot be used: it became shorter than ", at_,
                                      " bytes while it was read; fetch it again")};
    return Unit{};
  }
  const ReadAt& read_at_;
  const uint64_t end_;
  uint64_t at_ = 0;
  uint64_t from_ = 0;
  std::vector<char> window_;
};

class Reader {
 public:
  Reader(const ReadAt& read_at, uint64_t file_size) : cursor_(read_at, file_size) {
    head_.file_size = file_size;
  }

  Result<Head> read() {
    TRY(read_counts());
    for (uint64_t i = 0; i < keys_; i++) TRY(read_key(i));
    TRY(check_keys());
    head_.tensors.reserve(static_cast<size_t>(tensors_));
    for (uint64_t i = 0; i < tensors_; i++) TRY(read_tensor(i));
    TRY(place_tensors());
    return std::move(head_);
  }

 private:
  Result<> read_counts() {
    const uint64_t size = head_.file_size;
    if (size == 0) return Error{Code::Corrupt, "the file is empty; fetch it again"};
    char magic[4] = {};
    const bool has_magic = size >= sizeof magic;
    if (has_magic) TRY(cursor_.take(magic, "the first four letters"));
    if (!has_magic || std::memcmp(magic, "GGUF", sizeof magic) != 0) {
      if (has_magic && std::memcmp(magic, "FUGG", sizeof magic) == 0)
        return Error{Code::Invalid,
                     "the file is a big-endian GGUF; look for the little-endian one"};
      return Error{Code::Invalid,
                   "the file is not a GGUF: it does not begin with these four letters"};
    }
    constexpr uint64_t kHeader = 24;
    if (size < kHeader) {
      return Error{Code::Corrupt,
                   cat("the file ends after ", size,
                       " bytes, within its header; it was cut short, fetch it again")};
    }
    TRY_AS(head_.version, cursor_.number<uint32_t>("the version"));
    if (head_.version != 2 && head_.version != 3) {
      const bool swapped = head_.version > 0xFFFF && __builtin_bswap32(head_.version) <= 3;
      return damaged(cat("it is a GGUF of version ", head_.version,
                         swapped ? ", which is how a big-endian one looks" : "",
                         "; versions 2 and 3 can be read"));
    }
    TRY_AS(tensors_, cursor_.number<uint64_t>("the count of tensors"));
    TRY_AS(keys_, cursor_.number<uint64_t>("the count of keys"));
    const struct {
      std::string_view what;
      uint64_t count;
      uint64_t least;
      uint64_t most;
    } counts[] = {{"tensor", tensors_, kTensorLeast, kTensorsMax},
                  {"key", keys_, kKeyLeast, kKeysMax}};
    // where neither fits, the one that would take the most is the one that is wrong
    std::string wrong;
    double takes_most = 0;
    for (const auto& [what, count, least, most] : counts) {
      const double takes = static_cast<double>(count) * static_cast<double>(least);
      if (count <= (size - kHeader) / least || takes <= takes_most) continue;
      takes_most = takes;
      wrong = cat(count, " ", what, count == 1 ? "" : "s");
    }
    if (!wrong.empty()) {
      return Error{Code::Corrupt,
                   cat("the header counts ", wrong, ", and a file of ", Bytes{size},
                       " cannot hold them; it is damaged or was cut short, fetch it again")};
    }
    for (const auto& [what, count, least, most] : counts) {
      if (count > most)
        return damaged(
            cat("the header counts ", count, " ", what, "s; at most ", most, " are read"));
    }
    return Unit{};
  }

  // A text; one that is longer than `kept` is read over and comes back empty.
  Result<std::string> read_text(Bytes most, Bytes kept, std::string_view what) {
    TRY_AS(const uint64_t length, cursor_.number<uint64_t>(what));
    if (length > most.n)
      return damaged(cat(what, " has ", length, " bytes; at most ", most.n, " are read"));
    std::string text;
    if (length > kept.n) {
      TRY(cursor_.skip(length, what));
      return text;
    }
    TRY(cursor_.expect(length, what));
    text.resize(static_cast<size_t>(length));
    TRY(cursor_.take(text, what));
    return text;
  }

  Result<> read_key(uint64_t number) {
    const std::string place = cat("key ", number + 1, " of ", keys_);
    TRY_AS(std::string name, read_text(kKeyNameMax, kKeyNameMax, cat("the name of ", place)));
    if (name.empty()) return damaged(cat(place, " has no name"));
    const std::string what = cat("key '", shown(name), "'");
    if (head_.keys.contains(name)) return damaged(cat(what, " is there twice"));
    TRY_AS(const auto kind, cursor_.number<uint32_t>(what));
    TRY_AS(Value value, read_value(static_cast<Kind>(kind), what));
    head_.keys.emplace(std::move(name), std::move(value));
    return Unit{};
  }

  template <class From, class To>
  Result<Value> one(std::string_view what) {
    TRY_AS(const From value, cursor_.number<From>(what));
    return Value(static_cast<To>(value));
  }

  Result<Value> read_value(Kind kind, std::string_view what) {
    switch (kind) {
      case Kind::U8: return one<uint8_t, uint64_t>(what);
      case Kind::I8: return one<int8_t, int64_t>(what);
      case Kind::U16: return one<uint16_t, uint64_t>(what);
      case Kind::I16: return one<int16_t, int64_t>(what);
      case Kind::U32: return one<uint32_t, uint64_t>(what);
      case Kind::I32: return one<int32_t, int64_t>(what);
      case Kind::U64: return one<uint64_t, uint64_t>(what);
      case Kind::I64: return one<int64_t, int64_t>(what);
      case Kind::F32: return one<float, double>(what);
      case Kind::F64: return one<double, double>(what);
      case Kind::Bool: {
        TRY_AS(const auto value, cursor_.number<uint8_t>(what));
        if (value > 1) return damaged(cat(what, " is neither true nor false but ", value));
        return Value(value == 1);
      }
      case Kind::Text: {
        TRY_AS(std::string text, read_text(kStringMax, kKeptStringMax, what));
        return Value(std::move(text));
      }
      case Kind::Array: return read_array(what);
    }
    return damaged(cat(what, " is of type ", static_cast<uint32_t>(kind), ", which nobody knows"));
  }

  Result<Value> read_array(std::string_view what) {
    TRY_AS(const auto number, cursor_.number<uint32_t>(what));
    const auto kind = static_cast<Kind>(number);
    TRY_AS(const uint64_t count, cursor_.number<uint64_t>(what));
    if (count > kElementsMax)
      return damaged(
          cat(what, " is an array of ", count, " elements; at most ", kElementsMax, " are read"));
    if (kind == Kind::Text) {
      TRY(cursor_.expect(count * sizeof(uint64_t), what));
      for (uint64_t i = 0; i < count; i++) {
        TRY_AS(const uint64_t length, cursor_.number<uint64_t>(what));
        if (length > kStringMax.n)
          return damaged(cat(what, " has an element of ", length, " bytes; at most ", kStringMax.n,
                             " are read"));
        TRY(cursor_.skip(length, what));
      }
      return Value(Counted{count});
    }
    const size_t width = width_of(kind);
    if (width == 0)
      return damaged(cat(what, " is an array of type ", number,
                         kind == Kind::Array ? ", an array of arrays" : ", which nobody knows"));
    if (count > kKeptElementsMax) {
      TRY(cursor_.skip(count * width, what));
      return Value(Counted{count});
    }
    std::vector<double> numbers;
    numbers.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; i++) {
      TRY_AS(const Value value, read_value(kind, what));
      numbers.push_back(std::visit(
          [](const auto& v) -> double {
            if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>)
              return static_cast<double>(v);
            return 0;
          },
          value));
    }
    return Value(std::move(numbers));
  }

  Result<> check_keys() {
    if (head_.text("general.architecture").empty())
      return damaged("it has no key 'general.architecture'");
    const std::string layers =
        cat(head_.text("general.architecture").substr(0, 80), ".block_count");
    if (const uint64_t count = head_.count(layers, 1); count == 0 || count > kLayersMax)
      return damaged(
          cat("key '", shown(layers), "' is ", count, "; 1 to ", kLayersMax, " layers are read"));
    alignment_ = head_.count("general.alignment", kDefaultAlignment);
    if (!std::has_single_bit(alignment_) || alignment_ > kAlignmentMax)
      return damaged(cat("key 'general.alignment' is ", alignment_, ", not a power of two up to ",
                         kAlignmentMax));
    return Unit{};
  }

  Result<> read_tensor(uint64_t number) {
    const std::string place = cat("tensor ", number + 1, " of ", tensors_);
    Tensor tensor;
    TRY_AS(tensor.name,
           read_text(Bytes{kTensorNameMax}, Bytes{kTensorNameMax}, cat("the name of ", place)));
    const std::string what = cat("tensor '", shown(tensor.name), "'");
    if (tensor.name.empty()) return damaged(cat(place, " has no name"));
    if (!names_.insert(tensor.name).second) return damaged(cat(what, " is there twice"));
    TRY_AS(tensor.dimensions, cursor_.number<uint32_t>(what));
    if (tensor.dimensions == 0 || tensor.dimensions > kDimensionsMax)
      return damaged(
          cat(what, " has ", tensor.dimensions, " dimensions, not 1 to ", kDimensionsMax));
    uint64_t values = 1;
    for (unsigned d = 0; d < tensor.dimensions; d++) {
      TRY_AS(tensor.size[d], cursor_.number<uint64_t>(what));
      if (tensor.size[d] == 0) return damaged(cat(what, " has a dimension of 0"));
      if (__builtin_mul_overflow(values, tensor.size[d], &values) ||
          values > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return damaged(cat(what, " has more values than can be counted (dimension ", d + 1, " is ",
                           tensor.size[d], ")"));
    }
    TRY_AS(tensor.type, cursor_.number<uint32_t>(what));
    const Packing* const packed = packing(tensor.type);
    if (!packed)
      return damaged(cat(what, " is packed in type ", tensor.type, ", which nobody knows"));
    if (tensor.size[0] % packed->values != 0)
      return damaged(cat(what, " has rows of ", tensor.size[0], " values, and ", packed->name,
                         " packs ", packed->values, " at a time"));
    if (__builtin_mul_overflow(values / packed->values, uint64_t{packed->bytes}, &tensor.bytes))
      return damaged(cat(what, " has ", values, " values, more bytes than can be counted"));
    TRY_AS(tensor.offset, cursor_.number<uint64_t>(what));
    if (tensor.offset % alignment_ != 0)
      return damaged(
          cat(what, " begins at ", tensor.offset, ", no multiple of the alignment ", alignment_));
    head_.tensors.push_back(std::move(tensor));
    return Unit{};
  }

  // Offsets in a file count from where the weights begin; here they become the file's own.
  Result<> place_tensors() {
    head_.data_offset = (cursor_.at() + alignment_ - 1) / alignment_ * alignment_;
    std::vector<const Tensor*> order;
    for (Tensor& tensor : head_.tensors) {
      uint64_t end = 0;
      if (__builtin_add_overflow(tensor.offset, head_.data_offset, &tensor.offset) ||
          __builtin_add_overflow(tensor.offset, tensor.bytes, &end))
        return damaged(cat("tensor '", shown(tensor.name), "' ends beyond every file"));
      if (end > head_.file_size) {
        return Error{Code::Corrupt,
                     cat("the file cannot be used: tensor '", shown(tensor.name), "' ends at byte ",
                         end, ", but the file has ", head_.file_size,
                         " bytes; it was cut short, fetch it again")};
      }
      order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(),
              [](const Tensor* a, const Tensor* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < order.size(); i++) {
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
        return damaged(cat("tensors '", shown(order[i - 1]->name), "' and '", shown(order[i]->name),
                           "' lie in the same bytes (", order[i]->offset, ")"));
    }
    return Unit{};
  }

  Cursor cursor_;
  Head head_;
  uint64_t tensors_ = 0;
  uint64_t keys_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  std::set<std::string, std::less<>> names_;
};

// A number that was kept as another kind of number.
uint64_t whole(const Value& value, uint64_t otherwise) {
  if (const auto* n = std::get_if<uint64_t>(&value)) return *n;
  if (const auto* n = std::get_if<int64_t>(&value))
    return *n < 0 ? otherwise : static_cast<uint64_t>(*n);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  return otherwise;
}

}  // namespace

const Packing* packing(uint32_t type) {
  if (type >= std::size(kPackings) || kPackings[type].values == 0) return nullptr;
  return &kPackings[type];
}

uint64_t Head::count(std::string_view key, uint64_t otherwise) const {
  const auto found = keys.find(key);
  return found == keys.end() ? otherwise : whole(found->second, otherwise);
}

std::string Head::text(std::string_view key) const {
  const auto found = keys.find(key);
  if (found == keys.end()) return "";
  const auto* const text = std::get_if<std::string>(&found->second);
  return text ? *text : "";
}

std::vector<uint64_t> Head::per_layer(std::string_view key, uint64_t layers,
                                      uint64_t otherwise) const {
  std::vector<uint64_t> all(static_cast<size_t>(std::min(layers, kKeptElementsMax)), otherwise);
  const auto found = keys.find(key);
  if (found == keys.end()) return all;
  if (const auto* numbers = std::get_if<std::vector<double>>(&found->second)) {
    for (size_t i = 0; i < std::min(all.size(), numbers->size()); i++) {
      const double n = (*numbers)[i];
      if (n >= 0 && n < 1e15) all[i] = static_cast<uint64_t>(n);
    }
  } else {
    std::fill(all.begin(), all.end(), whole(found->second, otherwise));
  }
  return all;
}

Result<Head> read(const ReadAt& read_at, uint64_t file_size) {
  return Reader(read_at, file_size).read();
}

Result<Head> read(std::string_view bytes) {
  return read(
      [bytes](uint64_t offset, std::span<char> into) -> Result<size_t> {
        if (offset >= bytes.size()) return size_t{0};
        return bytes.copy(into.data(), into.size(), static_cast<size_t>(offset));
      },
      bytes.size());
}

Result<Head> read_descriptor(int file) {
  struct stat info{};
  if (::fstat(file, &info) != 0) return system_error("reading the model's file", errno);
  return read(
      [file](uint64_t offset, std::span<char> into) -> Result<size_t> {
        for (;;) {
          const ssize_t got = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
          if (got >= 0) return static_cast<size_t>(got);
          if (errno != EINTR) {
            return Error{Code::Io, "the file cannot be read; look at the disk, or fetch it again"};
          }
        }
      },
      static_cast<uint64_t>(std::max<off_t>(0, info.st_size)));
}

}  // namespace lares::engine::gguf
