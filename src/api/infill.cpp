#include "api/infill.h"

#include <cassert>
#include <utility>

#include "api/answer.h"
#include "api/works.h"

namespace lares::api {
namespace {

std::string event(const Json& json) { return "data: " + dump(json) + "\n\n"; }

class Infilling final : public Sink {
 public:
  Infilling(bool stream, std::shared_ptr<Responder> responder)
      : stream_(stream), responder_(std::move(responder)) {}

  void on(Event event) override {
    std::visit([&](auto& one) { take(one); }, event);
  }

 private:
  void take(Started& started) {
    if (begun_) return;
    begun_ = true;
    model_ = std::move(started.model);
    if (stream_) responder_->begin_stream("text/event-stream", lares_headers(started.id, "local"));
  }

  void take(Delta& delta) {
    if (stream_) {
      responder_->write(event({{"index", 0}, {"content", delta.text}, {"stop", false}}));
    } else {
      text_ += delta.text;
    }
  }

  void take(ChoiceDone& done) { done_ = std::move(done); }
  void take(Embedded&) {}  // belongs to other works

  void take(Ended& ended) {
    if (!ended.result) {
      if (!stream_ || !begun_) return responder_->error(ended.result.error());
      responder_->write(ChunkWriter::error(ended.result.error()));
      return responder_->end_stream();
    }
    if (!begun_) {
      Started started{ended.receipt.id, ended.receipt.model};
      take(started);
    }
    const Json last = {{"index", 0},
                       {"content", text_},
                       {"stop", true},
                       {"stop_type", done_.reason == "length" ? "limit"
                                     : done_.stop.empty()     ? "eos"
                                                              : "word"},
                       {"stopping_word", done_.stop},
                       {"model", model_},
                       {"tokens_predicted", ended.completion_tokens},
                       {"tokens_evaluated", ended.prompt_tokens},
                       {"tokens_cached", ended.prompt_tokens_reused},
                       {"timings", timings_object(ended)},
                       {"lares", lares_object(ended)}};
    if (stream_) {
      responder_->write(event(last));
      responder_->end_stream();
    } else {
      responder_->whole(200, "application/json", dump(last),
                        lares_headers(ended.receipt.id, ended.receipt.place));
    }
  }

  const bool stream_;
  bool begun_ = false;
  std::string model_;
  std::string text_;
  ChoiceDone done_;
  const std::shared_ptr<Responder> responder_;
};

}  // namespace

void infill(GenerationRequest request, std::shared_ptr<Responder> responder, Service& service) {
  assert(request.works.size() == 1);
  const auto works = std::make_shared<Works>(service);
  responder->on_gone([works] { works->end(); });
  auto sink = std::make_shared<Infilling>(request.stream, std::move(responder));
  works->submit(std::move(request.works.front()), std::move(sink));
}

}  // namespace lares::api
