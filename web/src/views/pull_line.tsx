// One pull: how far it is, and how to pause it, go on with it or end it.

import type { Pull } from "../api/types";
import { cancelPull, isPaused, pausePull, pull } from "../models";
import { bytes, seconds } from "../words";
import { attempt, Complaint } from "./complaint";

const WORDS: Record<Pull["state"], string> = {
  resolving: "asking where it is", reserving: "making room on the disk", fetching: "fetching", verifying: "checking every byte",
  inspecting: "looking at the file", done: "here", failed: "stopped", cancelled: "cancelled", waiting: "waiting for its turn",
};

function wordsOf(of: Pull): string {
  if (isPaused(of)) return "paused";
  return of.state === "waiting" && of.error ? "waiting for the network" : WORDS[of.state] ?? of.state;
}

/** What a pull does, and how far it is, in a few words. */
export const shortly = (of: Pull) => `${wordsOf(of)}${of.state === "fetching" && of.bytes_total > 0 ? `, ${Math.floor((of.bytes_done / of.bytes_total) * 100)}%` : ""}`;

export function PullLine({ of }: { of: Pull }) {
  const rests = of.state === "failed" || isPaused(of);
  const share = of.bytes_total > 0 ? Math.min(of.bytes_done / of.bytes_total, 1) : undefined;
  const figures = [
    of.bytes_total > 0 ? `${bytes(of.bytes_done)} of ${bytes(of.bytes_total)}` : "",
    of.state === "fetching" && of.bytes_per_s > 0 ? `${bytes(of.bytes_per_s)}/s` : "",
    of.state === "fetching" && of.eta_s ? `${seconds(of.eta_s * 1000)} left` : "",
  ].filter(Boolean);
  const name = of.model || of.source;
  const button = (says: string, act: () => Promise<unknown>) => <button type="button" class="quiet" aria-label={`${says}: ${name}`} onClick={() => void attempt(of.id, act)}>{says}</button>;
  return (
    <div class="pull">
      <div class="pull-head">
        <span class="pull-name">{name}</span>
        <span>{wordsOf(of)}</span>
        <span class="grow" />
        {rests ? button(of.state === "failed" ? "Try again" : "Go on", () => pull(of.source)) : of.state !== "inspecting" && button("Pause", () => pausePull(of.id))}
        {button(rests ? "Remove" : "Cancel", () => cancelPull(of.id))}
      </div>
      {(!rests || share !== undefined) && <progress max={1} value={share} aria-label={`Pulling ${name}`} />}
      {figures.length > 0 && <p class="aside">{figures.join(" · ")}</p>}
      {of.error && !isPaused(of) && <p class={of.state === "failed" ? "ended broke" : "aside"}>{of.error.message}</p>}
      <Complaint at={of.id} />
    </div>
  );
}
