#include "egress/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace lares::egress {
namespace {

constexpr long kCacheMax = 16;  // connections kept open
constexpr long kBufferSize = 256L << 10;
constexpr size_t kAuthoritiesMax = 4u << 20;

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
using Store = std::unique_ptr<X509_STORE, FreeStore>;

// The authorities of this system; read once, before there are no files any more.
Store& system_store() {
  static Store store;
  return store;
}

Result<> add_pem(X509_STORE* store, std::string_view pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  int added = 0;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    added += X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
  }
  if (added == 0)
    return Error{Code::Invalid,
                 "models.authorities_file names a file without certificates; name one with PEM"};
  return Unit{};
}

CURLcode use_store(CURL*, void* context, void* store) {
  SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), static_cast<X509_STORE*>(store));
  return CURLE_OK;
}

std::optional<Address> address_of(const sockaddr& socket_address) {
  Address address;
  if (socket_address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &socket_address, sizeof(in));
    std::memcpy(address.bytes.data(), &in.sin_addr, 4);
    return address;
  }
  if (socket_address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &socket_address, sizeof(in));
    address.v6 = true;
    std::memcpy(address.bytes.data(), &in.sin6_addr, 16);
    return address;
  }
  return std::nullopt;
}

// The last look before a connection is made: whatever led here, the address must be allowed.
curl_socket_t open_socket(void* policy, curlsocktype purpose, curl_sockaddr* to) {
  const auto address = address_of(to->addr);
  if (purpose != CURLSOCKTYPE_IPCXN || !address ||
      !allowed(*address, "", *static_cast<const Policy*>(policy)))
    return CURL_SOCKET_BAD;
  const int fd = ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  if (fd >= 0)  // a kernel that does not know it takes more, and a crash costs more
    static_cast<void>(
        ::setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &kWindowMax, sizeof(kWindowMax)) != 0);
  return fd;
}

std::string bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : cat("[", host, "]");
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

void append(List& list, const std::string& text) {
  curl_slist* longer = curl_slist_append(list.get(), text.c_str());
  assert(longer);
  if (longer != list.get()) {  // it was empty: otherwise the same, one longer
    assert(!list);
    list.reset(longer);
  }
}

// Keeps a small body in memory, or none.
class Small final : public Receiver {
 public:
  Small(size_t most, bool head_only) : most_(most), head_only_(head_only) {}
  Result<> begin(const Head& head) override {
    answer.head = head;
    if (head_only_) {
      enough = true;
      return Error{Code::Cancelled, "the head is enough"};
    }
    return Unit{};
  }
  Result<> take(std::string_view bytes) override {
    if (answer.body.size() + bytes.size() > most_)
      return Error{Code::Corrupt, cat("the answer has more than ", Bytes{most_},
                                      ", which is more than it can have")};
    answer.body += bytes;
    return Unit{};
  }
  Answer answer;
  bool enough = false;

 private:
  size_t most_;
  bool head_only_;
};

Error transfer_error(CURLcode code, const Url& url, const char* detail) {
  const std::string doing = cat("fetching from '", url.host, "': ");
  const std::string_view says = *detail ? detail : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Code::Offline, cat(doing, "no connection (", says, "); look at the network")};
    case CURLE_OPERATION_TIMEDOUT:
      return {Code::Timeout, cat(doing, "nothing comes any more (", says, ")")};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {Code::Denied, cat(doing, "its certificate does not prove that it is that host (",
                                says, "); is something between you and it, or the clock wrong?")};
    case CURLE_SSL_CONNECT_ERROR:
      return {Code::Offline, cat(doing, "no encrypted connection (", says, ")")};
    default: return {Code::Offline, cat(doing, "the connection was lost (", says, ")")};
  }
}

}  // namespace

struct Http::Library {
  CURLM* multi = nullptr;
  Store store;
};

struct Http::Transfer {
  CURL* easy = nullptr;
  Url url;
  List headers, pins;
  Receiver* receiver = nullptr;
  Head head;
  size_t head_bytes = 0;
  bool begun = false;
  std::optional<Error> refused;  // by us, while it ran
  std::array<char, CURL_ERROR_SIZE> detail{};

  ~Transfer() {
    if (easy) curl_easy_cleanup(easy);
  }

  static size_t on_head(char* data, size_t size, size_t count, void* user) {
    auto& self = *static_cast<Transfer*>(user);
    auto added = add_head_line(self.head, {data, size * count}, self.head_bytes);
    if (!added) {
      self.refused = std::move(added).error();
      return 0;
    }
    return size * count;
  }
  bool begin_once() {
    if (begun || refused) return !refused;
    begun = true;
    if (auto may = receiver->begin(head); !may) refused = std::move(may).error();
    return !refused;
  }
  static size_t on_body(char* data, size_t size, size_t count, void* user) {
    auto& self = *static_cast<Transfer*>(user);
    if (!self.begin_once()) return 0;
    if (auto taken = self.receiver->take({data, size * count}); !taken) {
      self.refused = std::move(taken).error();
      return 0;
    }
    return size * count;
  }
};

Result<> Http::prepare() {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return Error{Code::Unsupported, "starting libcurl: it does not start"};
  Store store(X509_STORE_new());
  // where Debian, Fedora and Alpine keep them, in one file each
  for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/cert.pem"}) {
    const auto pem = read_file(file, Bytes{kAuthoritiesMax});
    if (!pem) continue;
    if (auto added = add_pem(store.get(), *pem)) break;
  }
  system_store() = std::move(store);
  // OpenSSL reads its own configuration and learns its algorithms on first use: now
  SSL_CTX* first = SSL_CTX_new(TLS_client_method());
  SSL_CTX_free(first);
  return Unit{};
}

Http::Http(Options options, Resolver& resolver, Tick tick)
    : options_(std::move(options)),
      resolver_(resolver),
      tick_(std::move(tick)),
      library_(std::make_unique<Library>()) {
  library_->multi = curl_multi_init();
  assert(library_->multi);
  curl_multi_setopt(library_->multi, CURLMOPT_MAXCONNECTS, kCacheMax);
  curl_multi_setopt(library_->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  if (system_store()) {
    X509_STORE_up_ref(system_store().get());
    library_->store.reset(system_store().get());
  } else {
    library_->store.reset(X509_STORE_new());
  }
}

Result<> Http::trust(std::string_view authorities) {
  return add_pem(library_->store.get(), authorities);
}

Http::~Http() {
  for (auto& [id, transfer] : transfers_) curl_multi_remove_handle(library_->multi, transfer->easy);
  transfers_.clear();
  curl_multi_cleanup(library_->multi);
}

void Http::add_credential(const std::string& origin, std::string header) {
  credentials_[origin] = std::move(header);
}

Result<> Http::connectable(const Url& url) {
  TRY(allowed(url, options_.policy));
  TRY_AS(const std::vector<Address> addresses, resolver_.resolve(url.host, options_.policy));
  std::string list;
  for (const Address& address : addresses)
    list += cat(list.empty() ? "" : ",",
                address.v6 ? cat("[", to_string(address), "]") : to_string(address));
  pinned_[cat(bracketed(url.host), ":", url.port)] = std::move(list);
  return Unit{};
}

Result<Http::TransferId> Http::begin(const Url& url, const std::vector<std::string>& headers,
                                     Receiver& receiver) {
  TRY(connectable(url));
  auto owned = std::make_unique<Transfer>();
  Transfer& transfer = *owned;
  transfer.url = url;
  transfer.receiver = &receiver;
  transfer.easy = curl_easy_init();
  assert(transfer.easy);
  append(transfer.headers, "Accept-Encoding: identity");
  for (const std::string& header : headers) append(transfer.headers, header);
  if (const auto credential = credentials_.find(url.origin()); credential != credentials_.end())
    append(transfer.headers, credential->second);
  const std::string place = cat(bracketed(url.host), ":", url.port);
  if (!address_from(url.host)) append(transfer.pins, cat(place, ":", pinned_[place]));

  const auto set = [&](auto option, auto value) {
    const CURLcode done = curl_easy_setopt(transfer.easy, option, value);
    assert(done == CURLE_OK);
  };
  set(CURLOPT_URL, url.text.c_str());
  set(CURLOPT_PROTOCOLS_STR, options_.policy.plain_http ? "https,http" : "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");  // whatever the environment says
  set(CURLOPT_NOPROXY, "*");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
  set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  set(CURLOPT_SSL_CTX_FUNCTION, &use_store);
  set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(library_->store.get()));
  set(CURLOPT_RESOLVE, transfer.pins.get());
  set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&options_.policy));
  set(CURLOPT_USERAGENT, "lares/" LARES_VERSION);
  set(CURLOPT_HTTPHEADER, transfer.headers.get());
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_head);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_ERRORBUFFER, transfer.detail.data());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(kConnectMax.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(kStallBytesPerSecond));
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall.count()));
  set(CURLOPT_BUFFERSIZE, kBufferSize);
  const CURLMcode added = curl_multi_add_handle(library_->multi, transfer.easy);
  assert(added == CURLM_OK);
  const TransferId id = next_++;
  transfers_.emplace(id, std::move(owned));
  return id;
}

std::vector<Http::Ended> Http::wait(milliseconds limit) {
  if (!ended_meanwhile_.empty()) return std::exchange(ended_meanwhile_, {});
  return run(limit);
}

std::vector<Http::Ended> Http::run(milliseconds limit) {
  int running = 0;
  curl_multi_perform(library_->multi, &running);
  std::vector<Ended> ended;
  int left = 0;
  const auto gather = [&] {
    while (const CURLMsg* message = curl_multi_info_read(library_->multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      for (auto it = transfers_.begin(); it != transfers_.end(); ++it) {
        Transfer& transfer = *it->second;
        if (transfer.easy != message->easy_handle) continue;
        Ended one{.id = it->first};
        if (code == CURLE_OK) transfer.begin_once();  // an answer without a body
        if (transfer.refused) {
          one.result = *std::move(transfer.refused);
        } else if (code != CURLE_OK) {
          one.result = transfer_error(code, transfer.url, transfer.detail.data());
          // next time other addresses may answer
          if (code == CURLE_COULDNT_CONNECT) resolver_.forget(transfer.url.host);
        }
        ended.push_back(std::move(one));
        curl_multi_remove_handle(library_->multi, transfer.easy);
        transfers_.erase(it);
        break;
      }
    }
  };
  gather();
  if (!ended.empty()) return ended;
  curl_multi_poll(library_->multi, nullptr, 0, static_cast<int>(limit.count()), nullptr);
  curl_multi_perform(library_->multi, &running);
  gather();
  return ended;
}

void Http::stop(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  curl_multi_remove_handle(library_->multi, found->second->easy);
  transfers_.erase(found);
}

Result<Answer> Http::follow(Url url, const std::vector<std::string>& headers, size_t body_max,
                            bool head_only) {
  const SteadyTime until = std::chrono::steady_clock::now() + kSmallMax;
  for (int step = 0; step <= kRedirectsMax; step++) {
    Small small(body_max, head_only);
    TRY_AS(const TransferId id, begin(url, headers, small));
    std::optional<Result<>> result;
    while (!result) {
      for (Ended& ended : run(kTickEvery)) {
        if (ended.id == id) {
          result = std::move(ended.result);
        } else {
          ended_meanwhile_.push_back(std::move(ended));
        }
      }
      if (!tick_()) {
        stop(id);
        return Error{Code::Cancelled, "it was stopped"};
      }
      if (!result && std::chrono::steady_clock::now() > until) {
        stop(id);
        return Error{Code::Timeout, cat("fetching from '", url.host, "': not done after ",
                                        kSmallMax.count() / 1000, " s")};
      }
    }
    if (!*result && !small.enough) {
      Error error = std::move(*result).error();
      if (error.message.find(url.host) == std::string::npos)
        error = std::move(error).within(cat("fetching from '", url.host, "'"));
      return error;
    }
    const int status = small.answer.head.status;
    asked_to_wait_ = retry_after_from(small.answer.head.field("retry-after"));
    const bool leads_on =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (!leads_on) {
      small.answer.url = std::move(url);
      return std::move(small.answer);
    }
    TRY_AS(url, url_from(small.answer.head.field("location"), url));
  }
  return Error{Code::Corrupt, cat("fetching from '", url.host, "': it leads on and on, more than ",
                                  kRedirectsMax, " times")};
}

Result<Answer> Http::get(const Url& url, const std::vector<std::string>& headers, size_t body_max) {
  return follow(url, headers, body_max, false);
}

Result<Answer> Http::look(const Url& url, const std::vector<std::string>& headers) {
  return follow(url, headers, 0, true);
}

}  // namespace lares::egress
