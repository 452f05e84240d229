// The page: its side, the part that is shown, and what lies over everything: questions, and pairing again.

import { lazy } from "./lazy";
import { useEffect } from "preact/hooks";
import { connection, found, open } from "../api/http";
import * as chat from "../chat/current";
import { focus } from "../chat/draft";
import { refreshModels, refreshPulls, watch } from "../models";
import { chatHash, followAddress, go, route, takeCode } from "../route";
import { Activity } from "./activity";
import { ask, Asking } from "./ask";
import { Chat } from "./chat";
import { Lines } from "./icons";
import { ModelsPart } from "./models_part";
import { SettingsPart } from "./settings_part";
import { newChat, Side, sideOpen } from "./side";

const Machine = lazy(() => import("./machine").then((part) => part.Machine));
const TITLES = { chat: "Chat", machine: "Machine", models: "Models", activity: "Activity", settings: "Settings" };

export function Shell() {
  useEffect(() => {
    void open(takeCode()).then(() => {
      void refreshModels();
      void refreshPulls();
    });
    const unfollow = followAddress(() => void again()); // a new address of `lares ui`, in this same tab
    addEventListener("keydown", keys);
    document.addEventListener("visibilitychange", seenAgain);
    const stop = watch();
    return () => {
      unfollow();
      removeEventListener("keydown", keys);
      document.removeEventListener("visibilitychange", seenAgain);
      stop();
    };
  }, []);
  const { part, id } = route.value;
  useEffect(() => {
    if (part !== "chat") {
      document.title = `${TITLES[part]} · Lares`;
      return;
    }
    if (id && connection.value === "open") void chat.show(id);
    else if (!id && chat.id.value) chat.begin();
  }, [part, id, connection.value === "open"]);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>Skip to the content</a>
      <div class="page">
        <Side />
        <div class="veil" onClick={() => (sideOpen.value = false)} />
        <main id="main" tabIndex={-1} aria-label={TITLES[part]}>
          <header class="bar">
            <button type="button" class="quiet side-button" aria-label="Conversations and parts" aria-expanded={sideOpen.value} onClick={() => (sideOpen.value = !sideOpen.value)}><Lines /></button>
            {part === "chat" ? <ChatTitle /> : <h1>{TITLES[part]}</h1>}
          </header>
          {connection.value === "away" && <p class="complaint away-line" role="status">lares does not answer; it is looked for until it does.</p>}
          {part === "chat" && <Chat />}
          {part === "machine" && <Machine />}
          {part === "models" && <ModelsPart />}
          {part === "activity" && <Activity />}
          {part === "settings" && <SettingsPart />}
        </main>
      </div>
      <Asking />
      {connection.value === "unpaired" && <Unpaired />}
    </>
  );
}

function ChatTitle() {
  if (!chat.id.value) return null;
  return (
    <>
      <h1 class="chat-title" dir="auto" title={chat.title.value}>{chat.title.value}</h1>
      <span class="grow" />
      {chat.path.value.length >= 4 && <button type="button" class="quiet" disabled={chat.live.value !== null} title="Give the model the older turns in short, to make room"
        onClick={() => void chat.compactNow()}>Summarise</button>}
    </>
  );
}

function Unpaired() {
  return (
    <div class="pairing" role="alertdialog" aria-modal="true" aria-labelledby="unpaired" aria-describedby="unpaired-text">
      <div>
        <h2 id="unpaired">This page is not paired with lares</h2>
        <p id="unpaired-text">Its session has ended, or never began here. In a terminal, run</p>
        <pre tabIndex={0}><code>lares ui</code></pre>
        <p>which opens the page anew. What you were writing stays in this window until you close it.</p>
        <button type="button" class="main-button" ref={(button) => button?.focus()} onClick={() => void again()}>Try again</button>
      </div>
    </div>
  );
}

async function again(): Promise<void> {
  connection.value = "opening";
  await open(takeCode());
  if ((connection.value as string) === "open") {
    found.value++;
    void refreshModels();
  }
}

function seenAgain(): void {
  if (document.visibilityState === "visible" && connection.value === "open") found.value++;
}

const writes = (target: EventTarget | null) => target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

function keys(event: KeyboardEvent): void {
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "Escape" && chat.live.value && !document.querySelector("dialog[open], .menu")) chat.stop();
  else if (command && event.shiftKey && event.key.toLowerCase() === "o") newChat();
  else if (command && event.key.toLowerCase() === "k") {
    sideOpen.value = true;
    document.querySelector<HTMLElement>(".search")?.focus();
  } else if (event.key === "/" && !writes(event.target) && !command) {
    go(chatHash(chat.id.value));
    setTimeout(focus);
  } else if (event.key === "?" && !writes(event.target)) showKeys();
  else return;
  event.preventDefault();
}

function showKeys(): void {
  const rows: [string, string][] = [
    ["Enter", "send"], ["Shift+Enter", "a new line"], ["↑ in an empty message", "edit the last one"], ["Esc", "stop the answer"],
    ["/", "write"], ["Ctrl+K", "search"], ["Ctrl+Shift+O", "new chat"], ["?", "this list"],
  ];
  ask({ title: "Keys", body: <dl class="facts">{rows.map(([key, does]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div>)}</dl> });
}
