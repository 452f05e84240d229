// A list that fills itself: a file that defines a Registered<T> is in the program because it was
// compiled into it. Extension folders are CMake OBJECT libraries, so the linker drops none.
// Filled before main, read-only afterwards, so any thread may read it.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace lares {

template <class T>  // T has a `std::string_view name`
class Registered {
 public:
  // Runs before main: links itself in, allocates nothing, touches no other global.
  explicit Registered(const T& item) : item_(item), next_(head_) { head_ = this; }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

  // Every T, by name: the order never depends on the linker. Two with one name is a bug.
  static std::vector<const T*> all() {
    std::vector<const T*> items;
    for (auto* r = head_; r; r = r->next_) items.push_back(&r->item_);
    std::sort(items.begin(), items.end(), [](auto* a, auto* b) { return a->name < b->name; });
    for (size_t i = 1; i < items.size(); i++) assert(items[i - 1]->name != items[i]->name);
    return items;
  }

  // The T of that name, or nullptr.
  static const T* find(std::string_view name) {
    for (auto* r = head_; r; r = r->next_) {
      if (r->item_.name == name) return &r->item_;
    }
    return nullptr;
  }

 private:
  const T& item_;
  Registered* next_;
  inline static constinit Registered* head_ = nullptr;
};

// The same for a table of them, which must live as long:
//   const RegisteredTable kRegistered(kEndpoints);
template <class T, size_t N>
class RegisteredTable {
 public:
  explicit RegisteredTable(const T (&items)[N])
      : RegisteredTable(items, std::make_index_sequence<N>()) {}

 private:
  template <size_t... I>
  RegisteredTable(const T (&items)[N], std::index_sequence<I...>)
      : registered_{Registered<T>(items[I])...} {}

  const Registered<T> registered_[N];
};

}  // namespace lares
