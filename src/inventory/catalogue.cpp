#include "inventory/catalogue.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/text.h"
#include "inventory/info.h"
#include "inventory/models.h"

namespace lares::inventory {

extern const char kCatalogueJson[];  // catalogue.json, made a source when this is built

namespace {

constexpr uint64_t kFormat = 1;

// What each entry must say, and somebody must have given.
constexpr const char* kGiven[] = {"repository", "file", "size_bytes", "licence"};

// Reads one entry; the first thing that is wrong with it stays in `wrong`.
class EntryReader {
 public:
  EntryReader(const Json& from, size_t number) : from_(from), name_(cat("entry ", number + 1)) {}

  Result<Entry> read() {
    if (!from_.is_object()) return unfit("is no object");
    Entry entry;
    entry.id = text("id");
    if (!entry.id.empty()) name_ = cat("entry '", entry.id, "'");
    entry.title = text("title");
    entry.family = text("family");
    entry.repository = text("repository");
    entry.file = text("file");
    entry.quantization = text("quantization");
    entry.licence = text("licence");
    entry.parameters = whole(from_, "parameters");
    entry.size = Bytes{whole(from_, "size_bytes")};
    entry.size_exact = flag("size_exact");
    entry.thinks = flag("thinks");
    if (const auto digest = from_.find("sha256"); digest == from_.end()) {
      miss("sha256");
    } else if (digest->is_string()) {
      entry.sha256 = digest->get<std::string>();
      if (entry.sha256.size() != 64 ||
          entry.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
        return unfit("has a sha256 that is none");
    } else if (!digest->is_null()) {
      return unfit("has a sha256 that is no text");
    }
    read_addresses(entry);
    read_shape(entry);
    if (!wrong_.empty()) return unfit(wrong_);
    if (id_from(entry.id) != entry.id) return unfit("has an id that cannot be a model's");
    if (std::count(entry.repository.begin(), entry.repository.end(), '/') != 1)
      return unfit("has a repository that is not OWNER/NAME");
    if (!entry.file.ends_with(".gguf") || part_of(entry.file))
      return unfit("has a file that is no GGUF in one piece");
    return check_given(std::move(entry));
  }

 private:
  Error unfit(std::string_view what) const {
    return {Code::Corrupt, cat("reading the catalogue: ", name_, " ", what)};
  }
  void miss(std::string_view field) {
    if (wrong_.empty()) wrong_ = cat("has no '", field, "', or one of another type");
  }
  std::string text(const char* field) {
    const auto found = from_.find(field);
    if (found == from_.end() || !found->is_string() ||
        found->get_ref<const std::string&>().empty()) {
      miss(field);
      return "";
    }
    return found->get<std::string>();
  }
  bool flag(const char* field) {
    const auto found = from_.find(field);
    if (found == from_.end() || !found->is_boolean()) {
      miss(field);
      return false;
    }
    return found->get<bool>();
  }
  uint64_t whole(const Json& object, const char* field) {
    const uint64_t value = count_in(object, field);
    if (value == 0) miss(field);
    return value;
  }

  void read_addresses(Entry& entry) {
    const auto read = from_.find("read");
    if (read == from_.end() || !read->is_array() || read->empty()) return miss("read");
    for (const Json& each : *read) {
      Entry::Read one;
      const auto url = each.find("url");
      const auto gave = each.find("gave");
      if (url == each.end() || !url->is_string() || gave == each.end() || !gave->is_array() ||
          gave->empty())
        return miss("read");
      one.url = url->get<std::string>();
      for (const Json& what : *gave) {
        if (what.is_string()) one.gave.push_back(what.get<std::string>());
      }
      entry.read.push_back(std::move(one));
    }
  }

  // From the shape, what a file's head would give: see engine/gguf_facts.h.
  void read_shape(Entry& entry) {
    const auto found = from_.find("shape");
    if (found == from_.end() || !found->is_object()) return miss("shape");
    const Json& shape = *found;
    entry.context = count_in(shape, "context");
    const uint64_t layers = whole(shape, "layers");
    const uint64_t width = whole(shape, "width");
    const uint64_t heads = whole(shape, "heads");
    const uint64_t kv_heads = whole(shape, "kv_heads");
    const uint64_t head_size = whole(shape, "head_size");
    const uint64_t feed_forward = whole(shape, "feed_forward");
    const uint64_t vocabulary = whole(shape, "vocabulary");
    const uint64_t experts = count_in(shape, "experts");
    const uint64_t used = count_in(shape, "experts_used");
    const uint64_t window = count_in(shape, "window");
    const uint64_t every = std::max<uint64_t>(1, count_in(shape, "full_every"));
    if (!wrong_.empty()) return;

    const uint64_t attention = width * head_size * (2 * heads + 2 * kv_heads);
    const uint64_t feed = 3 * width * feed_forward;
    const uint64_t read_values = layers * (attention + feed * (experts > 0 ? used : 1));
    const uint64_t all_values = layers * (attention + feed * (experts > 0 ? experts : 1));
    const uint64_t logits = vocabulary * width;
    const double bytes_per_value = static_cast<double>(entry.size.n) /
                                   static_cast<double>(std::max<uint64_t>(1, all_values + logits));
    const uint64_t full = window > 0 ? layers / every : layers;
    const uint64_t state = 2 * kv_heads * head_size * 2;
    // "Q4_K_M" is mostly Q4_K
    std::string type = entry.quantization;
    if (type.size() > 2 && type[type.size() - 2] == '_' &&
        (type.back() == 'M' || type.back() == 'S' || type.back() == 'L'))
      type.resize(type.size() - 2);
    const auto logit_bytes = static_cast<uint64_t>(bytes_per_value * static_cast<double>(logits));
    const auto decode_bytes =
        static_cast<uint64_t>(bytes_per_value * static_cast<double>(read_values + logits));
    entry.info = {{"layers", layers},
                  {"embedding_length", width},
                  {"context_train", entry.context},
                  {"vocabulary", vocabulary},
                  {"sliding_window", window},
                  {"work",
                   {{"heads", heads},
                    {"kv_heads", kv_heads},
                    {"head_size", head_size},
                    {"feed_forward", feed_forward},
                    {"experts", experts},
                    {"experts_used", used},
                    {"state_bytes_per_token", full * state},
                    {"window_state_bytes_per_token", (layers - full) * state},
                    {"weights", Json::array({{{"type", type},
                                              {"bytes", entry.size.n},
                                              {"decode_bytes", decode_bytes},
                                              {"prefill_values", read_values}}})},
                    {"logit_type", type},
                    {"logit_bytes", logit_bytes}}}};
  }

  Result<Entry> check_given(Entry entry) const {
    const auto given = [&](std::string_view what) {
      return std::any_of(entry.read.begin(), entry.read.end(), [&](const Entry::Read& read) {
        return read.url.starts_with("https://") &&
               std::find(read.gave.begin(), read.gave.end(), what) != read.gave.end();
      });
    };
    for (const char* what : kGiven) {
      if (!given(what)) return unfit(cat("has a '", what, "' that no address gave"));
    }
    if (!given("shape")) return unfit("has a 'shape' that no address gave");
    if (!entry.sha256.empty() && !given("sha256"))
      return unfit("has a 'sha256' that no address gave");
    return entry;
  }

  const Json& from_;
  std::string name_;
  std::string wrong_;
};

// How much a model knows, to order by: what it has read into its parameters. Of experts only some
// are asked for each token, so such a model counts as the geometric mean of both.
double knowledge(const Entry& entry) {
  double parameters = static_cast<double>(entry.parameters);
  const Json& work = entry.info["work"];
  const auto experts = static_cast<double>(count_in(work, "experts"));
  if (experts > 0)
    parameters *= std::sqrt(static_cast<double>(count_in(work, "experts_used")) / experts);
  // four plain bits lose a little more than four with scales of their own
  return parameters * (entry.quantization == "Q4_0" ? 0.97 : 1);
}

bool matches(const Entry& entry, std::string_view query) {
  const std::string all = lower(cat(entry.id, " ", entry.title, " ", entry.family, " ",
                                    entry.quantization, " ", entry.licence, " ", entry.repository));
  for (const std::string& word : split(query, ' ')) {
    if (!word.empty() && all.find(lower(word)) == std::string::npos) return false;
  }
  return true;
}

std::string rate_text(double rate) {
  const auto tenths = static_cast<uint64_t>(std::llround(rate * 10));
  return rate < 10 ? cat(tenths / 10, ".", tenths % 10)
                   : cat(static_cast<uint64_t>(std::llround(rate)));
}

std::string reason(const Ranked& one, const Machine& machine) {
  if (!one.fits) return cat("needs ", one.needs, ", and memory.budget allows ", machine.budget);
  if (!one.predicted)
    return cat("fits into ", machine.budget, "; its speed here is not known yet",
               one.quick ? "" : ", and on many machines it writes slower than people read");
  const std::string rate = cat("about ", rate_text(one.predicted->tokens_per_s), " tokens/s here");
  if (!one.quick)
    return one.entry->thinks && one.predicted->tokens_per_s >= kReadingTokensPerS
               ? cat("fits; ", rate, ", slow for one that thinks before it answers")
               : cat("fits; ", rate, ", slower than people read");
  if (one.recommended) return cat("the most able that fits into ", machine.budget, "; ", rate);
  return cat("fits; ", rate);
}

}  // namespace

std::string Entry::source() const { return cat("hf:", repository, ":", file); }

Model Entry::model() const {
  Model model;
  model.id = id;
  model.size = size;
  model.info = info;
  return model;
}

Speeds speeds_for_needs(const Entry& entry, const std::optional<Speeds>& measured) {
  if (measured) return *measured;
  Speeds speeds;
  for (const Json& each : entry.info["work"]["weights"])
    speeds.types[each["type"].get<std::string>()].copied = kCopiedMost;
  return speeds;
}

Result<std::vector<Entry>> read_catalogue(std::string_view json) {
  TRY_AS(const Json whole, parse_json(json));
  if (!whole.is_object() || count_in(whole, "format") != kFormat || !whole.contains("models") ||
      !whole["models"].is_array())
    return Error{Code::Corrupt, cat("reading the catalogue: it is not of format ", kFormat)};
  std::vector<Entry> entries;
  for (const Json& each : whole["models"]) {
    TRY_AS(Entry entry, EntryReader(each, entries.size()).read());
    for (const Entry& other : entries) {
      if (other.id == entry.id)
        return Error{Code::Corrupt,
                     cat("reading the catalogue: entry '", entry.id, "' is there twice")};
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

const std::vector<Entry>& catalogue() {
  static const std::vector<Entry> entries = [] {
    auto read = read_catalogue(kCatalogueJson);
    assert(read);  // a test reads the same bytes
    return *std::move(read);
  }();
  return entries;
}

const Entry* entry_of(const Model& model) {
  const std::string file = lower(model.file.filename().string());
  for (const Entry& entry : catalogue()) {
    if (model.id == entry.id || model.id == id_from(entry.file) || file == lower(entry.file))
      return &entry;
  }
  return nullptr;
}

std::string title_of(const Model& model) {
  if (model.id.starts_with(kEmbedded)) return "SmolLM2 135M Instruct";
  if (model.id.starts_with(kEmbedder)) return "all-MiniLM-L6-v2";
  const Entry* entry = entry_of(model);
  return entry ? entry->title : "";
}

std::vector<Ranked> ranked(const std::vector<Entry>& entries, const Machine& machine,
                           std::string_view query, const std::set<std::string>& have) {
  std::vector<Ranked> all;
  for (const Entry& entry : entries) {
    if (!matches(entry, query)) continue;
    Ranked one;
    one.entry = &entry;
    const Speeds copies = speeds_for_needs(entry, machine.speeds);
    one.needs = needs(entry.model(), machine.shape, &copies);
    one.fits = one.needs <= machine.budget;
    const uint64_t read_per_token = count_in(entry.info["work"]["weights"][0], "decode_bytes");
    if (machine.speeds) {
      one.predicted = predicted_rates(entry.info, *machine.speeds);
    } else if (machine.tokens_per_s > 0) {
      const double known =
          rate_by_size(machine.tokens_per_s, machine.of_model, Bytes{read_per_token});
      if (known > 0) one.predicted = Rates{known, 0};
    }
    const double wanted = entry.thinks ? kThinkingTokensPerS : kReadingTokensPerS;
    const double rate = one.predicted ? one.predicted->tokens_per_s
                                      : kUnmeasuredBytesPerS / static_cast<double>(read_per_token);
    one.quick = rate >= wanted;
    one.have = have.contains(entry.id) || have.contains(lower(entry.file)) ||
               have.contains(id_from(entry.file));
    all.push_back(std::move(one));
  }
  const auto place = [](const Ranked& one) { return !one.fits ? 2 : one.quick ? 0 : 1; };
  std::stable_sort(all.begin(), all.end(), [&](const Ranked& a, const Ranked& b) {
    if (place(a) != place(b)) return place(a) < place(b);
    if (place(a) == 2) return a.needs < b.needs;
    if (place(a) == 1 && a.predicted && b.predicted)
      return a.predicted->tokens_per_s > b.predicted->tokens_per_s;
    return knowledge(*a.entry) > knowledge(*b.entry);
  });
  if (!all.empty() && place(all.front()) == 0) all.front().recommended = true;
  for (Ranked& one : all) one.why = reason(one, machine);
  return all;
}

}  // namespace lares::inventory
