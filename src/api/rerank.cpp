#include "api/rerank.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "api/answer.h"
#include "api/works.h"
#include "base/text.h"

namespace lares::api {
namespace {

class Reranking final : public Sink {
 public:
  Reranking(RerankRequest request, std::shared_ptr<Responder> responder)
      : request_(std::move(request)), responder_(std::move(responder)) {}

  void on(Event event) override {
    if (auto* started = std::get_if<Started>(&event)) {
      model_ = std::move(started->model);
    } else if (auto* embedded = std::get_if<Embedded>(&event)) {
      scores_ = std::move(*embedded);
    } else if (auto* ended = std::get_if<Ended>(&event)) {
      if (!ended->result) return responder_->error(ended->result.error());
      const auto answer = rerank_answer(request_, scores_, *ended, model_);
      if (!answer) return responder_->error(answer.error());
      responder_->whole(200, "application/json", dump(*answer),
                        lares_headers(ended->receipt.id, ended->receipt.place));
    }
  }

 private:
  const RerankRequest request_;
  std::string model_;
  Embedded scores_;
  const std::shared_ptr<Responder> responder_;
};

}  // namespace

Result<Json> rerank_answer(const RerankRequest& request, const Embedded& scores, const Ended& ended,
                           std::string_view model) {
  static_assert(std::endian::native == std::endian::little);
  const size_t count = request.count;
  if (scores.length != 1 || scores.vectors.size() != count * sizeof(float))
    return Error{Code::Corrupt, cat("ranking with '", model, "': ", scores.vectors.size(),
                                    " bytes of scores came for ", count, " documents")};
  std::vector<float> values(count);
  std::memcpy(values.data(), scores.vectors.data(), scores.vectors.size());
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    return Error{Code::Corrupt,
                 cat("ranking with '", model, "': a score is no number; its file may be damaged")};
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(std::min(count, request.top));
  Json results = Json::array();
  for (const size_t index : order) {
    Json result = {{"index", index}, {"relevance_score", values[index]}};
    if (!request.documents.empty()) result["document"] = {{"text", request.documents[index]}};
    results.push_back(std::move(result));
  }
  return Json{
      {"object", "list"},
      {"results", std::move(results)},
      {"model", model},
      {"usage", {{"prompt_tokens", ended.prompt_tokens}, {"total_tokens", ended.prompt_tokens}}},
      {"lares", route::answer_object(ended.receipt)}};
}

void rerank(RerankRequest request, std::shared_ptr<Responder> responder, Service& service) {
  const auto works = std::make_shared<Works>(service);
  responder->on_gone([works] { works->end(); });
  Work work = std::move(request.work);
  works->submit(std::move(work),
                std::make_shared<Reranking>(std::move(request), std::move(responder)));
}

}  // namespace lares::api
