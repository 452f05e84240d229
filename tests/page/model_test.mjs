// The page with everything real: laresd, its worker, and the model that Lares brings along, from LARES_TEST_MODELS. With
// UPDATE_PICTURES=FOLDER it writes the pictures that README shows. Skipped where there is no model.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { House } from "./real.mjs";
import { chromium, PAGE, say, visiting } from "./support.mjs";

const root = join(dirname(PAGE), "..", "..");
const bin = process.env.LARES_BIN ?? join(root, "build", "release", "bin");
const models = process.env.LARES_TEST_MODELS ?? "";
const file = models && existsSync(models) ? readdirSync(models).find((name) => /^smollm2-135m.*\.gguf$/.test(name)) : undefined;
const skip = !existsSync(join(bin, "laresd")) ? "no laresd is built; set LARES_BIN" : file ? false : "LARES_TEST_MODELS names no folder with smollm2-135m*.gguf";
const QUESTION = "Name the four seasons.";
const pictures = process.env.UPDATE_PICTURES;

let browser, house;
before(async () => {
  if (skip) return;
  browser = await chromium();
  house = await new House(bin, join(models, file)).start();
});
after(async () => {
  await browser?.close();
  await house?.remove();
});

const last = (page) => page.locator(".answered:not(.coming) .text").last().innerText();

/** Asks in a new conversation, and waits for the whole answer. */
async function asked(page, question) {
  await say(page, question);
  await page.waitForFunction(() => document.querySelector(".answered") && !document.querySelector(".coming"), undefined, { timeout: 360_000 })
    .catch(async (error) => assert.fail(`${error.message}\n${await page.innerText("body")}`));
  await page.waitForSelector("button.where");
}

// What a picture shows must be true: a question that this model answers well, asked anew where it did not.
async function picture(page, scheme) {
  const right = (text) => ["spring", "summer", "autumn", "winter"].every((one) => text.toLowerCase().includes(one)) && !text.includes("(");
  for (let tries = 0; !right(await last(page)); tries++) {
    assert.ok(tries < 40, await last(page));
    await page.locator(".new-chat").click();
    for (const { id } of await house.ask("GET", "/lares/v1/conversations")) await house.ask("DELETE", `/lares/v1/conversations/${id}`);
    await page.waitForFunction(() => !document.querySelector(".answered"));
    await asked(page, QUESTION);
  }
  await page.reload(); // what was deleted behind the page's back leaves its list
  await page.waitForSelector("button.where");
  await page.waitForSelector(".conversations li");
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(pictures, `page-${scheme}.png`) });
}

for (const scheme of ["light", "dark"]) {
  test(`a question is answered by the model, and where it ran is said under it (${scheme})`, { skip, timeout: 420_000 }, async () => {
    await visiting(browser, house.address, { path: await house.path(), colorScheme: scheme, viewport: { width: 1120, height: 640 } }, async ({ page }) => {
      await page.waitForSelector(".model-name");
      await asked(page, QUESTION);
      assert.match(await last(page), /\w{3}/);
      assert.match(await page.locator("button.where").innerText(), /On this device.*nothing left/s);
      const [receipt] = await house.ask("GET", "/lares/v1/receipts?limit=1");
      assert.equal(receipt.bytes_left_device, 0);
      assert.ok(receipt.decode_tokens_per_s > 0);
      if (pictures) await picture(page, scheme);
    });
  });
}
