// A browser's short name, of what it calls itself. Pure.

// The first that is there counts: most also say the names of those they descend from.
const BROWSERS: [RegExp, string][] = [
  [/\bEdgA?\//, "Edge"], [/\bOPR\//, "Opera"], [/\bVivaldi\//, "Vivaldi"], [/\bSamsungBrowser\//, "Samsung Internet"], [/\bEpiphany\//, "GNOME Web"],
  [/\b(Firefox|FxiOS)\//, "Firefox"], [/\bChromium\//, "Chromium"], [/\bHeadlessChrome\//, "Chromium without a window"], [/\b(Chrome|CriOS)\//, "Chrome"], [/\bSafari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/\bAndroid\b/, "Android"], [/\b(iPhone|iPad)\b/, "iOS"], [/\bWindows\b/, "Windows"], [/\bMac OS X\b|\bMacintosh\b/, "macOS"], [/\bCrOS\b/, "ChromeOS"], [/\bLinux\b/, "Linux"],
];
const kMost = 40; // letters of a name that is none of these

/** "Firefox on Linux"; the beginning of what it says where that is not known. */
export function browserName(says: string): string {
  const of = (table: [RegExp, string][]) => table.find(([mark]) => mark.test(says))?.[1];
  const [browser, system] = [of(BROWSERS), of(SYSTEMS)];
  if (browser) return system ? `${browser} on ${system}` : browser;
  return says ? (says.length > kMost ? `${says.slice(0, kMost - 1)}…` : says) : "A browser";
}
