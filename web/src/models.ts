// What models there are, which one answers, and what is being pulled. Read when something asks, and again while something moves.

import { computed, effect, signal } from "@preact/signals";
import { call, connection, found, get, said } from "./api/http";
import type { CatalogueEntry, Model, Plan, Pull } from "./api/types";

export const models = signal<Model[]>([]);
/** Whether the list of models was read at least once. */
const known = signal(false);
export const catalogue = signal<CatalogueEntry[] | null>(null);
/** What is searched in the catalogue, and what of it was found; null while nothing is searched. */
export const words = signal("");
export const matching = signal<CatalogueEntry[] | null>(null);
export const pulls = signal<Pull[]>([]);
/** Why the lists could not be read, "" when they could. */
export const complaint = signal("");
/** The ids of models that this page saw coming, until the person has taken notice. */
export const arrived = signal<string[]>([]);

const kChosen = "lares.model"; // in this browser's storage
const kDeclined = "lares.declined";
/** The model that the person chose for this page's chats, "" for the default. */
export const chosen = signal(localStorage.getItem(kChosen) ?? "");
/** The better model that the person did not want to use. */
const declined = signal(localStorage.getItem(kDeclined) ?? "");

export const chatModels = computed(() => models.value.filter((model) => model.use === "chat"));
export const standard = computed(() => chatModels.value.find((model) => model.default) ?? chatModels.value[0] ?? null);
export const current = computed(() => chatModels.value.find((model) => model.id === chosen.value) ?? standard.value);
/** Whether it is certain that no model is here that answers. */
export const noModel = computed(() => known.value && !chatModels.value.length);

const MOVING = new Set(["starting", "loading", "stopping"]);
const kLookAgainMs = 700;

export async function refreshModels(): Promise<void> {
  try {
    models.value = await get<Model[]>("/lares/v1/models");
    known.value = true;
    complaint.value = "";
  } catch (error) {
    complaint.value = said(error);
  }
}

const searched = (query: string) => get<CatalogueEntry[]>(`/lares/v1/catalogue?${new URLSearchParams(query ? { query } : {})}`);

export async function refreshCatalogue(): Promise<void> {
  try {
    catalogue.value = await searched("");
    await search(words.value);
  } catch (error) {
    complaint.value = said(error);
    catalogue.value ??= [];
  }
}

/** Searches the catalogue; what was typed meanwhile wins. */
export async function search(query: string): Promise<void> {
  words.value = query;
  const meant = query.trim();
  const found = meant ? await searched(meant) : null;
  if (words.value === query) matching.value = found;
}

export async function refreshPulls(): Promise<void> {
  try {
    const before = new Map(pulls.value.map((pull) => [pull.id, pull.state]));
    pulls.value = await get<Pull[]>("/lares/v1/pulls");
    const done = pulls.value.filter((pull) => pull.state === "done" && before.has(pull.id) && before.get(pull.id) !== "done");
    if (!done.length) return;
    await refreshModels();
    if (catalogue.value) await refreshCatalogue();
    arrived.value = [...arrived.value, ...done.map((pull) => pull.model)];
  } catch {
    // a daemon without pulls has none
  }
}

/** Begins to pull, or goes on, and returns the pull. `what`: the id of an entry of the catalogue, which pins its digest, or where a model is. */
export async function pull(what: string): Promise<Pull> {
  const begun = await call<Pull>("POST", "/lares/v1/pulls", { source: what });
  pulls.value = [begun, ...pulls.value.filter((other) => other.id !== begun.id)];
  return begun;
}

/** Ends a pull and removes what was fetched. */
export async function cancelPull(id: string): Promise<void> {
  await call("DELETE", `/lares/v1/pulls/${encodeURIComponent(id)}`);
  await refreshPulls();
}

/** Ends a pull for now; what was fetched stays. */
export async function pausePull(id: string): Promise<void> {
  await call("POST", `/lares/v1/pulls/${encodeURIComponent(id)}/stop`, {});
  await refreshPulls();
}

/** Has this page's chats answered by that model from now on, in this browser. */
export function prefer(id: string): void {
  chosen.value = id;
  localStorage.setItem(kChosen, id);
  arrived.value = arrived.value.filter((other) => other !== id);
  void refreshModels();
}

/** Has the page offer that model no more. */
export function decline(id: string): void {
  declined.value = id;
  localStorage.setItem(kDeclined, id);
  arrived.value = arrived.value.filter((other) => other !== id);
}

const modelPath = (id: string) => `/lares/v1/models/${id.split("/").map(encodeURIComponent).join("/")}`;

/** What that model would need, and how fast it would be. */
export const planOf = (id: string) => get<Plan>(`${modelPath(id)}/plan`);

export async function removeModel(id: string): Promise<void> {
  await call("DELETE", modelPath(id));
  await refreshModels();
  if (catalogue.value) await refreshCatalogue();
}

/** Whether it is over for good: it came, or what was fetched of it is gone. */
export const isOver = (state: Pull["state"]) => state === "done" || state === "cancelled";
/** Whether it goes on only when the person says so. */
export const isPaused = (pull: Pull) => pull.state === "waiting" && pull.error?.code === "cancelled";
const moves = (pull: Pull) => !isOver(pull.state) && pull.state !== "failed" && !isPaused(pull);
export const pulling = computed(() => pulls.value.filter(moves));

/** The pull of that entry which is not over. */
export const pullOf = (entry: CatalogueEntry) => pulls.value.find((one) => one.source === entry.source && !isOver(one.state));

const suits = computed(() => catalogue.value?.find((entry) => entry.recommended && entry.fits) ?? null);
/** The better model for this machine: what the catalogue recommends, when it is not here. */
export const better = computed(() => (suits.value && !suits.value.have ? suits.value : null));
/** A better model that is here and that this page's chats do not use: what came last, or what the catalogue recommends. */
export const unused = computed(() => {
  const other = (id?: string) => chatModels.value.find((model) => model.id === id && model.id !== current.value?.id);
  return other(arrived.value.at(-1)) ?? (chosen.value || suits.value?.id === declined.value ? undefined : other(suits.value?.id)) ?? null;
});

/** The short name of a model: what people call it, or its id. */
export function nameOf(model: Model | null): string {
  return model ? model.title || model.id : "no model";
}

const bare = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");

/** A model's id where its name does not tell which one it is: two are called so, or the person named it otherwise. Else "". */
export function idBeside(model: Model): string {
  const name = nameOf(model);
  if (name === model.id) return "";
  const twice = models.value.some((other) => other.id !== model.id && nameOf(other) === name);
  const [short, id] = [bare(name), bare(model.id)];
  return twice || !(id.includes(short) || short.includes(id)) ? model.id : "";
}

/** The name of a model, by which it is told from all others. */
export const exactName = (model: Model) => `${nameOf(model)}${idBeside(model) ? ` (${idBeside(model)})` : ""}`;

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
