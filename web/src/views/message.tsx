// One message of the branch, with what can be done to it.

import type { Message as Said } from "../api/types";
import { shownOf } from "../chat/attachments";
import * as chat from "../chat/current";
import { siblings, textOf, thinkingOf } from "../chat/tree";
import { bytes } from "../words";
import { ask } from "./ask";
import { edit } from "./composer";
import { Again, Left, Pen, Right, Sheets } from "./icons";
import { Markdown } from "./markdown";
import { Where } from "./where";

export function Message({ of }: { of: Said }) {
  if (of.role === "user") return <Asked of={of} />;
  if (of.role === "assistant") return <Answered of={of} />;
  return null;
}

function Asked({ of }: { of: Said }) {
  const shown = shownOf(of.content);
  return (
    <article class="message asked" aria-label="You">
      {(shown.files.length > 0 || shown.pictures.length > 0) && (
        <ul class="files" aria-label="Attached">
          {shown.pictures.map((picture, i) => <li key={i}><img class="picture" src={picture} alt="A picture you attached" /></li>)}
          {shown.files.map((file, i) => (
            <li key={i}>
              <button type="button" class="file" onClick={() => ask({ title: file.name, body: <pre class="file-text">{file.text.slice(0, 100_000)}</pre>, wide: true })}>
                <span class="file-name">{file.name}</span>
                <span class="file-size">{bytes(file.bytes)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {shown.text && <div class="asked-text" dir="auto">{shown.text}</div>}
      <div class="acts">
        <Branches of={of} />
        <button type="button" class="quiet" aria-label="Edit this message" title="Edit" disabled={chat.live.value !== null} onClick={() => edit(of)}><Pen /></button>
        <CopyButton text={shown.text} />
      </div>
    </article>
  );
}

function Answered({ of }: { of: Said }) {
  const { thinking, answer } = thinkingOf(textOf(of.content));
  return (
    <article class="message answered" aria-label="Lares">
      {thinking && <Thinking text={thinking} />}
      {answer && <Markdown text={answer} />}
      <Ended of={of} />
      <div class="acts">
        <Branches of={of} />
        <button type="button" class="quiet" aria-label="Answer again" title="Answer again" disabled={chat.live.value !== null} onClick={() => void chat.regenerate(of)}><Again /></button>
        <CopyButton text={answer} />
        {of.receipt ? <Where id={of.receipt} /> : null}
      </div>
    </article>
  );
}

export function Thinking({ text, open = false }: { text: string; open?: boolean }) {
  return (
    <details class="thinking">
      <summary>{open ? <span class="breathing">Thinking</span> : "What it thought"}</summary>
      <div class="thinking-text" dir="auto">{text}</div>
    </details>
  );
}

function Ended({ of }: { of: Said }) {
  if (of.state === "whole") return null;
  const words = of.state === "stopped" ? "Stopped." : (of.error ?? "The answer ended early.");
  return (
    <p class={of.state === "stopped" ? "ended" : "ended broke"}>
      <span>{words}</span>{" "}
      {textOf(of.content)
        ? <button type="button" class="word" disabled={chat.live.value !== null} onClick={() => void chat.goOn().catch(() => {})}>Go on</button>
        : <button type="button" class="word" disabled={chat.live.value !== null} onClick={() => void chat.regenerate(of)}>Try again</button>}
    </p>
  );
}

function Branches({ of }: { of: Said }) {
  const all = siblings(chat.messages.value, of);
  if (all.length < 2) return null;
  const now = all.findIndex((one) => one.id === of.id);
  const busy = chat.live.value !== null;
  return (
    <span class="branches" role="group" aria-label={`Version ${now + 1} of ${all.length}`}>
      <button type="button" class="quiet" aria-label="Earlier version" disabled={busy || now === 0} onClick={() => chat.switchTo(of, -1)}><Left /></button>
      <span aria-hidden="true">{now + 1}/{all.length}</span>
      <button type="button" class="quiet" aria-label="Later version" disabled={busy || now === all.length - 1} onClick={() => chat.switchTo(of, 1)}><Right /></button>
    </span>
  );
}

function CopyButton({ text }: { text: string }) {
  const copy = (event: MouseEvent) => {
    const button = event.currentTarget as HTMLButtonElement;
    const tell = (words: string) => {
      button.setAttribute("data-said", words);
      setTimeout(() => button.removeAttribute("data-said"), 1_500);
    };
    void navigator.clipboard.writeText(text).then(() => tell("Copied"), () => tell("Not allowed"));
  };
  return <button type="button" class="quiet" aria-label="Copy" title="Copy" onClick={copy}><Sheets /></button>;
}
