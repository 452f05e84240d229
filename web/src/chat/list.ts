// The list of conversations beside the chat: read by pages as it is scrolled, searched in the daemon. It may hold ten thousand
// lines; the view draws those that are seen.

import { signal } from "@preact/signals";
import { call, get, said } from "../api/http";
import type { ConversationLine } from "../api/types";

export const lines = signal<ConversationLine[]>([]);
export const query = signal("");
export const complaint = signal("");
/** Whether the daemon has more than `lines`. */
export const more = signal(true);

const kPage = 200;
let reading: AbortController | null = null;
let listed = ""; // the words that `lines` were searched for

function address(before?: number): string {
  const search = new URLSearchParams({ limit: String(kPage) });
  if (query.value.trim()) search.set("query", query.value.trim());
  if (before !== undefined) search.set("before", String(before));
  return `/lares/v1/conversations?${search}`;
}

/** Reads the newest page anew; what was read below it stays, so that nobody is torn from where they scrolled. */
export async function refresh(): Promise<void> {
  reading?.abort();
  await read(undefined);
}

/** Reads the next page, unless one is being read. */
export async function readMore(): Promise<void> {
  if (reading || !more.value) return;
  await read(lines.value.at(-1)?.updated_ms);
}

async function read(before: number | undefined): Promise<void> {
  const stop = new AbortController();
  reading = stop;
  try {
    const words = query.value.trim();
    const page = await get<ConversationLine[]>(address(before), stop.signal);
    if (stop.signal.aborted) return;
    if (before === undefined) {
      const there = new Set(page.map((line) => line.id));
      const last = page.at(-1)?.updated_ms ?? 0;
      const below = page.length === kPage && words === listed ? lines.value.filter((line) => line.updated_ms < last && !there.has(line.id)) : [];
      lines.value = [...page, ...below];
      listed = words;
      if (!below.length) more.value = page.length === kPage;
    } else {
      const known = new Set(lines.value.map((line) => line.id));
      const fresh = page.filter((line) => !known.has(line.id));
      lines.value = [...lines.value, ...fresh];
      more.value = page.length === kPage && fresh.length > 0;
    }
    complaint.value = "";
  } catch (error) {
    if (!stop.signal.aborted) complaint.value = said(error);
  } finally {
    if (reading === stop) reading = null;
  }
}

let typed = 0;

export function search(words: string): void {
  query.value = words;
  clearTimeout(typed);
  typed = window.setTimeout(() => void refresh(), 150);
}

/** Shows what was just changed in the daemon; a page that was asked for before that would take it back, so it is asked for anew. */
function show(changed: ConversationLine[]): void {
  lines.value = changed;
  if (reading) void refresh();
}

/** A conversation was begun or went on: it stands at the top. */
export function touched(line: ConversationLine): void {
  if (query.value.trim()) return;
  show([line, ...lines.value.filter((other) => other.id !== line.id)]);
}

export async function rename(id: string, title: string): Promise<void> {
  await call("PATCH", `/lares/v1/conversations/${encodeURIComponent(id)}`, { title });
  show(lines.value.map((line) => (line.id === id ? { ...line, title } : line)));
}

export async function remove(id: string): Promise<void> {
  await call("DELETE", `/lares/v1/conversations/${encodeURIComponent(id)}`);
  show(lines.value.filter((line) => line.id !== id));
}
