// Pulls: models on their way into this house. It starts one lares-egress for each pull that may go
// on, makes room on the disk before a byte is fetched, has the whole held against its digest by a
// second process without a network, has the file looked into like any other model, and only then
// moves it among the models. What is fetched survives a crash and a reboot: each pull is a folder
// below the models' with the part, its journal and an order that says what it is to become.
//
//   resolving ──Found──> reserving ──room──> fetching ──Pulled──> verifying ──digest──> inspecting
//     |                     |                  |  ^                   |                   |    |
//     |                     |          lost ───'  '── waiting <─      |                   |    v
//     '──────── Failed ─────'──────────────> failed <─────────────────'───────────────────'  done
//   stop(): waiting, until it is asked for again.   cancel(): cancelled, and nothing is left.
//
// What lares-egress says is hostile input like a worker's. Owned by the run loop; what blocks is
// done on `disk`, whose owner must end it before this goes.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/background.h"
#include "app/pull_digests.h"
#include "app/pull_source.h"
#include "base/log.h"
#include "base/loop.h"
#include "host/worker.h"
#include "wire/pull.h"

namespace lares::app {

class Pulls {
 public:
  enum class State {
    Resolving,
    Reserving,
    Fetching,
    Verifying,
    Inspecting,
    Done,
    Failed,
    Cancelled,
    Waiting
  };

  static constexpr size_t kRunningMax = 3;
  static constexpr size_t kKeptMax = 64;  // in the list, those that ended included
  static constexpr milliseconds kRetryFirst{5'000};
  static constexpr milliseconds kRetryMax{300'000};
  static constexpr milliseconds kLookAgain{1'000};  // when others are looked into
  static constexpr milliseconds kRateOver{5'000};
  static constexpr milliseconds kKeepEvery{10'000};  // how far it is, for the next daemon

  using Inspected = std::function<void(Result<Json>)>;
  class Owner {
   public:
    virtual ~Owner() = default;
    // As `models add` does it: in a worker that is thrown away.
    virtual void inspect_pulled(Fd file, const std::string& name, Inspected done) = 0;
    virtual Result<Json> add_pulled(const std::filesystem::path& file, const std::string& id,
                                    Json info) = 0;
    virtual bool has_model(const std::string& id) const = 0;
  };
  using Spawn =
      std::function<Result<std::unique_ptr<host::Worker>>(host::WorkerSpec, host::Worker::OnEvent)>;
  struct Known {
    std::string source;
    std::string sha256;       // "" where nobody gave it
    uint64_t size_bytes = 0;  // 0: not known to the byte
  };
  struct Options {
    std::filesystem::path models;   // the folder of models
    std::filesystem::path program;  // lares-egress
    std::string hub_url = "https://huggingface.co";
    std::string registry_url = "https://registry.ollama.ai";
    std::vector<std::string> hosts{};
    std::vector<std::string> name_servers{};
    std::string authorities_file{};
    std::string hub_token_file{};
    bool private_addresses = false;
    bool plain_http = false;
    uint32_t stall_s = 30;
    // What a name of the catalogue, or the source of one of its entries, stands for; nullopt: none.
    std::function<std::optional<Known>(const std::string&)> catalogue{};
  };

  // The references must outlive it.
  Pulls(Loop& loop, Log& log, Background& disk, Spawn spawn, Options options, Owner& owner);
  ~Pulls();

  // Takes up what an earlier daemon left unfinished. Reads small files of ours: at start only.
  void resume();

  // Begins to pull, or goes on, or joins the pull of the same source. `sha256`: what the file must
  // be; "": what the catalogue says or what came from there before, where that is known. Invalid,
  // Busy.
  Result<Json> add(const std::string& written, std::string wanted_name, std::string sha256);
  Json list() const;
  Result<Json> show(const std::string& id) const;
  // Ends it, removes what was fetched, and takes it off the list when that is gone. Of one that is
  // done the model stays.
  Result<Json> cancel(const std::string& id);
  // Ends it for now: the same pull goes on from there when it is asked for again.
  Result<Json> stop(const std::string& id);
  // What lies beside a model that is removed goes with it. Which digest its source had stays known.
  void forget_model(const std::string& id);
  // The file that says where a model of that id was pulled from; see read_besides().
  std::filesystem::path besides(const std::string& model) const;
  size_t running() const;
  void stop_all();

 private:
  struct Pull;

  struct Expected;

  Pull* find(const std::string& id) const;
  Json shown(const Pull& pull) const;
  void start(Pull& pull);
  void begin(Pull& pull);
  void spawn(Pull& pull, Fd part, Fd journal, const wire::Resolve& order);
  void on_event(const std::string& id, uint64_t run, host::WorkerEvent event);
  void on_frame(Pull& pull, const wire::Frame& frame);
  void on_found(Pull& pull, wire::Found found);
  void on_fetched(Pull& pull, const wire::Fetched& fetched);
  void on_hashed(Pull& pull, const wire::Hashed& hashed);
  void verify(Pull& pull);
  void inspect(Pull& pull);
  void move_in(Pull& pull, Json info);
  void finish(Pull& pull);
  void lost(Pull& pull, Error error);
  void fail(Pull& pull, Error error);
  void end_worker(Pull& pull);
  void start_waiting();
  void forget_oldest();
  void save(const Pull& pull);
  Expected expected(const Pull& pull, const std::string& place) const;
  // An error where what the registry says is not what is expected.
  Result<> agrees(const Pull& pull, const wire::Found& found) const;
  void remember(const std::string& place, const std::string& sha256);
  void read_digests();
  std::filesystem::path folder_of(const Pull& pull) const;
  // Runs `work` on the disk's thread and then `then` here with what it answered, unless the pull is
  // gone or was begun anew by then.
  template <class T>
  void on_disk(Pull& pull, std::function<Result<T>()> work,
               std::function<void(Pull&, Result<T>)> then);

  Loop& loop_;
  Log& log_;
  Background& disk_;
  const Spawn spawn_;
  const Options options_;
  Owner& owner_;
  std::map<std::string, std::unique_ptr<Pull>> pulls_;  // by id
  PullDigests digests_;
  std::vector<std::unique_ptr<host::Worker>> buried_;  // destroyed outside their own call
  bool stopping_ = false;
};

std::string_view name(Pulls::State state);

// The name that a model gets whose source calls it so: an id, or "" when nothing of it can stand in
// one.
std::string model_name_from(std::string_view found_name);

}  // namespace lares::app
