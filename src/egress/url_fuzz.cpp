#include "base/fuzz.h"
#include "egress/hosts.h"

using namespace lares::egress;

// Whatever a server writes into `Location`: what comes out is http or https, has one host, and
// reads the same again.
FUZZ(location) {
  const auto base = url_from("https://huggingface.co/a/b?c=d");
  assert(base);
  const auto url = url_from(bytes, *base);
  if (!url) return;
  assert(url->scheme == "https" || url->scheme == "http");
  const auto again = url_from(url->text);
  assert(again && again->host == url->host && again->port == url->port);
  static_cast<void>(static_cast<bool>(allowed(*url, {})));
}
