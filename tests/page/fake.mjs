// A stand-in for laresd's part that the page talks to, small and in this process, for what a real one cannot be made to do at
// will: an answer that breaks off, a revoked session, ten thousand conversations, hostile text. Serves the built page under the
// same policy as the daemon does.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; " +
  "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lares dompurify";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const kContext = 8192;

export class Fake {
  conversations = new Map();
  receipts = new Map();
  pulls = [];
  credentials = [{ id: "k-page", kind: "page", name: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", created_ms: Date.now() - 9e7, last_used_ms: Date.now() }];
  asked = []; // bodies of requests for answers
  ordered = []; // bodies of orders to pull
  paired = true;
  tokensPerSecond = 200;
  readsMs = 0; // before the first word
  context = kContext;
  thoughts = () => ""; // before the reply to a body
  enough = false; // of thoughts: somebody asked for the answer
  reply = () => "Spring, summer, autumn and winter.";
  outcome = () => "stop"; // of the answer to a body
  modelState = "ready";
  has = ["smollm2-135m", "gemma-3-270m"]; // ids of the models that are here
  titles = {}; // of models, by id, where they are not their own
  number = 0;
  breaks = 0; // answers that break off after this many pieces, 0: none
  held = new Map(); // "GET /path" to a promise that its answer waits for
  sockets = new Set();

  constructor(folder, harness = "") {
    this.files = new Map(readFileSync(join(folder, "files.txt"), "utf8").trim().split("\n").map((line) => {
      const [path, type, etag, file] = line.split("\t");
      return [path, { type, etag, bytes: readFileSync(join(folder, file + ".gz")) }];
    }));
    if (harness) this.harness = readFileSync(harness);
  }

  async start(port = 0) {
    this.server = createServer((request, response) => void this.answer(request, response));
    this.server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    await new Promise((done) => this.server.listen(port, "127.0.0.1", done));
    this.port = this.server.address().port;
    return this;
  }

  // As a daemon that is killed: every connection breaks.
  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  id(kind) {
    return `${kind}-${(++this.number).toString(16).padStart(8, "0")}`;
  }

  conversation(title, messages = [], at = Date.now()) {
    const made = { id: this.id("c"), title, model: "smollm2-135m", created_ms: at, updated_ms: at, head: null, messages: [] };
    for (const [role, content, more] of messages) this.append(made, { role, content, ...more });
    made.updated_ms = at;
    this.conversations.set(made.id, made);
    return made;
  }

  append(conversation, { role, content, parent = conversation.head, state = "whole", ...more }) {
    const message = { id: this.id("m"), parent, role, content, created_ms: Date.now() + this.number, state, ...more };
    conversation.messages.push(message);
    conversation.head = message.id;
    conversation.updated_ms = Date.now();
    return message;
  }

  receipt(tokens, reused, outcome = "stop") {
    const made = {
      id: this.id("r"), endpoint: "/v1/chat/completions", principal: "owner", model: "smollm2-135m", place: "local", outcome, error: null,
      why: ["smollm2-135m: the default model, and it was in memory", "ran on this machine: there is no other place"], started_unix_ms: Date.now(), queue_ms: 3, load_ms: 0,
      ttft_ms: 212, total_ms: 1890, cpu_ms: 3420, prompt_tokens: 214, prompt_tokens_reused: reused, completion_tokens: tokens, bytes_left_device: 0,
      prefill_tokens_per_s: 412.5, decode_tokens_per_s: 61.2 + (this.number % 7),
    };
    this.receipts.set(made.id, made);
    return made;
  }

  models() {
    const info = { name: "a note of whoever trained it", context: this.context, context_train: 8192, parameters: 134_515_008, quantization: "Q4_1", licence: "Apache-2.0" };
    const own = [
      { id: "smollm2-135m", title: "SmolLM2 135M Instruct", use: "chat", default: true, size_bytes: 98_000_000, needs_bytes: 412 * 2 ** 20, ours: true, info, state: this.modelState, added_unix: 1_780_000_000 },
      { id: "gemma-3-270m", title: "Gemma 3 270M", use: "chat", default: false, size_bytes: 253_000_000, needs_bytes: 600 * 2 ** 20, ours: true, info: { ...info, parameters: 268_000_000, licence: "Gemma" }, state: "absent", added_unix: 1_780_000_000 },
    ];
    return this.has.map((id) => own.find((one) => one.id === id) ?? { ...own[1], id, title: "" }).map((one) => ({ ...one, title: this.titles[one.id] ?? one.title }));
  }

  catalogue() {
    const entry = (id, title, parameters, size, more) => ({
      id, title, family: "qwen", parameters, quantization: "Q4_K_M", source: `hf:example/${id}`, size_bytes: size, licence: "Apache-2.0", read: [{ url: "https://models.example/card", gave: ["repository", "file", "size_bytes"] }, { url: "https://models.example/licence", gave: ["licence"] }], context: 32_768,
      needs_bytes: size * 1.2, fits: true, predicted: { tokens_per_s: 14.2, prompt_tokens_per_s: 60 }, measured: null, have: this.has.includes(id), recommended: false, why: "the most able that fits into 4.0 GiB; about 14 tokens/s here", ...more,
    });
    return [
      entry("qwen-3-4b", "Qwen 3 4B Instruct", 4e9, 2.5 * GIB, { recommended: true }),
      entry("llama-3.1-8b", "Llama 3.1 8B Instruct", 8e9, 4.9 * GIB, { why: "fits; about 6.1 tokens/s here, slower than people read", predicted: { tokens_per_s: 6.1 } }),
      entry("qwen-3-32b", "Qwen 3 32B", 32e9, 19.8 * GIB, { fits: false, why: "needs 23.8 GiB, and memory.budget allows 4.0 GiB", predicted: null }),
    ];
  }

  /** The newest pull has ended well: its model is here. */
  arrives() {
    this.pulls[0].state = "done";
    this.has.push(this.pulls[0].model);
    this.titles[this.pulls[0].model] = this.catalogue().find((one) => one.id === this.pulls[0].model)?.title;
  }

  async answer(request, response) {
    const url = new URL(request.url, this.address);
    let text = "";
    for await (const piece of request) text += piece;
    const body = text ? JSON.parse(text) : {};
    const json = (value, status = 200) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const refuse = (status, message, code = null) => json({ error: { message, type: "invalid_request_error", param: null, code } }, status);
    const file = this.files.get(url.pathname);
    if (file) {
      response.writeHead(200, { "Content-Type": file.type, "Content-Encoding": "gzip", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff" });
      return response.end(file.bytes);
    }
    if (url.pathname === "/harness.js" && this.harness) return response.writeHead(200, { "Content-Type": "text/javascript" }).end(this.harness);
    if (url.pathname === "/harness") {
      response.writeHead(200, { "Content-Type": "text/html", "Content-Security-Policy": POLICY });
      return response.end('<!doctype html><title>harness</title><div id="root"></div>');
    }
    if (!this.paired) return refuse(401, "this session has ended; run `lares ui`", "unauthorized");
    const route = `${request.method} ${url.pathname}`;
    await this.held.get(route);
    if (route === "POST /v1/chat/completions") return this.complete(body, request, response, refuse);
    if (route === "POST /lares/v1/answers/chatcmpl-1/stop_thinking") return (this.enough = true), json({});
    if (route === "GET /lares/v1/session" || route === "POST /lares/v1/session") return json({ principal: "owner", right: "owner", credential: "k-page", version: "0.2.0", system: "You are Lares. Today is Thursday." });
    if (route === "DELETE /lares/v1/session") return (this.paired = false), json({});
    if (route === "GET /lares/v1/models") return json(this.models());
    if (route.endsWith("/plan")) return json({ model: "x", weights_bytes: 94 * MIB, state_bytes: 267 * MIB, compute_bytes: 38 * MIB, needs_bytes: 449 * MIB, fits: true, budget_bytes: 4 * GIB, would_evict: [], predicted: { memory_bytes: 447 * MIB, tokens_per_s: 60 }, measured: { memory_bytes: 449 * MIB, tokens_per_s: 61.2, prompt_tokens_per_s: 400 } });
    if (route === "GET /lares/v1/catalogue") return json(this.catalogue().filter((one) => one.title.toLowerCase().includes((url.searchParams.get("query") ?? "").toLowerCase())));
    if (route === "GET /lares/v1/pulls") return json(this.pulls);
    const [, pulled, stops] = /^\/lares\/v1\/pulls\/([^/]+)(\/stop)?$/.exec(url.pathname) ?? [];
    if (pulled) {
      const pull = this.pulls.find((one) => one.id === pulled);
      Object.assign(pull, stops ? { state: "waiting", error: { message: "it was stopped; the same pull goes on from there", code: "cancelled" } } : { state: "cancelled", error: undefined, bytes_done: 0 });
      return json(pull);
    }
    if (route === "POST /lares/v1/pulls") {
      this.ordered.push(body);
      if (body.source.includes("nothing")) return refuse(400, `'${body.source}' names no model: write hf:OWNER/REPO[:QUANTIZATION]`, "invalid");
      const known = this.catalogue().find((one) => one.id === body.source);
      const made = { id: this.id("p"), source: known?.source ?? body.source, model: known?.id ?? body.source.replace(/^.*\//, ""), state: "fetching", bytes_done: 0.9 * GIB, bytes_total: 2.5 * GIB, bytes_per_s: 31e6, eta_s: 55, begun_ms: Date.now() };
      this.pulls.unshift(made);
      return json(made);
    }
    if (route === "GET /lares/v1/receipts") return json([...this.receipts.values()].reverse().slice(0, Number(url.searchParams.get("limit") ?? 20)));
    if (route.startsWith("GET /lares/v1/why/")) return this.receipts.has(url.pathname.split("/").pop()) ? json(this.receipts.get(url.pathname.split("/").pop())) : refuse(404, "no such receipt");
    if (route === "GET /lares/v1/status") return json({ version: "0.2.0", pid: 1, address: this.address, socket: "", home: "", config: "/home/me/.config/lares/lares.toml", engine: "icelake", uptime_s: 4321, models: 2, resident: 1, requests: this.asked.length % 3, waiting: this.asked.length % 2, memory_bytes: 412 * 2 ** 20, memory_budget_bytes: 4 * GIB });
    if (route === "GET /lares/v1/ps") return json([{ model: "smollm2-135m", state: "ready", pid: 2, memory_bytes: 412 * 2 ** 20, requests: 1, waiting: 0, variant: "icelake", load_ms: 214, up_s: 300 }]);
    if (route === "GET /lares/v1/config") return json([{ name: "memory.budget", value: "4 GiB", unit: "bytes", default: "half of the memory", source: "default", says: "bytes that all models together may take" }, { name: "api.port", value: 5273, unit: "", default: "5273", source: "lares.toml, line 3", says: "the port on 127.0.0.1 and [::1]" }]);
    if (route === "GET /lares/v1/credentials") return json(this.credentials);
    if (route === "POST /lares/v1/credentials") {
      if (body.name === "twice") return refuse(400, "naming the app: 'twice' has a token already; take it back first", "invalid");
      this.credentials.push({ id: this.id("k"), kind: "app", name: body.name, created_ms: Date.now(), last_used_ms: 0 });
      return json({ id: this.credentials.at(-1).id, token: "lares-0123456789abcdef0123456789abcdef" });
    }
    if (route.startsWith("DELETE /lares/v1/credentials/")) {
      this.credentials = this.credentials.filter((one) => one.id !== url.pathname.split("/").pop());
      return json({});
    }
    if (url.pathname.startsWith("/lares/v1/conversations")) return this.converse(request.method, url, body, json, refuse);
    refuse(404, `no route ${route}`);
  }

  converse(method, url, body, json, refuse) {
    const [id, below] = url.pathname.split("/").slice(4);
    if (!id && method === "GET") {
      const words = (url.searchParams.get("query") ?? "").toLowerCase();
      const before = Number(url.searchParams.get("before") ?? Infinity);
      const text = (one) => one.messages.map((message) => String(message.content)).join("\n");
      const found = [...this.conversations.values()].filter((one) => one.updated_ms < before && (!words || `${one.title}\n${text(one)}`.toLowerCase().includes(words)))
        .sort((a, b) => b.updated_ms - a.updated_ms).slice(0, Number(url.searchParams.get("limit") ?? 50));
      return json(found.map(({ messages, head, ...line }) => ({ ...line, messages: messages.length, ...(words ? { snippet: text({ messages }).slice(0, 80) } : {}) })));
    }
    if (!id && method === "POST") return json(this.conversation(body.title ?? "Conversation"));
    const conversation = this.conversations.get(decodeURIComponent(id));
    if (!conversation) return refuse(404, `no conversation '${id}'`);
    if (below === "messages") return json(this.append(conversation, { ...body }));
    if (method === "GET") return json(conversation);
    if (method === "PATCH") {
      Object.assign(conversation, body);
      return json({ ...conversation, messages: undefined });
    }
    this.conversations.delete(conversation.id);
    return json({});
  }

  async complete(body, request, response, refuse) {
    this.asked.push(body);
    const words = body.messages.map((message) => (typeof message.content === "string" ? message.content : JSON.stringify(message.content))).join("\n");
    const tokens = Math.ceil(words.length / 4);
    if (tokens > this.context) return refuse(400, `the prompt has ${tokens} tokens, but this model's context is ${this.context}; shorten it`, "context_length_exceeded");
    const pieces = this.reply(body).match(/\s*\S+|\s+$/g) ?? [];
    const receipt = this.receipt(pieces.length, Math.floor(tokens / 2), this.outcome(body));
    const conversation = this.conversations.get(body.lares?.conversation);
    const send = (value) => response.write(`data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "smollm2-135m", system_fingerprint: "x", ...value })}\n\n`);
    response.writeHead(200, { "Content-Type": "text/event-stream", "X-Lares-Id": receipt.id });
    let gone = false;
    response.on("close", () => (gone = true));
    send({ choices: [{ index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }] });
    await new Promise((done) => setTimeout(done, this.readsMs));
    this.enough = false;
    for (const thought of this.thoughts(body).match(/\s*\S+|\s+$/g) ?? []) {
      if (this.enough || gone) break;
      send({ choices: [{ index: 0, delta: { reasoning_content: thought }, logprobs: null, finish_reason: null }] });
      await new Promise((done) => setTimeout(done, 1000 / this.tokensPerSecond));
    }
    let sent = "";
    const began = Date.now();
    for (let i = 0; i < pieces.length && !gone; i++) {
      if (this.breaks && i === this.breaks) {
        if (conversation && !this.forgets) this.append(conversation, { parent: body.lares.parent, role: "assistant", content: sent, state: "failed", error: "the daemon ended in mid-answer", receipt: receipt.id });
        return response.destroy();
      }
      send({ choices: [{ index: 0, delta: { content: pieces[i] }, logprobs: null, finish_reason: null }] });
      sent += pieces[i];
      const due = began + ((i + 1) * 1000) / this.tokensPerSecond;
      if (due > Date.now()) await new Promise((done) => setTimeout(done, due - Date.now()));
    }
    const message = conversation && this.append(conversation, { parent: body.lares.parent, role: "assistant", content: sent, state: gone ? "stopped" : "whole", model: "smollm2-135m", receipt: receipt.id });
    if (gone) return;
    send({ choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }], lares: { ...receipt, message: message?.id } });
    response.end("data: [DONE]\n\n");
  }
}
