#include "base/fuzz.h"
#include "egress/journal.h"
#include "egress/sources.h"
#include "wire/pull.h"

using namespace lares::egress;

FUZZ(hub_model) {
  const auto model = read_hub_model(bytes);
  if (!model) return;
  static_cast<void>(licence_file(*model).has_value());
  for (const char* wanted : {"", "Q4_K_M", "x.gguf"}) {
    const auto file = choose_file(*model, wanted, "a/b");
    if (!file) continue;
    assert(file->name.find("..") == std::string::npos ||
           file->name.find('/') == std::string::npos ||
           file->name.find("/../") == std::string::npos);
    assert(file->size <= kFileSizeMax);
    assert(file->sha256.empty() || lares::wire::is_sha256(file->sha256));
  }
}

FUZZ(registry_manifest) {
  const auto layers = read_manifest(bytes);
  if (layers) {
    for (const Layer& layer : *layers) {
      assert(lares::wire::is_sha256(layer.digest));
      assert(layer.size <= kFileSizeMax);
    }
  }
  static_cast<void>(static_cast<bool>(read_token(bytes)));
}
