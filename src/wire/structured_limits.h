// How much may stand in what an answer must be and in the tools of a request: the worker holds each
// request against these, and docs/configuration.md lists them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lares::wire {

inline constexpr size_t kToolsMax = 128;
inline constexpr size_t kChoicesMax = 1'000;             // texts of which one is chosen
inline constexpr size_t kStructureBytesMax = 256 << 10;  // of all texts of one request

// Of a JSON Schema.
inline constexpr size_t kSchemaDepthMax = 64;
inline constexpr size_t kSchemaNodesMax = 5'000;
inline constexpr size_t kSchemaPropertiesMax = 500;  // of one object
inline constexpr size_t kSchemaOptionalMax = 100;    // of them, those that are not required
inline constexpr size_t kSchemaNameMax = 128;        // bytes of a property's name
inline constexpr size_t kSchemaRefsMax = 200;        // places that are referred to
inline constexpr size_t kSchemaCountMax = 1'000;     // of maxItems, maxLength, ...
inline constexpr size_t kSchemaCountsMax = 20'000;   // of these together
inline constexpr size_t kSchemaValuesMax = 10'000;   // of 'enum' together
// Characters that values of one 'enum' have behind the same beginning: each is held against every
// token.
inline constexpr size_t kSchemaBranchesMax = 1'000;

inline constexpr size_t kRegexBytesMax = 4'096;
inline constexpr size_t kRegexDepthMax = 64;
inline constexpr uint32_t kRegexTimesMax = 1'000;  // of one repetition

inline constexpr size_t kGrammarDepthMax = 100;         // of parentheses
inline constexpr size_t kGrammarElementsMax = 200'000;  // once repetitions are written out

}  // namespace lares::wire
