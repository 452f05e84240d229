// The page from the real laresd (fake workers), through its port, paired by a code as `lares ui` does it: LARES_BIN names the folder
// of the programs. Skipped where there is none.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { House } from "./real.mjs";
import { answered, chromium, PAGE, say, visiting } from "./support.mjs";

const root = join(dirname(PAGE), "..", "..");
const bin = process.env.LARES_BIN ?? ["dev", "release"].map((preset) => join(root, "build", preset, "bin")).find((folder) => existsSync(join(folder, "laresd"))) ?? "";
const skip = existsSync(join(bin, "laresd")) ? false : "no laresd is built; ./dev build dev makes it, or set LARES_BIN";

let browser, house;
before(async () => {
  if (skip) return;
  browser = await chromium();
  house = await new House(bin).start("--fake=tokens-per-s=60");
});
after(async () => {
  await browser?.close();
  await house?.remove();
});

/** A visit by a browser that is paired first. */
async function visit(run, { path = "", complains = false } = {}) {
  await visiting(browser, house.address, { path: await house.path(), complains }, async ({ page }) => {
    await page.waitForSelector(".model-name");
    assert.equal(new URL(page.url()).hash, "", "the code must not stay in the address");
    if (path) await page.goto(house.address + path);
    await run({ page });
  });
}

const last = (page) => page.locator(".answered:not(.coming) .text").last().innerText();

test("a conversation lives in the daemon: asked, answered, branched, found again, deleted", { skip, timeout: 90_000 }, async () => {
  await visit(async ({ page }) => {
    await say(page, "repeat: the kingfisher waits");
    await answered(page);
    assert.equal((await last(page)).trim(), "the kingfisher waits");
    await page.waitForSelector("button.where");
    assert.match(await page.locator("button.where").innerText(), /On this device.*nothing left/s);
    await page.locator('[aria-label="Answer again"]').click();
    await page.waitForSelector(".answered .branches");
    assert.equal(await page.locator(".answered .branches").innerText(), "2/2");
    const [line] = await house.ask("GET", "/lares/v1/conversations");
    const kept = await house.ask("GET", `/lares/v1/conversations/${line.id}`);
    assert.deepEqual(kept.messages.map((one) => [one.role, one.state]), [["user", "whole"], ["assistant", "whole"], ["assistant", "whole"]]);
    await page.locator('.answered [aria-label="Earlier version"]').click();
    await page.waitForFunction(() => document.querySelector(".answered .branches")?.textContent.includes("1/2"));
    await page.reload();
    await page.waitForSelector(".answered .branches");
    assert.equal(await page.locator(".answered .branches").innerText(), "1/2");
    await page.locator(".search").fill("kingfisher");
    await page.waitForSelector(".row-snippet");
    await page.locator(".search").fill("");
    await page.waitForSelector(".row-snippet", { state: "detached" });
    await page.locator(".row-menu").first().click();
    await page.locator("[role=menuitem]").last().click();
    await page.locator("dialog .grave-button").click();
    await page.waitForSelector(".prompts");
    assert.deepEqual(await house.ask("GET", "/lares/v1/conversations"), []);
  });
});

test("an answer that is stopped is kept by the daemon as far as it came", { skip, timeout: 60_000 }, async () => {
  await visit(async ({ page }) => {
    await say(page, "count: 400");
    await page.waitForFunction(() => (document.querySelector(".coming .text")?.textContent.length ?? 0) > 20);
    await page.locator('[aria-label="Stop the answer"]').click();
    await page.waitForSelector(".ended");
    const [line] = await house.ask("GET", "/lares/v1/conversations");
    const kept = (await house.ask("GET", `/lares/v1/conversations/${line.id}`)).messages.at(-1);
    assert.equal(kept.state, "stopped");
    assert.match(kept.content, /^1 2 3/);
  });
});

test("a daemon that is killed in mid-answer and started again is found, with the part that it kept", { skip, timeout: 90_000 }, async () => {
  await visit(async ({ page }) => {
    await say(page, "count: 400");
    await page.waitForFunction(() => (document.querySelector(".coming .text")?.textContent.length ?? 0) > 200);
    await house.end("SIGKILL");
    await page.waitForSelector(".dot.away");
    await house.start("--fake=tokens-per-s=200");
    await page.waitForSelector(".ended", { timeout: 30_000 });
    assert.match(await last(page), /^1 2 3 [\d ]+/);
    await page.locator(".ended .word").click();
    await page.waitForFunction(() => document.querySelectorAll(".answered:not(.coming)").length === 2, undefined, { timeout: 30_000 });
  }, { complains: true });
});

test("a browser that is revoked while its page is open is told how to pair again, and reads nothing more", { skip, timeout: 60_000 }, async () => {
  await visit(async ({ page }) => {
    await say(page, "repeat: seen");
    await answered(page);
    const session = await page.evaluate(() => fetch("/lares/v1/session").then((answer) => answer.json()));
    const pages = (await house.ask("GET", "/lares/v1/credentials")).filter((one) => one.kind === "page").sort((a, b) => b.created_ms - a.created_ms);
    const mine = pages.find((one) => one.id === session.credential);
    assert.equal(mine, pages[0], "the page knows which of them it is");
    await house.ask("DELETE", `/lares/v1/credentials/${mine.id}`);
    await say(page, "repeat: not seen");
    await page.waitForFunction(() => /lares ui/.test(document.body.innerText));
    assert.equal(await page.evaluate(() => fetch("/lares/v1/conversations").then((answer) => answer.status)), 401);
    await page.goto(house.address + (await house.path())); // the same tab: only what stands behind the '#' changes
    await page.waitForFunction(() => !document.querySelector(".pairing") && document.querySelector(".side .dot.open"));
    assert.match(page.url(), /#\/c\/[^/]+$/, "the conversation stays open");
    assert.equal(await page.evaluate(() => fetch("/lares/v1/conversations").then((answer) => answer.status)), 200);
  }, { complains: true });
});

test("a full context is summarised in sight", { skip, timeout: 90_000 }, async () => {
  const begun = await house.ask("POST", "/lares/v1/conversations", { title: "Long" });
  let parent = null;
  for (let i = 0; i < 30; i++) parent = (await house.ask("POST", `/lares/v1/conversations/${begun.id}/messages`, { parent, role: i % 2 ? "assistant" : "user", content: `turn ${i} ${"bread ".repeat(350)}` })).id;
  await visit(async ({ page }) => {
    await page.waitForFunction(() => document.querySelectorAll(".answered").length === 15);
    await say(page, "repeat: and then?");
    await page.waitForSelector(".summary", { timeout: 40_000 });
    await page.waitForFunction(() => !document.querySelector(".coming"), undefined, { timeout: 40_000 });
    assert.match(await page.locator(".summary summary").textContent(), /given to the model in short/);
    const kept = await house.ask("GET", `/lares/v1/conversations/${begun.id}`);
    assert.ok(kept.messages.some((one) => one.role === "summary"));
    assert.equal(kept.messages.at(-1).role, "assistant");
  }, { path: `/#/c/${begun.id}`, complains: true }); // the browser writes each refusal for length to its console
});

test("the other parts show what the daemon says", { skip, timeout: 60_000 }, async () => {
  await visit(async ({ page }) => {
    await page.waitForSelector("table");
    assert.match(await page.locator(".part-body").innerText(), /reserved[^]*fake/);
    for (const [part, words] of [["models", /On this machine[^]*fake/], ["activity", /Nothing left this device/], ["settings", /models\.context/]]) {
      await page.evaluate((to) => (location.hash = `#/${to}`), part);
      await page.waitForFunction((source) => new RegExp(source).test(document.querySelector(".part-body")?.innerText ?? ""), words.source);
    }
  }, { path: "/#/machine" });
});
