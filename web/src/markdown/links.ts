// Which links of a model's text become links, and what a reader sees of where they lead. Pure.

/** A link that may be followed: where it leads, and the host when the text beside it could say something else. */
export interface SafeLink {
  href: string;
  host: string;
}

const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
// Characters that turn the direction of text, or take no room: a label made of them reads as another one.
const HIDDEN = /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** The link when its address is whole, of a harmless protocol, and has no name or password before its host; else null. */
export function safeLink(address: string): SafeLink | null {
  const trimmed = address.trim();
  if (!/^(https?:\/\/|mailto:)/i.test(trimmed)) return null;
  let url: URL;
  try {
    url = new URL(trimmed);
  } catch {
    return null;
  }
  if (!PROTOCOLS.has(url.protocol) || url.username || url.password) return null;
  if (url.protocol === "mailto:") return { href: url.href.split("?")[0] ?? url.href, host: decodeSoftly(url.pathname) };
  return { href: url.href, host: url.host };
}

/** Whether the label is such that the host must be told beside it: it names another host, or hides or imitates letters. */
export function needsHost(label: string, link: SafeLink): boolean {
  if (link.host.includes("xn--")) return true;
  const shown = withoutHidden(label).toLowerCase();
  if (shown !== label.toLowerCase() || /[^\u0000-\u024f]/.test(shown.replace(/\s/g, "")) && /\./.test(shown)) return true;
  const named = /(?:^|[\s/@(])((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})/u.exec(shown);
  return named !== null && !sameSite(named[1] ?? "", link.host);
}

/** The text without characters that are not seen and change what is. */
export function withoutHidden(text: string): string {
  return text.replace(HIDDEN, "");
}

function sameSite(named: string, host: string): boolean {
  const plain = (host.split("@").pop() ?? host).replace(/:\d+$/, "").replace(/^www\./, "");
  return named.replace(/^www\./, "") === plain;
}

function decodeSoftly(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
