// Small pictures and sounds put together by hand, right or wrong, for tests.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace lares::engine::testing {

using Pixel = std::array<uint8_t, 3>;
using Painter = std::function<Pixel(uint32_t x, uint32_t y)>;

inline Painter plain(Pixel pixel) {
  return [pixel](uint32_t, uint32_t) { return pixel; };
}
// A board of squares, so many pixels wide.
inline Painter board(uint32_t side, Pixel light = {250, 240, 230}, Pixel dark = {10, 40, 90}) {
  return [=](uint32_t x, uint32_t y) { return (x / side + y / side) % 2 == 0 ? light : dark; };
}

inline std::string big_endian(uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
          static_cast<char>(number >> 8), static_cast<char>(number)};
}
template <class T>
std::string little_endian(T number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof number; i++)
    bytes += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
  return bytes;
}

inline std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  uint32_t crc = 0xffffffff;
  for (const char c : body) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320 & (0U - (crc & 1)));
  }
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(~crc);
}
// Bytes as zlib carries them without packing.
inline std::string zlib_stored(const std::string& bytes) {
  std::string out = "\x78\x01";
  uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65'521;
    b = (b + a) % 65'521;
  }
  for (size_t at = 0; at < bytes.size(); at += 65'535) {
    const std::string part = bytes.substr(at, 65'535);
    const auto size = static_cast<uint16_t>(part.size());
    out += static_cast<char>(at + part.size() == bytes.size());
    out += little_endian(size) + little_endian(static_cast<uint16_t>(~size)) + part;
  }
  return out + big_endian(b << 16 | a);
}
// A PNG of 8-bit RGB that says to be so large, around any bytes.
inline std::string png_around(uint32_t width, uint32_t height, const std::string& data) {
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR",
                   big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5)) +
         png_chunk("IDAT", data) + png_chunk("IEND", "");
}
inline std::string png(uint32_t width, uint32_t height, const Painter& paint) {
  std::string rows;
  for (uint32_t y = 0; y < height; y++) {
    rows += '\0';
    for (uint32_t x = 0; x < width; x++) {
      for (const uint8_t value : paint(x, y)) rows += static_cast<char>(value);
    }
  }
  return png_around(width, height, zlib_stored(rows));
}

inline std::string bmp(uint32_t width, uint32_t height, const Painter& paint) {
  std::string rows;
  for (uint32_t y = height; y-- > 0;) {
    for (uint32_t x = 0; x < width; x++) {
      const Pixel pixel = paint(x, y);
      for (const size_t i : {2U, 1U, 0U}) rows += static_cast<char>(pixel[i]);
    }
    rows.resize((rows.size() + 3) / 4 * 4);
  }
  return "BM" + little_endian(static_cast<uint32_t>(54 + rows.size())) +
         little_endian(uint32_t{0}) + little_endian(uint32_t{54}) + little_endian(uint32_t{40}) +
         little_endian(width) + little_endian(height) + little_endian(uint16_t{1}) +
         little_endian(uint16_t{24}) + std::string(24, '\0') + rows;
}

// One channel of 16 bits: a tone.
inline std::string wav(uint32_t hz, double seconds, double tone_hz) {
  const auto count = static_cast<uint32_t>(seconds * hz);
  std::string samples;
  for (uint32_t i = 0; i < count; i++) {
    samples += little_endian(static_cast<int16_t>(
        16'000 * std::sin(2 * 3.14159265358979 * tone_hz * i / static_cast<double>(hz))));
  }
  return "RIFF" + little_endian(static_cast<uint32_t>(36 + samples.size())) + "WAVEfmt " +
         little_endian(uint32_t{16}) + little_endian(uint16_t{1}) + little_endian(uint16_t{1}) +
         little_endian(hz) + little_endian(hz * 2) + little_endian(uint16_t{2}) +
         little_endian(uint16_t{16}) + "data" +
         little_endian(static_cast<uint32_t>(samples.size())) + samples;
}

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; i++)
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (size_t i = 0; i < 4; i++)
      text += at + i > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * i) & 63];
  }
  return text;
}

}  // namespace lares::engine::testing
