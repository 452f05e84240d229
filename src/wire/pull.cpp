#include "wire/pull.h"

#include "wire/fields.h"

namespace lares::wire {

Frame to_frame(const Resolve& m, uint64_t id) {
  return pack(Type::Resolve, id,
              {{"kind", m.kind},
               {"name", m.name},
               {"detail", m.detail},
               {"hub_url", m.hub_url},
               {"registry_url", m.registry_url},
               {"token", m.token},
               {"hosts", m.hosts},
               {"name_servers", m.name_servers},
               {"authorities", m.authorities},
               {"private_addresses", m.private_addresses},
               {"plain_http", m.plain_http},
               {"stall_s", m.stall_s}});
}
Frame to_frame(const Found& m, uint64_t id) {
  Json texts = Json::array();  // bytes, because a server wrote them
  for (const std::string& text : m.texts) texts.push_back(Json::binary({text.begin(), text.end()}));
  return pack(Type::Found, id,
              {{"name", m.name},
               {"size_bytes", m.size_bytes},
               {"sha256", m.sha256},
               {"identity", m.identity},
               {"licence", m.licence},
               {"text_names", m.text_names},
               {"texts", std::move(texts)}});
}
Frame to_frame(const Fetch& m, uint64_t id) { return pack(Type::Fetch, id, {{"check", m.check}}); }
Frame to_frame(const Fetched& m, uint64_t id) {
  return pack(Type::Fetched, id,
              {{"bytes_done", m.bytes_done}, {"bytes_read", m.bytes_read}, {"waiting", m.waiting}});
}
Frame to_frame(const Pulled& m, uint64_t id) {
  return pack(Type::Pulled, id, {{"bytes_read", m.bytes_read}});
}
Frame to_frame(const Hashed& m, uint64_t id) {
  return pack(Type::Hashed, id, {{"sha256", m.sha256}, {"size_bytes", m.size_bytes}});
}

template <>
Result<Resolve> from_frame(const Frame& frame) {
  Fields f(frame, Type::Resolve);
  Resolve m;
  f.read("kind", m.kind);
  f.read("name", m.name);
  f.read("detail", m.detail);
  f.read("hub_url", m.hub_url);
  f.read("registry_url", m.registry_url);
  f.read("token", m.token);
  f.read("hosts", m.hosts);
  f.read("name_servers", m.name_servers);
  f.read("authorities", m.authorities);
  f.read("private_addresses", m.private_addresses);
  f.read("plain_http", m.plain_http);
  f.read("stall_s", m.stall_s);
  return f.done(std::move(m));
}
template <>
Result<Found> from_frame(const Frame& frame) {
  Fields f(frame, Type::Found);
  Found m;
  Json texts;
  f.read("name", m.name);
  f.read("size_bytes", m.size_bytes);
  f.read("sha256", m.sha256);
  f.read("identity", m.identity);
  f.read("licence", m.licence);
  f.read("text_names", m.text_names);
  f.read("texts", texts, Json::value_t::array);
  TRY(f.done(Unit{}));
  for (const Json& text : texts) {
    if (!text.is_binary())
      return Error{Code::Corrupt, "reading a message: 'texts' is not an array of bytes"};
    const auto& bytes = text.get_binary();
    m.texts.emplace_back(bytes.begin(), bytes.end());
  }
  if (m.texts.size() != m.text_names.size() || m.texts.size() > kTextsMax)
    return Error{Code::Corrupt, "reading a message: 'texts' and 'text_names' do not fit together"};
  return m;
}
template <>
Result<Fetch> from_frame(const Frame& frame) {
  Fields f(frame, Type::Fetch);
  Fetch m;
  f.read("check", m.check);
  return f.done(m);
}
template <>
Result<Fetched> from_frame(const Frame& frame) {
  Fields f(frame, Type::Fetched);
  Fetched m;
  f.read("bytes_done", m.bytes_done);
  f.read("bytes_read", m.bytes_read);
  f.read("waiting", m.waiting);
  return f.done(std::move(m));
}
template <>
Result<Pulled> from_frame(const Frame& frame) {
  Fields f(frame, Type::Pulled);
  Pulled m;
  f.read("bytes_read", m.bytes_read);
  return f.done(m);
}
template <>
Result<Hashed> from_frame(const Frame& frame) {
  Fields f(frame, Type::Hashed);
  Hashed m;
  f.read("sha256", m.sha256);
  f.read("size_bytes", m.size_bytes);
  return f.done(std::move(m));
}

}  // namespace lares::wire
