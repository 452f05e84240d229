// Which part of the page is shown: the address behind #, so that going back works and the daemon serves one document.

import { signal } from "@preact/signals";

export type Part = "chat" | "machine" | "models" | "activity" | "settings";
export interface Route {
  part: Part;
  /** The conversation of a chat. */
  id: string | null;
}

const PARTS = new Set<string>(["machine", "models", "activity", "settings"]);

export function routeOf(hash: string): Route {
  const [, first = "", second = ""] = hash.replace(/^#/, "").split("/");
  if (PARTS.has(first)) return { part: first as Part, id: null };
  try {
    return { part: "chat", id: first === "c" && second ? decodeURIComponent(second) : null };
  } catch {
    return { part: "chat", id: null };
  }
}

export const route = signal<Route>(routeOf(location.hash));

/** The address of a chat; of a new one without an id. */
export const chatHash = (id: string | null) => (id ? `#/c/${encodeURIComponent(id)}` : "#/");

const kCode = /^#code=([\w.~-]{1,200})$/;

/** Whether the address has the code of `lares ui` that pairs this browser. */
const hasCode = () => kCode.test(location.hash);

/** Takes the code out of the address, which then says again what is shown. */
export function takeCode(): string | null {
  const code = kCode.exec(location.hash)?.[1];
  if (!code) return null;
  const { part, id } = route.value;
  history.replaceState(null, "", part !== "chat" ? `#/${part}` : id ? chatHash(id) : "/");
  return code;
}

/** Shows what the address names, whenever that changes; `paired` hears of a code in it instead. */
export function followAddress(paired: () => void): () => void {
  const changed = () => (hasCode() ? paired() : void (route.value = routeOf(location.hash)));
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}

export function go(hash: string): void {
  if (location.hash === hash) route.value = routeOf(hash);
  else location.hash = hash;
}

/** Says where we are already, without going there. */
export function name(hash: string): void {
  history.replaceState(null, "", hash);
  route.value = routeOf(hash);
}
