#include "route/receipts.h"

#include <atomic>
#include <optional>

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
  number("bytes_left_device", receipt.bytes_left_device);
  number("prefill_tokens_per_s", receipt.prefill_tokens_per_s);
  number("decode_tokens_per_s", receipt.decode_tokens_per_s);
  if (receipt.id.empty()) return std::nullopt;
  return receipt;
}

}  // namespace

// The file, on the background thread.
class Receipts::File {
 public:
  File(std::filesystem::path path, store::DurableLog log)
      : path_(std::move(path)), log_(std::move(log)) {}

  void append(const std::string& record) {
    if (!log_.append(kReceiptRecord, record))
      return;  // the log remembers why, and answers it again
    (void)log_.sync();
    size_ = log_.size().n;
  }
  // Any thread. What is kept may itself be long: only what has come since counts.
  bool is_long() const { return size_ > kFileMax.n + floor_; }

  // Begins a new file with `records` in place of the old one.
  void rewrite(const std::vector<std::string>& records) {
    const std::filesystem::path fresh = path_.string() + ".new";
    std::error_code ignored;
    std::filesystem::remove(fresh, ignored);
    auto opened = store::DurableLog::open(fresh, [](const store::DurableLog::Record&) {});
    if (!opened) return;
    for (const std::string& record : records) {
      if (!opened->log.append(kReceiptRecord, record)) return;
    }
    if (!opened->log.sync()) return;
    std::filesystem::rename(fresh, path_, ignored);
    if (!ignored) log_ = std::move(opened->log);
    size_ = log_.size().n;
    floor_ = size_.load();
  }

 private:
  std::filesystem::path path_;
  store::DurableLog log_;
  std::atomic<uint64_t> size_{log_.size().n};
  std::atomic<uint64_t> floor_{0};  // its size after it was last written anew
};

Result<Receipts> Receipts::open(const std::filesystem::path& folder, Background background,
                                Log& log) {
  Receipts receipts;
  receipts.background_ = std::move(background);
  const std::filesystem::path path = folder / "receipts.log";
  TRY_AS(auto opened, store::DurableLog::open(path, [&](const store::DurableLog::Record& record) {
           if (record.type != kReceiptRecord) return;
           auto json = parse_cbor(record.payload);
           if (!json) return;
           auto receipt = read_receipt(*json);
           if (!receipt) return;
           receipts.receipts_.push_back(*std::move(receipt));
           if (receipts.receipts_.size() > kReceiptsMax) receipts.receipts_.pop_front();
         }));
  if (!opened.set_aside.empty())
    log.error("receipts.log could not be read whole; the damaged file was set aside");
  receipts.file_ = std::make_shared<File>(path, std::move(opened.log));
  return receipts;
}

void Receipts::add(Receipt receipt) {
  const std::string record = to_cbor(to_json(receipt));
  receipts_.push_back(std::move(receipt));
  if (receipts_.size() > kReceiptsMax) receipts_.pop_front();
  (void)background_([file = file_, record] { file->append(record); });
  if (!file_->is_long()) return;
  std::vector<std::string> records;
  for (const Receipt& each : receipts_) records.push_back(to_cbor(to_json(each)));
  (void)background_([file = file_, records = std::move(records)] {
    if (file->is_long()) file->rewrite(records);
  });
}

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
