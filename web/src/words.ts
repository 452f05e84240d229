// Numbers as people read them. Pure.

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = -1;
  do {
    value /= 1024;
    unit++;
  } while (value >= 1023.5 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(ms: number): string {
  if (ms < 950) return ms < 10 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 100 ? 2 : 1)} s`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

const kDay = 86_400_000;

export function when(ms: number, now = Date.now()): string {
  const then = new Date(ms);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return then.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  if (now - ms > 0 && now - ms < 6 * kDay) return then.toLocaleDateString(undefined, { weekday: "short" });
  return then.toLocaleDateString(undefined, { day: "numeric", month: "short", ...(then.getFullYear() === today.getFullYear() ? {} : { year: "numeric" }) });
}

export const count = (n: number) => n.toLocaleString("en");
export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const rate = (n: number) => `${n >= 100 ? Math.round(n) : n.toFixed(1)} tokens/s`;

export function parameters(n: number): string {
  if (!n) return "";
  return n >= 1e9 ? `${(n / 1e9).toFixed(n < 1e10 ? 1 : 0)} billion` : `${Math.round(n / 1e6)} million`;
}

/** What the daemon says in its own lower case, as a sentence. */
export const sentence = (text: string) => (text ? `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}` : "");
