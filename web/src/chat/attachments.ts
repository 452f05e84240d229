// Files beside a prompt. Text goes along as a part of its own that says what it is; a picture as a data: URL, which only
// exists in memory and in the conversation. Pure but for reading the file.

import type { Content, Part } from "../api/types";

export interface Attachment {
  name: string;
  bytes: number;
  part: Part;
}

/** Characters of pasted text beyond which it becomes an attachment, so that the composer stays one. */
export const kPasteMax = 4_000;
/** Bytes of one file; the daemon's door takes bodies of a few times this. */
export const kFileMax = 6 << 20;
const PICTURES = /^image\/(png|jpeg|webp|gif)$/;
const HEAD = /^Attached file "([^"\n]{1,200})" \((\d+) bytes\):\n\n/;

export function attachedText(name: string, text: string): Attachment {
  const plain = name.replace(/["\n\r]/g, "'").slice(0, 200) || "text";
  const bytes = new TextEncoder().encode(text).length;
  return { name: plain, bytes, part: { type: "text", text: `Attached file "${plain}" (${bytes} bytes):\n\n${text}` } };
}

/** Reads a file. Throws an Error that says what was wrong with it. */
export async function attachedFile(file: File, seesPictures: boolean, model: string): Promise<Attachment> {
  if (file.size > kFileMax) throw new Error(`“${file.name}” has ${(file.size / 2 ** 20).toFixed(1)} MiB; at most ${kFileMax / 2 ** 20} MiB go along with a prompt`);
  if (file.type.startsWith("image/")) {
    if (!seesPictures) throw new Error(`${model} reads text only: “${file.name}” was left out. Choose a model that takes pictures, or describe it in words`);
    if (!PICTURES.test(file.type)) throw new Error(`“${file.name}” is ${file.type}; PNG, JPEG, WebP and GIF are taken`);
    return { name: file.name, bytes: file.size, part: { type: "image_url", image_url: { url: await dataUrl(file) } } };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`“${file.name}” is not text in UTF-8; text files and pictures are taken`);
  }
  if (text.includes("\0")) throw new Error(`“${file.name}” is not a text file; text files and pictures are taken`);
  return attachedText(file.name, text);
}

function dataUrl(file: File): Promise<string> {
  return new Promise((done, refused) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => refused(new Error(`“${file.name}” could not be read`));
    reader.readAsDataURL(file);
  });
}

export function contentOf(text: string, attachments: Attachment[]): Content {
  if (!attachments.length) return text;
  return [...attachments.map((one) => one.part), ...(text ? [{ type: "text" as const, text }] : [])];
}

export interface Shown {
  text: string;
  files: { name: string; bytes: number; text: string }[];
  pictures: string[];
}

/** What a message shows: its words, the files that went along, and the person's own pictures (data: only). */
export function shownOf(content: Content): Shown {
  const shown: Shown = { text: "", files: [], pictures: [] };
  const words: string[] = [];
  for (const part of typeof content === "string" ? [{ type: "text" as const, text: content }] : content) {
    if (part.type === "image_url") {
      if (/^data:image\/(png|jpeg|webp|gif);base64,/.test(part.image_url?.url ?? "")) shown.pictures.push(part.image_url.url);
      continue;
    }
    const head = HEAD.exec(part.text);
    if (head) shown.files.push({ name: head[1] ?? "", bytes: Number(head[2]), text: part.text.slice(head[0].length) });
    else words.push(part.text);
  }
  shown.text = words.join("\n\n");
  return shown;
}

/** The attachments of a message that is edited. */
export function attachmentsOf(content: Content): Attachment[] {
  if (typeof content === "string") return [];
  return content.flatMap((part): Attachment[] => {
    if (part.type === "image_url") return [{ name: "picture", bytes: part.image_url.url.length, part }];
    const head = HEAD.exec(part.text);
    return head ? [{ name: head[1] ?? "", bytes: Number(head[2]), part }] : [];
  });
}
