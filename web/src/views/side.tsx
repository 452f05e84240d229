// The side: a new chat, search, the conversations (only those in view are drawn, however many there are), and the other parts.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { connection, found } from "../api/http";
import type { ConversationLine } from "../api/types";
import * as chat from "../chat/current";
import * as list from "../chat/list";
import { receiptsChanged } from "./activity_state";
import { chatHash, go, route, type Part } from "../route";
import { when } from "../words";
import { ask } from "./ask";
import { attempt, Complaint } from "./complaint";
import { Dot } from "./first_open";
import { Cross, Dots, Hearth, Plus } from "./icons";
import { Menu } from "./menu";

export const sideOpen = signal(false);
const renaming = signal<string | null>(null);

const kRow = 36;
const kRowWithSnippet = 58;
const kBeyond = 8; // rows drawn above and below what is seen

const PARTS: [Part, string][] = [["machine", "Machine"], ["models", "Models"], ["activity", "Activity"], ["settings", "Settings"]];

export function newChat(): void {
  chat.begin();
  go("#/");
  sideOpen.value = false;
  setTimeout(() => document.querySelector<HTMLElement>(".composer textarea")?.focus());
}

export function Side() {
  return (
    <aside class={sideOpen.value ? "side open" : "side"} aria-label="Conversations and parts">
      <div class="side-head">
        <a class="mark" href="#/" onClick={(event) => (event.preventDefault(), newChat())} aria-label="Lares, new chat"><Hearth /><span>Lares</span></a>
        <span class="side-dot"><Dot /></span>
        <button type="button" class="quiet side-close" aria-label="Close the side" onClick={() => (sideOpen.value = false)}><Cross /></button>
      </div>
      <button type="button" class="new-chat" onClick={newChat} title="New chat (Ctrl+Shift+O)"><Plus /> New chat</button>
      <input type="search" class="search" placeholder="Search" aria-label="Search conversations" value={list.query.value}
        onInput={(event) => list.search(event.currentTarget.value)} />
      <Complaint at="side" />
      <Conversations />
      <nav class="parts" aria-label="Parts">
        {PARTS.map(([part, says]) => (
          <a key={part} href={`#/${part}`} aria-current={route.value.part === part ? "page" : undefined}
            onClick={() => {
              sideOpen.value = false;
              receiptsChanged.value++;
            }}>{says}</a>
        ))}
      </nav>
    </aside>
  );
}

function Conversations() {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const lines = list.lines.value;
  const row = list.query.value.trim() ? kRowWithSnippet : kRow;
  useEffect(() => {
    if (connection.value === "open") void list.refresh();
  }, [connection.value, found.value]);
  useLayoutEffect(() => {
    if (!box.current) return;
    const watch = new ResizeObserver(() => box.current && setView({ top: box.current.scrollTop, height: box.current.clientHeight }));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const from = Math.max(0, Math.floor(view.top / row) - kBeyond);
  const to = Math.min(lines.length, Math.ceil((view.top + view.height) / row) + kBeyond);
  useEffect(() => {
    if (to + kBeyond * 4 >= lines.length && lines.length > 0) void list.readMore();
  }, [to, lines.length]);
  if (list.complaint.value && connection.value === "open") return <div class="conversations"><p class="aside" role="alert">{list.complaint.value}</p></div>;
  return (
    <div ref={box} class="conversations" onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}>
      {lines.length === 0 && list.query.value.trim() && !list.more.value && <p class="aside" role="status">Nothing found.</p>}
      {lines.length > 0 && (
        <ul aria-label="Conversations" style={{ height: `${lines.length * row}px` }}>
          {lines.slice(from, to).map((line, i) => (
            <li key={line.id} aria-setsize={list.more.value ? -1 : lines.length} aria-posinset={from + i + 1} style={{ top: `${(from + i) * row}px`, height: `${row}px` }}>
              {renaming.value === line.id ? <Rename of={line} /> : <Row of={line} />}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Row({ of }: { of: ConversationLine }) {
  const open = route.value.part === "chat" && chat.id.value === of.id;
  return (
    <>
      <a href={chatHash(of.id)} aria-current={open ? "page" : undefined} title={of.title} onClick={() => (sideOpen.value = false)}>
        <span class="row-title" dir="auto">{of.title || "Conversation"}</span>
        <span class="row-when">{when(of.updated_ms)}</span>
        {of.snippet && <span class="row-snippet" dir="auto">{of.snippet}</span>}
      </a>
      <Menu label={`More for “${of.title}”`} choices={[
        { says: "Rename", act: () => (renaming.value = of.id) },
        { says: "Delete…", grave: true, act: () => askToDelete(of) },
      ]} className="quiet row-menu"><Dots /></Menu>
    </>
  );
}

// The field has its title once, when it appears: the list may be read anew while somebody types in it.
function Rename({ of }: { of: ConversationLine }) {
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (!field.current) return;
    field.current.value = of.title;
    field.current.focus();
    field.current.select();
  }, []);
  const done = (title: string) => {
    if (renaming.value !== of.id) return; // the blur of a field that goes after Enter or Escape
    renaming.value = null;
    if (title.trim() && title !== of.title) {
      void attempt("side", () => list.rename(of.id, title.trim()));
      if (chat.id.value === of.id) chat.title.value = title.trim();
    }
  };
  return (
    <input ref={field} class="rename" aria-label="New title" maxLength={200}
      onBlur={(event) => done(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") done(event.currentTarget.value);
        else if (event.key === "Escape") renaming.value = null;
      }} />
  );
}

function askToDelete(of: ConversationLine): void {
  ask({
    title: "Delete this conversation?",
    body: <p>“{of.title}” goes, with everything that was derived from it: what the models remember of it in memory and on the disk, and its place in search. This cannot be undone.</p>,
    does: "Delete",
    act: async () => {
      if ((await attempt("side", () => list.remove(of.id))) && chat.id.value === of.id) newChat();
    },
  });
}
