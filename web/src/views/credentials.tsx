// Who else may use lares: apps with tokens of their own and paired pages, each with its last use and the way to take it back.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, connection, get, said, session } from "../api/http";
import type { Credential } from "../api/types";
import { when } from "../words";
import { browserName } from "../browser";
import { ask } from "./ask";
import { attempt, Complaint } from "./complaint";

const list = signal<Credential[] | null>(null);
const complaint = signal("");

async function read(): Promise<void> {
  try {
    list.value = await get<Credential[]>("/lares/v1/credentials");
    complaint.value = "";
  } catch (error) {
    complaint.value = said(error);
  }
}

async function give(name: string): Promise<void> {
  const given = await call<{ id: string; token: string }>("POST", "/lares/v1/credentials", { name });
  ask({ title: `The token of ${name}`, body: <><p>Shown this once: lares keeps its SHA-256 only, by which it knows it again.</p><pre class="token" tabIndex={0}><code>{given.token}</code></pre></> });
  await read();
}

const isThis = (of: Credential) => of.id === session.value?.credential;

function takeBack(of: Credential): void {
  ask({
    title: `Take back the access of ${nameOf(of)}?`,
    body: <p>{of.kind === "app" ? "Its token ends at once; programs that use it are refused from then on." : `${isThis(of) ? "This page" : "That page"} has to be paired anew by lares ui.`}</p>,
    does: "Take it back",
    act: async () => {
      await attempt(of.id, () => call("DELETE", `/lares/v1/credentials/${encodeURIComponent(of.id)}`));
      await read();
    },
  });
}

const nameOf = (of: Credential) => (of.kind === "page" ? browserName(of.name) : of.name || of.id);

export function Credentials() {
  useEffect(() => {
    if (connection.value === "open") void read();
  }, [connection.value]);
  return (
    <section aria-labelledby="access">
      <h2 id="access">Apps and pages</h2>
      <div role="alert">{complaint.value && <p class="complaint">{complaint.value}</p>}</div>
      <ul class="cards">
        {list.value?.toSorted((a, b) => Number(isThis(b)) - Number(isThis(a))).map((one) => (
          <li key={one.id} class="card">
            <div class="card-head">
              <h3 title={one.name}>{nameOf(one)}</h3>
              <span class={isThis(one) ? "state ready" : "state"}>{isThis(one) ? "this page" : one.kind}</span>
              <span class="grow" />
              <button type="button" class="quiet" aria-label={`Take back the access of ${nameOf(one)}`} onClick={() => takeBack(one)}>Take back</button>
            </div>
            <p class="aside">since {when(one.created_ms)} · {one.last_used_ms ? `last used ${when(one.last_used_ms)}` : "never used"}</p>
            <Complaint at={one.id} />
          </li>
        ))}
      </ul>
      <form class="line-form"
        onSubmit={(event) => {
          event.preventDefault();
          const field = event.currentTarget.elements.namedItem("app") as HTMLInputElement;
          const name = field.value.trim();
          if (name) void attempt("give", () => give(name)).then((given) => given && (field.value = ""));
        }}>
        <input name="app" aria-label="Name of an app" placeholder="Name of an app" maxLength={64} autocomplete="off" />
        <button type="submit" class="plain-button">Give it a token</button>
      </form>
      <Complaint at="give" />
    </section>
  );
}
