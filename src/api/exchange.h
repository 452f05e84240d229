// Exchange: one answer on its way from whoever writes it, on any thread, to the network thread that
// sends it. And the Responder that a handler holds, which is the writing end.
//
// Not a socket: http.cpp takes the bytes out and sends them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/endpoint.h"
#include "base/mutex.h"
#include "base/result.h"

namespace lares::api {

// How an answer begins.
struct Start {
  int status = 200;
  std::string content_type;
  std::map<std::string, std::string> headers;
  bool streamed = false;
};

// The state of one answer between the threads that write it and the network thread that sends it.
// Writes gather here, so any number of them wake the network thread once and leave in one send.
//
//   Open ──whole──────────────> Ended
//     └──begin──> Streaming ──end──> Ended        leave(): the client is gone; the rest is dropped
class Exchange {
 public:
  // `notify` has the network thread look, `post` has it run something; both never block, from any
  // thread.
  Exchange(ErrorShape error_shape, size_t buffer_max, std::function<void()> notify,
           std::function<void(std::function<void()>)> post)
      : shape(error_shape),
        buffer_max_(buffer_max),
        notify_(std::move(notify)),
        post_(std::move(post)) {}

  // Any thread.
  void whole(Start start, std::string body);
  void begin(Start start);
  void write(std::string_view bytes);
  void end();
  void on_gone(std::function<void()> call);
  void abandon();  // the last who could have answered is gone

  // Network thread.
  struct Part {
    std::optional<Start> start;
    std::string bytes;
    bool ended = false;
    bool broken = false;  // streaming was abandoned: no proper end can be sent
  };
  Part take();  // what is to be sent; the bytes count against the buffer until sent()
  void sent();
  bool ended() const;
  bool overflowed() const;
  void leave();   // calls what on_gone() gave, unless the answer has ended
  void detach();  // the connection ends: nothing is posted to it any more

  const ErrorShape shape;

 private:
  void notify_locked() REQUIRES(mutex_);
  enum class Stage { Open, Streaming, Ended };
  const size_t buffer_max_;
  mutable Mutex mutex_;
  std::function<void()> notify_ GUARDED_BY(mutex_);
  std::function<void(std::function<void()>)> post_ GUARDED_BY(mutex_);
  Stage stage_ GUARDED_BY(mutex_) = Stage::Open;
  std::optional<Start> start_ GUARDED_BY(mutex_);
  std::string bytes_ GUARDED_BY(mutex_);
  size_t in_flight_ GUARDED_BY(mutex_) = 0;
  bool notified_ GUARDED_BY(mutex_) = false;
  bool gone_ GUARDED_BY(mutex_) = false;
  bool overflowed_ GUARDED_BY(mutex_) = false;
  bool broken_ GUARDED_BY(mutex_) = false;
  std::function<void()> gone_call_ GUARDED_BY(mutex_);
};

// The writing end. When the last holder lets go without an answer, the client is told so.
std::shared_ptr<Responder> responder_of(std::shared_ptr<Exchange> exchange);

}  // namespace lares::api
