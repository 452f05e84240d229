// Models: which model files this house has, and their names. It never opens a model to parse it:
// what a file says of itself comes from a worker (wire::Loaded::info) and is kept here as JSON.
//
// Owned by the run loop. One file, models.json, beside the models; written whole on each change,
// before anything else changes. A models.json that a newer Lares wrote is refused; one that cannot
// be read is set aside under a new name and a fresh one begun.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "base/units.h"
#include "inventory/projectors.h"

namespace lares::inventory {

// Completion: it goes on with a text, but has no chat template.
// Adapter: no model, but what changes one; requests name it beside their model.
enum class Use { Chat, Completion, Embedding, Rerank, Adapter };
std::string_view use_name(Use use);  // "chat", "completion", "embedding", "rerank", "adapter"
// Vectors or scores, and no text.
inline bool pools(Use use) { return use == Use::Embedding || use == Use::Rerank; }

struct Model {
  std::string id;              // "smollm2-135m-instruct": lower case, [a-z0-9._:-], unique
  std::filesystem::path file;  // absolute; inside our folder, or in place elsewhere
  Bytes size;
  Use use = Use::Chat;
  Json info = Json::object();  // as the worker's Inspect told; empty until it was asked
  int64_t added_unix = 0;      // of a file that was put into the folder: when it was written
  bool ours = false;           // the file lies in our folder and goes with `rm`
  bool pinned = false;         // a person keeps it in memory once it is there
  std::optional<Projector> projector = {};  // what it sees or hears with
};

// What a file is by its first bytes: "GGUF", "a zip archive", "safetensors", "an HTML page",
// "empty"... For telling people; never a reason to trust the file.
std::string file_kind(std::string_view first_bytes);

// The id that a name or a file's name becomes: "Org/My-Model.Q4_1.gguf" is "org-my-model.q4_1". ""
// when nothing of it can stand in an id.
std::string id_from(std::string_view name);
// Whether a person may call a model so. Invalid, beginning with `doing`, when not.
Result<> check_name(const std::string& id, std::string_view doing);

// The models that Lares fetches by itself: the beginnings of their ids.
inline constexpr std::string_view kEmbedded = "smollm2-135m-instruct";
inline constexpr std::string_view kEmbedder = "all-minilm-l6-v2";
// How our own chats (never the API) ask a model, by its makers' word: temperature and top_p. At the
// engine's own default so small a model wanders. Null: nothing is recommended.
Json recommended_sampling(std::string_view id);
// What a request calls the model that answers when it names none. No model has it as its id.
inline constexpr std::string_view kDefaultName = "default";

// Which part of a model in several files a file is, by its name: "x-00002-of-00003.gguf" is the
// second of three. None for a model in one file. Parts are not supported.
struct Part {
  size_t number = 0;
  size_t of = 0;
};
std::optional<Part> part_of(std::string_view file_name);

class Models {
 public:
  // Reads the folder's models.json, and takes in *.gguf files that lie in the folder unlisted:
  // models, and the projectors that are named after them.
  // Unsupported, with what to do, when a newer version wrote it.
  static Result<Models> open(const std::filesystem::path& folder, Log& log);
  // The same without a change to the folder: Corrupt when the list cannot be read.
  static Result<Models> look(const std::filesystem::path& folder, Log& log);

  const std::vector<Model>& all() const { return models_; }  // by id
  // Takes in what was put into the folder since. A look at one folder of the local disk.
  void look_again();

  // The model that a request names: an id, a unique beginning of one, "default" or "" for the
  // default chat model. NotFound names the nearest.
  Result<const Model*> find(std::string_view name) const;
  // The default for a use: the configured one, else the embedded one, else the first; where nothing
  // chats, one for completions stands in. NotFound when there is none, with how to get one.
  Result<const Model*> default_for(Use use) const;

  // Lists a file where it lies. The id is made from the file's name, or `id` when given. Invalid:
  // not a GGUF (says what it is), empty, a name already taken or kDefaultName. Unsupported: a part
  // of a model in several files, or a projector alone. `info`: from a worker's Inspect.
  // `projector`: the model's, checked with check_projector(). An error leaves all as it was.
  Result<const Model*> add(const std::filesystem::path& file, std::string id, Json info,
                           std::optional<Projector> projector = {});
  Result<> set_info(const std::string& id, Json info);
  Result<> set_pinned(const std::string& id, bool pinned);
  Result<> set_projector_info(const std::string& id, Json info);
  // Forgets it; deletes the file only when it is ours. An error leaves all as it was. A full disk
  // is no reason to keep a file of ours: without the file its entry counts for nothing (see
  // open()).
  Result<> remove(const std::string& id);

  // Opens the model's file for reading. NotFound / Corrupt / Invalid / Unsupported say what became
  // of it.
  static Result<Fd> open_file(const Model& model);
  // The same of its projector. Requires: it has one.
  static Result<Fd> open_projector(const Model& model);

 private:
  Models(std::filesystem::path folder, Log& log) : folder_(std::move(folder)), log_(&log) {}
  Result<> save(const std::vector<Model>& models) const;
  void take_in_files();
  void take_in_projectors();
  std::filesystem::path folder_;
  Log* log_;
  std::vector<Model> models_;
};

// A GGUF that another program's folder holds. `program`: "Ollama", "LM Studio", "GPT4All", "Jan",
// "Hugging Face".
struct Found {
  std::string program;
  std::string name;  // as that program calls it; "org/repo/file" without .gguf from a hub's folder
  std::filesystem::path file;
  Bytes size;
};

// Looks through the folders of other programs under `home` (environment variables that move them
// are honoured). Follows no link out of them but Hugging Face's into its own blobs. Reads names,
// manifests and the first four bytes, nothing else. Leaves out projectors and the parts of models
// in several files, which cannot be used. Blocking: not on the run loop.
std::vector<Found> find_elsewhere(const std::filesystem::path& home);

}  // namespace lares::inventory
