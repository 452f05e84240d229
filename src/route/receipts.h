// Receipts: the store of what became of each request (route/receipt.h): the last kReceiptsMax in
// memory, and on disk so that `lares why` works after a restart. A receipt is not acknowledged
// work: what the last second before a power cut brought may be missing.
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

  // Reads the folder's receipts.log. Unsupported when a newer Lares wrote it. A damaged file is set
  // aside and said in the log.
  static Result<Receipts> open(const std::filesystem::path& folder, Background background,
                               Log& log);

  void add(Receipt receipt);
  // The receipt of that id or of a unique beginning of it, or for "" the newest. NotFound
  // otherwise.
  Result<const Receipt*> find(std::string_view id) const;
  // At most `limit`, newest first.
  std::vector<const Receipt*> newest(size_t limit) const;

 private:
  class File;
  Receipts() = default;
  std::deque<Receipt> receipts_;  // oldest first
  std::shared_ptr<File> file_;    // used on the background thread only
  Background background_;
};

}  // namespace lares::route
