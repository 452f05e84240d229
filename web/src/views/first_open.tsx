// What a person sees first: where they are, four things that the smallest model can do, and the better model for this machine.

import { useEffect } from "preact/hooks";
import { connection, said } from "../api/http";
import { write } from "../chat/draft";
import { better, catalogue, complaint, current, nameOf, pull, pulls, refreshCatalogue } from "../models";
import { bytes, rate } from "../words";
import { PullLine } from "./pull_line";
import { stateWords } from "./model_choice";

// Tried with SmolLM2 135M, twice each: it does what each of them asks.
const PROMPTS = [
  "Name the four seasons.",
  "Give me a title for a story about a lighthouse.",
  "Write a short thank-you note to a neighbour.",
  "Explain in two sentences what a library is.",
];

export function FirstOpen() {
  useEffect(() => {
    if (connection.value === "open" && !catalogue.value) void refreshCatalogue();
  }, [connection.value]);
  return (
    <div class="first">
      <p class="here"><Dot /> {connection.value === "away" ? "lares does not answer yet; it is looked for" : "On this device. Nothing leaves."}</p>
      <h1>What is on your mind?</h1>
      <ModelState />
      <ul class="prompts" aria-label="Things to ask">
        {PROMPTS.map((prompt) => <li key={prompt}><button type="button" onClick={() => write(prompt)}>{prompt}</button></li>)}
      </ul>
      <BetterModel />
    </div>
  );
}

export function Dot() {
  const state = connection.value;
  const words = { opening: "connecting", open: "connected", away: "not connected", unpaired: "not paired" }[state];
  return <span class={`dot ${state}`} role="img" aria-label={words} title={words} />;
}

function ModelState() {
  const model = current.value;
  if (!model || model.state === "ready") return null;
  const words = model.state === "absent" ? "is loaded with your first question" : `is ${stateWords[model.state]}`;
  return <p class="model-line" role="status">{nameOf(model)} {words}{model.state === "loading" || model.state === "starting" ? "…" : "."}</p>;
}

function BetterModel() {
  const entry = better.value;
  if (!entry) return null;
  const running = pulls.value.find((one) => one.source === entry.source && one.state !== "cancelled");
  const speed = entry.measured?.tokens_per_s ?? entry.predicted?.tokens_per_s;
  return (
    <section class="better" aria-labelledby="better">
      <h2 id="better">A better model for this machine</h2>
      <p><strong>{entry.title}</strong> · {bytes(entry.size_bytes)}{speed ? ` · about ${rate(speed)} here` : ""} · {entry.licence}</p>
      <p class="aside">{entry.why}</p>
      {running ? <PullLine of={running} /> : (
        <button type="button" class="main-button" onClick={() => void pull(entry.id).catch((error) => (complaint.value = said(error)))}>Get it, {bytes(entry.size_bytes)}</button>
      )}
      {complaint.value && <p class="complaint" role="alert">{complaint.value}</p>}
    </section>
  );
}
