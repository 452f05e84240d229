#include "api/exchange.h"

#include <cassert>
#include <utility>

namespace lares::api {
namespace {

class Handle final : public Responder {
 public:
  explicit Handle(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Handle() override { exchange_->abandon(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void whole(int status, std::string content_type, std::string body,
             std::map<std::string, std::string> headers) override {
    exchange_->whole(
        {.status = status, .content_type = std::move(content_type), .headers = std::move(headers)},
        std::move(body));
  }
  void error(const Error& error) override {
    const CodeRow& known = row(error.code);
    Start start{.status = known.http_status, .content_type = "application/json"};
    if (known.retry && (known.http_status == 429 || known.http_status == 503))
      start.headers["Retry-After"] = "1";
    exchange_->whole(std::move(start), error_body(error, exchange_->shape));
  }
  void begin_stream(std::string content_type, std::map<std::string, std::string> headers) override {
    exchange_->begin(
        {.content_type = std::move(content_type), .headers = std::move(headers), .streamed = true});
  }
  void write(std::string bytes) override { exchange_->write(bytes); }
  void end_stream() override { exchange_->end(); }
  void on_gone(std::function<void()> call) override { exchange_->on_gone(std::move(call)); }

 private:
  const std::shared_ptr<Exchange> exchange_;
};

}  // namespace

std::shared_ptr<Responder> responder_of(std::shared_ptr<Exchange> exchange) {
  return std::make_shared<Handle>(std::move(exchange));
}

void Exchange::notify_locked() {
  if (notified_ || !notify_) return;
  notified_ = true;
  notify_();
}

void Exchange::whole(Start start, std::string body) {
  std::function<void()> unused;
  const MutexLock lock(mutex_);
  assert(stage_ == Stage::Open);
  stage_ = Stage::Ended;
  unused.swap(gone_call_);
  if (gone_) return;
  start_ = std::move(start);
  bytes_ = std::move(body);
  notify_locked();
}

void Exchange::begin(Start start) {
  const MutexLock lock(mutex_);
  assert(stage_ == Stage::Open);
  stage_ = Stage::Streaming;
  if (gone_) return;
  start_ = std::move(start);
  notify_locked();
}

void Exchange::write(std::string_view bytes) {
  const MutexLock lock(mutex_);
  assert(stage_ == Stage::Streaming);
  if (gone_ || overflowed_ || bytes.empty()) return;
  if (bytes_.size() + in_flight_ + bytes.size() > buffer_max_) {
    overflowed_ = true;
    notified_ = false;  // this one must be heard
  } else {
    bytes_ += bytes;
  }
  notify_locked();
}

void Exchange::end() {
  std::function<void()> unused;
  const MutexLock lock(mutex_);
  assert(stage_ == Stage::Streaming);
  stage_ = Stage::Ended;
  if (!overflowed_) unused.swap(gone_call_);  // else the client is gone, and leave() says so
  notify_locked();
}

void Exchange::on_gone(std::function<void()> call) {
  {
    const MutexLock lock(mutex_);
    assert(!gone_call_);
    if (!gone_) {
      if (stage_ != Stage::Ended) gone_call_ = std::move(call);
      return;
    }
    if (post_) {
      post_(std::move(call));
      return;
    }
  }
  call();  // the connection has ended: nothing on the network thread is left to race with
}

void Exchange::abandon() {
  std::function<void()> unused;
  const MutexLock lock(mutex_);
  if (stage_ == Stage::Ended || gone_) return;
  if (stage_ == Stage::Open) {
    const Error error{Code::Io,
                      "answering: the request was dropped without an answer; this is a fault of "
                      "lares, and its log may say more"};
    start_ = Start{.status = row(error.code).http_status, .content_type = "application/json"};
    bytes_ = error_body(error, shape);
  } else {
    broken_ = true;
  }
  stage_ = Stage::Ended;
  unused.swap(gone_call_);
  notify_locked();
}

Exchange::Part Exchange::take() {
  const MutexLock lock(mutex_);
  notified_ = false;
  Part part{.start = std::exchange(start_, std::nullopt),
            .bytes = std::exchange(bytes_, {}),
            .ended = stage_ == Stage::Ended,
            .broken = broken_};
  in_flight_ = part.bytes.size();
  return part;
}

void Exchange::sent() {
  const MutexLock lock(mutex_);
  in_flight_ = 0;
}

bool Exchange::ended() const {
  const MutexLock lock(mutex_);
  return stage_ == Stage::Ended;
}

bool Exchange::overflowed() const {
  const MutexLock lock(mutex_);
  return overflowed_;
}

void Exchange::leave() {
  std::function<void()> call;
  {
    const MutexLock lock(mutex_);
    if (gone_) return;
    gone_ = true;
    call.swap(gone_call_);
    bytes_.clear();
  }
  if (call) call();
}

void Exchange::detach() {
  const MutexLock lock(mutex_);
  notify_ = nullptr;
  post_ = nullptr;
}

}  // namespace lares::api
