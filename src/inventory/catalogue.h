// Catalogue: models that are worth having, and which of them suit this machine. The list ships with
// the program (catalogue.json, embedded when it is built); nothing is fetched to show it.
//
// An entry stands in it only with the addresses of what was read: who gave its repository and file,
// its size, its licence, its digest and its shape. What was not read is left out: a size that was
// given with two digits says so, a digest is learned at the first pull. tools/check-catalogue.py
// holds the file to this form, and so does read_catalogue().
//
// Ranking is pure: entries, a machine and what is here already go in, an order with reasons comes
// out.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"
#include "inventory/needs.h"
#include "inventory/speed.h"

namespace lares::inventory {

struct Entry {
  struct Read {
    std::string url;  // of a fixed version
    std::vector<std::string>
        gave;  // "repository", "file", "size_bytes", "licence", "sha256", "shape"
  };
  std::string id;      // as Model::id
  std::string title;   // "Qwen3 8B"
  std::string family;  // "Qwen"
  std::string repository;
  std::string file;
  std::string quantization;  // "Q4_K_M"
  std::string licence;
  std::string sha256;       // "" until a pull has learned it
  uint64_t parameters = 0;  // as its name has it
  uint64_t context = 0;     // tokens that it was trained on; 0: was not read
  Bytes size;
  bool size_exact = false;  // false: given with two or three digits
  bool thinks = false;      // writes down its thoughts before each answer, so it takes longer
  std::vector<Read> read;
  Json info;  // as a file of it would say (layers, vocabulary, work, ...): for needs and rates

  std::string source() const;  // for a pull: "hf:OWNER/REPO:FILE"
  Model model() const;         // as it would be listed, without a file
};

// Corrupt, naming the entry and the field, when one is missing, of another type or unfounded.
Result<std::vector<Entry>> read_catalogue(std::string_view json);
// The one that ships with the program.
const std::vector<Entry>& catalogue();

// The entry that a model at hand came from, by its id or its file's name; nullptr for none.
const Entry* entry_of(const Model& model);

// For needs() of an entry: what was measured of this machine, else that the engine copies all of a
// model's matrices into its widest layout (AMX's of Q8_0: 1.12 bytes for each), the most that it
// does.
inline constexpr double kCopiedMost = 1.125;
Speeds speeds_for_needs(const Entry& entry, const std::optional<Speeds>& measured);

// What people call a model: the catalogue's title, or ours for those that Lares fetches by itself;
// "" where neither knows it. What files call themselves is often a note of whoever trained them.
std::string title_of(const Model& model);

struct Machine {
  Bytes budget;                  // for all models together
  Shape shape;                   // that a model would be loaded with
  std::optional<Speeds> speeds;  // none: not measured yet
  // then rates go by the size of a model that answered here; 0 for none
  double tokens_per_s = 0;
  Bytes of_model;
};

struct Ranked {
  const Entry* entry = nullptr;
  Bytes needs;
  bool fits = false;   // within the budget
  bool quick = false;  // writes at least as fast as people read, as far as is known or likely
  std::optional<Rates> predicted;
  bool have = false;
  bool recommended = false;  // one at most, the first
  std::string why;
};
inline constexpr double kReadingTokensPerS = 5;    // about as fast as people read
inline constexpr double kThinkingTokensPerS = 15;  // a thousand thoughts in about a minute
// What a machine that was not measured is taken to read of its memory in a second: what two slow
// cores do.
inline constexpr double kUnmeasuredBytesPerS = 12e9;

// Best for the machine first: those that fit and are quick by how much they know, then those that
// fit, by speed, then the rest by size. `query`: words that must all stand in title, id, family,
// quantisation or licence. `have`: ids and file names, in lower case, of the models that are here.
std::vector<Ranked> ranked(const std::vector<Entry>& entries, const Machine& machine,
                           std::string_view query, const std::set<std::string>& have);

}  // namespace lares::inventory
