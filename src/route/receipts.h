// Receipts: the store of what became of each request (route/receipt.h): the last kReceiptsMax in
// memory, and on disk so that `lares why` works after a restart. A receipt is not acknowledged
// work: what the last second before a power cut brought may be missing. What the disk has no room
// for waits in memory and is written when there is room; the log says so once, and `lares doctor`.
//
// Owned by the run loop, which never waits for the disk: writing is handed to `background`, which
// runs tasks one after another on a thread of its own.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/log.h"
#include "base/loop.h"
#include "route/receipt.h"

namespace lares::route {

class Receipts {
 public:
  using Background = std::function<bool(Task)>;  // false: its queue is full; the task was dropped

  // `log` must outlive it and its tasks. Reads the folder's receipts.log. Unsupported when a newer
  // Lares wrote it. A damaged file is set aside and said in the log.
  static Result<Receipts> open(const std::filesystem::path& folder, Background background,
                               Log& log);

  void add(Receipt receipt);
  // Tries again to write what could not be written; nothing to do otherwise.
  void flush();
  // Whether what was added is on disk, as the last try found it; the error says how many are not.
  Result<> written() const;
  // The receipt of that id or of a unique beginning of it, or for "" the newest. NotFound
  // otherwise.
  Result<const Receipt*> find(std::string_view id) const;
  // At most `limit`, newest first.
  std::vector<const Receipt*> newest(size_t limit) const;

 private:
  class File;
  Receipts() = default;
  std::deque<Receipt> receipts_;  // oldest first
  std::shared_ptr<File> file_;    // shared with the tasks on the background thread
  Background background_;
};

}  // namespace lares::route
