// Character references of Markdown text (&amp;, &#8212;) without an HTML parser: the common names and every number.

const NAMED: Record<string, string> = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", deg: "°", plusmn: "±",
  times: "×", divide: "÷", middot: "·", bull: "•", hellip: "…", mdash: "—", ndash: "–", laquo: "«", raquo: "»", lsquo: "‘",
  rsquo: "’", ldquo: "“", rdquo: "”", sect: "§", para: "¶", euro: "€", pound: "£", yen: "¥", cent: "¢", frac12: "½",
  frac14: "¼", frac34: "¾", sup2: "²", sup3: "³", micro: "µ", larr: "←", rarr: "→", uarr: "↑", darr: "↓", harr: "↔",
  ne: "≠", le: "≤", ge: "≥", infin: "∞", asymp: "≈", minus: "−", radic: "√", sum: "∑", pi: "π", alpha: "α", beta: "β",
};
const LONGEST = 10;

export function decoded(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z0-9]{2,10});/gi, (whole, inner: string) => {
    if (!inner.startsWith("#")) return inner.length <= LONGEST ? (NAMED[inner] ?? whole) : whole;
    const code = /^#x/i.test(inner) ? parseInt(inner.slice(2), 16) : parseInt(inner.slice(1), 10);
    const printable = code >= 0x20 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return printable || code === 9 || code === 10 ? String.fromCodePoint(code) : "\ufffd";
  });
}
