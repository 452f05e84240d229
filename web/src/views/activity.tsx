// Every request with its receipt: who asked, where it ran, how long it took, what left.

import { signal } from "@preact/signals";
import { get, said } from "../api/http";
import type { Receipt } from "../api/types";
import { bytes, count, rate, seconds, when } from "../words";
import { receiptsChanged } from "./activity_state";
import { usePolled } from "./polled";
import { Table, type Column } from "./table";
import { placeOf, showDecision } from "./where";

const receipts = signal<Receipt[] | null>(null);
const complaint = signal("");
const limit = signal(100);

async function read(): Promise<void> {
  try {
    receipts.value = await get<Receipt[]>(`/lares/v1/receipts?limit=${limit.value}`);
    complaint.value = "";
  } catch (error) {
    complaint.value = said(error);
  }
}

const COLUMNS: Column<Receipt>[] = [
  { name: "When", plain: true, of: (one) => <button type="button" class="word" aria-label={`The decision of ${when(one.started_unix_ms)}`} onClick={() => showDecision(one)}>{when(one.started_unix_ms)}</button> },
  { name: "Asked by", of: (one) => one.principal },
  { name: "Model", plain: true, of: (one) => one.model },
  { name: "Where", plain: true, of: placeOf },
  { name: "First word", figure: true, of: (one) => seconds(one.ttft_ms) },
  { name: "Tokens", figure: true, of: (one) => `${count(one.prompt_tokens)} + ${count(one.completion_tokens)}` },
  { name: "Speed", figure: true, plain: true, of: (one) => (one.decode_tokens_per_s ? rate(one.decode_tokens_per_s) : "–") },
  { name: "Left", figure: true, of: (one) => (one.bytes_left_device ? bytes(one.bytes_left_device) : "nothing") },
  { name: "Ended", of: (one) => one.outcome },
];

export function Activity() {
  usePolled(read, 3_000, [limit.value, receiptsChanged.value]);
  const list = receipts.value;
  if (!list) return <p class="aside part-body" role="status">{complaint.value || "Asking…"}</p>;
  const sent = list.reduce((sum, one) => sum + one.bytes_left_device, 0);
  return (
    <div class="part-body">
      <p>{list.length ? <><strong>{sent ? `${bytes(sent)} left this device` : "Nothing left this device"}</strong> in the last {count(list.length)} requests.</> : "No request yet. Each one leaves a receipt here: where it ran, why, and what left the device."}</p>
      {list.length > 0 && <Table label="Requests" columns={COLUMNS} rows={list} keyOf={(one) => one.id} />}
      {list.length >= limit.value && limit.value < 1_000 && <button type="button" class="plain-button" onClick={() => (limit.value = Math.min(limit.value * 3, 1_000))}>Show more</button>}
    </div>
  );
}
