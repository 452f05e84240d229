// The page's pure parts, in Node. Run by `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HARNESS } from "./support.mjs";

const { EventCutter, attachedText, branch, browserName, bytes, contentOf, decoded, given, needsHost, newestEnd, planCompaction, safeLink, seconds, shownOf, siblings, thinkingOf, turns } = await import(HARNESS);

const message = (id, parent, role, content, more = {}) => ({ id, parent, role, content, created_ms: Number(id.slice(1)), state: "whole", ...more });
const tree = (...all) => new Map(all.map((one) => [one.id, one]));

test("events are cut wherever the network cut them", () => {
  const stream = 'data: {"a":1}\n\n: comment\n\ndata: x\r\n\r\ndata:[DONE]\n\n';
  for (let cut = 0; cut <= stream.length; cut++) {
    const cutter = new EventCutter();
    assert.deepEqual([...cutter.take(stream.slice(0, cut)), ...cutter.take(stream.slice(cut))], ['{"a":1}', "x", "[DONE]"]);
  }
});

test("an event without an end is refused, not kept", () => {
  const cutter = new EventCutter();
  assert.throws(() => cutter.take("data: " + "x".repeat(5 << 20)), /longer than the page takes/);
});

test("only whole addresses of harmless protocols are links", () => {
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:1", " java\nscript:1", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//evil.invalid", "/lares/v1/stop", "blob:x", "http://user@evil.invalid/", "http://", "https:evil"])
    assert.equal(safeLink(bad), null, bad);
  assert.equal(safeLink("HTTP://Example.org/a b").href, "http://example.org/a%20b");
  assert.equal(safeLink("mailto:a@b.example?bcc=x@y.example").href, "mailto:a@b.example");
});

test("a label that names or imitates another host has the host beside it", () => {
  const told = (label, address) => needsHost(label, safeLink(address));
  assert.equal(told("paypal.com", "https://evil.invalid/"), true);
  assert.equal(told("the docs", "https://example.org/"), false);
  assert.equal(told("www.example.org/a", "https://example.org/a"), false);
  assert.equal(told("example.org\u202e", "https://example.org/"), true);
  assert.equal(told("anything", "https://аррӏе.com/"), true);
});

test("character references are the characters they name", () => {
  assert.equal(decoded("&lt;b&gt; &amp;amp; &#8212; &#x2019; &bogus; &#0; &#xd800;"), "<b> &amp; — ’ &bogus; \ufffd \ufffd");
});

test("a branch goes from the first message to the head, and a ring ends it", () => {
  const all = tree(message("m1", null, "user", "a"), message("m2", "m1", "assistant", "b"), message("m3", "m1", "assistant", "c"), message("m4", "m3", "user", "d"));
  assert.deepEqual(branch(all, "m4").map((one) => one.id), ["m1", "m3", "m4"]);
  assert.deepEqual(siblings(all, all.get("m2")).map((one) => one.id), ["m2", "m3"]);
  assert.equal(newestEnd(all, "m1"), "m4");
  const ring = tree(message("m1", "m2", "user", "a"), message("m2", "m1", "assistant", "b"));
  assert.equal(branch(ring, "m2").length, 2);
  assert.ok(newestEnd(ring, "m1"));
});

test("thinking is folded away while it comes and afterwards, and the model is not given it again", () => {
  assert.deepEqual(thinkingOf("<think>a b</think>\n\nc"), { thinking: "a b", answer: "c", open: false });
  assert.deepEqual(thinkingOf("<think>a"), { thinking: "a", answer: "", open: true });
  assert.deepEqual(thinkingOf("<thi"), { thinking: "", answer: "", open: true });
  assert.deepEqual(thinkingOf("a <think> b"), { thinking: "", answer: "a <think> b", open: false });
  assert.deepEqual(given([message("m1", null, "user", "q"), message("m2", "m1", "assistant", "<think>x</think>y")])[1], { role: "assistant", content: "y" });
});

test("a summary stands for what it covers, and nothing else goes missing", () => {
  const path = [message("m1", null, "user", "a"), message("m2", "m1", "assistant", "b"), message("m3", "m2", "user", "c"), message("m4", "m3", "summary", "short", { covers: "m2" }), message("m5", "m4", "assistant", "d")];
  assert.deepEqual(turns(path).kept.map((one) => one.id), ["m3", "m5"]);
  assert.deepEqual(given(path).map((one) => one.role), ["system", "user", "assistant"]);
  assert.match(given(path)[0].content, /short/);
  assert.equal(given(path, "Who.")[0].content, "Who.\n\nWhat was said before, in short:\nshort");
  assert.deepEqual(given([message("m1", null, "system", "Mine."), message("m2", "m1", "user", "a")], "Who.").map((one) => one.content), ["Mine.", "a"]);
  // a summary of what is not on the branch is no summary of it
  assert.deepEqual(turns([path[0], { ...path[3], covers: "m9" }]).kept.length, 1);
});

test("compaction keeps the question and the newest turns, and asks for the rest in pieces that fit", () => {
  const path = [];
  for (let i = 1; i <= 40; i++) path.push(message(`m${i}`, i > 1 ? `m${i - 1}` : null, i % 2 ? "user" : "assistant", "word ".repeat(120)));
  const plan = planCompaction(path, 2048);
  assert.ok(plan.messages > 20 && plan.messages < 40);
  assert.equal(plan.covers, `m${plan.messages}`);
  assert.ok(plan.requests.length > 1);
  for (const request of plan.requests) assert.ok(request.length / 3.2 < 2048 * 0.75, String(request.length));
  assert.match(plan.requests[1], /\{SUMMARY\}/);
  assert.equal(planCompaction([message("m1", null, "user", "x".repeat(1e6))], 2048), null);
});

test("files travel as parts that say what they are, and are shown as files", () => {
  const content = contentOf("what is this?", [attachedText('a"b\n.txt', "zwölf")]);
  const shown = shownOf(content);
  assert.deepEqual(shown.files, [{ name: "a'b'.txt", bytes: 6, text: "zwölf" }]);
  assert.equal(shown.text, "what is this?");
  assert.deepEqual(shownOf([{ type: "image_url", image_url: { url: "http://evil.invalid/x.png" } }, { type: "image_url", image_url: { url: "data:image/svg+xml,<svg/>" } }]).pictures, []);
});

test("browsers have short names", () => {
  const linux = "Mozilla/5.0 (X11; Linux x86_64)";
  for (const [says, name] of [
    [`${linux}; rv:140.0) Gecko/20100101 Firefox/140.0`, "Firefox on Linux"],
    [`${linux} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0`, "Edge on Linux"],
    ["Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile Safari/604.1", "Safari on iOS"],
    ["curl/8.5.0", "curl/8.5.0"], ["", "A browser"], ["x".repeat(200), `${"x".repeat(39)}…`],
  ])
    assert.equal(browserName(says), name);
});

test("numbers read as people write them", () => {
  assert.equal(bytes(412 * 2 ** 20), "412 MiB");
  assert.equal(bytes(5 * 2 ** 20), "5.0 MiB");
  assert.equal(seconds(212), "0.2 s");
  assert.equal(seconds(75_000), "1 min 15 s");
});
