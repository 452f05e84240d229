// One pull: how far it is, and how to end it.

import { said } from "../api/http";
import type { Pull } from "../api/types";
import { cancelPull, complaint, isOver, pull } from "../models";
import { bytes, seconds } from "../words";

const WORDS: Record<Pull["state"], string> = {
  resolving: "asking where it is", reserving: "making room on the disk", fetching: "fetching", verifying: "checking every byte",
  inspecting: "looking at the file", done: "here", failed: "stopped", cancelled: "cancelled", waiting: "waiting for the network",
};

export function PullLine({ of }: { of: Pull }) {
  const share = of.bytes_total > 0 ? Math.min(of.bytes_done / of.bytes_total, 1) : 0;
  const figures = [
    of.bytes_total > 0 ? `${bytes(of.bytes_done)} of ${bytes(of.bytes_total)}` : "",
    of.state === "fetching" && of.bytes_per_s > 0 ? `${bytes(of.bytes_per_s)}/s` : "",
    of.state === "fetching" && of.eta_s ? `${seconds(of.eta_s * 1000)} left` : "",
  ].filter(Boolean);
  const act = (doing: Promise<void>) => void doing.catch((error) => (complaint.value = said(error)));
  return (
    <div class="pull">
      <div class="pull-head">
        <span class="pull-name">{of.model || of.source}</span>
        <span>{WORDS[of.state] ?? of.state}</span>
        <span class="grow" />
        {!isOver(of.state) && <button type="button" class="quiet" onClick={() => act(cancelPull(of.id))}>Cancel</button>}
        {(of.state === "failed" || of.state === "cancelled") && <button type="button" class="quiet" onClick={() => act(pull(of.source))}>Go on</button>}
      </div>
      {!isOver(of.state) && <progress max={1} value={of.bytes_total > 0 ? share : undefined} aria-label={`Pulling ${of.model || of.source}`} />}
      {figures.length > 0 && !isOver(of.state) && <p class="aside">{figures.join(" · ")}</p>}
      {of.error && <p class="ended broke">{of.error.message}</p>}
    </div>
  );
}
