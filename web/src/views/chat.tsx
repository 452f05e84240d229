// The chat: first open, the branch that is shown, the answer that is coming, and the composer below. Stays at the end of the text
// while the person is there, and leaves them alone when they have scrolled up.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Message as Said } from "../api/types";
import * as chat from "../chat/current";
import { textOf, thinkingOf, turns } from "../chat/tree";
import { plural } from "../words";
import { Composer } from "./composer";
import { FirstOpen } from "./first_open";
import { GrowingMarkdown, Markdown } from "./markdown";
import { Message, Thinking } from "./message";
import { stateWords } from "./model_choice";
import { Awaited } from "./awaited";
import { current as model } from "../models";

const kNearEnd = 80; // px from the end that still are the end

export function Chat() {
  const scroller = useRef<HTMLDivElement>(null);
  const stays = useRef(true);
  const empty = chat.path.value.length === 0 && !chat.live.value && !chat.opening.value && !chat.id.value;

  const toEnd = () => {
    const box = scroller.current;
    if (box && stays.current) box.scrollTop = box.scrollHeight;
  };
  useLayoutEffect(() => {
    stays.current = true;
    toEnd();
    // what was not drawn yet has a guessed height until it is
    const frame = requestAnimationFrame(() => requestAnimationFrame(toEnd));
    return () => cancelAnimationFrame(frame);
  }, [chat.id.value, chat.head.value, chat.live.value === null]);
  useEffect(() => {
    document.title = chat.title.value ? `${chat.title.value} · Lares` : "Lares";
  }, [chat.title.value]);

  return (
    <div class={empty ? "chat empty" : "chat"}>
      <div ref={scroller} class="scroller" tabIndex={-1}
        onScroll={(event) => {
          const box = event.currentTarget;
          stays.current = box.scrollHeight - box.scrollTop - box.clientHeight < kNearEnd;
        }}>
        {empty ? <FirstOpen /> : <Branch drew={toEnd} />}
      </div>
      <div class="foot">
        <Composer />
        <p class="small-print">A model can be wrong. What matters is worth checking.</p>
      </div>
    </div>
  );
}

function Branch({ drew }: { drew: () => void }) {
  const path = chat.path.value;
  const { summary, covered } = turns(path);
  // shown where it was made, beside the answer that needed the room
  const made = summary ? path.slice(0, path.indexOf(summary)).findLast((message) => message.role !== "summary")?.id : undefined;
  const talk = path.filter((message) => message.role === "user" || message.role === "assistant");
  const column = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // a receipt or a picture that comes later makes the text longer
    const sizes = new ResizeObserver(drew);
    if (column.current) sizes.observe(column.current);
    return () => sizes.disconnect();
  }, []);
  return (
    <div ref={column} class="column" role="log" aria-label="Conversation" aria-live="off">
      {chat.opening.value && <p class="aside" role="status">Opening…</p>}
      {talk.map((message) => (
        <div key={message.id} class="turn">
          <Message of={message} />
          {summary && message.id === made && <Summary of={summary} messages={covered.length} />}
        </div>
      ))}
      <Coming drew={drew} />
      <Spoken />
    </div>
  );
}

function Summary({ of, messages }: { of: Said; messages: number }) {
  return (
    <details class="summary">
      <summary>To make room, the oldest {plural(messages, "message")} are given to the model in short</summary>
      <Markdown text={textOf(of.content)} />
      <button type="button" class="plain-button" disabled={chat.live.value !== null} onClick={() => void chat.undoCompaction(of)}>Undo</button>
    </details>
  );
}

const answerOf = (text: string) => thinkingOf(text).answer;

function Coming({ drew }: { drew: () => void }) {
  const live = chat.live.value;
  if (!live) return null;
  return (
    <article class="message answered coming" aria-label="Lares, answering" aria-busy="true">
      <LiveThinking />
      <GrowingMarkdown text={live.text} of={answerOf} drew={drew} />
      <Phase />
    </article>
  );
}

function LiveThinking() {
  const live = chat.live.value;
  const text = live?.text.value ?? "";
  if (!/^\s*<t/.test(text)) return null;
  const { thinking, open } = thinkingOf(text);
  if (!thinking && !open) return null;
  const enough = live?.enough.value ?? false;
  return (
    <>
      <Thinking text={thinking} open={open} />
      {open && live?.answer && <button type="button" class="plain-button" disabled={enough} onClick={() => void chat.stopThinking()}>{enough ? "Coming to the answer…" : "Stop thinking"}</button>}
    </>
  );
}

function Phase() {
  const live = chat.live.value;
  const phase = live?.phase.value;
  const state = model.value?.state;
  const words =
    phase === "waiting" ? (state && state !== "ready" ? `${stateWords[state]}…` : "")
      : phase === "summarising" ? "The context is full: older turns are being summarised…"
        : phase === "lost" ? "lares stopped; it is looked for…"
          : phase === "stopping" ? "stopping…" : "";
  if (live && !words && (phase === "waiting" || phase === "reading"))
    return <p class="phase"><span class="breathing"><Awaited key={phase} model={live.model} since={live.began} tokens={phase === "reading" ? live.tokens : 0} /></span></p>;
  return words ? <p class="phase" role="status"><span class="breathing">{words}</span></p> : null;
}

// A screen reader hears an answer once, when it has ended.
function Spoken() {
  const last = chat.path.value.at(-1);
  const text = !chat.live.value && last?.role === "assistant" && Date.now() - last.created_ms < 5_000 ? thinkingOf(textOf(last.content)).answer.slice(0, 2_000) : "";
  return <div class="unseen" role="status">{text}</div>;
}
