// What models there are, which one answers, and what is being pulled. Read when something asks, and again while something moves.

import { computed, effect, signal } from "@preact/signals";
import { call, connection, found, get, said } from "./api/http";
import type { CatalogueEntry, Model, Pull } from "./api/types";

export const models = signal<Model[]>([]);
export const catalogue = signal<CatalogueEntry[] | null>(null);
export const pulls = signal<Pull[]>([]);
export const complaint = signal("");
/** The model that the person chose for this page's chats, "" for the default. */
export const chosen = signal("");

export const chatModels = computed(() => models.value.filter((model) => model.use === "chat"));
export const current = computed(() => chatModels.value.find((model) => model.id === chosen.value) ?? chatModels.value.find((model) => model.default) ?? chatModels.value[0] ?? null);

const MOVING = new Set(["starting", "loading", "stopping"]);
const OVER = new Set(["done", "failed", "cancelled"]);
const kLookAgainMs = 700;

export async function refreshModels(): Promise<void> {
  try {
    models.value = await get<Model[]>("/lares/v1/models");
    complaint.value = "";
  } catch (error) {
    complaint.value = said(error);
  }
}

export async function refreshCatalogue(words = ""): Promise<void> {
  try {
    catalogue.value = await get<CatalogueEntry[]>(`/lares/v1/catalogue?${new URLSearchParams(words ? { query: words } : {})}`);
  } catch (error) {
    complaint.value = said(error);
    catalogue.value ??= [];
  }
}

export async function refreshPulls(): Promise<void> {
  try {
    const before = new Map(pulls.value.map((pull) => [pull.id, pull.state]));
    pulls.value = await get<Pull[]>("/lares/v1/pulls");
    if (pulls.value.some((pull) => pull.state === "done" && before.get(pull.id) !== "done")) {
      await refreshModels();
      if (catalogue.value) await refreshCatalogue();
    }
  } catch {
    // a daemon without pulls has none
  }
}

/** Begins to pull, or goes on. `what`: the id of an entry of the catalogue, which pins its digest, or where a model is. */
export async function pull(what: string): Promise<void> {
  const begun = await call<Pull>("POST", "/lares/v1/pulls", { source: what });
  pulls.value = [begun, ...pulls.value.filter((other) => other.id !== begun.id)];
}

export async function cancelPull(id: string): Promise<void> {
  await call("DELETE", `/lares/v1/pulls/${encodeURIComponent(id)}`);
  await refreshPulls();
}

export async function removeModel(id: string): Promise<void> {
  await call("DELETE", `/lares/v1/models/${id.split("/").map(encodeURIComponent).join("/")}`);
  await refreshModels();
  if (catalogue.value) await refreshCatalogue();
}

export const isOver = (state: Pull["state"]) => OVER.has(state);
export const pulling = computed(() => pulls.value.filter((one) => !OVER.has(one.state)));

/** The better model for this machine: the first that the catalogue recommends, that fits and is not here. */
export const better = computed(() => catalogue.value?.find((entry) => entry.recommended && entry.fits && !entry.have) ?? null);

/** The short name of a model: what people call it, or its id. */
export function nameOf(model: Model | null): string {
  return model ? model.title || model.id : "no model";
}

// While a model loads or a pull runs, what is shown of it is read again and again; otherwise nothing is asked.
export function watch(): () => void {
  let timer = 0;
  const again = () => {
    timer = 0;
    if (connection.peek() !== "open") return;
    if (models.peek().some((model) => MOVING.has(model.state))) void refreshModels();
    if (pulling.peek().length) void refreshPulls();
    schedule();
  };
  const schedule = () => {
    const moves = models.peek().some((model) => MOVING.has(model.state)) || pulling.peek().length > 0;
    if (moves && !timer && connection.peek() === "open") timer = window.setTimeout(again, kLookAgainMs);
  };
  const stop = effect(() => {
    void [models.value, pulls.value, connection.value];
    schedule();
  });
  const stopFound = effect(() => {
    if (found.value > 0) void Promise.all([refreshModels(), refreshPulls()]);
  });
  return () => {
    stop();
    stopFound();
    clearTimeout(timer);
  };
}
