// States: what the engine has computed of conversations (KV, windows, recurrent state), kept on
// disk, so that a model that left memory, or a machine that was started again, goes on where it
// was. What it is not: a place for anything that cannot be computed again. What does not open is
// given up, never repaired; and it does not know what is in the bytes that it keeps.
//
// A conversation is a chain of blocks of tokens, each with the state of exactly its positions;
// chains that begin alike share their blocks. A block never changes: a turn's last one is as short
// as the turn's end makes it, and the next turn goes on behind it. So a turn writes its own tokens'
// state and no more. What is not cut by positions is a checkpoint, kept at the end of a block.
//
//   find(all tokens) --> read(blocks, checkpoint) --> compute the rest
//        put(new block)* --> put_checkpoint() --> sync()        at the turn's end
//
// A lineage is what a state is valid for. Each has a key of its own, random, in the sealed
// manifest; forgetting one is leaving its key out (what of old manifests an SSD still holds is
// sealed by the store's key alone). What is in clear on disk says state_format.h.
//
// One process at a time (the daemon's lock sees to that) and one thread at a time. Blocking: not
// for the run loop. An id is good while the process lives; what was given up since is NotFound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/state_index.h"

namespace lares::store {

struct Lineage {
  struct Adapter {
    std::string id;
    float scale = 1;
  };
  std::string principal;
  std::string model_digest;
  std::vector<Adapter> adapters;  // in the order of the engine's sum
  std::string cache_type;         // "f16", or what stands for types of keys and values
  std::string engine;             // of another version no state can be read
  bool needs_checkpoint = false;  // the model cannot go on from blocks alone
};
// Requires at most this much of each of its texts.
inline constexpr size_t kLineageTextMax = 4096;

struct StatesOptions {
  Bytes cap = GiB(8);  // of all files together
  // Of a segment, or one record where that is larger; never over an eighth of `cap`.
  Bytes segment_max = MiB(64);
  unsigned read_threads = 2;
  NameOf name_of = block_name;  // tests have names that are equal
};

class States {
 public:
  struct Opened;
  // Opens `folder` or makes it, 0700, and reads what is in it by its heads alone. A damaged store,
  // or one of another key, begins afresh, since nothing in it can ever be read. Unsupported: a
  // newer Lares wrote it; nothing was changed. Requires: a key of kSealKeyBytes bytes. `clock` must
  // outlive it.
  static Result<Opened> open(const std::filesystem::path& folder, std::string_view key,
                             const Clock& clock, const StatesOptions& options);

  struct NewBlock {
    std::span<const int32_t> ids;  // 1 to kBlockTokensMax tokens
    std::span<const std::byte> state;
    double saves_ms = 0;  // what computing them again would take
  };
  // Keeps a block that follows `after` (kStateStart: the first) and returns its id; one that is
  // there already is not written again. NotFound: `after` is not there any more. NoRoom: the disk
  // is full, or the block is over the cap; what was there still is.
  Result<StateId> put(const Lineage& lineage, StateId after, const NewBlock& block);
  // Keeps the checkpoint at the end of the block `at`, unless it has one.
  Result<StateId> put_checkpoint(const Lineage& lineage, StateId at,
                                 std::span<const std::byte> state, double saves_ms);
  // All that was put before is on disk when it returns. After an error what was put since the last
  // sync() may be gone.
  Result<> sync();

  struct Held {
    StateId id = kStateStart;
    Tokens before = 0;  // where it begins
    Tokens until = 0;   // and ends, in the chain
    Bytes size;         // of its state
  };
  struct Found {
    std::vector<Held> blocks;  // from the first token on
    std::optional<Held> checkpoint;
    Tokens tokens = 0;  // how many of them all stand for
    Bytes size;         // of all their states together
  };
  // The longest beginning of `ids` that is kept; of a lineage that needs checkpoints, up to the
  // farthest of those.
  Found find(const Lineage& lineage, std::span<const int32_t> ids);

  // The states of `ids` one behind another, which must be just as long as `into`. Until it has
  // returned, `into` may hold bytes that nobody has verified; after an error it is zeros. Corrupt:
  // one of them was damaged, and is given up with all that followed it; find() says what is left.
  Result<> read(std::span<const StateId> ids, std::span<std::byte> into);

  // Gives up what is worth least until all is within `cap`.
  Result<> set_cap(Bytes cap);
  // Rewrites segments that are mostly dead, and gathers small ones. For idle moments; put() does
  // what it needs by itself.
  Result<> compact();

  // Makes all states of them unreadable, and their space free to be used. After an error they are
  // not to be found any more, but it has to be called again before that is so on disk.
  Result<> forget_principal(std::string_view principal);
  Result<> forget_model(std::string_view model_digest);

  struct Figures {
    Bytes cap;
    Bytes disk;     // of all files
    Bytes live;     // of these, what can be found
    Bytes written;  // to disk, since it was opened
    size_t blocks = 0;
    size_t checkpoints = 0;
    size_t lineages = 0;  // that have some
    size_t segments = 0;
    size_t quarantined = 0;  // damaged records and segments that were come across since opening
  };
  Figures figures() const;

 private:
  struct Segment {
    Digest salt{};
    uint64_t size = 0;
  };
  using FileIdentity = std::pair<uint64_t, uint64_t>;

  States(std::filesystem::path folder, SealKey key, const Clock& clock, StatesOptions options);

  // states_open.cpp
  Result<bool> load_manifest();
  void remove_strays();
  Result<uint64_t> load_segments();
  void link(std::vector<ScannedSegment::Record> records);
  Result<> present();
  Result<> save_manifest();
  Result<> sync_folder() const;

  // states_room.cpp
  Result<> make_room(Bytes need, StateId kept);
  Result<> reclaim(Bytes until);
  Result<> rewrite(uint64_t segment);
  Result<bool> rewrite(StateId id, const Fd& fd, std::span<char> scratch);
  Result<> drop_segment(uint64_t segment);
  Result<> settle();
  Result<> open_writer(uint64_t record_bytes);
  void retire_writer();
  Result<> forget(const std::function<bool(const Manifest::Lineage&)>& which);
  Bytes disk() const;
  uint64_t segment_max() const;

  Result<Manifest::Lineage> lineage_to_write(const Lineage& lineage, const Digest& digest);
  Result<StateId> write(StateItem item, std::span<const std::byte> state);
  Result<> sync(SegmentWriter& writer);
  struct Job;
  Result<std::vector<Job>> jobs(std::span<const StateId> ids, std::span<std::byte> into);
  // Gives up the item and what goes on from it.
  void give_up(StateId id);
  void quarantine(StateId id);
  void lose_segment(uint64_t segment, uint64_t from);
  void lose_all();
  uint64_t now_s() const;

  std::filesystem::path folder_;
  SealKey key_;
  const Clock* clock_;
  StatesOptions options_;
  StateIndex index_;
  std::map<LineageNumber, Manifest::Lineage> lineages_;
  std::map<Digest, LineageNumber> numbers_;
  std::map<uint64_t, Segment> segments_;
  std::optional<SegmentWriter> writer_;
  std::vector<SegmentWriter> retired_;    // full, and not yet synced
  std::optional<FileIdentity> manifest_;  // as we read or wrote it; none: there is none
  Bytes manifest_bytes_;
  bool manifest_stale_ = false;
  bool keys_to_destroy_ = false;  // the file on disk holds keys that are forgotten
  bool folder_unsynced_ = false;
  uint64_t next_segment_ = 1;
  size_t quarantined_ = 0;
  Bytes written_;
};

struct States::Opened {
  States states;
  bool fresh = false;  // there were some, which this key could not open
  Bytes torn;          // cut from ends that had not been synced
};

// Where the blocks end that [from, until) is to be kept in: each `block` tokens long but the last.
std::vector<Tokens> block_ends(Tokens from, Tokens until, Tokens block);

}  // namespace lares::store
