// A message's text that grows: what can no longer change is made into nodes once and left alone, only the last block is made
// anew. So a piece costs what its block costs, not what the whole answer does. Owned by the view of one message.
//
// When the text has ended it is read once as a whole; where that differs (a link defined at the end, say) the whole is
// made anew, so that a message looks the same growing and afterwards.

import type { Token } from "marked";
import { lexed } from "./lex";
import { blocks, codeBlock } from "./nodes";

const FENCE_OPEN = /^ {0,3}(`{3,}|~{3,})([^\n]*)\n/;

export class Growing {
  private text = "";
  private settledTo = 0; // characters whose blocks are settled
  private settled: string[] = []; // their tokens' text
  private tail: Node[] = [];
  private fence: Text | null = null; // of the open code block that is the whole tail
  private ended = false;

  constructor(private readonly root: HTMLElement) {}

  /** Shows `text`; cheap when it is what was shown last and some more. */
  show(text: string, ended: boolean): void {
    const next = text.includes("\r") ? text.replaceAll("\r", "") : text;
    if (this.ended && ended && next === this.text) return;
    if (this.ended || !next.startsWith(this.text)) this.clear();
    const more = next.slice(this.text.length);
    this.text = next;
    if (ended) return this.end();
    if (more && !this.growsFence(more)) this.readTail();
  }

  private clear(): void {
    this.root.replaceChildren();
    this.text = "";
    this.settledTo = 0;
    this.settled = [];
    this.tail = [];
    this.fence = null;
    this.ended = false;
  }

  // Inside a fence that stays open more code is more text.
  private growsFence(more: string): boolean {
    if (!this.fence) return false;
    const source = this.text.slice(this.settledTo);
    const open = FENCE_OPEN.exec(source);
    const mark = open?.[1] ?? "```";
    const lastLine = source.slice(Math.max(source.lastIndexOf("\n", source.length - more.length - 1), 0));
    if (!open || lastLine.includes(mark.slice(0, 1))) {
      this.fence = null;
      return false;
    }
    this.fence.appendData(more);
    return true;
  }

  private readTail(): void {
    const source = this.text.slice(this.settledTo);
    const { tokens } = lexed(source);
    let last = tokens.length - 1;
    while (last > 0 && tokens[last]?.type === "space") last--;
    if (last > 0 && closed(tokens[last - 1])) {
      this.settle(tokens.slice(0, last));
      tokens.splice(0, last);
    }
    const only = tokens[0];
    const openFence = only?.type === "code" && tokens.length === 1 && FENCE_OPEN.test(only.raw) && !fenceIsClosed(only.raw);
    this.replaceTail(openFence ? this.openFence(only) : blocks(tokens));
  }

  private settle(tokens: Token[]): void {
    const nodes = blocks(tokens);
    for (const node of this.tail) node.parentNode?.removeChild(node);
    this.root.append(...nodes);
    this.tail = [];
    for (const token of tokens) {
      this.settledTo += token.raw.length;
      this.settled.push(token.raw);
    }
  }

  private replaceTail(nodes: Node[]): void {
    for (const node of this.tail) node.parentNode?.removeChild(node);
    this.root.append(...nodes);
    this.tail = nodes;
  }

  private openFence(token: Token): Node[] {
    const open = FENCE_OPEN.exec(token.raw);
    const made = codeBlock("", open?.[2] ?? "");
    this.fence = document.createTextNode(token.raw.slice(open?.[0].length ?? 0));
    made.querySelector("code")?.replaceChildren(this.fence);
    return [made];
  }

  private end(): void {
    const { tokens, defines } = lexed(this.text);
    const same = !defines && this.settled.every((raw, i) => tokens[i]?.raw === raw);
    if (!same) {
      this.root.replaceChildren();
      this.tail = [];
      this.settled = [];
    }
    this.replaceTail(blocks(tokens.slice(this.settled.length)));
    this.fence = null;
    this.ended = true;
  }
}

// A block after which another begins, whatever comes: a blank line stands between, or it ends by itself.
function closed(token: Token | undefined): boolean {
  if (!token) return false;
  return token.type === "space" || token.type === "heading" || token.type === "hr" || (token.type === "code" && fenceIsClosed(token.raw));
}

function fenceIsClosed(raw: string): boolean {
  const mark = FENCE_OPEN.exec(raw)?.[1];
  if (!mark) return false;
  const lines = raw.replace(/\n+$/, "").split("\n");
  const lastLine = (lines.at(-1) ?? "").trim();
  return lines.length > 1 && lastLine.length >= mark.length && lastLine === mark[0]?.repeat(lastLine.length);
}
