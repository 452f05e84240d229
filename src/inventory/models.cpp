#include "inventory/models.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>

#include "base/text.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;
constexpr size_t kIdLengthMax = 128;
constexpr size_t kNamedMax = 5;  // of the models that an error lists
constexpr std::string_view kListFile = "models.json";
constexpr std::string_view kHowToGet =
    "`lares models search` names some for this machine, `lares models pull NAME` gets one, `lares "
    "models add FILE` takes a file";
constexpr std::string_view kPartEnd = "00000-of-00000.gguf";  // a zero stands for any digit

bool is_id(std::string_view id) { return !id.empty() && id_from(id) == id; }

Result<Json> read_list(const fs::path& file) {
  TRY_AS(const std::string text, read_file(file));
  auto parsed = parse_json(text);
  if (!parsed) return Error{Code::Corrupt, parsed.error().message};
  if (!parsed->is_object() || !parsed->contains("format") ||
      !(*parsed)["format"].is_number_unsigned())
    return Error{Code::Corrupt, "it holds no 'format' number"};
  const auto format = (*parsed)["format"].get<uint64_t>();
  if (format > kFormat)
    return Error{Code::Unsupported,
                 cat("reading '", file.string(), "': a newer Lares wrote it (format ", format,
                     ", this one knows ", kFormat, "); use that version, or move the file away")};
  if (!parsed->contains("models") || !(*parsed)["models"].is_array())
    return Error{Code::Corrupt, "it holds no list 'models'"};
  return *std::move(parsed);
}

Use use_from(const Json& info) {
  if (const auto type = info.find("type"); type != info.end() && *type == "adapter")
    return Use::Adapter;
  const auto pooling = info.find("pooling");
  if (pooling != info.end() && *pooling == "rank") return Use::Rerank;
  if (pooling != info.end() && pooling->is_string() && *pooling != "none") return Use::Embedding;
  const auto chats = info.find("has_template");
  return chats != info.end() && *chats == false ? Use::Completion : Use::Chat;
}

// Until a worker has looked inside, the name is all there is.
Use use_by_name(std::string_view id) {
  const auto has = [&](std::string_view word) { return id.find(word) != std::string::npos; };
  if (has("rerank")) return Use::Rerank;
  if (has("lora") || has("adapter")) return Use::Adapter;
  return has("minilm") || has("embed") ? Use::Embedding : Use::Chat;
}

// `id`, or in place of one that no model may have another.
std::string free_id(std::string id) {
  return id == kDefaultName ? std::move(id) + "-model" : std::move(id);
}

// What an entry says of the model's projector; nullopt where that is gone.
std::optional<Projector> projector_from(const Json& entry) {
  if (!entry.is_object()) return std::nullopt;
  Projector projector;
  if (const auto file = entry.find("file"); file != entry.end() && file->is_string())
    projector.file = file->get<std::string>();
  if (const auto size = entry.find("size_bytes"); size != entry.end() && size->is_number_unsigned())
    projector.size = Bytes{size->get<uint64_t>()};
  if (const auto info = entry.find("info"); info != entry.end() && info->is_object())
    projector.info = *info;
  std::error_code ignored;
  if (!projector.file.is_absolute() || !fs::exists(projector.file, ignored)) return std::nullopt;
  return projector;
}

// One entry of the list; nullopt when it is not one of ours any more.
std::optional<Model> model_from(const Json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto text = [&](const char* name) {
    const auto found = entry.find(name);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Model model;
  model.id = text("id");
  model.file = text("file");
  for (const Use use : {Use::Embedding, Use::Rerank, Use::Adapter}) {
    if (text("use") == use_name(use)) model.use = use;
  }
  if (const auto size = entry.find("size_bytes"); size != entry.end() && size->is_number_unsigned())
    model.size = Bytes{size->get<uint64_t>()};
  if (const auto added = entry.find("added_unix");
      added != entry.end() && added->is_number_integer())
    model.added_unix = added->get<int64_t>();
  if (const auto ours = entry.find("ours"); ours != entry.end() && ours->is_boolean())
    model.ours = ours->get<bool>();
  if (const auto pinned = entry.find("pinned"); pinned != entry.end() && pinned->is_boolean())
    model.pinned = pinned->get<bool>();
  if (const auto info = entry.find("info"); info != entry.end() && info->is_object())
    model.info = *info;
  if (!model.info.empty()) model.use = use_from(model.info);
  if (const auto projector = entry.find("projector"); projector != entry.end())
    model.projector = projector_from(*projector);
  if (!is_id(model.id) || !model.file.is_absolute()) return std::nullopt;
  model.id = free_id(std::move(model.id));
  return model;
}

// Unsupported for a file that by its name is one part of a model.
Result<> check_whole(const std::string& doing, const fs::path& file) {
  std::string name = file.filename().string();
  const auto part = part_of(name);
  if (!part) return Unit{};
  name.replace(name.size() - kPartEnd.size(), 5, "00001");
  return Error{Code::Unsupported,
               cat(doing, ": this is part ", part->number, " of ", part->of,
                   " of one model, and a model in several files is not supported; make one file of "
                   "them with llama.cpp's tool and add that: llama-gguf-split --merge ",
                   name, " whole.gguf")};
}

// "; did you mean 'x'?" for an id, or the beginning of one as long as `wanted`, that is near.
std::string nearest_hint(std::string_view wanted, const std::vector<std::string>& ids) {
  if (std::string hint = did_you_mean(wanted, ids); !hint.empty()) return hint;
  constexpr size_t kShortest = 4;  // shorter ones are near to everything
  if (wanted.size() < kShortest) return "";
  std::vector<std::string> beginnings;
  beginnings.reserve(ids.size());
  for (const std::string& id : ids) beginnings.push_back(id.substr(0, wanted.size()));
  const std::string near = nearest(wanted, beginnings);
  const auto at = std::find(beginnings.begin(), beginnings.end(), near);
  if (near.empty() || at == beginnings.end()) return "";
  return cat("; did you mean '", ids[static_cast<size_t>(at - beginnings.begin())], "'?");
}

// "; there are: a, b and 7 more, ..."
std::string list_hint(const std::vector<std::string>& ids) {
  if (ids.empty()) return cat("; there is none yet: ", kHowToGet);
  std::string known;
  for (size_t i = 0; i < std::min(ids.size(), kNamedMax); i++)
    known += cat(known.empty() ? "" : ", ", ids[i]);
  const std::string more = ids.size() > kNamedMax ? cat(" and ", ids.size() - kNamedMax,
                                                        " more; `lares models list` names them all")
                                                  : "";
  return cat("; there are: ", known, more);
}

// When a file was last written to; 0 when it is gone.
int64_t modified_unix(const fs::path& file) {
  struct stat info{};
  return ::stat(file.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_mtime) : 0;
}

// What is wrong with a link, where that is why a path could not be followed: a person who sees the
// link does not believe in "no such file".
std::optional<Error> lost_link(const std::string& doing, const fs::path& file, int errno_value) {
  if (errno_value == ELOOP)
    return Error{Code::Invalid,
                 cat(doing, ": its links lead round in a circle; name the file itself")};
  std::error_code none;
  const fs::path end = fs::read_symlink(file, none);
  if (errno_value != ENOENT || none) return std::nullopt;
  return Error{Code::NotFound, cat(doing, ": it is a link to '", utf8_repaired(end.string()),
                                   "', which leads to no file; name the file itself")};
}

// Checks that a path is a regular, readable file that begins as a GGUF does, and is all of a model.
Result<Bytes> check_file(const fs::path& file) {
  const std::string doing = cat("opening '", file.string(), "'");
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    const int why = errno;
    return lost_link(doing, file, why).value_or(system_error(doing, why));
  }
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error(doing, errno);
  if (S_ISDIR(info.st_mode))
    return Error{Code::Invalid, cat(doing, ": this is a folder; name a .gguf file in it")};
  if (!S_ISREG(info.st_mode))
    return Error{Code::Invalid, cat(doing, ": this is no regular file; a model is a .gguf file")};
  char first[512] = {};
  const ssize_t got = ::pread(fd.get(), first, sizeof first, 0);
  if (got < 0) return system_error(doing, errno);
  const std::string kind = file_kind(std::string_view(first, static_cast<size_t>(got)));
  if (kind != "GGUF") {
    return Error{Code::Invalid,
                 cat(doing, ": this is ", kind, ", not a GGUF model; ",
                     kind == "safetensors weights" ? "look for the same model in GGUF format"
                                                   : "download the model's .gguf file again")};
  }
  TRY(check_whole(doing, file));
  return Bytes{static_cast<uint64_t>(info.st_size)};
}

}  // namespace

std::string_view use_name(Use use) {
  switch (use) {
    case Use::Chat: return "chat";
    case Use::Completion: return "completion";
    case Use::Embedding: return "embedding";
    case Use::Rerank: return "rerank";
    case Use::Adapter: return "adapter";
  }
  return "chat";
}

std::string id_from(std::string_view name) {
  std::string id = lower(name);
  if (id.ends_with(".gguf")) id.resize(id.size() - 5);
  for (char& c : id) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                       c == ':' || c == '-';
    if (!plain) c = '-';
  }
  if (id.size() > kIdLengthMax) id.resize(kIdLengthMax);
  while (!id.empty() && (id.front() == '-' || id.front() == '.')) id.erase(0, 1);
  return id;
}

std::optional<Part> part_of(std::string_view file_name) {
  const std::string name = lower(file_name);
  if (name.size() <= kPartEnd.size()) return std::nullopt;
  const std::string_view end = std::string_view(name).substr(name.size() - kPartEnd.size());
  const auto number = [&](size_t at) {
    size_t value = 0;
    for (const char digit : end.substr(at, 5))
      value = value * 10 + static_cast<size_t>(digit - '0');
    return value;
  };
  for (size_t i = 0; i < end.size(); i++) {
    const bool digit = kPartEnd[i] == '0';
    if (digit ? end[i] < '0' || end[i] > '9' : end[i] != kPartEnd[i]) return std::nullopt;
  }
  const Part part{number(0), number(9)};
  // "-00001-of-00001" is how a splitter names what it did not need to split
  if (name[name.size() - kPartEnd.size() - 1] != '-' || part.of < 2) return std::nullopt;
  return part;
}

std::string file_kind(std::string_view b) {
  if (b.empty()) return "an empty file";
  struct Magic {
    std::string_view bytes;
    std::string_view kind;
  };
  using namespace std::string_view_literals;
  static constexpr Magic kMagics[] = {
      {"GGUF"sv, "GGUF"},
      {"FUGG"sv, "a big-endian GGUF"},
      {"PK\x03\x04"sv, "a zip archive (a PyTorch checkpoint, perhaps)"},
      {"\x1f\x8b"sv, "a gzip archive"},
      {"\xfd"
       "7zXZ"sv,
       "an xz archive"},
      {"\x28\xb5\x2f\xfd"sv, "a zstd archive"},
      {"%PDF"sv, "a PDF"},
      {"\x7f"
       "ELF"sv,
       "a program"},
      {"version https://git-lfs"sv, "a Git LFS pointer (the text that stands for the real file)"},
      {"ggjt"sv, "a model in a format older than GGUF"},
      {"tjgg"sv, "a model in a format older than GGUF"},
      {"lmgg"sv, "a model in a format older than GGUF"},
      {"\x89PNG"sv, "a PNG picture"},
      {"\xff\xd8\xff"sv, "a JPEG picture"},
      {"\x80\x02"sv, "a Python pickle"},
      {"SQLite format 3"sv, "an SQLite database"},
  };
  for (const Magic& magic : kMagics) {
    if (b.starts_with(magic.bytes)) return std::string(magic.kind);
  }
  // safetensors: the length of a JSON header, little-endian, then the header
  if (b.size() > 9 && b[8] == '{' && b[5] == 0 && b[6] == 0 && b[7] == 0)
    return "safetensors weights";
  const std::string start = lower(trimmed(b.substr(0, 64)));
  if (start.starts_with("<!doctype") || start.starts_with("<html")) return "an HTML page";
  if (start.starts_with("{") || start.starts_with("[")) return "JSON text";
  if (b.find_first_not_of('\0') == std::string_view::npos) return "a file of zeros";
  size_t tail = utf8_tail(b);
  if (is_utf8(b.substr(0, b.size() - tail)) && b.find('\0') == std::string_view::npos)
    return "text";
  return "of an unknown kind";
}

Result<Models> Models::open(const fs::path& folder, Log& log) {
  auto models = look(folder, log);
  if (models || models.error().code != Code::Corrupt) return models;
  const fs::path file = folder / kListFile;
  const fs::path aside = damaged_name(file);
  std::error_code failed;
  fs::rename(file, aside, failed);
  if (failed) return models;
  log.error("models.json could not be read and was set aside under another name beside it",
            {{"set_aside", aside.filename().string()}, {"why", models.error().message}});
  return look(folder, log);
}

Result<Models> Models::look(const fs::path& folder, Log& log) {
  Models models(folder, log);
  const fs::path file = folder / kListFile;
  const auto list = read_list(file);
  if (!list && list.error().code == Code::Corrupt)
    return Error{Code::Corrupt, cat("reading '", file.string(), "': ", list.error().message,
                                    "; move the file away and start again")};
  if (!list && list.error().code != Code::NotFound) return list.error();
  for (const Json& entry : list ? (*list)["models"] : Json::array()) {
    auto model = model_from(entry);
    if (!model) {
      log.warn("an entry of models.json makes no sense and was left out");
      continue;
    }
    std::error_code ignored;
    if (!fs::exists(model->file, ignored)) {
      log.warn("a listed model's file is gone", {{"model", model->id}});
      if (model->ours) continue;
    }
    models.models_.push_back(*std::move(model));
  }
  models.look_again();
  return models;
}

void Models::look_again() {
  take_in_files();
  take_in_projectors();
  for (Model& model : models_) {  // those that nobody added have only their file's time
    if (model.added_unix == 0) model.added_unix = modified_unix(model.file);
  }
  std::sort(models_.begin(), models_.end(),
            [](const Model& a, const Model& b) { return a.id < b.id; });
}

// The *.gguf files that lie in the folder and are not listed.
void Models::take_in_files() {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder_, failed)) {
    if (entry.path().extension() != ".gguf" || !entry.is_regular_file(failed)) continue;
    const bool listed = std::any_of(models_.begin(), models_.end(),
                                    [&](const Model& m) { return m.file == entry.path(); });
    const std::string id = free_id(id_from(entry.path().filename().string()));
    const bool taken =
        std::any_of(models_.begin(), models_.end(), [&](const Model& m) { return m.id == id; });
    if (listed || taken || id.empty()) continue;
    if (is_projector_name(entry.path().filename().string())) continue;
    if (part_of(entry.path().filename().string())) {
      log_->warn("a part of a model in several files was left out", {{"model", id}});
      continue;
    }
    Model model;
    model.id = id;
    model.file = entry.path();
    model.size = Bytes{entry.file_size(failed)};
    model.use = use_by_name(id);
    model.ours = true;
    models_.push_back(std::move(model));
  }
}

// The projectors that lie in the folder, for the models there that are called so.
void Models::take_in_projectors() {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder_, failed)) {
    const std::string name = entry.path().filename().string();
    if (is_projector_name(name) && entry.is_regular_file(failed)) names.push_back(name);
  }
  for (Model& model : models_) {
    if (!model.ours || model.use != Use::Chat || model.projector) continue;
    const std::string name = projector_named_for(model.id, names);
    if (name.empty()) continue;
    const fs::path file = folder_ / name;
    model.projector = Projector{file, Bytes{fs::file_size(file, failed)}, Json::object()};
  }
}

Result<const Model*> Models::find(std::string_view name) const {
  if (name.empty() || name == kDefaultName) return default_for(Use::Chat);
  const std::string wanted = lower(name);
  const Model* begun = nullptr;
  bool several = false;
  std::vector<std::string> ids;
  for (const Model& model : models_) {
    if (model.id == wanted) return &model;
    if (model.use != Use::Adapter) ids.push_back(model.id);
    if (model.id.starts_with(wanted)) {
      several = begun != nullptr;
      begun = &model;
    }
  }
  if (begun && !several) return begun;
  const std::string hint = nearest_hint(wanted, ids);
  // a name comes from outside: shown short
  return Error{Code::NotFound,
               cat("no model '", utf8_repaired(name.substr(0, 80)), "'",
                   hint.empty() ? list_hint(ids) : hint),
               "model"};
}

Json recommended_sampling(std::string_view id) {
  // https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, "How to use"
  if (id.starts_with(kEmbedded)) return {{"temperature", 0.2}, {"top_p", 0.9}};
  return nullptr;
}

Result<const Model*> Models::default_for(Use use) const {
  const Model* first = nullptr;
  for (const Model& model : models_) {
    if (model.use != use) continue;
    if (!first) first = &model;
    if (use == Use::Rerank) return first;
    if (model.id.starts_with(use == Use::Embedding ? kEmbedder : kEmbedded)) return &model;
  }
  if (first) return first;
  if (use == Use::Chat) {
    if (auto instead = default_for(Use::Completion)) return instead;
  }
  if (use != Use::Embedding && use != Use::Rerank)
    return Error{Code::NotFound, cat("there is no ", use_name(use), " model yet; ", kHowToGet),
                 "model"};
  // of these the catalogue has none
  return Error{Code::NotFound,
               cat("there is no ", use_name(use),
                   " model yet; `lares models pull hf:OWNER/REPOSITORY` "
                   "gets one of Hugging Face, `lares models add FILE` takes a GGUF file"),
               "model"};
}

Result<> check_name(const std::string& id, std::string_view doing) {
  if (!is_id(id)) {
    return Error{Code::Invalid,
                 cat(doing, ": '", utf8_repaired(id.substr(0, 80)),
                     "' is no name for a model; use a-z, 0-9, '.', '_', ':' and '-', at most ",
                     kIdLengthMax, " letters"),
                 "name"};
  }
  if (id == kDefaultName) {
    return Error{Code::Invalid,
                 cat(doing, ": '", id,
                     "' is no name for a model, because it stands for the one that answers when "
                     "none is named; give another with --name"),
                 "name"};
  }
  return Unit{};
}

Result<const Model*> Models::add(const fs::path& file, std::string id, Json info,
                                 std::optional<Projector> projector) {
  const std::string doing = cat("adding '", file.string(), "'");
  std::error_code failed;
  const fs::path whole = fs::canonical(file, failed);
  if (failed) {
    return lost_link(doing, file, failed.value())
        .value_or(Error{Code::NotFound, cat(doing, ": there is no such file")});
  }
  TRY(check_whole(doing, file));  // a link's name may tell more than its end's
  auto size = check_file(whole);
  if (!size) return std::move(size).error().within(doing);
  if (info.is_object() && info.value("type", "") == "projector") {
    return Error{Code::Invalid,
                 cat(doing,
                     ": this is a projector, which gives a model eyes or ears, and no model; "
                     "add both with: lares models add MODEL --projector ",
                     file.string())};
  }
  const bool named = !id.empty();
  if (!named) id = id_from(file.filename().string());
  TRY(check_name(id, doing));
  for (const Model& model : models_) {
    if (model.id == id && model.file != whole) {
      return Error{Code::Invalid,
                   cat(doing, ": the name '", id, "' is taken by '", model.file.string(),
                       "'; give another with --name"),
                   "name"};
    }
  }
  std::vector<Model> next = models_;
  std::erase_if(next, [&](const Model& m) { return m.id == id; });
  Model model;
  model.id = id;
  model.file = whole;
  model.size = *size;
  model.use = use_from(info);
  model.info = std::move(info);
  model.added_unix = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  model.ours = whole.parent_path() == folder_;
  model.projector = std::move(projector);
  next.insert(std::lower_bound(next.begin(), next.end(), model,
                               [](const Model& a, const Model& b) { return a.id < b.id; }),
              std::move(model));
  if (auto saved = save(next); !saved) return std::move(saved).error().within(doing);
  models_ = std::move(next);
  return find(id);
}

Result<> Models::set_info(const std::string& id, Json info) {
  for (Model& model : models_) {
    if (model.id != id) continue;
    if (model.info == info) return Unit{};
    model.use = use_from(info);
    model.info = std::move(info);
    return save(models_);
  }
  return Error{Code::NotFound, cat("no model '", id, "'")};
}

Result<> Models::set_pinned(const std::string& id, bool pinned) {
  for (Model& model : models_) {
    if (model.id != id) continue;
    if (model.pinned == pinned) return Unit{};
    std::vector<Model> changed = models_;
    changed[static_cast<size_t>(&model - models_.data())].pinned = pinned;
    TRY(save(changed));
    model.pinned = pinned;
    return Unit{};
  }
  return Error{Code::NotFound, cat("no model '", id, "'"), "model"};
}

Result<> Models::set_projector_info(const std::string& id, Json info) {
  for (Model& model : models_) {
    if (model.id != id || !model.projector) continue;
    if (model.projector->info == info) return Unit{};
    model.projector->info = std::move(info);
    return save(models_);
  }
  return Error{Code::NotFound, cat("no model '", id, "' with a projector")};
}

Result<> Models::remove(const std::string& id) {
  const auto found =
      std::find_if(models_.begin(), models_.end(), [&](const Model& m) { return m.id == id; });
  if (found == models_.end()) return Error{Code::NotFound, cat("no model '", id, "'"), "model"};
  const std::string doing = cat("removing '", id, "'");
  const Model& model = *found;
  std::vector<Model> next = models_;
  std::erase_if(next, [&](const Model& m) { return m.id == id; });
  auto saved = save(next);
  if (!saved && !(model.ours && saved.error().code == Code::NoRoom))
    return std::move(saved).error().within(doing);
  if (model.ours && ::unlink(model.file.c_str()) != 0 && errno != ENOENT) {
    Error error = system_error(cat(doing, ": deleting '", model.file.string(), "'"), errno);
    // the file stays, and is taken in again where even that cannot be written
    if (saved) (void)static_cast<bool>(save(models_));
    return error;
  }
  models_ = std::move(next);
  if (saved) return Unit{};
  if (auto again = save(models_); !again)  // there may be room now; if not, open() leaves it out
    log_->warn("models.json still names a model that was removed",
               {{"model", id}, {"why", again.error().message}});
  return Unit{};
}

Result<Fd> Models::open_file(const Model& model) {
  auto size = check_file(model.file);
  if (!size) return std::move(size).error().within(cat("model '", model.id, "'"));
  Fd fd(::open(model.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(cat("opening '", model.file.string(), "'"), errno);
  return fd;
}

Result<Fd> Models::open_projector(const Model& model) {
  assert(model.projector);
  const std::string doing = cat("the projector of '", model.id, "'");
  auto size = check_file(model.projector->file);
  if (!size) return std::move(size).error().within(doing);
  Fd fd(::open(model.projector->file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return system_error(cat(doing, ": opening '", model.projector->file.string(), "'"), errno);
  return fd;
}

Result<> Models::save(const std::vector<Model>& models) const {
  Json list = {{"format", kFormat}, {"models", Json::array()}};
  for (const Model& model : models) {
    list["models"].push_back({{"id", model.id},
                              {"file", model.file.string()},
                              {"size_bytes", model.size.n},
                              {"use", use_name(model.use)},
                              {"info", model.info},
                              {"added_unix", model.added_unix},
                              {"ours", model.ours}});
    if (model.pinned) list["models"].back()["pinned"] = true;
    if (model.projector) {
      list["models"].back()["projector"] = {{"file", model.projector->file.string()},
                                            {"size_bytes", model.projector->size.n},
                                            {"info", model.projector->info}};
    }
  }
  return write_file(folder_ / kListFile,
                    list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace lares::inventory
