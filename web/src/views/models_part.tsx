// Models: those that are here, with what they would cost; those that suit this machine; and what is being pulled.

import { useEffect, useState } from "preact/hooks";
import { connection } from "../api/http";
import type { CatalogueEntry, Model, Plan, Predicted } from "../api/types";
import { catalogue, complaint, exactName, isOver, matching, models, nameOf, noModel, planOf, pull, pullOf, pulls, refreshCatalogue, refreshModels, refreshPulls, removeModel, search, words } from "../models";
import { bytes, count, parameters, rate, sentence } from "../words";
import { ask } from "./ask";
import { attempt, Complaint } from "./complaint";
import { Facts, type Fact } from "./facts";
import { stateWords } from "./model_choice";
import { PullLine, shortly } from "./pull_line";
import { Unused } from "./unused";

const kTypedMs = 150; // without a key, then what was typed is searched
let typed = 0;

export function ModelsPart() {
  useEffect(() => {
    if (connection.value !== "open") return;
    void refreshModels();
    void refreshPulls();
    void refreshCatalogue();
  }, [connection.value]);
  return (
    <div class="part-body">
      <div role="alert">{complaint.value && <p class="complaint">{complaint.value}</p>}</div>
      <Unused />
      <Pulls />
      <section aria-labelledby="here">
        <h2 id="here">On this machine</h2>
        {noModel.value && !models.value.length && <p class="aside" role="status">No model is here yet. Those below are worth having.</p>}
        <ul class="cards">{models.value.map((model) => <Here key={model.id} of={model} />)}</ul>
      </section>
      <Catalogue />
      <PullByName />
    </div>
  );
}

function Pulls() {
  const shown = pulls.value.filter((one) => !isOver(one.state));
  if (!shown.length) return null;
  return (
    <section aria-labelledby="pulls">
      <h2 id="pulls">Coming</h2>
      {shown.map((one) => <PullLine key={one.id} of={one} />)}
    </section>
  );
}

function Here({ of }: { of: Model }) {
  const facts = [
    parameters(of.info.parameters ?? 0) && `${parameters(of.info.parameters ?? 0)} parameters`,
    of.info.quantization && of.info.quantization !== "none" ? of.info.quantization : "",
    of.info.context ? `reads ${count(of.info.context)} tokens` : "",
    of.info.licence ?? "",
  ].filter(Boolean);
  return (
    <li class="card">
      <div class="card-head">
        <h3>{nameOf(of)}</h3>
        {nameOf(of) !== of.id && <code class="model-id">{of.id}</code>}
        <span class={`state ${of.state}`}>{stateWords[of.state]}</span>
        <span class="grow" />
        <button type="button" class="quiet" onClick={() => void attempt(of.id, () => plan(of))}>Plan</button>
        {of.ours && <button type="button" class="quiet" onClick={() => remove(of)}>Remove</button>}
      </div>
      <p>{useWords(of)} · {bytes(of.size_bytes)} on the disk · needs {bytes(of.needs_bytes)} in memory</p>
      {facts.length > 0 && <p class="aside">{facts.join(" · ")}</p>}
      <Complaint at={of.id} />
    </li>
  );
}

function useWords(of: Model): string {
  if (of.use === "embedding") return "For search";
  if (of.use === "rerank") return "Orders what a search found";
  if (of.use === "adapter") return "Changes a model that an app names with it";
  if (of.use === "completion") return "For apps that complete texts; it has no chat template";
  return of.default ? "Answers when nothing else is chosen" : "For chats";
}

async function plan(of: Model): Promise<void> {
  const read = await planOf(of.id);
  ask({ title: `Loading ${exactName(of)}`, body: <PlanText of={read} /> });
}

function PlanText({ of }: { of: Plan }) {
  const speed = (from: Predicted | null) => (from?.tokens_per_s ? `${rate(from.tokens_per_s)}${from.prompt_tokens_per_s ? `, reads ${rate(from.prompt_tokens_per_s)}` : ""}` : "not known yet");
  const memory = (from: Predicted | null) => (from?.memory_bytes ? bytes(from.memory_bytes) : "not known yet");
  const rest = of.needs_bytes - of.weights_bytes - of.state_bytes - of.compute_bytes;
  const facts: Fact[] = [
    ["Weights", bytes(of.weights_bytes)],
    ...(of.state_bytes ? [["Conversations", bytes(of.state_bytes)] as Fact] : []),
    ...(of.compute_bytes ? [["Computing", bytes(of.compute_bytes)] as Fact] : []),
    ...(rest > 0 ? [[of.state_bytes ? "The worker itself, and a margin" : "Conversations and the rest", bytes(rest)] as Fact] : []),
    ["In all", bytes(of.needs_bytes)],
    ["Memory, predicted", memory(of.predicted)],
    ["Memory, measured here", memory(of.measured)],
    ["Speed, predicted", speed(of.predicted)],
    ["Speed, measured here", speed(of.measured)],
  ];
  return (
    <>
      <p>{of.fits ? `It fits: ${bytes(of.needs_bytes)} of the budget of ${bytes(of.budget_bytes)}.` : `It does not fit: it needs ${bytes(of.needs_bytes)}, and the budget is ${bytes(of.budget_bytes)}.`}</p>
      <p>{of.would_evict.length ? `These would leave memory for it: ${of.would_evict.join(", ")}.` : "Nothing would have to leave memory for it."}</p>
      <Facts of={facts} />
    </>
  );
}

function remove(of: Model): void {
  ask({
    title: `Remove ${exactName(of)}?`,
    body: <p>Its file of {bytes(of.size_bytes)} is deleted. Conversations with it stay, and go on with another model.</p>,
    does: "Remove",
    act: () => void attempt(of.id, () => removeModel(of.id)),
  });
}

function Catalogue() {
  const entries = matching.value ?? catalogue.value;
  return (
    <section aria-labelledby="catalogue">
      <h2 id="catalogue">For this machine</h2>
      <input type="search" class="search" placeholder="Search the catalogue" aria-label="Search the catalogue" value={words.value}
        onInput={(event) => {
          const query = event.currentTarget.value;
          clearTimeout(typed);
          typed = window.setTimeout(() => void attempt("catalogue", () => search(query)), kTypedMs);
        }} />
      <Complaint at="catalogue" />
      {entries && !entries.length && <p class="aside" role="status">{matching.value ? "Nothing in the catalogue is called that." : "The catalogue is empty."}</p>}
      <ul class="cards">{entries?.map((entry) => <Entry key={entry.id} of={entry} />)}</ul>
    </section>
  );
}

function Entry({ of }: { of: CatalogueEntry }) {
  const coming = pullOf(of);
  const measured = of.measured?.tokens_per_s ? `${rate(of.measured.tokens_per_s)}, measured here` : "";
  return (
    <li class={of.fits ? "card" : "card dim"}>
      <div class="card-head">
        <h3>{of.title}</h3>
        {of.recommended && <span class="state ready">suits this machine</span>}
        <span class="grow" />
        {of.have ? <span class="aside">here</span> : coming ? <span class="aside">{shortly(coming)}</span> : (
          <button type="button" class="plain-button" disabled={!of.fits} onClick={() => void attempt(of.id, () => pull(of.id))}>Get, {bytes(of.size_bytes)}</button>
        )}
      </div>
      <p>{[`${parameters(of.parameters)} parameters`, of.quantization, `needs ${bytes(of.needs_bytes)}`, measured, `licence ${of.licence}`].filter(Boolean).join(" · ")}</p>
      <p class="aside">{sentence(of.why)} Where this was read: {of.read.filter((one) => /^https:\/\//.test(one.url)).map((one, at) => (
        <>{at > 0 && ", "}<a href={one.url} target="_blank" rel="noopener noreferrer">{one.gave.join(", ").replace("size_bytes", "size")}</a></>
      ))}.</p>
      <Complaint at={of.id} />
    </li>
  );
}

function PullByName() {
  const [begun, setBegun] = useState("");
  const own = pulls.value.find((one) => one.id === begun && one.state !== "cancelled");
  return (
    <section aria-labelledby="by-name">
      <h2 id="by-name">Another one</h2>
      <form class="line-form"
        onSubmit={(event) => {
          event.preventDefault();
          const field = event.currentTarget.elements.namedItem("source") as HTMLInputElement;
          if (!field.value.trim()) return;
          void attempt("by-name", async () => setBegun((await pull(field.value.trim())).id)).then((taken) => taken && (field.value = ""));
        }}>
        <input name="source" aria-label="Where the model is" placeholder="hf:OWNER/REPO:Q4_K_M, ollama:NAME, https://… or /a/file.gguf" spellcheck={false} autocomplete="off" />
        <button type="submit" class="plain-button">Get</button>
      </form>
      <Complaint at="by-name" />
      {own && (isOver(own.state) ? <p role="status">{own.model} is here.</p> : <PullLine of={own} />)}
      <p class="aside">Pulling is the one thing here that uses the network: a request to that host, and nothing else.</p>
    </section>
  );
}
