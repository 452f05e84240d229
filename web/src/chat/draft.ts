// What is being written: the words live in the textarea itself, so that no keystroke runs through the rest of the page; here is
// what goes along, and what the composer is for at the moment.

import { signal } from "@preact/signals";
import type { Message } from "../api/types";
import type { Attachment } from "./attachments";

export const attachments = signal<Attachment[]>([]);
/** The message of the person's that is written anew; its branch ends before it. */
export const editing = signal<Message | null>(null);
export const complaint = signal("");

let area: HTMLTextAreaElement | null = null;

export function holdArea(to: HTMLTextAreaElement | null): void {
  area = to;
}

export function write(text: string): void {
  if (!area) return;
  area.value = text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
  area.setSelectionRange(text.length, text.length);
}

export const words = () => area?.value ?? "";
export const focus = () => area?.focus();
