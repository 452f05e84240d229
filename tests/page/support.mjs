// What the tests of the page share: where the built page is, a Chromium that tells of every request and every script it was made
// to run, and waiting for what is seen.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const PAGE = process.env.LARES_PAGE ?? join(root, "build", "page", "dist");
export const HARNESS = join(dirname(PAGE), "tests", "harness.js");
const packages = createRequire(join(dirname(PAGE), "web", "package.json"));

export const axe = () => packages.resolve("axe-core/axe.min.js");

export async function chromium() {
  const path = process.env.LARES_CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  if (!path) throw new Error("no Chromium in /usr/bin; ./check installs it, or set LARES_CHROMIUM");
  const { chromium } = packages("playwright-core");
  return chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"] });
}

/** A page of its own, with what it asked of other hosts, what scripts of strangers did, and what its console complained of. */
export async function open(browser, address, { path = "/#code=once", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 780 }, ...options });
  const page = await context.newPage();
  const seen = { foreign: [], dialogs: [], complaints: [], requests: [] };
  page.on("request", (request) => {
    seen.requests.push(request.url());
    if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) seen.foreign.push(request.url());
  });
  page.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && seen.complaints.push(message.text()));
  await page.goto(address + path);
  return { page, seen, context };
}

/** One visit of a page of its own; nothing may be asked elsewhere, run or, unless `complains`, complained of. */
export async function visiting(browser, address, { complains = false, ...options }, run) {
  const { page, seen, context } = await open(browser, address, options);
  try {
    await run({ page, seen });
    assert.deepEqual(seen.foreign, []);
    assert.deepEqual(seen.dialogs, []);
    if (!complains) assert.deepEqual(seen.complaints, []);
  } finally {
    await context.close();
  }
}

export async function say(page, text) {
  await page.locator(".composer textarea").fill(text);
  await page.keyboard.press("Enter");
}

export const answered = (page) => page.waitForFunction(() => !document.querySelector(".coming") && document.querySelector(".answered"), undefined, { timeout: 20_000 });

export const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
