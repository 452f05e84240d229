#include "wire/pull.h"

#include "wire/fields.h"

namespace lares::wire {

template <>
struct Layout<Resolve> {
  static constexpr Type kType = Type::Resolve;
  static void fields(auto& field, auto& m) {
    field("kind", m.kind);
    field("name", m.name);
    field("detail", m.detail);
    field("hub_url", m.hub_url);
    field("registry_url", m.registry_url);
    field("token", m.token);
    field("hosts", m.hosts);
    field("name_servers", m.name_servers);
    field("authorities", m.authorities);
    field("private_addresses", m.private_addresses);
    field("plain_http", m.plain_http);
    field("stall_s", m.stall_s);
  }
};

template <>
struct Layout<Found> {
  static constexpr Type kType = Type::Found;
  static void fields(auto& field, auto& m) {
    field("name", m.name);
    field("size_bytes", m.size_bytes);
    field("sha256", m.sha256);
    field("identity", m.identity);
    field("licence", m.licence);
    field("text_names", m.text_names);
    field.bytes("texts", m.texts);  // because a server wrote them
  }
  static Result<Unit> check(const Found& m) {
    if (m.texts.size() == m.text_names.size() && m.texts.size() <= kTextsMax) return Unit{};
    return Error{Code::Corrupt, "reading a message: 'texts' and 'text_names' do not fit together"};
  }
};

template <>
struct Layout<Fetch> {
  static constexpr Type kType = Type::Fetch;
  static void fields(auto& field, auto& m) { field("check", m.check); }
};

template <>
struct Layout<Fetched> {
  static constexpr Type kType = Type::Fetched;
  static void fields(auto& field, auto& m) {
    field("bytes_done", m.bytes_done);
    field("bytes_read", m.bytes_read);
    field("waiting", m.waiting);
  }
};

template <>
struct Layout<Pulled> {
  static constexpr Type kType = Type::Pulled;
  static void fields(auto& field, auto& m) { field("bytes_read", m.bytes_read); }
};

template <>
struct Layout<Hashed> {
  static constexpr Type kType = Type::Hashed;
  static void fields(auto& field, auto& m) {
    field("sha256", m.sha256);
    field("size_bytes", m.size_bytes);
  }
};

Frame to_frame(const Resolve& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Found& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Fetch& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Fetched& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Pulled& m, uint64_t id) { return write(m, id); }
Frame to_frame(const Hashed& m, uint64_t id) { return write(m, id); }

template Result<Resolve> from_frame(const Frame& frame);
template Result<Found> from_frame(const Frame& frame);
template Result<Fetch> from_frame(const Frame& frame);
template Result<Fetched> from_frame(const Frame& frame);
template Result<Pulled> from_frame(const Frame& frame);
template Result<Hashed> from_frame(const Frame& frame);

}  // namespace lares::wire
