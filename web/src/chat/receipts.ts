// Receipts of answers, read once each when a line that needs one is seen.

import { signal, type Signal } from "@preact/signals";
import { ApiError, get } from "../api/http";
import type { Receipt } from "../api/types";

export type Known = Receipt | "reading" | "gone";
const kept = new Map<string, Signal<Known>>();
const kKept = 2_000;

/** The receipt of this id; "gone" when the daemon no longer keeps it. */
export function receipt(id: string): Signal<Known> {
  let known = kept.get(id);
  if (!known) {
    known = signal<Known>("reading");
    if (kept.size >= kKept) kept.delete(kept.keys().next().value ?? "");
    kept.set(id, known);
    void read(id, known);
  }
  return known;
}

async function read(id: string, into: Signal<Known>): Promise<void> {
  try {
    into.value = await get<Receipt>(`/lares/v1/why/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) into.value = "gone";
    else kept.delete(id);
  }
}
