// The Batcher's media: pictures and sounds of a prompt become pieces of it, each encoded in a step
// of its own and then computed as rows in others, since the engine computes either tokens or rows.
#include <algorithm>
#include <cassert>

#include "engine/batcher.h"

namespace lares::engine {

// One step of a request whose next rows are media: encodes the piece, or computes some of its rows.
// False: another model has the device.
bool Batcher::media_step(const Part& part) {
  Request& request = *part.request;
  const Request::Piece piece = *request.next_piece();  // it may outlive its request here
  MediaPiece& media = *piece.media;
  const bool encodes = !media.encoded;
  StepCost& cost = encodes ? encode_cost_ : cost_;
  size_t rows = part.rows;
  if (encodes || media.at_once) rows = media.rows;
  if (!encodes && !make_cells(rows)) {
    give_up_cells();
    return true;
  }
  const auto weight = static_cast<double>(rows);
  const std::vector<Part> parts(1, Part{&request, rows});
  if (!lease_.enter(lease_step(parts, weight, cost))) return false;
  const SteadyTime from = clock_.now();
  const double cpu_from = cpu_ms_();
  running({{{request.id, rows}}, rows, request.lane, expected_end(cost, weight)});
  const Decoded done = encodes ? model_.encode(media) : compute_media(part, rows);
  running({});
  pulse_.beat();
  charge(parts, cpu_ms_() - cpu_from, {});
  switch (done) {
    case Decoded::Ok:
      cost.learn(weight, exact_ms(from, clock_.now()));
      if (encodes) break;
      if (request.computed + rows == piece.end()) model_.forget_rows(media);
      advance(parts);
      break;
    case Decoded::Aborted:
      if (encodes) break;
      slots_.cut(request.sequence, piece.begin);
      request.computed = piece.begin;
      break;
    case Decoded::NoCells: give_up_cells(); break;
    case Decoded::Broken: broken(parts); break;
  }
  lease_.step_over();
  return true;
}

Decoded Batcher::compute_media(const Part& part, size_t rows) {
  const Request& request = *part.request;
  const Request::Piece& piece = *request.next_piece();
  model_.adapt(request.options.adapters);
  return model_.decode_media({*piece.media, request.computed - piece.begin,
                              std::span(request.tokens).subspan(request.computed, rows),
                              request.position(piece.begin), request.sequence,
                              request.computed + rows == request.tokens.size()});
}

}  // namespace lares::engine
