// A GGUF put together by hand, right or wrong, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gguf.h"

namespace lares::engine::testing {

class GgufFile {
 public:
  template <class T>
  static std::string number(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string named(std::string_view text) {
    return number(static_cast<uint64_t>(text.size())) + std::string(text);
  }

  void typed(std::string_view key, uint32_t type, const std::string& value) {
    raw_key(named(key) + number(type) + value);
  }
  void u32(std::string_view key, uint32_t value) { typed(key, 4, number(value)); }
  void text(std::string_view key, std::string_view value) { typed(key, 8, named(value)); }
  void f32(std::string_view key, float value) { typed(key, 6, number(value)); }
  void boolean(std::string_view key, bool value) {
    typed(key, 7, number(static_cast<char>(value)));
  }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    std::string all = number(uint32_t{8}) + number(static_cast<uint64_t>(values.size()));
    for (const std::string& value : values) all += named(value);
    typed(key, 9, all);
  }
  void raw_key(std::string bytes) { keys_.push_back(std::move(bytes)); }

  // Behind the last one, as a converter lays them.
  void tensor(const std::string& name, uint32_t type, const std::vector<uint64_t>& size) {
    tensor_at(name, type, size, end_);
    uint64_t values = 1;
    for (const uint64_t n : size) values *= n;
    if (const gguf::Packing* packed = gguf::packing(type);
        packed && values / packed->values * packed->bytes < (1u << 24))
      end_ = (end_ + values / packed->values * packed->bytes + 31) / 32 * 32;
  }
  // Of float32, behind the last one too.
  void floats(const std::string& name, const std::vector<uint64_t>& size,
              const std::vector<float>& values) {
    data_.resize(static_cast<size_t>(end_));
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    tensor(name, 0, size);
  }
  // The same of float16, rounded towards zero; what is too small for it is 0.
  void halves(const std::string& name, const std::vector<uint64_t>& size,
              const std::vector<float>& values) {
    data_.resize(static_cast<size_t>(end_));
    for (const float value : values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127 + 15;
      const uint32_t half = exponent <= 0
                                ? 0
                                : (bits >> 16 & 0x8000) | static_cast<uint32_t>(exponent) << 10 |
                                      (bits >> 13 & 0x3ff);
      data_ += number(static_cast<uint16_t>(half));
    }
    tensor(name, 1, size);
  }
  void tensor_at(const std::string& name, uint32_t type, const std::vector<uint64_t>& size,
                 uint64_t offset) {
    std::string bytes = named(name) + number(static_cast<uint32_t>(size.size()));
    for (const uint64_t n : size) bytes += number(n);
    tensors_.push_back(bytes + number(type) + number(offset));
  }

  std::string bytes() const {
    std::string all = "GGUF" + number(version);
    all += number(tensors_said.value_or(tensors_.size()));
    all += number(keys_said.value_or(keys_.size()));
    for (const std::string& key : keys_) all += key;
    for (const std::string& tensor : tensors_) all += tensor;
    if (tensors_.empty()) return all;
    all.resize((all.size() + 31) / 32 * 32);
    const size_t whole = all.size() + static_cast<size_t>(end_);
    all += data_;
    all.resize(whole);
    return all;
  }

  uint32_t version = 3;
  std::optional<uint64_t> tensors_said;
  std::optional<uint64_t> keys_said;

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> tensors_;
  std::string data_;  // what is not zero of it
  uint64_t end_ = 0;
};

}  // namespace lares::engine::testing
