#include "route/receipts.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/mutex.h"
#include "base/text.h"
#include "store/log.h"

namespace lares::route {
namespace {

constexpr uint32_t kReceiptRecord = 1;
constexpr Bytes kFileMax = MiB(4);  // then it is written anew with what is kept

// What to_json wrote. Fields that are missing keep their defaults: an older Lares knew fewer.
std::optional<Receipt> read_receipt(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  Receipt receipt;
  const auto text = [&](const char* name, std::string& out) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_string()) out = found->get<std::string>();
  };
  const auto number = [&](const char* name, auto& out) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_number()) out = found->get<std::decay_t<decltype(out)>>();
  };
  text("id", receipt.id);
  text("endpoint", receipt.endpoint);
  text("principal", receipt.principal);
  text("model", receipt.model);
  text("place", receipt.place);
  text("outcome", receipt.outcome);
  text("error", receipt.error);
  if (const auto why = json.find("why"); why != json.end() && why->is_array()) {
    for (const Json& sentence : *why) {
      if (sentence.is_string()) receipt.why.push_back(sentence.get<std::string>());
    }
  }
  number("started_unix_ms", receipt.started_unix_ms);
  number("queue_ms", receipt.queue_ms);
  number("load_ms", receipt.load_ms);
  number("ttft_ms", receipt.ttft_ms);
  number("total_ms", receipt.total_ms);
  number("prompt_tokens", receipt.prompt_tokens);
  number("prompt_tokens_reused", receipt.prompt_tokens_reused);
  number("completion_tokens", receipt.completion_tokens);
  number("drafted_tokens", receipt.drafted_tokens);
  number("accepted_tokens", receipt.accepted_tokens);
  number("bytes_left_device", receipt.bytes_left_device);
  number("prefill_tokens_per_s", receipt.prefill_tokens_per_s);
  number("decode_tokens_per_s", receipt.decode_tokens_per_s);
  if (receipt.id.empty()) return std::nullopt;
  return receipt;
}

}  // namespace

// The file. What cannot be written waits in memory with the rest and is written by the next write()
// that can.
class Receipts::File {
 public:
  File(std::filesystem::path path, store::DurableLog file, std::deque<std::string> recent, Log& log)
      : path_(std::move(path)), file_(std::move(file)), recent_(std::move(recent)), log_(log) {}

  // Any thread. On disk after the next write().
  void keep(std::string record) {
    const MutexLock lock(mutex_);
    kept_.push_back(std::move(record));
    if (kept_.size() > kReceiptsMax) kept_.pop_front();
  }

  // Any thread. Why not everything is on disk, as the last write() found it.
  Result<> written() const {
    const MutexLock lock(mutex_);
    return written_;
  }

  // The background thread.
  void write() {
    {
      const MutexLock lock(mutex_);
      unwritten_ += kept_.size();
      recent_.insert(recent_.end(), std::make_move_iterator(kept_.begin()),
                     std::make_move_iterator(kept_.end()));
      kept_.clear();
    }
    while (recent_.size() > kReceiptsMax) recent_.pop_front();
    unwritten_ = std::min(unwritten_, recent_.size());
    const size_t waited = unwritten_;
    tell(append(), waited);
    if (unwritten_ > 0 || file_.size().n <= kFileMax.n + floor_) return;
    if (auto shorter = write_anew(); !shorter)
      log_.warn("receipts.log could not be made shorter", {{"why", shorter.error().message}});
    floor_ = file_.size().n;
  }

 private:
  Result<> append() {
    Result<> result = Unit{};
    size_t appended = 0;
    while (appended < unwritten_) {
      result = file_.append(kReceiptRecord, recent_[recent_.size() - unwritten_ + appended]);
      if (!result) break;
      appended++;
    }
    if (appended > 0) TRY(file_.sync());
    unwritten_ -= appended;
    return result;
  }

  // Begins a new file with what is kept in place of the old one.
  Result<> write_anew() {
    const std::filesystem::path fresh = path_.string() + ".new";
    std::error_code failed;
    std::filesystem::remove(fresh, failed);
    TRY_AS(auto opened, store::DurableLog::open(fresh, [](const store::DurableLog::Record&) {}));
    for (const std::string& record : recent_) TRY(opened.log.append(kReceiptRecord, record));
    TRY(opened.log.sync());
    std::filesystem::rename(fresh, path_, failed);
    if (failed) return system_error(cat("replacing '", path_.string(), "'"), failed.value());
    file_ = std::move(opened.log);
    return Unit{};
  }

  // Says in the log once that it goes wrong, and once that it goes well again.
  void tell(Result<> result, size_t waited) {
    const bool was_well = static_cast<bool>(written());
    if (!result && was_well)
      log_.warn("receipts cannot be written; they are kept in memory until they can",
                {{"why", result.error().message}});
    if (result && !was_well) log_.warn("receipts are written again", {{"receipts", waited}});
    if (!result)
      result = Error{result.error().code, cat(unwritten_, " of the last ", recent_.size(),
                                              " are not on disk: ", result.error().message)};
    const MutexLock lock(mutex_);
    written_ = std::move(result);
  }

  const std::filesystem::path path_;
  store::DurableLog file_;
  std::deque<std::string> recent_;  // the last kReceiptsMax, oldest first
  size_t unwritten_ = 0;            // of those, at the end
  uint64_t floor_ = 0;  // the file's size after it was last written anew: only what has come since
                        // counts, for what is kept may itself be long
  Log& log_;
  mutable Mutex mutex_;
  std::deque<std::string> kept_ GUARDED_BY(mutex_);  // since the last write()
  Result<> written_ GUARDED_BY(mutex_) = Unit{};
};

Result<Receipts> Receipts::open(const std::filesystem::path& folder, Background background,
                                Log& log) {
  Receipts receipts;
  receipts.background_ = std::move(background);
  const std::filesystem::path path = folder / "receipts.log";
  std::deque<std::string> records;
  TRY_AS(auto opened, store::DurableLog::open(path, [&](const store::DurableLog::Record& record) {
           if (record.type != kReceiptRecord) return;
           auto json = parse_cbor(record.payload);
           if (!json) return;
           auto receipt = read_receipt(*json);
           if (!receipt) return;
           receipts.receipts_.push_back(*std::move(receipt));
           records.emplace_back(record.payload);
           if (records.size() <= kReceiptsMax) return;
           receipts.receipts_.pop_front();
           records.pop_front();
         }));
  if (!opened.set_aside.empty()) {
    log.error(
        "receipts.log could not be read whole and was set aside under another name beside it; what "
        "could be read goes on",
        {{"set_aside", opened.set_aside.filename().string()}, {"receipts", records.size()}});
  }
  receipts.file_ = std::make_shared<File>(path, std::move(opened.log), std::move(records), log);
  return receipts;
}

void Receipts::add(Receipt receipt) {
  file_->keep(to_cbor(to_json(receipt)));
  receipts_.push_back(std::move(receipt));
  if (receipts_.size() > kReceiptsMax) receipts_.pop_front();
  flush();
}

void Receipts::flush() {
  // a full queue is no loss: what is kept is written by the next task that finds room in it
  (void)background_([file = file_] { file->write(); });
}

Result<> Receipts::written() const { return file_->written(); }

Result<const Receipt*> Receipts::find(std::string_view id) const {
  if (receipts_.empty())
    return Error{Code::NotFound, "there are no receipts yet; ask something first"};
  if (id.empty()) return &receipts_.back();
  const Receipt* begun = nullptr;
  for (auto it = receipts_.rbegin(); it != receipts_.rend(); ++it) {
    if (it->id == id) return &*it;
    if (it->id.starts_with(id)) {
      if (begun)
        return Error{Code::NotFound,
                     cat("more than one receipt begins with '", utf8_repaired(id.substr(0, 40)),
                         "'; give more of its letters")};
      begun = &*it;
    }
  }
  if (begun) return begun;
  return Error{Code::NotFound,
               cat("no receipt '", utf8_repaired(id.substr(0, 40)), "' among the last ",
                   receipts_.size(), "; `lares why` without a name shows the newest")};
}

std::vector<const Receipt*> Receipts::newest(size_t limit) const {
  std::vector<const Receipt*> found;
  for (auto it = receipts_.rbegin(); it != receipts_.rend() && found.size() < limit; ++it)
    found.push_back(&*it);
  return found;
}

}  // namespace lares::route
