// The conversation that is open: its messages, the answer that is coming, and everything a person does to it. The daemon keeps
// the conversation; this is what the page has read of it. One answer at a time.

import { batch, computed, effect, signal, type Signal } from "@preact/signals";
import { answer, type Answered } from "../api/events";
import { ApiError, call, connection, found, get, isAway, lost, said, systemPrompt } from "../api/http";
import type { Content, Conversation, ConversationLine, Message } from "../api/types";
import { current as model, refreshModels } from "../models";
import { chatHash, name as nameRoute, route } from "../route";
import { planCompaction, kSummaryTokensMax, questionTooLong, tokensAbout } from "./compaction";
import { touched } from "./list";
import { branch, given, newestEnd, siblings, textOf, withoutThinking, type Messages } from "./tree";

export interface Live {
  parent: string;
  text: Signal<string>;
  phase: Signal<"waiting" | "reading" | "answering" | "stopping" | "summarising" | "lost">;
  model: string;
  /** By which the daemon knows the answer, once it has begun. */
  answer: string;
  /** Its thoughts were asked to end. */
  enough: Signal<boolean>;
  /** Since when it waits for its turn, or its model reads the prompt, in this page's time. */
  began: number;
  /** About how many tokens it has to read; what it read before it may still know. */
  tokens: number;
}

export const id = signal<string | null>(null);
export const title = signal("");
export const messages = signal<Messages>(new Map());
export const head = signal<string | null>(null);
export const live = signal<Live | null>(null);
export const opening = signal(false);
/** What went wrong last and was not an answer's end; shown above the composer. */
export const complaint = signal("");

export const path = computed(() => branch(messages.value, head.value));

/** Tokens that the conversation's model reads at most, prompt and answer together. */
const kContextUnknown = 4_096;
/** Shares of it that a summary is planned with, each tried when the one before was refused. */
const kContextShares = [1, 0.5, 0.25, 0.12] as const;
const kUnsaved = "unsaved:"; // ids of parts of answers that the daemon does not have
const kTitleMax = 60;
const kSettleTries = 12;
const kSettleEveryMs = 150;
export const kGoOn = "Go on from where you stopped.";

let stopper: AbortController | null = null;
let loaded: string | null = null; // the conversation whose messages are here

const at = (conversation: string) => `/lares/v1/conversations/${encodeURIComponent(conversation)}`;

function put(...added: Message[]): void {
  const next = new Map(messages.value);
  for (const message of added) next.set(message.id, message);
  messages.value = next;
}

/** An empty conversation; the daemon hears of it with its first message. */
export function begin(): void {
  leave();
  loaded = null;
  batch(() => {
    id.value = null;
    title.value = "";
    messages.value = new Map();
    head.value = null;
    complaint.value = "";
    opening.value = false;
  });
}

/** What is being answered goes on being stopped by the daemon, which keeps the part. */
function leave(): void {
  stopper?.abort();
  stopper = null;
  live.value = null;
}

export async function show(conversation: string): Promise<void> {
  if (conversation === id.value && conversation === loaded) return;
  leave();
  batch(() => {
    id.value = conversation;
    title.value = "";
    messages.value = new Map();
    head.value = null;
    complaint.value = "";
    opening.value = true;
  });
  try {
    const read = await get<Conversation>(at(conversation));
    if (id.value === conversation) {
      take(read);
      loaded = conversation;
    }
  } catch (error) {
    if (id.value === conversation) complaint.value = said(error);
  } finally {
    if (id.value === conversation) opening.value = false;
  }
}

function take(read: Conversation): void {
  batch(() => {
    title.value = read.title;
    messages.value = new Map(read.messages.map((message) => [message.id, message]));
    head.value = read.head;
  });
}

/** Reads the conversation anew, keeping parts of answers that only this page has. */
async function reread(): Promise<void> {
  const conversation = id.value;
  const before = messages.value;
  if (!conversation) return;
  const read = await get<Conversation>(at(conversation));
  if (id.value !== conversation || messages.value !== before || live.value) return; // something was said meanwhile, which is newer
  loaded = conversation;
  const unsaved = [...messages.value.values()].filter((one) => one.id.startsWith(kUnsaved) && !read.messages.some((other) => other.parent === one.parent && other.role === "assistant"));
  batch(() => {
    take(read);
    const last = unsaved.at(-1);
    if (last && read.head === last.parent) {
      put(last);
      head.value = last.id;
    }
  });
}

/** Whether the conversation that the address names is the one that is open, as far as that can be had. */
const settled = computed(() => connection.value !== "opening" && !opening.value && (connection.value !== "open" || route.value.part !== "chat" || route.value.id === id.value));

/** Resolves when what is said now is said in the conversation that the person sees named; rejects when that could not be read. */
export async function ready(): Promise<void> {
  await new Promise<void>((done) => {
    const stop = effect(() => {
      if (settled.value) queueMicrotask(() => (stop(), done()));
    });
  });
  const named = route.value.part === "chat" ? route.value.id : id.value;
  if (!named || named === loaded) return;
  await show(named);
  if (named !== loaded) throw new Error(complaint.value || "this conversation could not be read; open it again");
}

// ---- saying something

/** Appends what the person says below `parent` (the branch's end when left out) and has it answered. */
export async function say(content: Content, parent?: string | null): Promise<void> {
  if (live.value) return;
  complaint.value = "";
  try {
    const conversation = await ensure(content);
    let below = parent === undefined ? head.value : parent;
    if (below?.startsWith(kUnsaved)) below = await save(conversation, below);
    const message = await call<Message>("POST", `${at(conversation)}/messages`, { parent: below, role: "user", content });
    if (id.value !== conversation) return;
    batch(() => {
      put(message);
      head.value = message.id;
    });
    noteInList();
    await answerTo(message.id);
  } catch (error) {
    complaint.value = said(error);
    throw error;
  }
}

async function ensure(content: Content): Promise<string> {
  if (id.value) return id.value;
  const words = withoutThinking(textOf(content)).trim().split("\n")[0] ?? "";
  const begun = await call<Conversation>("POST", "/lares/v1/conversations", {
    title: words.length > kTitleMax ? `${words.slice(0, kTitleMax - 1).trimEnd()}…` : words || "Conversation",
    ...(model.value ? { model: model.value.id } : {}),
  });
  batch(() => {
    id.value = begun.id;
    title.value = begun.title;
  });
  loaded = begun.id;
  nameRoute(chatHash(begun.id));
  return begun.id;
}

// A part of an answer that the daemon lost with itself is given to it, so that it can go on from there.
async function save(conversation: string, unsaved: string): Promise<string> {
  const part = messages.value.get(unsaved);
  if (!part) throw new Error("the part of the answer is no longer here; reload the page");
  const message = await call<Message>("POST", `${at(conversation)}/messages`, { parent: part.parent, role: "assistant", content: part.content });
  const next = new Map(messages.value);
  next.delete(unsaved);
  next.set(message.id, { ...message, state: part.state });
  messages.value = next;
  return message.id;
}

export const goOn = () => say(kGoOn);

function noteInList(): void {
  if (!id.value) return;
  const line: ConversationLine = { id: id.value, title: title.value, model: model.value?.id ?? null, created_ms: Date.now(), updated_ms: Date.now() };
  touched(line);
}

// ---- answers

/** Another answer beside this one. */
export async function regenerate(message: Message): Promise<void> {
  if (live.value || message.parent === null) return;
  head.value = message.parent;
  await answerTo(message.parent);
}

/** Has the model answer the branch that ends with `parent`. */
export async function answerTo(parent: string): Promise<void> {
  const conversation = id.value;
  if (!conversation || live.value) return;
  complaint.value = "";
  const stop = new AbortController();
  stopper = stop;
  const text = signal("");
  const coming: Live = { parent, text, phase: signal<Live["phase"]["value"]>("waiting"), model: model.value?.id ?? "", answer: "", enough: signal(false), began: Date.now(), tokens: 0 };
  live.value = coming;
  try {
    await answerOrCompact(conversation, coming, stop.signal);
  } catch (error) {
    await ended(conversation, coming, error, stop.signal.aborted);
  } finally {
    if (live.value === coming) live.value = null;
    if (stopper === stop) stopper = null;
    noteInList();
    if (model.value?.state !== "ready") void refreshModels();
  }
}

// Refused for its length, the branch is summarised and asked again, unless the question alone is too long; how many characters a token has differs by language and model, so
// what is still refused is planned with less.
async function answerOrCompact(conversation: string, coming: Live, stop: AbortSignal): Promise<void> {
  let refusal: unknown;
  for (const share of [0, ...kContextShares]) {
    try {
      if (share > 0) {
        const summary = await compact(conversation, coming.parent, coming.phase, stop, share);
        if (!summary) break;
        coming.parent = summary.id;
        coming.began = Date.now();
        coming.phase.value = "waiting";
      }
      return await answerOnce(conversation, coming, stop);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "context_length_exceeded") || stop.aborted) throw error;
      refusal = error;
      if (questionTooLong(branch(messages.value, coming.parent), contextOfModel())) break;
    }
  }
  throw refusal;
}

const contextOfModel = () => model.value?.info.context ?? kContextUnknown;

/** How our chats ask, the terminal's alike: the chosen model as its makers recommend, and an end to an answer that only repeats itself. */
const ourWay = () => ({ ...(model.value ? { model: model.value.id, ...model.value.sampling } : {}), stop_repeating: true });

async function answerOnce(conversation: string, coming: Live, stop: AbortSignal): Promise<void> {
  let thinks = false;
  const messagesGiven = given(branch(messages.value, coming.parent), await systemPrompt());
  coming.tokens = tokensAbout(messagesGiven.slice(messagesGiven.findLastIndex((one) => one.role === "assistant") + 1).map((one) => textOf(one.content)).join("\n"));
  const answered = await answer(
    {
      ...ourWay(),
      messages: messagesGiven,
      lares: { conversation, parent: coming.parent, priority: "interactive" },
    },
    {
      text(piece) {
        coming.text.value += thinks ? `</think>\n\n${piece}` : piece;
        thinks = false;
        coming.phase.value = "answering";
      },
      thinking(piece) {
        coming.text.value += thinks || coming.text.value ? piece : `<think>${piece}`;
        thinks = true;
        coming.phase.value = "answering";
      },
      begun(name, answer) {
        coming.model = name;
        coming.answer = answer;
        coming.began = Date.now();
        coming.phase.value = "reading";
      },
    },
    stop,
  );
  whole(conversation, coming, answered);
}

function whole(conversation: string, coming: Live, answered: Answered): void {
  if (id.value !== conversation) return;
  const message: Message = {
    id: answered.where?.message ?? `${kUnsaved}${Date.now()}`,
    parent: coming.parent,
    role: "assistant",
    content: coming.text.value,
    created_ms: Date.now(),
    model: answered.model,
    receipt: answered.where?.id ?? null,
    state: "whole",
  };
  batch(() => {
    put(message);
    head.value = message.id;
    if (live.value === coming) live.value = null;
  });
}

// An answer that did not end by itself: the daemon keeps the part; where it could not, the page does.
async function ended(conversation: string, coming: Live, error: unknown, stopped: boolean): Promise<void> {
  if (id.value !== conversation) return;
  const part: Message = {
    id: `${kUnsaved}${Date.now()}`,
    parent: coming.parent,
    role: "assistant",
    content: coming.text.value,
    created_ms: Date.now(),
    model: coming.model,
    state: stopped ? "stopped" : "failed",
    error: stopped ? null : isAway(error) ? "lares stopped in mid-answer; this is the part that came" : said(error),
  };
  if (isAway(error)) {
    coming.phase.value = "lost";
    lost();
    await reached();
    if (id.value !== conversation) return;
  }
  // refused before a word of it: nothing to keep, only to say
  const refused = !stopped && !isAway(error) && coming.text.value === "";
  for (let tries = 0; tries < kSettleTries && !refused; tries++) {
    try {
      const read = await get<Conversation>(at(conversation));
      if (id.value !== conversation) return;
      const kept = read.messages.find((one) => one.parent === coming.parent && one.role === "assistant" && !messages.value.has(one.id));
      if (kept) return take(read);
    } catch (again) {
      if (!isAway(again)) break;
    }
    if (stopped && coming.text.value === "") break;
    await new Promise((done) => setTimeout(done, kSettleEveryMs));
  }
  batch(() => {
    if (coming.text.value === "" && stopped) return;
    put(part);
    head.value = part.id;
  });
}

// Resolves when the daemon was found again.
function reached(): Promise<void> {
  const before = found.peek();
  if (connection.peek() === "open") return Promise.resolve();
  return new Promise((done) => {
    const stop = found.subscribe((now) => {
      if (now > before) {
        queueMicrotask(() => stop());
        done();
      }
    });
  });
}

/** What is thought before the answer ends, and the answer begins. */
export async function stopThinking(): Promise<void> {
  const coming = live.value;
  if (!coming?.answer || coming.enough.value) return;
  coming.enough.value = true;
  try {
    await call("POST", `/lares/v1/answers/${encodeURIComponent(coming.answer)}/stop_thinking`);
  } catch (error) {
    coming.enough.value = false;
    complaint.value = said(error);
  }
}

/** Ends the answer that is coming; the daemon keeps what came. */
export function stop(): void {
  if (!live.value) return;
  live.value.phase.value = "stopping";
  stopper?.abort();
}

// ---- branches

export async function chooseHead(to: string): Promise<void> {
  const conversation = id.value;
  if (!conversation || live.value) return;
  const before = head.value;
  head.value = to;
  if (to.startsWith(kUnsaved)) return;
  try {
    await call("PATCH", at(conversation), { head: to });
  } catch (error) {
    batch(() => {
      head.value = before;
      complaint.value = said(error);
    });
  }
}

/** Shows the branch of the sibling `steps` away. */
export function switchTo(message: Message, steps: number): void {
  const all = siblings(messages.value, message);
  const next = all[all.findIndex((one) => one.id === message.id) + steps];
  if (next) void chooseHead(newestEnd(messages.value, next.id));
}

export async function retitle(text: string): Promise<void> {
  if (!id.value || !text.trim() || text === title.value) return;
  const before = title.value;
  title.value = text.trim();
  try {
    await call("PATCH", at(id.value), { title: title.value });
    noteInList();
  } catch (error) {
    title.value = before;
    complaint.value = said(error);
  }
}

// ---- compaction

/** Has the model summarise the older turns of the branch that ends with `parent`; the summary becomes its end. Null when nothing can go. */
async function compact(conversation: string, parent: string, phase: Live["phase"], stop: AbortSignal, share: number): Promise<Message | null> {
  const plan = planCompaction(branch(messages.value, parent), contextOfModel() * share);
  if (!plan) return null;
  phase.value = "summarising";
  let summary = "";
  for (const request of plan.requests) {
    const before = summary;
    summary = "";
    const { where } = await answer(
      { ...ourWay(), max_tokens: kSummaryTokensMax, messages: [{ role: "user", content: request.replace("{SUMMARY}", () => before) }] },
      { text: (piece) => void (summary += piece), thinking: () => {} },
      stop,
    );
    if (where?.outcome === "repeats") throw new Error("the model's summary of the older turns only repeated itself and was not taken; choose another model, or begin a new chat");
    summary = withoutThinking(summary).trim();
  }
  if (!summary) return null;
  const message = await call<Message>("POST", `${at(conversation)}/messages`, { parent, role: "summary", content: summary, covers: plan.covers });
  if (id.value !== conversation) return null;
  batch(() => {
    put({ ...message, covers: message.covers ?? plan.covers });
    head.value = message.id;
  });
  return message;
}

/** Summarises the older turns now, because the person asked for it. */
export async function compactNow(): Promise<void> {
  const conversation = id.value;
  if (!conversation || !head.value || live.value) return;
  const stop = new AbortController();
  stopper = stop;
  const coming: Live = { parent: head.value, text: signal(""), phase: signal<Live["phase"]["value"]>("summarising"), model: "", answer: "", enough: signal(false), began: Date.now(), tokens: 0 };
  live.value = coming;
  try {
    if (!(await compact(conversation, head.value, coming.phase, stop.signal, kContextShares[0]))) complaint.value = "there is nothing older to summarise: the last turns stay as they are";
  } catch (error) {
    if (!stop.signal.aborted) complaint.value = said(error);
  } finally {
    if (live.value === coming) live.value = null;
  }
}

/** Takes a summary back: the branch ends again where it was added. */
export async function undoCompaction(summary: Message): Promise<void> {
  if (summary.parent) await chooseHead(summary.parent);
}

found.subscribe((times) => {
  if (times > 0 && id.peek() && !live.peek()) void reread().catch(() => {});
});
