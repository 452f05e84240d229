// Part: the file that is being fetched and its journal, both by descriptors that were handed over.
// Bytes are written where they belong at once; checkpoint() makes them durable and then says so in
// the journal, so that a crash costs what came since, and nothing that was written is believed
// without its digest. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "egress/journal.h"
#include "egress/resolver.h"

namespace lares::egress {

class Part {
 public:
  // Takes up what the journal says. The beginnings of chunks are read and held against their
  // digests; with `check` whole chunks are too (after a reboot, a disk may have lost what it had
  // promised). Another file's journal is begun anew. Io, NoRoom; Cancelled by `tick`.
  static Result<Part> open(int part, int journal, uint64_t size, const std::string& identity,
                           bool check, const Tick& tick);

  uint64_t size() const { return size_; }
  size_t chunks() const { return states_.size(); }
  uint32_t have(size_t chunk) const { return states_[chunk].have; }
  bool is_whole(size_t chunk) const { return have(chunk) == size_of_chunk(size_, chunk); }
  uint64_t bytes_done() const { return done_; }

  // Appends to what is there of a chunk. Requires: it fits. NoRoom: the disk is full.
  Result<> write(size_t chunk, std::string_view bytes);
  // Since the last record, and since the last checkpoint.
  uint64_t bytes_unrecorded() const { return unrecorded_; }
  uint64_t bytes_unsaved() const { return unsaved_; }
  // Notes in the journal what is there, which outlives this process but not the machine.
  Result<> record();
  // The same, on the disk.
  Result<> checkpoint();

 private:
  Part(int part, int journal, uint64_t size) : part_(part), journal_(journal), size_(size) {}
  Result<> verify(size_t chunk, const HalfDigest& digest, const Tick& tick);
  Result<> append(std::string_view records);

  int part_;
  int journal_;
  uint64_t size_;
  std::vector<ChunkState> states_;   // have: with what is not recorded yet
  std::map<size_t, Sha256> hashes_;  // of chunks that are begun
  std::map<size_t, bool> changed_;   // since the last record
  uint64_t done_ = 0;
  uint64_t unrecorded_ = 0;
  uint64_t unsaved_ = 0;
  uint64_t journal_end_ = 0;
};

// The digest of all of a file; Cancelled by `tick`, Io.
Result<Digest> sha256_of_file(int file, uint64_t size, const Tick& tick);

}  // namespace lares::egress
