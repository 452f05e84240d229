// Table: rows of cells, aligned, as wide as the terminal at most. Cells are made harmless
// (plain_text.h) as they come in. Pure; no thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lares::app {

class Table {
 public:
  enum class Side { Left, Right };
  struct Column {
    std::string title;
    Side side = Side::Left;
    bool gives = false;  // this one is cut, with "…", when the whole is too wide
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // Titles, then the rows, each line ended. `width` is what the lines must fit into; 0: no limit,
  // for pipes, where nothing is ever cut.
  std::string print(size_t width) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// `text` broken at spaces into lines of at most `width` columns, each after the first begun with
// `indent` spaces.
std::string wrapped(std::string_view text, size_t width, size_t indent = 0);

// "3 s", "4 min 10 s", "2 h 5 min", "3 d 4 h".
std::string duration_words(int64_t ms);
std::string seconds_words(uint64_t s);
// How long before `now_ms` that was: "4 min 10 s ago", "now", and "never" for 0.
std::string ago(uint64_t then_ms, int64_t now_ms);

// "1 request", "2 requests".
std::string counted(uint64_t n, std::string_view thing);

}  // namespace lares::app
