// Figures of the page in a Chromium, from the stand-in on loopback: first useful paint, bytes shipped, and keystroke to paint while
// an answer streams into a long chat. Prints one JSON object; bench/page.py holds it against the bars.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fake } from "./fake.mjs";
import { chromium, open, PAGE, percentile, say } from "./support.mjs";

const kRounds = Number(process.argv[2] ?? 7);
const kKeys = Number(process.argv[3] ?? 120);
const kTokens = 20_000; // of the chat that is streamed into
const kTokensPerSecond = 100;

function shipped() {
  const files = readFileSync(join(PAGE, "files.txt"), "utf8").trim().split("\n").map((line) => line.split("\t").at(-1));
  return files.reduce((sum, file) => sum + statSync(join(PAGE, `${file}.gz`)).size, 0);
}

// From navigation to the composer being painted: the frame after it is in the document.
async function firstPaint(browser, fake) {
  const { page, context } = await open(browser, fake.address);
  await page.waitForSelector(".prompts button");
  const ms = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN);
  await context.close();
  return ms;
}

async function keystrokes(browser, fake) {
  const words = "The river went by the old stone mill where nobody had lived for years, and its wheel turned for itself. ";
  const turn = (i) => `## Part ${i}\n\n${words.repeat(9)}\n\n- one\n- two\n\n\`\`\`python\nfor i in range(${i}):\n    print(i)\n\`\`\`\n`;
  const turns = kTokens / 500;
  const conversation = fake.conversation("Long", Array.from({ length: turns }, (_, i) => (i % 2 ? ["assistant", turn(i).repeat(4)] : ["user", "and then?"])));
  fake.context = 1e9;
  fake.tokensPerSecond = kTokensPerSecond;
  fake.reply = () => turn(1).repeat(60);
  const { page, context } = await open(browser, fake.address, { path: `/#/c/${conversation.id}` });
  await page.waitForFunction((n) => document.querySelectorAll(".answered").length === n, turns / 2);
  await page.evaluate(() => {
    window.keys = [];
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => entry.name === "keydown" && window.keys.push(entry.duration))).observe({ type: "event", durationThreshold: 16 });
    document.querySelector("textarea").addEventListener("keydown", (event) => {
      const at = event.timeStamp;
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => window.painted.push(performance.now() - at);
        channel.port2.postMessage(0);
      });
    }, true);
    window.painted = [];
  });
  await say(page, "and then?");
  await page.waitForSelector(".coming .text p");
  await page.waitForTimeout(1_500);
  await page.evaluate(() => (window.painted = []));
  for (let i = 0; i < kKeys; i++) {
    await page.keyboard.type("abcdefghij klmno"[i % 16]);
    await page.waitForTimeout(45);
  }
  await page.waitForTimeout(300);
  const painted = await page.evaluate(() => window.painted);
  const characters = await page.evaluate(() => document.querySelector(".column").textContent.length);
  await context.close();
  return { painted, characters };
}

const fake = await new Fake(PAGE).start();
const browser = await chromium();
try {
  const paints = [];
  for (let i = 0; i < kRounds; i++) paints.push(await firstPaint(browser, fake));
  const { painted, characters } = await keystrokes(browser, fake);
  console.log(JSON.stringify({
    shipped_bytes: shipped(), first_paint_ms: paints, key_ms: { p50: percentile(painted, 0.5), p95: percentile(painted, 0.95), most: Math.max(...painted), n: painted.length }, characters,
  }));
} finally {
  await browser.close();
  await fake.stop();
}
