// GET /v1/models and /v1/models/{id}: what there is to ask, in OpenAI's shape. Where the files lie
// is the person's business and stands only under /lares/v1/models.
#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

Json model_object(const Json& model) {
  const Json info = model.value("info", Json::object());
  Json meta = {{"size", model.value("size_bytes", Json())}};
  if (info.is_object()) {
    meta["n_ctx_train"] = info.value("context_train", Json());
    meta["n_params"] = info.value("parameters", Json());
    meta["n_vocab"] = info.value("vocabulary", Json());
    meta["n_embd"] = info.value("embedding_length", Json());
    meta["quantization"] = info.value("quantization", Json());
  }
  const auto use = model.value("use", "");
  const bool pools = use == "embedding" || use == "rerank";
  Json inputs = model.value("inputs", Json::array({"text"}));
  Json capabilities = Json::array({pools ? Json(use) : Json("completion")});
  for (const Json& input : inputs) {
    if (input != "text") capabilities.push_back("multimodal");  // llama-server's word for both
    if (input != "text") break;
  }
  return {{"id", model.value("id", "")},
          {"object", "model"},
          {"created", model.value("added_unix", int64_t{0})},
          {"owned_by", "lares"},
          {"capabilities", std::move(capabilities)},
          {"inputs", std::move(inputs)},
          {"status", {{"value", model.value("state", Json())}}},
          {"meta", std::move(meta)}};
}

void list(const Request& /*request*/, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("models.list", Json::object(), [responder](Result<Json> models) {
    if (!models) return responder->error(models.error());
    Json data = Json::array();
    for (const Json& model : *models) {
      // an adapter is no model that a client could choose
      if (model.value("use", "") != "adapter") data.push_back(model_object(model));
    }
    answer_json(*responder, {{"object", "list"}, {"data", std::move(data)}});
  });
}

void show(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("models.show", {{"name", request.path_parameters.at("id")}},
              [responder](Result<Json> model) {
                if (!model) {
                  Error error = std::move(model).error();
                  if (error.param.empty()) error.param = "model";
                  return responder->error(error);
                }
                if (model->value("use", "") == "adapter")
                  return responder->error({Code::NotFound,
                                           cat("'", model->value("id", ""),
                                               "' is an adapter and no model; requests name it in "
                                               "'lora'"),
                                           "model"});
                answer_json(*responder, model_object(*model));
              });
}

const Endpoint kList{
    .name = "GET /v1/models",
    .right = consent::Right::App,
    .summary = "Lists the models of this machine, in OpenAI's shape.",
    .answer = "OpenAiModels",
    .run = list,
};
const Endpoint kShow{
    .name = "GET /v1/models/{id}",
    .right = consent::Right::App,
    .summary = "One model; its id may contain '/' and ':'.",
    .answer = "OpenAiModel",
    .run = show,
};
const Registered<Endpoint> kListRegistered{kList};
const Registered<Endpoint> kShowRegistered{kShow};

}  // namespace
}  // namespace lares::api
