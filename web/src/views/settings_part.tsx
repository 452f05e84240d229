// Settings as they are in force, each with where its value comes from; the way to change them; and the end of this session.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, connection, get, said, session } from "../api/http";
import type { Setting, Status } from "../api/types";
import { attempt, Complaint } from "./complaint";
import { Credentials } from "./credentials";

const settings = signal<Setting[]>([]);
const file = signal("");
const complaint = signal("");

async function read(): Promise<void> {
  try {
    settings.value = await get<Setting[]>("/lares/v1/config");
    file.value = (await get<Status & { config?: string }>("/lares/v1/status")).config ?? "";
    complaint.value = "";
  } catch (error) {
    complaint.value = said(error);
  }
}

async function end(): Promise<void> {
  await call("DELETE", "/lares/v1/session");
  session.value = null;
  connection.value = "unpaired";
}

const shown = (of: Setting) => (of.value === null || of.value === "" ? "–" : `${String(of.value)}${of.unit && typeof of.value === "number" ? ` ${of.unit}` : ""}`);

export function SettingsPart() {
  useEffect(() => {
    if (connection.value === "open") void read();
  }, [connection.value]);
  return (
    <div class="part-body">
      <div role="alert">{complaint.value && <p class="complaint">{complaint.value}</p>}</div>
      <section aria-labelledby="session">
        <h2 id="session">This page</h2>
        <p>Paired by <code>lares ui</code>{session.value ? ` as ${session.value.principal}` : ""}. Its session is a cookie that no script can read and no other site can use.</p>
        <button type="button" class="plain-button" onClick={() => void attempt("session", end)}>End this session</button>
        <Complaint at="session" />
      </section>
      <section aria-labelledby="programs">
        <h2 id="programs">Other programs</h2>
        <p>Programs of yours on this machine may use the models with no key: <code>OPENAI_BASE_URL={location.origin}/v1</code>. For more than models, and from elsewhere, <code>lares token --show</code> in a terminal prints your own token, with which a program may do all that you may.</p>
      </section>
      <Credentials />
      <section aria-labelledby="settings">
        <h2 id="settings">Settings in force</h2>
        <p class="aside">{file.value ? <>They are read from <code>{file.value}</code> when lares starts; an unknown name there is an error that says which.</> : " "}</p>
        <dl class="settings">
          {settings.value.map((one) => (
            <div key={one.name}>
              <dt><code>{one.name}</code></dt>
              <dd>
                <span class="value">{shown(one)}</span> <span class="aside">{one.source}</span>
                <p>{one.says}</p>
              </dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  );
}
