// The machine: what is in memory and what it costs, how fast each model was, and the queue. Drawn from what the daemon says while
// this is shown; a chart appears when there is something in it.

import { signal } from "@preact/signals";
import { get } from "../api/http";
import type { InMemory, Receipt, Status } from "../api/types";
import { bytes, plural, rate, seconds } from "../words";
import { Chart, type Line } from "./chart";
import { usePolled } from "./polled";
import { Table, type Column } from "./table";

const status = signal<Status | null>(null);
const resident = signal<InMemory[]>([]);
const receipts = signal<Receipt[]>([]);
const history = signal<{ times: number[]; computed: number[]; waiting: number[]; memory: number[] }>({ times: [], computed: [], waiting: [], memory: [] });

const kEveryMs = 1_000;
const kReceiptsEveryMs = 4_000;
const kKept = 300; // readings: five minutes
const kColours = ["accent", "second", "third", "fourth"];

async function read(): Promise<void> {
  const [now, models] = await Promise.all([get<Status>("/lares/v1/status"), get<InMemory[]>("/lares/v1/ps")]);
  status.value = now;
  resident.value = models;
  const { times, computed, waiting, memory } = history.value;
  history.value = {
    times: [...times, Date.now() / 1000].slice(-kKept),
    computed: [...computed, now.requests].slice(-kKept),
    waiting: [...waiting, now.waiting].slice(-kKept),
    memory: [...memory, now.memory_bytes].slice(-kKept),
  };
}

async function readReceipts(): Promise<void> {
  receipts.value = await get<Receipt[]>("/lares/v1/receipts?limit=200");
}

export function Machine() {
  usePolled(read, kEveryMs);
  usePolled(readReceipts, kReceiptsEveryMs);
  const now = status.value;
  if (!now) return <p class="aside part-body" role="status">Asking…</p>;
  return (
    <div class="part-body">
      <Memory of={now} />
      <Residents />
      <Speeds />
      <Queue />
      <p class="aside">lares {now.version} at {now.address}, up {seconds(now.uptime_s * 1000)}; its engine runs {now.engine} code.</p>
    </div>
  );
}

function Memory({ of }: { of: Status }) {
  const share = (part: number) => `${Math.min((part / of.memory_budget_bytes) * 100, 100)}%`;
  return (
    <section aria-labelledby="memory">
      <h2 id="memory">Memory</h2>
      <p class="figure"><strong>{bytes(of.memory_bytes)}</strong> of {bytes(of.memory_budget_bytes)} reserved</p>
      <div class="stack" role="img" aria-label={`${bytes(of.memory_bytes)} of ${bytes(of.memory_budget_bytes)} are reserved`}>
        {resident.value.map((model, i) => <span key={model.model} style={{ width: share(model.memory_bytes), background: `var(--${kColours[i % kColours.length]})` }} title={`${model.model}: ${bytes(model.memory_bytes)}`} />)}
      </div>
      <p class="aside">A budget that is never exceeded: bytes are reserved before a model is started, and idle models leave when another needs the room.</p>
    </section>
  );
}

const COLUMNS: Column<InMemory>[] = [
  { name: "Model", plain: true, of: (model, i) => <><i class="swatch" style={{ background: `var(--${kColours[i % kColours.length]})` }} />{model.model}</> },
  { name: "State", plain: true, of: (model) => model.state },
  { name: "Memory", figure: true, of: (model) => bytes(model.memory_bytes) },
  { name: "Answering", figure: true, of: (model) => model.requests },
  { name: "Waiting", figure: true, of: (model) => model.waiting },
  { name: "Loaded in", figure: true, of: (model) => (model.load_ms ? seconds(model.load_ms) : "–") },
  { name: "Code", of: (model) => model.variant },
];

function Residents() {
  if (!resident.value.length) return <p>No model is in memory. The next question loads one.</p>;
  return <Table label="Models in memory" columns={COLUMNS} rows={resident.value} keyOf={(model) => model.model} />;
}

function Speeds() {
  const answers = receipts.value.filter((one) => one.decode_tokens_per_s > 0 && one.completion_tokens > 1).sort((a, b) => a.started_unix_ms - b.started_unix_ms);
  if (!answers.length) return null;
  const models = [...new Set(answers.map((one) => one.model))].slice(-kColours.length);
  const times = answers.map((one) => one.started_unix_ms / 1000);
  const lines: Line[] = models.map((model, i) => ({ name: model, colour: kColours[i] ?? "accent", points: true, values: answers.map((one) => (one.model === model ? one.decode_tokens_per_s : null)) }));
  return (
    <section aria-labelledby="speed">
      <h2 id="speed">Speed</h2>
      <ul class="speeds">
        {models.map((model) => {
          const own = answers.filter((one) => one.model === model).map((one) => one.decode_tokens_per_s).sort((a, b) => a - b);
          const reads = answers.filter((one) => one.model === model && one.prefill_tokens_per_s > 0).map((one) => one.prefill_tokens_per_s).sort((a, b) => a - b);
          return <li key={model}><strong>{model}</strong> writes {rate(median(own))}{reads.length ? `, reads ${rate(median(reads))}` : ""} <span class="aside">(middle of {plural(own.length, "answer")})</span></li>;
        })}
      </ul>
      {answers.length > 1 && <Chart label="Tokens per second of each answer" times={times} lines={lines} format={(value) => String(Math.round(value * 10) / 10)} />}
    </section>
  );
}

const median = (sorted: number[]) => sorted[Math.floor(sorted.length / 2)] ?? 0;

function Queue() {
  const { times, computed, waiting } = history.value;
  const now = status.value;
  if (!now) return null;
  const moved = computed.some((n) => n > 0) || waiting.some((n) => n > 0);
  return (
    <section aria-labelledby="queue">
      <h2 id="queue">Queue</h2>
      <p class="figure" role="status"><strong>{now.requests}</strong> being answered, <strong>{now.waiting}</strong> waiting</p>
      {moved && times.length > 1 && (
        <Chart label="The last minutes" times={times} lines={[{ name: "being answered", values: computed, colour: "accent", steps: true }, { name: "waiting", values: waiting, colour: "second", steps: true }]}
          format={(value) => (Number.isInteger(value) ? String(value) : "")} least={2} />
      )}
    </section>
  );
}
