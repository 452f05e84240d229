// Where the '$ref' of a schema lead, as the engine's converter finds it. Pure.
#pragma once

#include <string>

#include "base/json.h"

namespace lares::engine::schema {

class Refs {
 public:
  // `root` must outlive this.
  explicit Refs(OrderedJson& root) : root_(root) {}

  // The target of "#/a/b", as the converter finds it, which knows no escapes; nullptr: none.
  OrderedJson* find(const std::string& reference) const;
  // `schema`, or what it comes to by '$ref'.
  const OrderedJson* followed(const OrderedJson* schema) const;
  // The types that the converter lets be written for what is in kInstead or a '$ref'.
  unsigned types_beside(const OrderedJson& schema, int depth = 0) const;

 private:
  unsigned types_of(const OrderedJson* schema, int depth) const;

  OrderedJson& root_;
  mutable size_t looked_at_ = 0;
};

}  // namespace lares::engine::schema
