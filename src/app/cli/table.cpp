#include "app/cli/table.h"

#include <algorithm>
#include <cassert>

#include "app/cli/plain_text.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr size_t kGap = 2;           // between columns
constexpr size_t kCellWidthMin = 8;  // a cell is never cut shorter

// The beginning of `text` that fits `width` columns, with "…" for the rest.
std::string cut(const std::string& text, size_t width) {
  if (columns(text) <= width) return text;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t next = at + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xC0) == 0x80) next++;
    const std::string longer = out + text.substr(at, next - at);
    if (columns(longer) + 1 > width) break;
    out = longer;
    at = next;
  }
  return out + "…";
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = plain_line(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::print(size_t width) const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); c++) {
    size_t widest = columns(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, columns(row[c]));
    widths.push_back(widest);
  }
  size_t total = kGap * (columns_.size() - 1);
  for (const size_t w : widths) total += w;
  for (size_t c = 0; c < columns_.size() && width > 0 && total > width; c++) {
    if (!columns_[c].gives || widths[c] <= kCellWidthMin) continue;
    const size_t less = std::min(total - width, widths[c] - kCellWidthMin);
    widths[c] -= less;
    total -= less;
  }

  std::string out;
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t c = 0; c < columns_.size(); c++) {
      const std::string shown = cut(cell(c), widths[c]);
      const std::string space(widths[c] - columns(shown), ' ');
      if (c > 0) text.append(kGap, ' ');
      text += columns_[c].side == Side::Right ? space + shown : shown + space;
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    out += text + "\n";
  };
  line([&](size_t c) { return columns_[c].title; });
  for (const auto& row : rows_) line([&](size_t c) { return row[c]; });
  return out;
}

std::string wrapped(std::string_view text, size_t width, size_t indent) {
  std::string out;
  size_t at_column = indent;  // the caller has written that much of the first line
  bool line_is_empty = true;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    const size_t long_as = columns(word);
    if (!line_is_empty && at_column + 1 + long_as > width) {
      out += "\n" + std::string(indent, ' ');
      at_column = indent;
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      at_column++;
    }
    out += word;
    at_column += long_as;
    line_is_empty = false;
  }
  return out;
}

std::string duration_words(int64_t ms) {
  const int64_t s = ms / 1000;
  if (ms < 1000) return cat(ms, " ms");
  if (s < 60) return cat(s, " s");
  if (s < 3600) return cat(s / 60, " min ", s % 60, " s");
  if (s < 86400) return cat(s / 3600, " h ", s / 60 % 60, " min");
  return cat(s / 86400, " d ", s / 3600 % 24, " h");
}

std::string seconds_words(uint64_t s) {
  return s == 0 ? "0 s" : duration_words(static_cast<int64_t>(s) * 1000);
}

std::string ago(uint64_t then_ms, int64_t now_ms) {
  if (then_ms == 0) return "never";
  const int64_t past = now_ms - static_cast<int64_t>(then_ms);
  return past < 1000 ? "now" : cat(duration_words(past), " ago");
}

std::string counted(uint64_t n, std::string_view thing) {
  return cat(n, " ", thing, n == 1 ? "" : "s");
}

}  // namespace lares::app
