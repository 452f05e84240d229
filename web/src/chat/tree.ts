// A conversation is a tree of messages of which one branch is shown. Pure: what is on the branch, what stands beside a
// message, and what the model is given.

import type { Content, Message } from "../api/types";

export type Messages = ReadonlyMap<string, Message>;

/** From the first message to `head`. A parent that is missing, or a ring of them, ends the branch there. */
export function branch(messages: Messages, head: string | null): Message[] {
  const path: Message[] = [];
  const seen = new Set<string>();
  for (let id = head; id !== null && !seen.has(id); ) {
    const message = messages.get(id);
    if (!message) break;
    seen.add(id);
    path.push(message);
    id = message.parent;
  }
  return path.reverse();
}

/** The messages with the same parent and of the same kind, oldest first: what ‹2/3› goes through. */
export function siblings(messages: Messages, message: Message): Message[] {
  return [...messages.values()]
    .filter((other) => other.parent === message.parent && (other.role === "summary") === (message.role === "summary"))
    .sort((a, b) => a.created_ms - b.created_ms || (a.id < b.id ? -1 : 1));
}

/** The newest end below a message: where a switch of branches leads. */
export function newestEnd(messages: Messages, from: string): string {
  const children = new Map<string, Message>();
  for (const message of messages.values()) {
    if (message.parent === null) continue;
    const known = children.get(message.parent);
    if (!known || known.created_ms <= message.created_ms) children.set(message.parent, message);
  }
  const seen = new Set<string>();
  let id = from;
  while (!seen.has(id)) {
    seen.add(id);
    const next = children.get(id);
    if (!next) break;
    id = next.id;
  }
  return id;
}

export interface Turns {
  summary: Message | null;
  /** Messages that the summary stands for. */
  covered: Message[];
  /** Messages that the model is given as they are. */
  kept: Message[];
}

/** The branch as the model sees it: the last summary, and what it does not stand for. */
export function turns(path: Message[]): Turns {
  const at = path.findLastIndex((message) => message.role === "summary");
  const summary = path[at] ?? null;
  const talk = path.filter((message) => message.role !== "summary");
  const covers = summary ? talk.findIndex((message) => message.id === summary.covers) : -1;
  return { summary: covers >= 0 ? summary : null, covered: talk.slice(0, covers + 1), kept: talk.slice(covers + 1) };
}

export interface Given {
  role: "system" | "user" | "assistant";
  content: Content;
}

/** The messages of a request for the answer to the branch's last one; `system` unless the conversation has a system prompt of its own. */
export function given(path: Message[], system = ""): Given[] {
  const { summary, kept } = turns(path);
  const own = path.find((message) => message.role === "system");
  const before = [own ? textOf(own.content) : system, summary ? `What was said before, in short:\n${textOf(summary.content)}` : ""].filter(Boolean);
  const messages: Given[] = before.length ? [{ role: "system", content: before.join("\n\n") }] : [];
  for (const message of kept) {
    if (message.role === "summary" || message.role === "system") continue;
    const content = message.role === "assistant" ? withoutThinking(textOf(message.content)) : forModel(message.content);
    if (message.role === "assistant" && content === "") continue;
    messages.push({ role: message.role, content });
  }
  return messages;
}

// Several parts of text are one text: every model and every server takes that.
function forModel(content: Content): Content {
  if (typeof content === "string" || content.some((part) => part.type !== "text")) return content;
  return textOf(content);
}

export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).filter(Boolean).join("\n\n");
}

const THINKING = /^\s*<think(?:ing)?>([^]*?)(?:<\/think(?:ing)?>|$)/;

/** Splits what a model thought from what it answers; `open` while the thinking has not ended. */
export function thinkingOf(text: string): { thinking: string; answer: string; open: boolean } {
  const found = THINKING.exec(text);
  if (!found) {
    // the mark itself may come in pieces
    return /^\s*<(t(h(i(n(k(i(ng?)?)?)?)?)?)?)?$/.test(text) ? { thinking: "", answer: "", open: true } : { thinking: "", answer: text, open: false };
  }
  const rest = text.slice(found[0].length);
  const open = !/<\/think(?:ing)?>$/.test(found[0]);
  return { thinking: (found[1] ?? "").trim(), answer: rest.replace(/^\s+/, ""), open };
}

export function withoutThinking(text: string): string {
  return thinkingOf(text).answer;
}
