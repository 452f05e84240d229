// Server-Sent Events of an answer, and what they say. Foreign bytes: whatever comes, this ends or throws, and holds no more than
// one event of kEventMax characters.

import { ApiError, lost, send } from "./http";
import type { Timings, Where } from "./types";

export const kEventMax = 4 << 20;

/** Cuts a stream's text into the data of its events. Pure but for what it keeps of an unfinished one. */
export class EventCutter {
  private rest = "";

  take(text: string): string[] {
    this.rest += text;
    const events = this.rest.split(/\r?\n\r?\n/);
    this.rest = events.pop() ?? "";
    if (this.rest.length > kEventMax) throw new ApiError("an event of the answer is longer than the page takes", 0, "too_long");
    return events.map(dataOf).filter((data): data is string => data !== null);
  }
}

function dataOf(event: string): string | null {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? lines.map((line) => line.slice(line.startsWith("data: ") ? 6 : 5)).join("\n") : null;
}

export interface Answered {
  model: string;
  finish: string;
  where: Where | null;
  timings: Timings | null;
}

interface Chunk {
  id?: string;
  model?: string;
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; finish_reason?: string | null }[];
  lares?: Where;
  timings?: Timings;
  error?: { message?: string; code?: string | null };
}

export interface Heard {
  text(piece: string): void;
  thinking(piece: string): void;
  /** `id`: by which the answer can be spoken of while it comes. */
  begun?(model: string, id: string): void;
}

/**
 * Asks for an answer and hands over its pieces as they come. Throws ApiError: with status 0 when the connection broke, with
 * what the daemon said when it ended the answer with an error; AbortError when `stop` was used.
 */
export async function answer(body: object, heard: Heard, stop: AbortSignal): Promise<Answered> {
  const response = await send("POST", "/v1/chat/completions", { ...body, stream: true }, stop);
  const answered: Answered = { model: "", finish: "", where: null, timings: null };
  const reader = response.body?.getReader();
  const cutter = new EventCutter();
  const utf8 = new TextDecoder();
  let whole = false;
  while (reader) {
    let piece: ReadableStreamReadResult<Uint8Array>;
    try {
      piece = await reader.read();
    } catch (error) {
      if (stop.aborted) throw error;
      break;
    }
    if (piece.done) break;
    for (const data of cutter.take(utf8.decode(piece.value, { stream: true }))) {
      if (data === "[DONE]") whole = true;
      else hear(data, answered, heard);
    }
  }
  if (!whole) {
    lost();
    throw new ApiError("the answer broke off", 0, "away");
  }
  return answered;
}

function hear(data: string, answered: Answered, heard: Heard): void {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw new ApiError("a part of the answer is not what lares sends", 500, "corrupt");
  }
  if (chunk.error) throw new ApiError(chunk.error.message ?? "the answer ended with an error", 500, chunk.error.code ?? null);
  if (chunk.model && !answered.model) {
    answered.model = chunk.model;
    heard.begun?.(chunk.model, chunk.id ?? "");
  }
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) heard.thinking(choice.delta.reasoning_content);
  if (choice?.delta?.content) heard.text(choice.delta.content);
  if (choice?.finish_reason) answered.finish = choice.finish_reason;
  if (chunk.lares) answered.where = chunk.lares;
  if (chunk.timings) answered.timings = chunk.timings;
}
