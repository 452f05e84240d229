// Tokens of Markdown to nodes of the document, made by createElement and createTextNode alone: there is no HTML parser
// anywhere between a model's text and the page. HTML in the text is shown as the text it is, pictures are named and not
// fetched, and a link leads where its address says. The only renderer: a growing answer and an old one both come through here.

import type { Token, Tokens } from "marked";
import { coloured } from "./code";
import { decoded } from "./entities";
import { needsHost, safeLink, withoutHidden } from "./links";

/** Depth beyond which what is nested is shown as its text. */
const kDepthMax = 24;

function element<K extends keyof HTMLElementTagNameMap>(name: K, children: (Node | string)[] = [], className = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function blocks(tokens: Token[], depth = 0): Node[] {
  return tokens.flatMap((token) => block(token, depth));
}

function block(token: Token, depth: number): Node[] {
  if (depth > kDepthMax) return [element("p", [token.raw])];
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "hr":
      return [element("hr")];
    case "heading": {
      // a message's headings stand below the page's own
      const level = Math.min((token as Tokens.Heading).depth + 1, 6) as 2 | 3 | 4 | 5 | 6;
      return [directed(element(`h${level}`, inlines(token.tokens ?? [], depth)))];
    }
    case "paragraph":
      return [directed(element("p", inlines(token.tokens ?? [], depth)))];
    case "text":
      return inline(token, depth);
    case "blockquote":
      return [element("blockquote", blocks(token.tokens ?? [], depth + 1))];
    case "code":
      return [codeBlock(String(token.text), String((token as Tokens.Code).lang ?? ""))];
    case "html":
      return [element("pre", [token.raw.replace(/\n+$/, "")], "as-text")];
    case "list":
      return [list(token as Tokens.List, depth)];
    case "table":
      return [table(token as Tokens.Table, depth)];
    case "checkbox":
      return [checkbox(Boolean((token as Tokens.Checkbox).checked))];
    case "plain":
      return [element("pre", [token.raw], "as-text")];
    default:
      return inline(token, depth);
  }
}

function inlines(tokens: Token[], depth: number): Node[] {
  return tokens.flatMap((token) => inline(token, depth));
}

function inline(token: Token, depth: number): Node[] {
  if (depth > kDepthMax) return [document.createTextNode(token.raw)];
  const inside = () => inlines((token as Tokens.Generic).tokens ?? [], depth + 1);
  switch (token.type) {
    case "text":
      return token.tokens ? inside() : [document.createTextNode(decoded(String(token.text)))];
    case "escape":
      return [document.createTextNode(String(token.text))];
    case "strong":
      return [element("strong", inside())];
    case "em":
      return [element("em", inside())];
    case "del":
      return [element("del", inside())];
    case "codespan":
      return [element("code", [String(token.text)])];
    case "br":
      return [element("br")];
    case "link":
      return link(token as Tokens.Link, inside());
    case "image":
      return picture(token as Tokens.Image);
    case "checkbox":
      return [checkbox(Boolean((token as Tokens.Checkbox).checked))];
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw) ? [element("br")] : [document.createTextNode(token.raw)];
    default:
      return [document.createTextNode(token.raw)];
  }
}

function link(token: Tokens.Link, label: Node[]): Node[] {
  const safe = safeLink(token.autolink ? token.href : decoded(token.href));
  if (!safe) return [...label];
  const anchor = element("a", label);
  const shown = withoutHidden(anchor.textContent ?? "");
  const tell = needsHost(anchor.textContent ?? "", safe);
  if (shown !== anchor.textContent || !shown.trim()) anchor.replaceChildren(shown.trim() || safe.href);
  anchor.href = safe.href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  anchor.title = safe.href;
  return tell ? [anchor, element("span", [` (${safe.host})`], "link-host")] : [anchor];
}

function picture(token: Tokens.Image): Node[] {
  const safe = safeLink(decoded(token.href));
  const words = element("span", [`[picture not fetched: ${decoded(token.text).trim() || "no description"}`], "not-fetched");
  if (safe && !safe.href.startsWith("mailto:")) words.append(", ", ...link({ ...token, type: "link", autolink: true, href: safe.href } as Tokens.Link, [document.createTextNode(safe.host)]));
  words.append("]");
  return [words];
}

function checkbox(checked: boolean): HTMLElement {
  const box = element("input");
  box.type = "checkbox";
  box.checked = checked;
  box.disabled = true;
  box.setAttribute("aria-label", checked ? "done" : "not done");
  return box;
}

function list(token: Tokens.List, depth: number): HTMLElement {
  const items = token.items.map((item) => directed(element("li", blocks(item.tokens, depth + 1), item.task ? "task" : "")));
  if (!token.ordered) return element("ul", items);
  const ordered = element("ol", items);
  if (typeof token.start === "number" && token.start !== 1) ordered.start = token.start;
  return ordered;
}

function table(token: Tokens.Table, depth: number): HTMLElement {
  const cell = (name: "th" | "td") => (from: Tokens.TableCell) => {
    const made = directed(element(name, inlines(from.tokens, depth)));
    if (from.align) made.style.textAlign = from.align;
    return made;
  };
  const head = element("thead", [element("tr", token.header.map(cell("th")))]);
  const body = element("tbody", token.rows.map((row) => element("tr", row.map(cell("td")))));
  const region = element("div", [element("table", [head, body])], "wide");
  region.tabIndex = 0;
  region.setAttribute("role", "group");
  region.setAttribute("aria-label", "table");
  return region;
}

/** The text node of a code block's last piece is what grows while its fence is open. */
export function codeBlock(code: string, words: string): HTMLElement {
  const language = (/^[\w+#.-]{1,24}/.exec(words.trim()) ?? [""])[0];
  const copy = element("button", ["Copy"], "quiet copy-code");
  copy.type = "button";
  copy.setAttribute("aria-label", language ? `Copy this ${language} code` : "Copy this code");
  const shown = element("pre", [element("code", coloured(code, language))]);
  shown.tabIndex = 0;
  shown.setAttribute("role", "group");
  shown.setAttribute("aria-label", language ? `${language} code` : "code");
  return element("div", [element("div", [element("span", [language || "text"]), copy], "code-head"), shown], "code");
}

function directed<T extends HTMLElement>(made: T): T {
  made.dir = "auto";
  return made;
}
