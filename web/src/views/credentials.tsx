// Who else may use lares: apps with tokens of their own and paired pages, each with its last use and the way to take it back.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, connection, get, said } from "../api/http";
import type { Credential } from "../api/types";
import { when } from "../words";
import { ask } from "./ask";

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
  try {
    const given = await call<{ id: string; token: string }>("POST", "/lares/v1/credentials", { name });
    ask({ title: `The token of ${name}`, body: <><p>Shown this once; lares keeps only what is needed to know it again.</p><pre class="token" tabIndex={0}><code>{given.token}</code></pre></> });
    await read();
  } catch (error) {
    complaint.value = said(error);
  }
}

function takeBack(of: Credential): void {
  ask({
    title: `Take back the access of ${nameOf(of)}?`,
    body: <p>{of.kind === "app" ? "Its token ends at once; programs that use it are refused from then on." : "That page has to be paired anew by lares ui. It may be this one."}</p>,
    does: "Take it back",
    act: async () => {
      try {
        await call("DELETE", `/lares/v1/credentials/${encodeURIComponent(of.id)}`);
      } catch (error) {
        complaint.value = said(error);
      }
      await read();
    },
  });
}

const nameOf = (of: Credential) => of.name || (of.kind === "page" ? "a page" : of.id);

export function Credentials() {
  useEffect(() => {
    if (connection.value === "open") void read();
  }, [connection.value]);
  return (
    <section aria-labelledby="access">
      <h2 id="access">Apps and pages</h2>
      <div role="alert">{complaint.value && <p class="complaint">{complaint.value}</p>}</div>
      <ul class="cards">
        {list.value?.map((one) => (
          <li key={one.id} class="card">
            <div class="card-head">
              <h3>{nameOf(one)}</h3>
              <span class="state">{one.kind}</span>
              <span class="grow" />
              <button type="button" class="quiet" aria-label={`Take back the access of ${nameOf(one)}`} onClick={() => takeBack(one)}>Take back</button>
            </div>
            <p class="aside">since {when(one.created_ms)} · {one.last_used_ms ? `last used ${when(one.last_used_ms)}` : "never used"}</p>
          </li>
        ))}
      </ul>
      <form class="line-form"
        onSubmit={(event) => {
          event.preventDefault();
          const field = event.currentTarget.elements.namedItem("app") as HTMLInputElement;
          if (field.value.trim()) void give(field.value.trim()).then(() => (field.value = ""));
        }}>
        <input name="app" aria-label="Name of an app" placeholder="Name of an app" maxLength={64} autocomplete="off" />
        <button type="submit" class="plain-button">Give it a token</button>
      </form>
    </section>
  );
}
