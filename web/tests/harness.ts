// What the tests take from the page's sources: its pure parts for Node, its renderer for a browser. Not part of the page.

export { EventCutter } from "../src/api/events";
export { browserName } from "../src/browser";
export { attachedText, contentOf, shownOf } from "../src/chat/attachments";
export { planCompaction, tokensAbout } from "../src/chat/compaction";
export { branch, given, newestEnd, siblings, thinkingOf, turns } from "../src/chat/tree";
export { decoded } from "../src/markdown/entities";
export { Growing } from "../src/markdown/growing";
export { needsHost, safeLink } from "../src/markdown/links";
export { bytes, seconds } from "../src/words";
