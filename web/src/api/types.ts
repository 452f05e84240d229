// What the daemon answers, as /openapi.json describes it; only the fields that the page reads.

export interface Session {
  principal: string;
  right: string;
  /** The id of this page's own among the credentials. */
  credential: string | null;
  version: string;
  /** What the page's chats give the model first. */
  system: string;
}

export type Role = "system" | "user" | "assistant" | "summary";
export type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };
export type Content = string | Part[];

export interface Message {
  id: string;
  parent: string | null;
  role: Role;
  content: Content;
  created_ms: number;
  model?: string | null;
  receipt?: string | null;
  state: "whole" | "stopped" | "failed";
  error?: string | null;
  /** Of a summary: the last message that it stands for. */
  covers?: string | null;
}

export interface ConversationLine {
  id: string;
  title: string;
  model: string | null;
  created_ms: number;
  updated_ms: number;
  messages?: number;
  snippet?: string | null;
}

export interface Conversation extends Omit<ConversationLine, "messages"> {
  head: string | null;
  messages: Message[];
}

/** Where an answer ran: what the last piece of a stream and a receipt have in common. */
export interface Where {
  id: string;
  place: string;
  model: string;
  why: string[];
  queue_ms: number;
  load_ms: number;
  ttft_ms: number;
  cpu_ms: number;
  prompt_tokens_reused: number;
  bytes_left_device: number;
  outcome: string;
  message?: string;
}

export interface Receipt extends Where {
  endpoint: string;
  principal: string;
  error: string | null;
  started_unix_ms: number;
  total_ms: number;
  prompt_tokens: number;
  completion_tokens: number;
  prefill_tokens_per_s: number;
  decode_tokens_per_s: number;
}

export interface Timings {
  cache_n: number;
  prompt_n: number;
  predicted_n: number;
  predicted_per_second: number;
}

export interface Model {
  id: string;
  /** What people call it; empty where the daemon does not know. */
  title: string;
  use: "chat" | "completion" | "embedding" | "rerank" | "adapter";
  default: boolean;
  size_bytes: number;
  needs_bytes: number;
  ours: boolean;
  /** How its makers would have it asked. */
  sampling?: { temperature?: number; top_p?: number } | null;
  info: { context?: number; context_train?: number; parameters?: number; quantization?: string; licence?: string; architecture?: string; vision?: boolean };
  state: "absent" | "starting" | "loading" | "ready" | "stopping" | "quarantined";
}

export interface Predicted {
  memory_bytes?: number | null;
  tokens_per_s?: number | null;
  prompt_tokens_per_s?: number | null;
}

export interface Plan {
  model: string;
  weights_bytes: number;
  state_bytes: number;
  compute_bytes: number;
  needs_bytes: number;
  fits: boolean;
  budget_bytes: number;
  would_evict: string[];
  predicted: Predicted | null;
  measured: Predicted | null;
}

export interface CatalogueEntry {
  id: string;
  title: string;
  family: string;
  parameters: number;
  quantization: string;
  source: string;
  size_bytes: number;
  licence: string;
  read: { url: string; gave: string[] }[];
  context: number;
  needs_bytes: number;
  fits: boolean;
  predicted: Predicted | null;
  measured: Predicted | null;
  have: boolean;
  recommended: boolean;
  why: string;
}

export interface Pull {
  id: string;
  source: string;
  model: string;
  state: "resolving" | "reserving" | "fetching" | "verifying" | "inspecting" | "done" | "failed" | "cancelled" | "waiting";
  bytes_done: number;
  bytes_total: number;
  bytes_per_s: number;
  eta_s?: number | null;
  error?: { message: string; code: string | null } | null;
  begun_ms: number;
}

export interface Status {
  version: string;
  address: string;
  engine: string;
  uptime_s: number;
  requests: number;
  waiting: number;
  memory_bytes: number;
  memory_budget_bytes: number;
}

export interface InMemory {
  model: string;
  state: string;
  memory_bytes: number;
  requests: number;
  waiting: number;
  variant: string;
  load_ms: number;
  up_s: number;
}

export interface Setting {
  name: string;
  value: string | number | boolean | null;
  unit: string;
  default: string;
  source: string;
  says: string;
}

/** An app with a token of its own, or a paired page. */
export interface Credential {
  id: string;
  kind: "app" | "page";
  name: string;
  created_ms: number;
  last_used_ms: number;
}
