// The page's one way to the daemon: every request, the connection's state, and finding back after the daemon was away.
// The page is paired by a cookie that scripts cannot read; a 401 means that it no longer is.

import { signal } from "@preact/signals";
import type { Session } from "./types";

/** "open"; "away": the daemon does not answer; "unpaired": it does, and does not know this page any more. */
export const connection = signal<"opening" | "open" | "away" | "unpaired">("opening");
/** Grows when what is shown should be read anew: the daemon was found again, or the person came back to this window and may have
 * talked in the terminal meanwhile. */
export const found = signal(0);
export const session = signal<Session | null>(null);

const kRetryFirstMs = 250;
const kRetryMostMs = 3_000;

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string | null,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

/** What to say of anything that was thrown. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether this was the connection that broke, not an answer that said no. */
export function isAway(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

/** Sends one request; throws ApiError with status 0 when the daemon does not answer, and AbortError when `stop` was used. */
export async function send(method: string, path: string, body?: unknown, stop?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      ...(stop ? { signal: stop } : {}),
    });
  } catch (error) {
    if (stop?.aborted) throw error;
    lost();
    throw new ApiError("lares does not answer; it is looked for until it does", 0, "away");
  }
  if (response.ok) {
    if (connection.value === "away") await back();
    return response;
  }
  throw await errorOf(response);
}

export async function call<T>(method: string, path: string, body?: unknown, stop?: AbortSignal): Promise<T> {
  const response = await send(method, path, body, stop);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (stop?.aborted) throw error;
    lost();
    throw new ApiError("the answer broke off", 0, "away");
  }
}

export const get = <T>(path: string, stop?: AbortSignal) => call<T>("GET", path, undefined, stop);

async function errorOf(response: Response): Promise<ApiError> {
  let message = `lares answered with status ${response.status}`;
  let code: string | null = null;
  let param: string | null = null;
  try {
    const parsed = (await response.json()) as { error?: { message?: string; code?: string | null; param?: string | null } | string };
    if (typeof parsed.error === "string") message = parsed.error;
    else if (parsed.error) ({ message = message, code = null, param = null } = parsed.error);
  } catch {
    // an answer without a body says no more than its status
  }
  if (response.status === 401) {
    connection.value = "unpaired";
    session.value = null;
  }
  return new ApiError(message, response.status, code, param);
}

let promptOfDay = "";

/** The system prompt of the page's chats. It tells the date, so that a page that stays open over midnight asks for it again. */
export async function systemPrompt(): Promise<string> {
  const today = new Date().toDateString();
  if (!session.value || promptOfDay !== today) {
    session.value = await get<Session>("/lares/v1/session");
    promptOfDay = today;
  }
  return session.value.system;
}

let looking = false;

/** The daemon does not answer: looks for it, ever less often, until it does. */
export function lost(): void {
  if (connection.value === "unpaired" || looking) return;
  connection.value = "away";
  looking = true;
  void look(kRetryFirstMs);
}

async function look(wait: number): Promise<void> {
  await new Promise((done) => setTimeout(done, wait));
  try {
    const response = await fetch("/lares/v1/session", { credentials: "same-origin", cache: "no-store" });
    if (response.ok || response.status === 401) {
      looking = false;
      if (response.ok) {
        session.value = (await response.json()) as Session;
        await back();
      } else connection.value = "unpaired";
      return;
    }
  } catch {
    // still away
  }
  void look(Math.min(wait * 1.5, kRetryMostMs));
}

async function back(): Promise<void> {
  connection.value = "open";
  found.value++;
}

/** Begins the session: with a code of `lares ui`, or with the cookie of an earlier time. */
export async function open(code: string | null): Promise<void> {
  if (code) {
    try {
      await send("POST", "/lares/v1/session", { code });
    } catch (error) {
      // a code that was used already is no harm where the cookie still holds
      if (isAway(error)) return;
    }
  }
  try {
    session.value = await get<Session>("/lares/v1/session");
    connection.value = "open";
  } catch (error) {
    if (error instanceof ApiError && error.status !== 0) connection.value = "unpaired";
  }
}
