// GGUF: the head of a model file, read by our own hand before any engine sees the file: what it
// says of itself (keys), and which tensors lie where. It is not a loader: it reads no weights, and
// keeps of the keys only what is short.
//
// Everything in it is foreign. Each count, length and offset is held against a named limit and
// against the size of the file before it is believed, so that memory and time stay bounded whatever
// the bytes are; what breaks a rule of the format is refused with the value that broke it.
// Little-endian, versions 2 and 3, as the ggml project describes the format. Runs in lares-worker;
// blocking, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace lares::engine::gguf {

inline constexpr uint64_t kKeysMax = 65'536;
inline constexpr uint64_t kTensorsMax = 262'144;
inline constexpr Bytes kKeyNameMax = KiB(1);   // of a key's name
inline constexpr size_t kTensorNameMax = 127;  // the engine's own limit
inline constexpr unsigned kDimensionsMax = 4;
inline constexpr Bytes kStringMax = MiB(16);
inline constexpr uint64_t kElementsMax = 16'777'216;  // of one array
inline constexpr Bytes kHeadMax = MiB(512);           // all before the weights
inline constexpr uint64_t kAlignmentMax = 65'536;
inline constexpr uint64_t kLayersMax = 512;  // the engine's own limit, at which it would end itself
// What is kept; what is longer is read over.
inline constexpr Bytes kKeptStringMax = KiB(256);
inline constexpr uint64_t kKeptElementsMax = 1'024;

// How weights are packed: so many values in so many bytes.
struct Packing {
  std::string_view name;  // "Q4_K"
  uint32_t values;
  uint32_t bytes;
};
// Null: no type of this number is known.
const Packing* packing(uint32_t type);

struct Tensor {
  std::string name;
  uint32_t type = 0;
  unsigned dimensions = 0;
  std::array<uint64_t, kDimensionsMax> size{1, 1, 1, 1};  // size[0]: the length of a row, in values
  uint64_t offset = 0;                                    // from the beginning of the file
  uint64_t bytes = 0;
};

// A number, a truth, a text, or the numbers of a short array. What is longer, and arrays of texts,
// have only their count.
struct Counted {
  uint64_t count = 0;
};
using Value =
    std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<double>, Counted>;

struct Head {
  uint32_t version = 0;
  uint64_t file_size = 0;
  uint64_t data_offset = 0;  // where the weights begin
  std::map<std::string, Value, std::less<>> keys;
  std::vector<Tensor> tensors;

  // The value of a key, or what stands for none.
  uint64_t count(std::string_view key, uint64_t otherwise = 0) const;
  std::string text(std::string_view key) const;
  // A number for each layer, where the key has one number for all or an array of `layers`.
  std::vector<uint64_t> per_layer(std::string_view key, uint64_t layers, uint64_t otherwise) const;
};

// Reads up to `into.size()` bytes at `offset`; less only at the end. An error ends the reading.
using ReadAt = std::function<Result<size_t>(uint64_t offset, std::span<char> into)>;

// Invalid: this is no GGUF. Corrupt: it is one that is damaged, cut short or beyond a limit; the
// message has the value. Io: from `read_at`.
Result<Head> read(const ReadAt& read_at, uint64_t file_size);
// Of bytes in memory.
Result<Head> read(std::string_view bytes);
// Of an open file; its offset stays where it is.
Result<Head> read_descriptor(int file);

}  // namespace lares::engine::gguf
