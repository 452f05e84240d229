// A full context: which turns are summarised, and what the model is asked for it. Pure. The summary is a message of its own
// that says what it stands for, so that nothing is lost and going back is choosing another head.

import type { Message } from "../api/types";
import { textOf, turns, withoutThinking } from "./tree";

/** Share of the context that turns may take which are kept word for word. */
const kKeptShare = 0.35;
/** Share of the context that one request for a summary may take. */
const kPieceShare = 0.55;
export const kSummaryTokensMax = 400;
const kMessagesKeptMin = 1; // the question that waits for its answer

/** About how many tokens a text is, for planning only; the daemon counts. On the high side for English. */
export function tokensAbout(text: string): number {
  let wide = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x2ff) wide++;
  return Math.ceil((text.length - wide) / 3.2 + wide * 1.2) + 8;
}

/** Share of tokensAbout() that a text has even where its words are long. */
const kSurelyShare = 0.8;

/** Whether the question that a branch ends with is too long for the model by itself, so that no summary makes room for it. */
export function questionTooLong(path: Message[], contextTokens: number): boolean {
  const question = path.findLast((message) => message.role === "user");
  return question !== undefined && tokensAbout(textOf(question.content)) * kSurelyShare > contextTokens;
}

export interface CompactionPlan {
  /** The last message that the summary stands for. */
  covers: string;
  /** What the model is asked, one request after the other; {SUMMARY} is what the one before brought. */
  requests: string[];
  messages: number;
}

/** What to summarise so that the branch fits again; null when there is nothing older than what must stay. */
export function planCompaction(path: Message[], contextTokens: number): CompactionPlan | null {
  const { summary, kept } = turns(path);
  const talk = kept.filter((message) => message.role !== "system");
  let budget = contextTokens * kKeptShare;
  let from = talk.length;
  while (from > 0) {
    const cost = tokensAbout(textOf(talk[from - 1]?.content ?? ""));
    if (talk.length - from >= kMessagesKeptMin && cost > budget) break;
    budget -= cost;
    from--;
  }
  // an answer stays with its question
  while (from > 0 && from < talk.length - kMessagesKeptMin && talk[from]?.role === "assistant") from++;
  const older = talk.slice(0, from);
  const last = older.at(-1);
  if (!last) return null;
  return { covers: last.id, messages: older.length, requests: requests(older, summary ? textOf(summary.content) : "", contextTokens) };
}

function requests(older: Message[], earlier: string, contextTokens: number): string[] {
  const charactersMax = Math.max(600, Math.floor(contextTokens * kPieceShare * 2.6));
  const pieces: string[] = [];
  let piece = "";
  for (const message of older) {
    const words = withoutThinking(textOf(message.content));
    let line = `${message.role === "user" ? "Person" : "Assistant"}: ${words}\n\n`;
    while (piece.length + line.length > charactersMax) {
      const room = charactersMax - piece.length;
      if (piece && room < charactersMax / 4) {
        pieces.push(piece);
        piece = "";
        continue;
      }
      pieces.push(piece + line.slice(0, room));
      line = line.slice(room);
      piece = "";
    }
    piece += line;
  }
  if (piece.trim()) pieces.push(piece);
  return pieces.map((text, i) => {
    const before = i > 0 ? "{SUMMARY}" : earlier;
    return `${before ? `So far, in short:\n${before}\n\nWhat was said then:\n\n` : "A conversation:\n\n"}${text.trim()}\n\n` +
      "Summarise all of this in at most 200 words, for somebody who goes on with it: what the person wants, what was decided, names, numbers and facts that matter. Only the summary.";
  });
}
