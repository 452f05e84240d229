#include "egress/download.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace lares::egress {
namespace {

SteadyTime now() { return std::chrono::steady_clock::now(); }

// One request for the rest of one chunk.
class Range final : public Receiver {
 public:
  Range(Part& part, size_t its_chunk, uint64_t& bytes_read)
      : chunk(its_chunk),
        first(uint64_t{its_chunk} * kChunkSize + part.have(its_chunk)),
        last(uint64_t{its_chunk} * kChunkSize + size_of_chunk(part.size(), its_chunk) - 1),
        part_(part),
        bytes_read_(bytes_read) {}

  Result<> begin(const Head& answered) override {
    head = answered;
    if (head.status != 206) return Error{Code::Cancelled, cat("status ", head.status)};
    const auto range = content_range_from(head.field("content-range"));
    if (!range || range->first != first || range->last != last || range->size != part_.size()) {
      wrong = true;
      return Error{Code::Corrupt, cat("the server was asked for bytes ", first, " to ", last,
                                      " of ", part_.size(), " and sends others")};
    }
    const std::string length = head.field("content-length");
    if (!length.empty() && length != cat(last + 1 - first)) {
      wrong = true;
      return Error{Code::Corrupt, cat("the server announces ", length.substr(0, 24), " bytes, and ",
                                      last + 1 - first, " were asked for")};
    }
    return Unit{};
  }
  Result<> take(std::string_view bytes) override {
    bytes_read_ += bytes.size();
    const uint64_t room = last + 1 - first - taken;
    if (bytes.size() > room) {
      wrong = true;
      return Error{Code::Corrupt, "the server sends more than it was asked for"};
    }
    auto written = part_.write(chunk, bytes);
    if (!written) {
      broken = written.error();
      return written;
    }
    taken += bytes.size();
    return Unit{};
  }
  bool whole() const { return taken == last + 1 - first; }

  const size_t chunk;
  const uint64_t first, last;
  uint64_t taken = 0;
  Head head;
  bool wrong = false;           // it sent what it was not asked for
  std::optional<Error> broken;  // our disk

 private:
  Part& part_;
  uint64_t& bytes_read_;
};

class Download {
 public:
  Download(Http& http, const Locate& where, Part& part, SameBy same, const Tick& tick,
           const std::function<void(const Heard&)>& tell)
      : http_(http), where_(where), part_(part), same_(same), tick_(tick), tell_(tell) {}

  Result<uint64_t> run() {
    auto fetched = fetch();
    for (auto& [id, range] : running_) http_.stop(id);
    // what came is kept, and an error of the disk says more than one of the network
    if (auto saved = part_.checkpoint(); !saved) return std::move(saved).error();
    TRY(fetched);
    return heard_.bytes_read;
  }

 private:
  Result<> fetch() {
    for (size_t chunk = 0; chunk < part_.chunks(); chunk++) {
      if (!part_.is_whole(chunk)) waiting_.push_back(chunk);
    }
    while (!waiting_.empty() || !running_.empty()) {
      if (!tick_()) return Error{Code::Cancelled, "it was stopped"};
      TRY(start_what_may());
      for (Http::Ended& ended : http_.wait(kTickEvery)) TRY(take_end(ended));
      TRY(checkpoint_when_due());
      heard_.bytes_done = part_.bytes_done();
      if (!running_.empty() && now() >= pause_until_) heard_.waiting.clear();
      tell_(heard_);
    }
    return Unit{};
  }

  Result<> start_what_may() {
    if (now() < pause_until_ || waiting_.empty() || running_.size() >= kParallel) return Unit{};
    if (!located_) {
      auto located = where_();
      if (!located) return lost(std::move(located).error(), std::nullopt);
      if (located->size != part_.size())
        return Error{Code::Busy, cat("the file changed on the server: it had ", part_.size(),
                                     " bytes and has ", located->size, "; it is begun again")};
      if (!etag_) etag_ = located->etag;
      if (*etag_ != located->etag && changes_counted())
        return Error{Code::Busy,
                     "the file changed on the server (another ETag); it is begun again"};
      etag_ = located->etag;
      located_ = std::move(*located);
    }
    while (!waiting_.empty() && running_.size() < kParallel) {
      const size_t chunk = waiting_.front();
      auto range = std::make_unique<Range>(part_, chunk, heard_.bytes_read);
      std::vector<std::string> headers = {cat("Range: bytes=", range->first, "-", range->last)};
      if (!located_->etag.empty()) headers.push_back(cat("If-Range: ", located_->etag));
      auto begun = http_.begin(located_->url, headers, *range);
      if (!begun) {
        if (begun.error().code == Code::Offline)
          return lost(std::move(begun).error(), std::nullopt);
        return std::move(begun).error();
      }
      waiting_.erase(waiting_.begin());
      running_.emplace(*begun, std::move(range));
    }
    return Unit{};
  }

  // The same address answered another ETag: once may be another machine of theirs, for a file whose
  // digest is known in advance it does not matter, and what was mixed shows in the digest.
  bool changes_counted() { return same_ == SameBy::Etag || ++changes_ > kWrongMax; }

  Result<> take_end(Http::Ended& ended) {
    const auto found = running_.find(ended.id);
    if (found == running_.end()) return Unit{};
    const std::unique_ptr<Range> range = std::move(found->second);
    running_.erase(found);
    if (range->taken > 0) fruitless_ = 0;
    if (range->broken) return *range->broken;
    if (ended.result && range->whole()) return Unit{};
    if (!part_.is_whole(range->chunk)) waiting_.insert(waiting_.begin(), range->chunk);
    if (range->wrong) {
      if (++wrong_ > kWrongMax)
        return std::move(ended.result).error().within(cat("fetching from '", located_host(), "'"));
      located_.reset();
      return lost(std::move(ended.result).error(), std::nullopt);
    }
    const int status = range->head.status;
    if (status == 0 || (status == 206 && !range->whole())) {
      Error why = ended.result ? Error{Code::Offline, cat("fetching from '", located_host(),
                                                          "': the answer was cut off")}
                               : std::move(ended.result).error();
      // certificates and forbidden addresses do not become right by asking again
      if (why.code != Code::Offline && why.code != Code::Timeout) return why;
      return lost(std::move(why), std::nullopt);
    }
    if (!located_) return Unit{};  // another transfer's answer has said so already
    Error why = status == 200 ? Error{Code::Busy, cat("fetching from '", located_host(),
                                                      "': the file changed there meanwhile")}
                              : status_error(range->head, located_->url, "the model");
    // a signed address that has ended, one that moved on, a file that is another now: look again
    located_.reset();
    return lost(std::move(why), retry_after_from(range->head.field("retry-after")));
  }

  // Something went wrong that may pass: pause, longer each time, until it is too often.
  Result<> lost(Error why, std::optional<std::chrono::seconds> asked) {
    const bool may_pass = why.code == Code::Offline || why.code == Code::Timeout ||
                          why.code == Code::Busy || why.code == Code::Corrupt;
    if (!may_pass && ++refused_ > kWrongMax) return why;
    if (why.code == Code::Cancelled || why.code == Code::NoRoom || why.code == Code::Io) return why;
    // four transfers lose one connection together: that is one try
    if (now() < pause_until_) return Unit{};
    if (++fruitless_ > kFruitlessMax) return why;
    milliseconds pause = std::min(kPauseMax, kPauseFirst * (1 << std::min(fruitless_ - 1, 6)));
    if (asked) pause = std::max<milliseconds>(pause, *asked);
    pause_until_ = now() + pause;
    heard_.waiting = why.message;
    return Unit{};
  }

  Result<> checkpoint_when_due() {
    if (part_.bytes_unsaved() == 0) {
      unsaved_since_.reset();
      return Unit{};
    }
    if (!unsaved_since_) unsaved_since_ = now();
    if (part_.bytes_unsaved() < kCheckpointBytes && now() - *unsaved_since_ < kCheckpointEvery)
      return part_.bytes_unrecorded() < kRecordBytes ? Result<>(Unit{}) : part_.record();
    unsaved_since_.reset();
    return part_.checkpoint();
  }

  std::string located_host() const { return located_ ? located_->url.host : "the server"; }

  Http& http_;
  const Locate& where_;
  Part& part_;
  const SameBy same_;
  const Tick& tick_;
  const std::function<void(const Heard&)>& tell_;
  Heard heard_;
  std::optional<Located> located_;
  std::optional<std::string> etag_;  // of the file that we began with
  std::vector<size_t> waiting_;      // chunks, the next first
  std::map<Http::TransferId, std::unique_ptr<Range>> running_;
  int fruitless_ = 0;
  int wrong_ = 0;
  int refused_ = 0;
  int changes_ = 0;
  SteadyTime pause_until_{};
  std::optional<SteadyTime> unsaved_since_;
};

}  // namespace

std::string strong_etag(const Head& head) {
  const std::string etag = head.field("etag");
  const bool strong = etag.size() >= 2 && etag.size() <= 256 && etag.front() == '"' &&
                      etag.find('"', 1) == etag.size() - 1;
  return strong ? etag : "";
}

Result<Located> locate(Http& http, const Url& url, std::string_view what) {
  TRY_AS(const Answer answer, http.look(url, {"Range: bytes=0-0"}));
  const Head& head = answer.head;
  if (head.status == 200) {
    return Error{Code::Unsupported,
                 cat("fetching ", what, " from '", answer.url.host,
                     "': this server gives no parts of files, so that an interrupted pull could "
                     "not go on; fetch the file by other means and use `lares models add FILE`")};
  }
  if (head.status != 206) return status_error(head, answer.url, what);
  const auto range = content_range_from(head.field("content-range"));
  if (!range || range->first != 0 || range->size > kFileSizeMax)
    return Error{Code::Corrupt, cat("fetching ", what, " from '", answer.url.host,
                                    "': the server does not say how large the file is")};
  return Located{answer.url, strong_etag(head), range->size};
}

Result<uint64_t> download(Http& http, const Locate& where, Part& part, SameBy same,
                          const Tick& tick, const std::function<void(const Heard&)>& tell) {
  return Download(http, where, part, same, tick, tell).run();
}

}  // namespace lares::egress
