// Where the person writes. Enter sends, Shift+Enter breaks the line, ArrowUp in an empty one edits the last message, Escape ends
// an edit or the answer. A long paste becomes an attachment.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { attachedFile, attachedText, attachmentsOf, contentOf, kPasteMax, shownOf } from "../chat/attachments";
import { tokensAbout } from "../chat/compaction";
import * as chat from "../chat/current";
import { attachments, complaint, editing, focus, holdArea, write } from "../chat/draft";
import { connection, said } from "../api/http";
import { current as model, nameOf, noModel } from "../models";
import { bytes, count } from "../words";
import { Clip, Cross, Square, Up } from "./icons";
import { ModelChoice } from "./model_choice";

const hasWords = signal(false);

async function take(files: Iterable<File>): Promise<void> {
  complaint.value = "";
  for (const file of files) {
    try {
      const one = await attachedFile(file, Boolean(model.value?.info.vision), nameOf(model.value));
      attachments.value = [...attachments.value, one];
    } catch (error) {
      complaint.value = said(error);
    }
  }
  focus();
}

export function edit(message: (typeof editing)["value"]): void {
  editing.value = message;
  attachments.value = message ? attachmentsOf(message.content) : [];
  write(message ? shownOf(message.content).text : "");
}

let waiting = false;

async function submit(area: HTMLTextAreaElement): Promise<void> {
  const nothing = () => !area.value.trim() && !attachments.value.length;
  if (waiting || nothing() || chat.live.value || noModel.value) return;
  waiting = true;
  try {
    await chat.ready(); // the words stay where they are until it is known where they belong
  } catch (error) {
    complaint.value = said(error);
    return;
  } finally {
    waiting = false;
  }
  if (nothing() || chat.live.value || connection.value === "unpaired") return;
  const before = { text: area.value, attached: attachments.value, edited: editing.value };
  const content = contentOf(before.text.trim(), before.attached);
  edit(null);
  complaint.value = "";
  try {
    await chat.say(content, before.edited ? before.edited.parent : undefined);
  } catch {
    // what was not taken is given back, unless something else is being written
    if (!area.value && !attachments.value.length) {
      editing.value = before.edited;
      attachments.value = before.attached;
      write(before.text);
    }
  }
}

export function Composer() {
  const area = useRef<HTMLTextAreaElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  useEffect(() => {
    holdArea(area.current);
    area.current?.focus();
    return () => holdArea(null);
  }, []);

  const key = (event: KeyboardEvent) => {
    const writer = event.currentTarget as HTMLTextAreaElement;
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      void submit(writer);
    } else if (event.key === "Escape" && editing.value) {
      event.stopPropagation();
      edit(null);
    } else if (event.key === "ArrowUp" && !writer.value && !editing.value && !chat.live.value) {
      const last = chat.path.value.findLast((message) => message.role === "user");
      if (last) {
        event.preventDefault();
        edit(last);
      }
    }
  };

  return (
    <form class="composer" aria-label="Ask"
      onSubmit={(event) => {
        event.preventDefault();
        if (area.current) void submit(area.current);
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void take(event.dataTransfer?.files ?? []);
      }}>
      <Complaints />
      {editing.value && (
        <div class="editing">
          <span>Writing anew; the earlier branch stays.</span>
          <button type="button" class="quiet" onClick={() => edit(null)}>Cancel</button>
        </div>
      )}
      <Attached />
      <textarea ref={area} rows={1} aria-label="Your message" placeholder={noModel.value ? "Get a model first" : `Ask ${nameOf(model.value)}`} enterkeyhint="send" spellcheck
        onInput={(event) => {
          const writer = event.currentTarget;
          const now = writer.value.trim() !== "";
          if (now !== hasWords.value) hasWords.value = now;
          if (!CSS.supports("field-sizing", "content")) {
            writer.style.height = "auto";
            writer.style.height = `${writer.scrollHeight}px`;
          }
        }}
        onKeyDown={key}
        onPaste={(event) => {
          const files = [...(event.clipboardData?.files ?? [])];
          const text = event.clipboardData?.getData("text/plain") ?? "";
          if (!files.length && text.length <= kPasteMax) return;
          event.preventDefault();
          if (files.length) return void take(files);
          const pasted = attachments.value.filter((one) => one.name.startsWith("pasted")).length;
          attachments.value = [...attachments.value, attachedText(`pasted${pasted ? `-${pasted + 1}` : ""}.txt`, text)];
        }}
      />
      {noModel.value && <p id="no-model" class="caution" role="status">No model is here yet to answer: <a href="#/models">get one</a> first.</p>}
      <div class="composer-ends">
        <button type="button" class="quiet" aria-label="Attach text or pictures" title="Attach text or pictures" onClick={() => chooser.current?.click()}><Clip /></button>
        <input ref={chooser} type="file" multiple hidden tabIndex={-1}
          onChange={(event) => {
            const input = event.currentTarget;
            void take([...(input.files ?? [])]).then(() => (input.value = ""));
          }} />
        <ModelChoice />
        <span class="grow" />
        <SendOrStop />
      </div>
    </form>
  );
}

function SendOrStop() {
  if (chat.live.value) return <button type="button" class="send" aria-label="Stop the answer" title="Stop (Esc)" onClick={chat.stop}><Square /></button>;
  const off = !(hasWords.value || attachments.value.length) || connection.value === "unpaired" || noModel.value;
  return <button type="submit" aria-describedby={noModel.value ? "no-model" : undefined} class="send" aria-label="Send" title="Send (Enter)" disabled={off}><Up /></button>;
}

function Complaints() {
  const text = complaint.value || chat.complaint.value;
  return (
    <div role="alert">
      {text && (
        <div class="complaint">
          <span>{text}</span>
          <button type="button" class="quiet" aria-label="Close this message"
            onClick={() => {
              complaint.value = "";
              chat.complaint.value = "";
            }}><Cross /></button>
        </div>
      )}
    </div>
  );
}

function Attached() {
  if (!attachments.value.length) return null;
  const tokens = attachments.value.reduce((sum, one) => sum + (one.part.type === "text" ? tokensAbout(one.part.text) : 0), 0);
  const context = model.value?.info.context;
  return (
    <div class="attached">
      <ul aria-label="Attached">
        {attachments.value.map((one, i) => (
          <li key={`${one.name}${i}`} class="file">
            {one.part.type === "image_url" && <img src={one.part.image_url.url} alt="" />}
            <span class="file-name">{one.name}</span>
            <span class="file-size">{bytes(one.bytes)}</span>
            <button type="button" class="quiet" aria-label={`Remove ${one.name}`} onClick={() => (attachments.value = attachments.value.filter((other) => other !== one))}><Cross /></button>
          </li>
        ))}
      </ul>
      {context && tokens > context ? (
        <p class="caution">About {count(tokens)} tokens; {nameOf(model.value)} reads {count(context)}. It will be refused, not cut: take less of it, or another model.</p>
      ) : null}
    </div>
  );
}
