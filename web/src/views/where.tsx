// The line under an answer: where it ran, how long it waited, what was reused, what left the device. A click opens the decision.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Receipt } from "../api/types";
import { receipt } from "../chat/receipts";
import { bytes, count, plural, rate, seconds, when } from "../words";
import { ask } from "./ask";
import { Facts, type Fact } from "./facts";

export function Where({ id }: { id: string }) {
  const line = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!line.current || seen) return;
    const watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && setSeen(true), { rootMargin: "200px" });
    watch.observe(line.current);
    return () => watch.disconnect();
  }, [seen]);
  const known = seen ? receipt(id).value : "reading";
  if (known === "gone") return <div class="where">Its receipt is no longer kept.</div>;
  if (known === "reading") return <div ref={line} class="where" aria-hidden="true">{"\u00a0"}</div>;
  return (
    <button type="button" class="where" title="Show the whole decision" onClick={() => showDecision(known)}>
      <span>{placeOf(known)}</span>
      <span>{waited(known)}</span>
      {known.prompt_tokens_reused > 0 && <span>{`${count(known.prompt_tokens_reused)} of ${plural(known.prompt_tokens, "token")} reused`}</span>}
      {known.decode_tokens_per_s > 0 && <span>{rate(known.decode_tokens_per_s)}</span>}
      {known.outcome === "repeats" && <span>ended, since it only repeated itself</span>}
      <span>{left(known)}</span>
    </button>
  );
}

export const placeOf = (of: Receipt) => (of.place === "local" ? "On this device" : `On ${of.place}`);
export const left = (of: Receipt) => (of.bytes_left_device ? `${bytes(of.bytes_left_device)} left this device` : "nothing left this device");

function waited(of: Receipt): string {
  const parts = [`first word after ${seconds(of.ttft_ms)}`];
  if (of.load_ms > 50) parts.push(`loading took ${seconds(of.load_ms)}`);
  if (of.queue_ms > 50) parts.push(`waited ${seconds(of.queue_ms)}`);
  return parts.join(", ");
}

export function showDecision(of: Receipt): void {
  ask({ title: "Why it ran where it ran", body: <Decision of={of} />, wide: true });
}

function Decision({ of }: { of: Receipt }) {
  const rows: Fact[] = [
    ["Where", placeOf(of)],
    ["Model", of.model],
    ["Asked by", of.principal],
    ["When", new Date(of.started_unix_ms).toLocaleString()],
    ["Ended", of.error ? `${of.outcome}: ${of.error}` : of.outcome],
    ["In the queue", seconds(of.queue_ms)],
    ["Loading the model", seconds(of.load_ms)],
    ["First word after", seconds(of.ttft_ms)],
    ["In all", seconds(of.total_ms)],
    ["CPU time", of.cpu_ms ? seconds(of.cpu_ms) : "–"],
    ["Prompt", `${plural(of.prompt_tokens, "token")}, ${count(of.prompt_tokens_reused)} of them reused`],
    ["Answer", plural(of.completion_tokens, "token")],
    ["Speed", `reads ${rate(of.prefill_tokens_per_s)}, writes ${rate(of.decode_tokens_per_s)}`],
    ["Left this device", of.bytes_left_device ? bytes(of.bytes_left_device) : "nothing"],
  ];
  return (
    <>
      {of.why.length > 0 && <ol class="why">{of.why.map((step, i) => <li key={i}>{step}</li>)}</ol>}
      <Facts of={rows} />
      <p class="aside">In a terminal: <code>lares why {of.id}</code> · {when(of.started_unix_ms)}</p>
    </>
  );
}
