#include "api/generation.h"

#include <chrono>
#include <optional>
#include <utility>

#include "api/answer.h"
#include "api/works.h"
#include "base/clock.h"

namespace lares::api {
namespace {

int64_t now_unix() {
  return std::chrono::duration_cast<std::chrono::seconds>(SystemClock().wall().time_since_epoch())
      .count();
}

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(const GenerationRequest& request, std::shared_ptr<Responder> responder,
             Service& service)
      : stream_(request.stream),
        include_usage_(request.include_usage),
        logprobs_(request.logprobs),
        choices_each_(request.works.front().choices),
        choices_(request.works.size() * choices_each_),
        running_(request.works.size()),
        responder_(std::move(responder)),
        works_(std::make_shared<Works>(service)) {
    head_.kind = request.works.front().kind;
    head_.created_unix = now_unix();
    total_.receipt.id.clear();
  }

  void begin(std::vector<Work> works) {
    // the responder may outlive us and must not keep us: it holds the list of works alone
    responder_->on_gone([works = works_] { works->end(); });
    for (size_t i = 0; i < works.size(); i++)
      works_->submit(std::move(works[i]),
                     std::make_shared<Part>(shared_from_this(), static_cast<unsigned>(i)));
  }

 private:
  // One prompt's events, with its place among the prompts.
  class Part final : public Sink {
   public:
    Part(std::shared_ptr<Generation> whole, unsigned prompt)
        : whole_(std::move(whole)), prompt_(prompt) {}
    void on(Event event) override {
      std::visit([&](auto& e) { whole_->on(prompt_, e); }, event);
    }

   private:
    const std::shared_ptr<Generation> whole_;
    const unsigned prompt_;
  };

  void on(unsigned /*prompt*/, Started& started) {
    if (over_ || begun_) return;
    begun_ = true;
    head_.id = answer_id(head_.kind, started.id);
    head_.model = started.model;
    if (!stream_) return;
    chunks_.emplace(head_, include_usage_, static_cast<unsigned>(choices_.size()));
    responder_->begin_stream("text/event-stream", lares_headers(started.id, "local"));
    std::string roles;
    for (unsigned i = 0; i < choices_.size(); i++) roles += chunks_->role(i);
    if (!roles.empty()) responder_->write(std::move(roles));
  }

  void on(unsigned prompt, Delta& delta) {
    if (over_) return;
    const unsigned index = prompt * choices_each_ + delta.choice;
    if (stream_) {
      responder_->write(chunks_->piece(delta, index, logprobs_ ? delta.logprobs : Json()));
      return;
    }
    Choice& choice = choices_[index];
    choice.text += delta.text;
    choice.reasoning += delta.reasoning;
    if (delta.tool_calls.is_array()) add_calls(choice.tool_calls, delta.tool_calls);
    if (logprobs_ && delta.logprobs.is_array()) {
      for (Json& entry : delta.logprobs) choice.logprobs.push_back(std::move(entry));
    }
  }

  void on(unsigned prompt, ChoiceDone& done) {
    if (over_) return;
    const unsigned index = prompt * choices_each_ + done.choice;
    choices_[index].reason = done.reason;
    finished_++;
    // the last one waits for the figures, which come with Ended at once
    if (stream_ && finished_ < choices_.size()) {
      responder_->write(chunks_->finish(index, done.reason, nullptr));
    } else {
      last_ = index;
    }
  }

  void on(unsigned /*prompt*/, Embedded&) {}  // belongs to other works

  void on(unsigned /*prompt*/, Ended& ended) {
    if (over_) return;
    if (!ended.result) return fail(ended.result.error());
    if (total_.receipt.id.empty()) total_.receipt = std::move(ended.receipt);
    total_.prompt_tokens += ended.prompt_tokens;
    total_.prompt_tokens_reused += ended.prompt_tokens_reused;
    total_.completion_tokens += ended.completion_tokens;
    total_.reasoning_tokens += ended.reasoning_tokens;
    total_.drafted_tokens += ended.drafted_tokens;
    total_.accepted_tokens += ended.accepted_tokens;
    const SteadyTime now = std::chrono::steady_clock::now();
    decode_.add(now, ended.decode_ms);
    prefill_.add(ms_before(now, ended.decode_ms), ended.prefill_ms);
    total_.prefill_ms = prefill_.ms();
    total_.decode_ms = decode_.ms();
    total_.message = std::move(ended.message);
    total_.not_kept = std::move(ended.not_kept);
    if (--running_ == 0) succeed();
  }

  void fail(const Error& error) {
    over_ = true;
    if (stream_ && begun_) {
      responder_->write(ChunkWriter::error(error));
      responder_->end_stream();
    } else {
      responder_->error(error);
    }
    works_->end();
  }

  void succeed() {
    if (!begun_) {  // a service that had nothing to start still gives a whole answer
      Started started{total_.receipt.id, total_.receipt.model};
      on(0, started);
    }
    over_ = true;
    for (Choice& choice : choices_) {
      if (choice.reason.empty()) choice.reason = "stop";
    }
    if (stream_) {
      std::string end =
          chunks_->finish(last_, choices_[last_].reason,
                          {{"timings", timings_object(total_)}, {"lares", lares_object(total_)}});
      if (include_usage_) end += chunks_->usage(total_);
      end += ChunkWriter::done();
      responder_->write(std::move(end));
      responder_->end_stream();
    } else {
      responder_->whole(200, "application/json",
                        dump(whole_answer(head_, choices_, logprobs_, total_)),
                        lares_headers(total_.receipt.id, total_.receipt.place));
    }
  }

  const bool stream_;
  const bool include_usage_;
  const bool logprobs_;
  const unsigned choices_each_;
  AnswerHead head_;
  std::vector<Choice> choices_;
  std::optional<ChunkWriter> chunks_;
  bool begun_ = false;
  bool over_ = false;
  size_t finished_ = 0;
  unsigned last_ = 0;
  size_t running_;
  Ended total_;
  Together prefill_, decode_;  // of all prompts
  const std::shared_ptr<Responder> responder_;
  const std::shared_ptr<Works> works_;
};

class Embedding final : public Sink {
 public:
  Embedding(const EmbeddingRequest& request, std::shared_ptr<Responder> responder)
      : inputs_(request.inputs),
        base64_(request.base64),
        dimensions_(request.dimensions),
        responder_(std::move(responder)) {}

  void on(Event event) override {
    if (auto* started = std::get_if<Started>(&event)) {
      model_ = std::move(started->model);
    } else if (auto* embedded = std::get_if<Embedded>(&event)) {
      embedded_ = std::move(*embedded);
    } else if (auto* ended = std::get_if<Ended>(&event)) {
      if (!ended->result) return responder_->error(ended->result.error());
      const auto answer =
          embeddings_answer(embedded_, inputs_, dimensions_, base64_, *ended, model_);
      if (!answer) return responder_->error(answer.error());
      responder_->whole(200, "application/json", dump(*answer),
                        lares_headers(ended->receipt.id, ended->receipt.place));
    }
  }

 private:
  const size_t inputs_;
  const bool base64_;
  const uint32_t dimensions_;
  std::string model_;
  Embedded embedded_;
  const std::shared_ptr<Responder> responder_;
};

}  // namespace

void generate(GenerationRequest request, std::shared_ptr<Responder> responder, Service& service) {
  assert(!request.works.empty());
  std::make_shared<Generation>(request, std::move(responder), service)
      ->begin(std::move(request.works));
}

void embed(EmbeddingRequest request, std::shared_ptr<Responder> responder, Service& service) {
  const auto works = std::make_shared<Works>(service);
  responder->on_gone([works] { works->end(); });
  auto sink = std::make_shared<Embedding>(request, std::move(responder));
  works->submit(std::move(request.work), std::move(sink));
}

}  // namespace lares::api
