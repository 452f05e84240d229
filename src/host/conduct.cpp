#include "host/conduct.h"

#include <cmath>

#include "base/text.h"

namespace lares::host {
namespace {

bool opens(wire::Type type) {
  return type == wire::Type::Generate || type == wire::Type::Resume || type == wire::Type::Embed ||
         type == wire::Type::Rank || type == wire::Type::Resolve || type == wire::Type::Hash;
}

}  // namespace

uint64_t deltas_allowed(const wire::Frame& frame) {
  if (frame.type == static_cast<uint8_t>(wire::Type::Resume)) {
    const auto resume = wire::from_frame<wire::Resume>(frame);
    if (!resume) return UINT64_MAX;
    return deltas_allowed({static_cast<uint8_t>(wire::Type::Generate), frame.id, resume->generate});
  }
  const auto message = wire::from_frame<wire::Generate>(frame);
  if (!message || !message->body.is_object()) return UINT64_MAX;
  const Json& body = message->body;
  const auto most = body.find("max_tokens");
  const auto echo = body.find("echo");
  if (echo != body.end() && echo->is_boolean() && echo->get<bool>()) return UINT64_MAX;
  if (most == body.end() || !most->is_number_unsigned()) return UINT64_MAX;
  return std::min<uint64_t>(most->get<uint64_t>(), UINT32_MAX) + kDeltasSpare;
}

uint64_t deltas_allowed_by(const wire::Frame& load) {
  const auto message = wire::from_frame<wire::Load>(load);
  return (message && message->context != 0 ? message->context : kDeltasMax) + kDeltasSpare;
}

Result<> credible(const wire::Done& done, SteadyTime::duration wall) {
  // the two clocks are not read at the same moments
  constexpr double kSpareMs = 10;
  const double most =
      kCoresMax * (std::chrono::duration<double, std::milli>(wall).count() + kSpareMs);
  if (std::isfinite(done.cpu_ms) && done.cpu_ms >= 0 && done.cpu_ms <= most) return Unit{};
  return Error{Code::Corrupt, cat("said that a request took ", done.cpu_ms,
                                  " ms of CPU time, which can be 0 to ", most)};
}

Result<> Conduct::sends(const wire::Frame& frame) {
  const auto type = static_cast<wire::Type>(frame.type);
  if (type == wire::Type::Load || type == wire::Type::Inspect) loads_waiting_++;
  if (type == wire::Type::Move) moves_waiting_++;
  if (!opens(type)) return Unit{};
  if (frame.id == 0) return Error{Code::Invalid, "sending a request to a worker: its id is 0"};
  if (open_.size() >= kOpenMax)
    return Error{Code::Busy, cat("sending a request to a worker: ", open_.size(),
                                 " are open; retry when one ends")};
  if (!open_.try_emplace(frame.id, Request{.deltas_max = deltas_max_}).second)
    return Error{Code::Invalid, cat("sending a request to a worker: id ", frame.id, " is open")};
  return Unit{};
}

void Conduct::allow_deltas(uint64_t id, uint64_t most) {
  const auto found = open_.find(id);
  if (found != open_.end()) found->second.deltas_max = std::min(most, deltas_max_);
}

std::optional<std::string> Conduct::too_much(const wire::Frame& frame, SteadyTime now) {
  if (now - window_ >= std::chrono::seconds(1)) {
    window_ = now;
    frames_ = bytes_ = beats_ = progress_ = 0;
  }
  const auto type = static_cast<wire::Type>(frame.type);
  bytes_ += wire::kHeaderSize + frame.payload.size();
  if (++frames_ > kFramesPerSecondMax)
    return cat("sent more than ", kFramesPerSecondMax, " frames in a second");
  if (bytes_ > kBytesPerSecondMax)
    return cat("sent more than ", Bytes{kBytesPerSecondMax}, " in a second");
  if (type == wire::Type::Beat && ++beats_ > kBeatsPerSecondMax)
    return cat("sent more than ", kBeatsPerSecondMax, " beats in a second");
  if ((type == wire::Type::Progress || type == wire::Type::Fetched) &&
      ++progress_ > kProgressPerSecondMax)
    return cat("sent more than ", kProgressPerSecondMax, " reports of progress in a second");
  return std::nullopt;
}

Result<Conduct::Meaning> Conduct::hears(const wire::Frame& frame, SteadyTime now) {
  const auto wrong = [](std::string what) { return Error{Code::Corrupt, std::move(what)}; };
  if (auto much = too_much(frame, now)) return wrong(*std::move(much));
  const auto type = static_cast<wire::Type>(frame.type);
  const std::string kind = cat("type ", frame.type);

  if (type == wire::Type::Failed && frame.id == 0) return Meaning::GivesUp;
  if (!ready_) {
    if (type != wire::Type::Hello || frame.id != 0)
      return wrong(cat("sent ", kind, " before its Hello"));
    ready_ = true;
    return Meaning::Hello;
  }
  switch (type) {
    case wire::Type::Beat:
      if (frame.id != 0) return wrong(cat("sent a Beat with id ", frame.id));
      return Meaning::Beat;
    case wire::Type::Loaded:
      if (frame.id != 0) return wrong(cat("sent Loaded with id ", frame.id));
      if (loads_waiting_ == 0) return wrong("sent Loaded without being asked");
      loads_waiting_--;
      return Meaning::Loaded;
    case wire::Type::Moved:
      if (frame.id != 0) return wrong(cat("sent Moved with id ", frame.id));
      if (moves_waiting_ == 0) return wrong("sent Moved without being asked");
      moves_waiting_--;
      return Meaning::Moved;
    case wire::Type::Progress:
      if (frame.id == 0 ? loads_waiting_ == 0 : !open_.contains(frame.id))
        return wrong(cat("sent Progress for id ", frame.id, ", which is not open"));
      return Meaning::Progress;
    case wire::Type::Started:
    case wire::Type::Delta:
    case wire::Type::Done:
    case wire::Type::Failed:
    case wire::Type::Found:
    case wire::Type::Fetched:
    case wire::Type::Pulled:
    case wire::Type::Hashed: {
      const auto found = open_.find(frame.id);
      if (found == open_.end())
        return wrong(cat("sent ", kind, " for id ", frame.id, ", which is not open"));
      Request& request = found->second;
      request.bytes += frame.payload.size();
      if (request.bytes > kAnswerBytesMax)
        return wrong(cat("sent more than ", Bytes{kAnswerBytesMax}, " for one request"));
      if (type == wire::Type::Fetched) return Meaning::Answer;
      if (type == wire::Type::Started || type == wire::Type::Found) {
        const char* name = type == wire::Type::Started ? "Started" : "Found";
        if (request.started) return wrong(cat("sent ", name, " for id ", frame.id, " twice"));
        request.started = true;
      } else if (type == wire::Type::Delta) {
        if (++request.deltas > request.deltas_max)
          return wrong(cat("sent more than ", request.deltas_max,
                           " pieces of text for a request that asked for fewer"));
        if (now - request.window >= std::chrono::seconds(1)) {
          request.window = now;
          request.in_window = 0;
        }
        if (++request.in_window > kDeltasPerSecondMax)
          return wrong(cat("sent more than ", kDeltasPerSecondMax,
                           " pieces of text in a second for one request"));
      } else {
        open_.erase(found);
      }
      return Meaning::Answer;
    }
    case wire::Type::Hello: return wrong("sent Hello twice");
    case wire::Type::Load:
    case wire::Type::Inspect:
    case wire::Type::Generate:
    case wire::Type::Embed:
    case wire::Type::Rank:
    case wire::Type::Resume:
    case wire::Type::Cancel:
    case wire::Type::StopThinking:
    case wire::Type::Move:
    case wire::Type::Shutdown:
    case wire::Type::Resolve:
    case wire::Type::Fetch:
    case wire::Type::Hash: break;
  }
  return wrong(cat("sent ", kind, ", which no worker sends"));
}

std::string cleaned(std::string_view text, size_t most) {
  std::string out(trimmed(text.substr(0, most)));
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\t')
      c = ' ';
    else if (byte < 0x20 || byte > 0x7E)
      c = '?';
  }
  return out;
}

}  // namespace lares::host
