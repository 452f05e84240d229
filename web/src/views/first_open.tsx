// What a person sees first: where they are, four things that the smallest model can do, and the better model for this machine. Where
// there is no model yet, how to get one.

import { useEffect } from "preact/hooks";
import { connection } from "../api/http";
import { write } from "../chat/draft";
import { better, catalogue, complaint, current, nameOf, noModel, pull, pullOf, refreshCatalogue } from "../models";
import { bytes, rate, sentence } from "../words";
import { attempt, Complaint } from "./complaint";
import { PullLine } from "./pull_line";
import { stateWords } from "./model_choice";
import { Unused } from "./unused";

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
      {noModel.value ? <NoModel /> : (
        <>
          <h1>What is on your mind?</h1>
          <ModelState />
          <ul class="prompts" aria-label="Things to ask">
            {PROMPTS.map((prompt) => <li key={prompt}><button type="button" onClick={() => write(prompt)}>{prompt}</button></li>)}
          </ul>
          <Unused />
          <BetterModel title="A better model for this machine" />
        </>
      )}
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

function NoModel() {
  return (
    <>
      <h1>No model is here yet</h1>
      <p>Questions are answered by a model on this machine. {better.value ? "This one suits it; " : ""}<a href="#/models">Models</a> lists others. In a terminal, <code>lares models search</code> lists
        them and <code>lares models pull NAME</code> gets one.</p>
      {catalogue.value && complaint.value && <p class="complaint" role="alert">{complaint.value}</p>}
      <BetterModel title="A model for this machine" />
    </>
  );
}

function BetterModel({ title }: { title: string }) {
  const entry = better.value;
  if (!entry) return null;
  const running = pullOf(entry);
  return (
    <section class="better" aria-labelledby="better">
      <h2 id="better">{title}</h2>
      <p><strong>{entry.title}</strong> · {bytes(entry.size_bytes)}{entry.measured?.tokens_per_s ? ` · ${rate(entry.measured.tokens_per_s)}, measured here` : ""} · licence {entry.licence}</p>
      <p class="aside">{sentence(entry.why)}</p>
      {running ? <PullLine of={running} /> : <button type="button" class="main-button" onClick={() => void attempt(entry.id, () => pull(entry.id))}>Get it, {bytes(entry.size_bytes)}</button>}
      <Complaint at={entry.id} />
    </section>
  );
}
