// The built page in a real Chromium, against a stand-in that can be made to misbehave. Run by `node --test`; real_test.mjs has the
// parts that need the daemon itself.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Fake } from "./fake.mjs";
import { PAYLOADS } from "./payloads.mjs";
import { answered, axe, chromium, HARNESS, PAGE, say, visiting } from "./support.mjs";

let browser;
before(async () => (browser = await chromium()));
after(() => browser?.close());

/** One test with a stand-in of its own, and a visit of it. */
function visit(name, run, { prepare = () => {}, ...options } = {}) {
  test(name, { timeout: 90_000 }, async () => {
    const fake = new Fake(PAGE, HARNESS);
    await fake.start();
    prepare(fake);
    try {
      await visiting(browser, fake.address, options, (seen) => run({ fake, ...seen }));
    } finally {
      await fake.stop();
    }
  });
}

const text = (page, selector) => page.locator(selector).first().innerText();

describe("first open", () => {
  visit("has the composer in focus, four prompts, where it runs, and the better model, but nothing empty", async ({ page }) => {
    await page.waitForSelector(".better");
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "TEXTAREA");
    assert.equal(await page.locator(".prompts button").count(), 4);
    assert.match(await text(page, ".here"), /On this device. Nothing leaves./);
    assert.match(await text(page, ".better"), /Qwen 3 4B Instruct.*2\.5 GiB/s);
    assert.equal(await page.locator("canvas").count(), 0);
    assert.equal(new URL(page.url()).hash, "", "the code must not stay in the address");
    await page.locator(".prompts button").first().click();
    assert.equal(await page.locator("textarea").inputValue(), "Name the four seasons.");
  });

  visit("gets the better model by its id in the catalogue, whose digest the daemon holds it to", async ({ page, fake }) => {
    await page.locator(".better .main-button").click();
    await page.waitForSelector(".better progress");
    assert.deepEqual(fake.ordered, [{ source: "qwen-3-4b" }]);
  });

  visit("offers to use the better model when it came, and goes on with it", async ({ page, fake }) => {
    await page.locator(".better .main-button").click();
    await page.waitForSelector(".better progress");
    fake.arrives();
    await page.waitForSelector("text=Qwen 3 4B Instruct is here");
    assert.match(await text(page, ".better"), /answered by SmolLM2 135M Instruct until you choose it[^]*models\.default = "qwen-3-4b"/);
    await page.locator(".better .main-button").click();
    await page.waitForSelector(".better", { state: "detached" });
    assert.equal(await text(page, ".model-name"), "Qwen 3 4B Instruct");
    await page.reload();
    await page.waitForFunction(() => document.querySelector(".model-name")?.textContent === "Qwen 3 4B Instruct");
    await say(page, "Name the four seasons.");
    await answered(page);
    assert.equal(fake.asked[0].model, "qwen-3-4b");
  });

  visit("keeps the model that answers when that is chosen over the better one", async ({ page }) => {
    await page.locator("text=Keep SmolLM2 135M Instruct").click();
    await page.waitForSelector(".better", { state: "detached" });
    await page.reload();
    await page.waitForFunction(() => document.querySelector(".model-name")?.textContent === "SmolLM2 135M Instruct");
    assert.equal(await page.locator(".better").count(), 0);
  }, { prepare: (fake) => fake.has.push("qwen-3-4b") });

  visit("offers the better model again after it was removed", async ({ page }) => {
    await page.waitForSelector(".better .main-button");
    assert.match(await text(page, ".better"), /Get it, 2\.5 GiB/);
  }, { prepare: (fake) => fake.pulls.push({ id: "p-1", source: "hf:example/qwen-3-4b", model: "qwen-3-4b", state: "done", bytes_done: 9, bytes_total: 9, bytes_per_s: 0, begun_ms: Date.now() }) });

  visit("says how to get a model where none is here, and keeps what is written until one is", async ({ page, fake }) => {
    await page.waitForSelector("text=No model is here yet");
    assert.match(await text(page, ".first"), /lares models search[^]*lares models pull NAME[^]*A model for this machine[^]*Qwen 3 4B Instruct/);
    assert.equal(await page.locator(".prompts").count(), 0);
    await say(page, "Name the four seasons.");
    assert.equal(await page.locator("textarea").inputValue(), "Name the four seasons.");
    assert.equal(await page.locator(".send").isDisabled(), true);
    assert.match(await text(page, ".composer"), /No model is here yet to answer: get one first/);
    assert.equal(fake.conversations.size, 0);
    await page.locator(".better .main-button").click();
    await page.waitForSelector(".better progress");
    fake.arrives();
    await page.waitForSelector(".model-choice");
    await page.locator(".send").click();
    await answered(page);
    fake.has = [];
    await page.evaluate(() => (location.hash = "#/models"));
    await page.waitForSelector("text=No model is here yet. Those below are worth having.");
  }, { prepare: (fake) => (fake.has = []) });

  visit("tells the model's state until it is ready", async ({ page, fake }) => {
    await page.waitForSelector(".model-line");
    assert.match(await text(page, ".model-line"), /SmolLM2 135M Instruct is loading/);
    fake.modelState = "ready";
    await page.waitForSelector(".model-line", { state: "detached" });
  }, { prepare: (fake) => (fake.modelState = "loading") });
});

describe("chat", () => {
  visit("streams an answer, keeps it, and says where it ran", async ({ page, fake }) => {
    await say(page, "Name the four seasons.");
    await answered(page);
    assert.match(await text(page, ".answered .text"), /Spring, summer, autumn and winter\./);
    await page.waitForSelector("button.where");
    assert.match(await text(page, "button.where"), /On this device.*first word after 0\.2 s.*of 214 tokens reused.*nothing left this device/s);
    await page.locator("button.where").click();
    assert.match(await text(page, "dialog"), /ran on this machine: there is no other place/);
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    const [conversation] = fake.conversations.values();
    assert.deepEqual(conversation.messages.map((one) => one.role), ["user", "assistant"]);
    assert.equal(fake.asked[0].lares.conversation, conversation.id);
    await page.reload();
    await page.waitForSelector(".answered .text");
    assert.match(await text(page, ".answered .text"), /Spring, summer/);
  });

  let itsTurn;
  visit("says how long an answer has been waiting for its turn", async ({ page, fake }) => {
    await page.waitForFunction(() => document.querySelector(".model-name"));
    await say(page, "Name the four seasons.");
    await page.waitForFunction(() => /^waiting, [23] s…$/.test(document.querySelector(".phase")?.textContent ?? ""));
    itsTurn();
    await answered(page);
    assert.equal(fake.asked.length, 1);
  }, { prepare: (fake) => fake.held.set("POST /v1/chat/completions", new Promise((done) => (itsTurn = done))) });

  visit("says that a long prompt is being read, for how long, and how long it takes here", async ({ page, fake }) => {
    fake.readsMs = 3_500;
    await say(page, "word ".repeat(1_200));
    await page.waitForFunction(() => /^reading the prompt, [23] s of about 5 s…$/.test(document.querySelector(".phase")?.textContent ?? ""));
    await answered(page);
    assert.equal(await page.locator(".phase").count(), 0);
  });

  visit("folds what is thought, and ends it when that is enough", async ({ page, fake }) => {
    fake.thoughts = () => "hm, ".repeat(4_000);
    fake.reply = () => "Four.";
    fake.tokensPerSecond = 60;
    await say(page, "What is two and two?");
    const enough = page.locator(".coming button", { hasText: "Stop thinking" });
    await enough.waitFor();
    assert.equal(await page.locator(".coming .thinking").evaluate((one) => one.open), false);
    await enough.click();
    await answered(page);
    assert.match(await text(page, ".answered .text"), /^Four\.$/);
    assert.match(await text(page, ".answered .thinking summary"), /What it thought/);
    assert.equal(await page.locator("button", { hasText: "Stop thinking" }).count(), 0);
    assert.ok(fake.enough);
  });

  visit("stops, and goes on from there", async ({ page, fake }) => {
    fake.reply = () => "word ".repeat(400);
    fake.tokensPerSecond = 60;
    await say(page, "Write a lot.");
    await page.waitForSelector(".coming .text p");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".ended");
    assert.match(await text(page, ".ended"), /Stopped\. Go on/);
    fake.reply = () => "and so on";
    await page.locator(".ended .word").click();
    await page.waitForFunction(() => document.querySelectorAll(".answered:not(.coming)").length === 2);
    assert.equal(fake.asked[1].messages.at(-1).content, "Go on from where you stopped.");
  });

  visit("edits into a branch, answers again, and walks the versions", async ({ page, fake }) => {
    let n = 0;
    fake.reply = () => `answer ${++n}`;
    await say(page, "first words");
    await answered(page);
    await page.locator('[aria-label="Answer again"]').click();
    await page.waitForFunction(() => document.body.innerText.includes("answer 2"));
    assert.equal(await text(page, ".answered .branches"), "2/2");
    await page.locator('.answered [aria-label="Earlier version"]').click();
    await page.waitForFunction(() => document.body.innerText.includes("answer 1"));
    await page.locator("textarea").focus();
    await page.keyboard.press("ArrowUp");
    assert.equal(await page.locator("textarea").inputValue(), "first words");
    await say(page, "other words");
    await page.waitForFunction(() => document.body.innerText.includes("answer 3"));
    assert.equal(await text(page, ".asked .branches"), "2/2");
    assert.equal(await page.locator(".answered").count(), 1);
    const [conversation] = fake.conversations.values();
    assert.equal(conversation.messages.filter((one) => one.role === "user" && one.parent === null).length, 2);
  });

  visit("folds thinking away", async ({ page, fake }) => {
    fake.reply = () => "<think>\nsecret steps\n</think>\n\nThe answer.";
    await say(page, "think");
    await answered(page);
    assert.equal((await text(page, ".answered .text")).trim(), "The answer.");
    assert.equal(await page.locator(".thinking").evaluate((one) => one.open), false);
    await page.locator(".thinking summary").click();
    assert.match(await text(page, ".thinking"), /secret steps/);
  });

  const full = (fake) => {
    fake.context = 1024;
    fake.conversation("Long", Array.from({ length: 14 }, (_, i) => [i % 2 ? "assistant" : "user", `turn ${i} ` + "bread ".repeat(50)]));
  };
  visit("summarises older turns when the context is full, shows it, and takes it back", async ({ page, fake }) => {
    fake.reply = (body) => (/Summarise all of this/.test(JSON.stringify(body)) ? "They spoke of bread." : "ok");
    await say(page, "and now?");
    await page.waitForSelector(".summary", { timeout: 20_000 });
    await page.waitForFunction(() => !document.querySelector(".coming"));
    assert.match(await text(page, ".summary summary"), /oldest \d+ messages are given to the model in short/);
    const last = fake.asked.at(-1).messages;
    assert.match(last[0].content, /They spoke of bread/);
    assert.equal(last.at(-1).content, "and now?");
    await page.locator(".summary summary").click();
    await page.locator(".summary button").click();
    await page.waitForSelector(".summary", { state: "detached" });
    const [conversation] = fake.conversations.values();
    assert.equal(conversation.messages.find((one) => one.id === conversation.head).content, "and now?");
  }, {
    complains: true, // of the status of the refusal
    path: "/#/c/c-00000001",
    prepare: full,
  });

  visit("a summary that only repeats itself is not taken", async ({ page, fake }) => {
    fake.outcome = () => "repeats";
    fake.reply = () => "bread bread bread";
    await say(page, "and now?");
    await page.waitForSelector(".ended.broke");
    assert.match(await text(page, ".ended.broke"), /summary of the older turns only repeated itself and was not taken; choose another model/);
    assert.equal(await page.locator(".summary").count(), 0);
    assert.deepEqual([...fake.conversations.values()][0].messages.filter((one) => one.role === "summary"), []);
  }, { complains: true, path: "/#/c/c-00000001", prepare: full });

  visit("a question that is too long by itself is refused, and nothing is summarised for it", async ({ page, fake }) => {
    await page.waitForFunction(() => document.querySelector(".model-name"));
    await page.locator("input[type=file]").setInputFiles({ name: "book.txt", mimeType: "text/plain", buffer: Buffer.from("word ".repeat(2_000)) });
    await page.waitForSelector(".caution");
    await say(page, "what is it about?");
    await page.waitForSelector(".ended.broke");
    assert.match(await text(page, ".ended.broke"), /this model's context is 1024; shorten it/);
    assert.equal(fake.asked.length, 1);
  }, { complains: true, path: "/#/c/c-00000001", prepare: full });

  visit("what was said elsewhere meanwhile is there when the window is seen again", async ({ page, fake }) => {
    await page.waitForSelector(".answered");
    fake.conversation("In the terminal", [["user", "oats"]], Date.now() + 60_000);
    const [conversation] = fake.conversations.values();
    fake.append(conversation, { role: "user", content: "and wheat?" });
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await page.waitForFunction(() => document.querySelector(".row-title")?.textContent === "In the terminal");
    await page.waitForFunction(() => document.querySelectorAll(".asked").length === 2);
  }, { path: "/#/c/c-00000001", prepare: (fake) => fake.conversation("Rye", [["user", "rye?"], ["assistant", "Rye."]]) });

  const reads = {};
  visit("what is said before a conversation was read is said in it, below its end", async ({ page, fake }) => {
    await say(page, "and now?");
    reads.session();
    await page.waitForSelector("[role=log] [role=status]:has-text('Opening')");
    assert.equal(await page.locator("textarea").inputValue(), "and now?");
    reads.conversation();
    await page.waitForFunction(() => document.querySelectorAll(".answered:not(.coming)").length === 2);
    const [conversation, ...others] = fake.conversations.values();
    assert.deepEqual(others, []);
    assert.deepEqual(conversation.messages.map((one) => one.content), ["rye?", "Rye.", "and now?", "Spring, summer, autumn and winter."]);
    assert.equal(conversation.messages[2].parent, conversation.messages[1].id);
  }, {
    path: "/#/c/c-00000001",
    prepare: (fake) => {
      fake.conversation("Rye", [["user", "rye?"], ["assistant", "Rye."]]);
      fake.held.set("GET /lares/v1/session", new Promise((done) => (reads.session = done)));
      fake.held.set("GET /lares/v1/conversations/c-00000001", new Promise((done) => (reads.conversation = done)));
    },
  });

  visit("what is said in a conversation that is gone stays in the composer", async ({ page, fake }) => {
    await say(page, "and now?");
    await page.waitForFunction(() => document.querySelector(".complaint")?.textContent.includes("no conversation 'c-00000009'"));
    assert.equal(await page.locator("textarea").inputValue(), "and now?");
    assert.equal(fake.conversations.size, 0);
  }, { complains: true, path: "/#/c/c-00000009" });

  visit("attaches text, turns a paste of 5 MB into an attachment, and says that this model takes no pictures", async ({ page, fake }) => {
    await page.waitForFunction(() => document.querySelector(".model-name"));
    await page.locator("input[type=file]").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("buy milk") });
    await page.waitForSelector(".attached .file");
    await page.locator("input[type=file]").setInputFiles({ name: "cat.png", mimeType: "image/png", buffer: Buffer.from("x") });
    await page.waitForSelector(".complaint");
    assert.match(await text(page, ".complaint"), /SmolLM2 135M Instruct reads text only: “cat\.png” was left out/);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.setData("text/plain", "line of text\n".repeat(400_000));
      document.querySelector("textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    });
    await page.waitForFunction(() => document.querySelectorAll(".attached .file").length === 2);
    assert.equal(await page.locator("textarea").inputValue(), "");
    assert.match(await text(page, ".caution"), /tokens; SmolLM2 135M Instruct reads 8,192/);
    await page.locator('[aria-label="Remove pasted.txt"]').click();
    await say(page, "what is in it?");
    await answered(page);
    assert.match(fake.asked[0].messages.at(-1).content, /notes\.txt[^]*buy milk[^]*what is in it\?/);
    assert.match(await text(page, ".asked .file"), /notes\.txt/);
  });

  visit("searches, renames and deletes", async ({ page, fake }) => {
    await page.locator(".search").fill("rye");
    await page.waitForFunction(() => document.querySelectorAll(".conversations li").length === 1);
    assert.match(await text(page, ".row-snippet"), /rye bread/);
    await page.locator(".row-menu").click();
    await page.keyboard.press("Enter");
    await page.locator(".rename").fill("Bread");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector(".row-title")?.textContent === "Bread");
    await page.locator(".row-menu").click();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.match(await text(page, "dialog"), /everything that was derived from it/);
    await page.locator("dialog .grave-button").click();
    await page.waitForFunction(() => !document.querySelector(".conversations li"));
    assert.deepEqual([...fake.conversations.values()].map((one) => one.title), ["Other"]);
  }, { prepare: (fake) => (fake.conversation("Other", [["user", "oats"]]), fake.conversation("Baking", [["user", "rye bread"]])) });

  visit("a conversation that could not be deleted says so above the list, from wherever it was tried", async ({ page, fake }) => {
    await page.waitForSelector(".row-menu");
    fake.conversations.clear();
    await page.locator(".row-menu").click();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator("dialog .grave-button").click();
    await page.waitForSelector(".side > [role=alert]");
    assert.match(await text(page, ".side > [role=alert]"), /no conversation 'c-00000001'/);
  }, { complains: true, path: "/#/machine", prepare: (fake) => fake.conversation("Baking", [["user", "rye bread"]]) });

  let goOn;
  visit("a title that is being typed outlives the list being read anew", async ({ page, fake }) => {
    await page.locator(".search").fill("rye");
    await page.waitForFunction(() => document.querySelectorAll(".conversations li").length === 1);
    await page.locator(".row-menu").click();
    await page.keyboard.press("Enter");
    await page.locator(".rename").fill("Bread");
    const list = page.waitForResponse((response) => response.url().includes("/conversations?"));
    fake.conversations.forEach((one) => (one.updated_ms += 60_000));
    goOn(); // the session opens only now, and the list is read again
    await (await list).finished();
    await page.waitForFunction(() => document.querySelector(".dot:not(.away)"));
    assert.equal(await page.locator(".rename").inputValue(), "Bread");
    await page.locator(".rename").press("Escape");
    await page.waitForFunction(() => document.querySelector(".row-title")?.textContent === "Baking");
    assert.equal([...fake.conversations.values()].some((one) => one.title === "Bread"), false);
  }, {
    prepare: (fake) => {
      fake.conversation("Baking", [["user", "rye bread"]]);
      fake.held.set("GET /lares/v1/session", new Promise((done) => (goOn = done)));
    },
  });
});

describe("bad luck", () => {
  visit("a daemon that ends in mid-answer is found again, with the part it kept", async ({ page, fake }) => {
    fake.reply = () => "word ".repeat(200);
    fake.breaks = 30;
    await say(page, "go");
    await page.waitForSelector(".coming");
    const port = fake.port;
    await page.waitForFunction(() => document.querySelector(".dot.away") || document.querySelector(".ended"), undefined, { timeout: 5_000 });
    await fake.stop();
    fake.breaks = 0;
    await fake.start(port);
    await page.waitForSelector(".ended.broke", { timeout: 20_000 });
    assert.match(await text(page, ".answered .text"), /^(word ){10,}/);
    fake.reply = () => "the rest";
    await page.locator(".ended .word").click();
    await page.waitForFunction(() => document.body.innerText.includes("the rest"));
  }, { complains: true });

  visit("a daemon that lost the part is given it when it is gone on from", async ({ page, fake }) => {
    fake.reply = () => "word ".repeat(200);
    fake.breaks = 30;
    fake.forgets = true;
    await say(page, "go");
    await page.waitForSelector(".ended.broke", { timeout: 20_000 });
    fake.breaks = 0;
    fake.reply = () => "the rest";
    await page.locator(".ended .word").click();
    await page.waitForFunction(() => document.body.innerText.includes("the rest"));
    assert.deepEqual(fake.asked[1].messages.map((one) => one.role), ["system", "user", "assistant", "user"]);
    assert.equal(fake.asked[1].messages[0].content, "You are Lares. Today is Thursday.");
  }, { complains: true });

  visit("a session that was ended asks to be paired again, and the draft stays", async ({ page, fake }) => {
    await page.waitForSelector(".side .dot.open");
    fake.paired = false;
    await say(page, "do not lose this");
    await page.waitForSelector(".pairing");
    assert.match(await text(page, ".pairing"), /lares ui/);
    fake.paired = true;
    await page.locator(".pairing button").click();
    await page.waitForSelector(".pairing", { state: "detached" });
    assert.equal(await page.locator("textarea").inputValue(), "do not lose this");
  }, { complains: true });

  visit("ten thousand conversations are a short list that scrolls", async ({ page }) => {
    await page.waitForSelector(".conversations li");
    assert.ok((await page.locator(".conversations li").count()) < 60);
    for (let i = 0; i < 70; i++) {
      await page.locator(".conversations").evaluate((one) => (one.scrollTop = one.scrollHeight));
      await page.waitForTimeout(40);
    }
    await page.waitForFunction(() => document.querySelector(".conversations").innerText.includes("Conversation 9999"), undefined, { timeout: 20_000 });
    assert.ok((await page.locator(".conversations li").count()) < 60);
  }, {
    prepare: (fake) => {
      for (let i = 0; i < 10_000; i++) fake.conversation(`Conversation ${i}`, [], Date.now() - i * 1_000);
    },
  });
});

describe(`hostile text, ${PAYLOADS.length} payloads`, () => {
  visit("in history asks nothing and runs nothing", async ({ page }) => {
    await page.waitForFunction((n) => document.querySelectorAll(".answered").length === n, PAYLOADS.length, { timeout: 60_000 });
    // everything is drawn, clicked and entered, not only what is in view
    await page.addStyleTag({ content: "" }).catch(() => {});
    await page.evaluate(() => document.querySelectorAll(".turn").forEach((one) => (one.style.contentVisibility = "visible")));
    await page.waitForTimeout(300);
    assert.deepEqual(await strangers(page), []);
  }, {
    complains: true,
    path: "/#/c/c-00000001",
    prepare: (fake) => fake.conversation("Hostile", PAYLOADS.flatMap((payload) => [["user", payload.slice(0, 300)], ["assistant", payload]])),
  });

  visit("in a stream asks nothing and runs nothing", async ({ page, fake }) => {
    const short = PAYLOADS.filter((one) => one.length < 1_000);
    for (let from = 0; from < short.length; from += 60) {
      fake.reply = () => short.slice(from, from + 60).join("\n\n");
      fake.tokensPerSecond = 2_000;
      await say(page, `part ${from}`);
      await page.waitForFunction((n) => document.querySelectorAll(".answered:not(.coming)").length === n, from / 60 + 1, { timeout: 30_000 });
    }
    assert.deepEqual(await strangers(page), []);
  }, { complains: true });

  visit("looks the same whatever its pieces, growing and afterwards", async ({ page, seen, fake }) => {
    const differing = await page.evaluate(async (payloads) => {
      const { Growing } = await import("/harness.js");
      const shown = (pieces) => {
        const root = document.createElement("div");
        const growing = new Growing(root);
        let so = "";
        for (const piece of pieces) growing.show((so += piece), false);
        growing.show(so, true);
        return root.innerHTML;
      };
      const differing = [];
      let seed = 7;
      const next = (n) => (seed = (seed * 16807) % 2147483647) % n;
      for (const text of payloads) {
        const step = text.length > 2_000 ? 500 : 12;
        const pieces = [];
        for (let at = 0; at < text.length; ) {
          const length = 1 + next(step);
          pieces.push(text.slice(at, at + length));
          at += length;
        }
        if (shown(pieces) !== shown([text])) differing.push(text.slice(0, 80));
      }
      return differing;
    }, [...PAYLOADS, readFileSync(new URL("./sample.md", import.meta.url), "utf8"), PAYLOADS.filter((one) => one.length < 400).join("\n\n")]);
    assert.deepEqual(differing, []);
    assert.deepEqual(seen.requests.filter((one) => !one.startsWith(fake.address)), []);
  }, { path: "/harness", complains: true });
});

/** Elements and addresses that have no business in a message. */
function strangers(page) {
  return page.evaluate(() => {
    const allowed = new Set("P,DIV,SPAN,A,STRONG,EM,DEL,CODE,PRE,BR,HR,UL,OL,LI,BLOCKQUOTE,H2,H3,H4,H5,H6,TABLE,THEAD,TBODY,TR,TH,TD,INPUT,BUTTON".split(","));
    const found = window.pwned ? ["a script ran"] : [];
    for (const root of document.querySelectorAll(".answered .text"))
      for (const one of root.querySelectorAll("*")) {
        if (!allowed.has(one.tagName)) found.push(one.tagName);
        for (const { name, value } of one.attributes) {
          if (name.startsWith("on") || name === "srcdoc" || name === "src") found.push(`${one.tagName} ${name}=${value}`);
          if (name === "href" && !/^(https?:\/\/[^@]+$|mailto:)/.test(value)) found.push(value);
        }
        if (one.tagName === "A" && !/noopener/.test(one.rel)) found.push(`no rel: ${one.href}`);
      }
    return found;
  });
}

describe("for everybody", () => {
  for (const [name, options] of [["light", {}], ["dark", { colorScheme: "dark" }], ["a phone", { viewport: { width: 390, height: 780 } }]]) {
    visit(`no finding of axe in ${name}`, async ({ page, fake }) => {
      const source = readFileSync(axe(), "utf8");
      const check = async (where) => {
        await page.waitForTimeout(350);
        const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`));
        assert.deepEqual(found, [], where);
      };
      await page.waitForSelector(".better");
      await page.evaluate(source);
      await check("first open");
      fake.reply = () => readFileSync(new URL("./sample.md", import.meta.url), "utf8");
      fake.tokensPerSecond = 5_000;
      await say(page, "show everything");
      await answered(page);
      await check("chat");
      await page.locator("button.where").last().click();
      await check("decision");
      await page.keyboard.press("Escape");
      for (const part of ["machine", "models", "activity", "settings"]) {
        await page.evaluate((to) => (location.hash = `#/${to}`), part);
        await page.waitForSelector(".part-body h2, .part-body table");
        await check(part);
      }
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "wider than the window");
    }, { ...options, prepare: (fake) => fake.conversation("Earlier", [["user", "a"], ["assistant", "b"]]) });
  }

  visit("everything is reached by keyboard", async ({ page }) => {
    await page.waitForSelector(".better");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    await answered(page);
    const names = new Set();
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      names.add(await page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent?.trim().slice(0, 40) || document.activeElement?.tagName));
    }
    for (const name of ["Skip to the content", "Edit this message", "Answer again", "Your message", "Search conversations", "Machine", "Settings"]) assert.ok(names.has(name), `${name} is not among ${[...names].join("; ")}`);
    await page.keyboard.press("Escape");
    await page.locator("#main").focus();
    await page.keyboard.press("?");
    assert.match(await text(page, "dialog"), /Ctrl\+Shift\+O/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Shift+O");
    await page.waitForSelector(".prompts");
  });
});

describe("the other parts", () => {
  visit("a model is pulled from its card, and its plan is read before it is loaded", async ({ page, fake }) => {
    await page.waitForSelector(".card");
    await page.locator(".card .plain-button").first().click();
    await page.waitForSelector(".pull progress");
    assert.deepEqual(fake.ordered, [{ source: "qwen-3-4b" }], "by its id, to which the daemon knows a digest");
    assert.match(await text(page, ".pull"), /qwen-3-4b.*fetching.*922 MiB of 2\.5 GiB/s);
    await page.locator(".card .quiet").first().click();
    assert.match(await text(page, "dialog"), /It fits: 449 MiB of the budget of 4\.0 GiB[^]*Weights\s+94 MiB\s+Conversations\s+267 MiB\s+Computing\s+38 MiB\s+The worker itself, and a margin\s+50 MiB\s+In all\s+449 MiB\s+Memory, predicted\s+447 MiB\s+Memory, measured here\s+449 MiB/);
    await page.keyboard.press("Escape");
    fake.pulls[0].state = "done";
    await page.waitForSelector(".pull progress", { state: "detached" });
  }, { path: "/#/models" });

  visit("every column of a table is in sight on a phone", async ({ page }) => {
    for (const part of ["machine", "activity"]) {
      await page.evaluate((to) => (location.hash = `#/${to}`), part);
      await page.waitForFunction((label) => document.querySelector(".wide")?.getAttribute("aria-label") === label, part === "machine" ? "Models in memory" : "Requests");
      const beyond = await page.evaluate(() => [...document.querySelectorAll(".rows td")].filter((one) => one.getBoundingClientRect().right > innerWidth).length);
      assert.equal(beyond, 0, part);
    }
    assert.equal(await page.locator(".rows tbody tr").first().locator("td").count(), 9);
  }, { path: "/#/machine", viewport: { width: 390, height: 780 }, prepare: (fake) => (fake.receipt(30, 0), fake.receipt(40, 100)) });

  const pull = (id, more) => ({ id, source: `hf:example/${id}`, model: id, bytes_done: 2e8, bytes_total: 1e9, bytes_per_s: 0, begun_ms: Date.now(), ...more });
  visit("a pull that rests says why, and goes on or goes away; one that is over is not in the list", async ({ page, fake }) => {
    await page.waitForSelector(".pull");
    assert.deepEqual(await page.locator(".pull-name").allInnerTexts(), ["paused-one", "failed-one", "lost-one"]);
    const [paused, failed, lost] = await page.locator(".pull").allInnerTexts();
    assert.match(paused, /paused\s+Go on\s+Remove[^]*191 MiB of 954 MiB/);
    assert.match(failed, /stopped\s+Try again\s+Remove[^]*it was changed there/);
    assert.match(lost, /waiting for the network\s+Pause\s+Cancel/);
    await page.locator('[aria-label="Remove: failed-one"]').click();
    await page.waitForFunction(() => document.querySelectorAll(".pull").length === 2);
    assert.equal(fake.pulls[1].state, "cancelled", "what was fetched is removed");
    await page.locator('[aria-label="Pause: lost-one"]').click();
    await page.waitForSelector('[aria-label="Go on: lost-one"]');
    await page.locator('[aria-label="Go on: paused-one"]').click();
    await page.waitForFunction(() => document.querySelector(".pull")?.innerText.includes("fetching"));
    assert.deepEqual(fake.ordered, [{ source: "hf:example/paused-one" }]);
  }, {
    path: "/#/models",
    prepare: (fake) => fake.pulls.push(
      pull("paused-one", { state: "waiting", error: { message: "it was stopped; the same pull goes on from there", code: "cancelled" } }),
      pull("failed-one", { state: "failed", error: { message: "the registry has a file of another digest; it was changed there", code: "corrupt" } }),
      pull("lost-one", { state: "waiting", error: { message: "no answer from example.org", code: "offline" } }),
      pull("done-one", { state: "done" }), pull("cancelled-one", { state: "cancelled" })),
  });

  visit("what could not be done is said where it was tried, in sight", async ({ page }) => {
    await page.waitForSelector("section[aria-labelledby=catalogue] .card");
    const read = page.locator("section[aria-labelledby=catalogue] .card").first().locator("a");
    assert.deepEqual(await read.allTextContents(), ["repository, file, size", "licence"]);
    await page.locator("[name=source]").fill("nothing");
    await page.keyboard.press("Enter");
    const complaint = page.locator("section[aria-labelledby=by-name] [role=alert]");
    await complaint.waitFor();
    assert.match(await complaint.innerText(), /'nothing' names no model/);
    assert.equal(await page.locator("[name=source]").inputValue(), "nothing");
    assert.equal(await complaint.evaluate((one) => one.getBoundingClientRect().bottom <= innerHeight), true);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // the lists are read anew
    await page.waitForTimeout(300);
    assert.match(await complaint.innerText(), /'nothing' names no model/);
  }, { path: "/#/models", complains: true, viewport: { width: 1180, height: 420 } });

  visit("a pull is seen where it was begun, until its model is here", async ({ page, fake }) => {
    await page.waitForSelector("section[aria-labelledby=catalogue] .card");
    await page.locator("[name=source]").fill("hf:example/another");
    await page.keyboard.press("Enter");
    await page.waitForSelector("section[aria-labelledby=by-name] .pull progress");
    assert.equal(await page.locator("[name=source]").inputValue(), "");
    fake.arrives();
    await page.waitForSelector("section[aria-labelledby=by-name] >> text=another is here.");
    const first = page.locator("section[aria-labelledby=catalogue] .card").first();
    await first.locator(".plain-button").click();
    await first.locator("text=fetching, 36%").waitFor();
  }, { path: "/#/models" });

  visit("what is searched in the catalogue stays when a model comes", async ({ page, fake }) => {
    const search = page.locator('[aria-label="Search the catalogue"]');
    await search.fill("qwen 3 4b");
    const found = page.locator("section[aria-labelledby=catalogue] .card");
    await page.waitForFunction(() => document.querySelectorAll("section[aria-labelledby=catalogue] .card").length === 1);
    await found.locator(".plain-button").click();
    await page.waitForSelector(".pull");
    fake.arrives();
    await page.waitForSelector("text=Qwen 3 4B Instruct is here");
    assert.equal(await search.inputValue(), "qwen 3 4b");
    assert.equal(await found.count(), 1);
    assert.match(await found.innerText(), /here/);
  }, { path: "/#/models" });

  visit("models of one title, and those that the person named, are told apart by their ids", async ({ page }) => {
    await page.waitForSelector(".card");
    assert.deepEqual(await page.locator(".model-id").allInnerTexts(), ["smollm2-135m", "gemma-3-270m", "gemma-3-270m-q8", "homework"]);
    await page.locator(".card").nth(2).locator("text=Remove").click();
    assert.match(await text(page, "dialog"), /^Remove Gemma 3 270M \(gemma-3-270m-q8\)\?/);
    await page.keyboard.press("Escape");
    await page.evaluate(() => (location.hash = "#/"));
    await page.locator(".model-choice").click();
    assert.deepEqual(await page.evaluate(() => [".menu", ".model-choice"].map((one) => document.querySelector(one).getBoundingClientRect().left)).then(([list, button]) => list - button), 0, "the list begins at its button");
    const choices = await page.locator("[role=menuitem]").allInnerTexts();
    assert.match(choices[0], /SmolLM2 135M Instruct · 93 MiB/);
    assert.match(choices[1], /Gemma 3 270M · gemma-3-270m · 241 MiB/);
    assert.match(choices[2], /Gemma 3 270M · gemma-3-270m-q8 · 241 MiB/);
    assert.match(choices[3], /SmolLM2 360M · homework · 241 MiB/);
    await page.locator("[role=menuitem]").nth(3).click();
    await page.waitForFunction(() => document.querySelector(".model-choice")?.textContent.includes("homework"));
  }, {
    path: "/#/models",
    prepare: (fake) => {
      fake.has.push("gemma-3-270m-q8", "homework");
      fake.titles = { "gemma-3-270m-q8": "Gemma 3 270M", homework: "SmolLM2 360M" };
    },
  });

  visit("the machine shows memory, speed and queue, and draws what there is", async ({ page }) => {
    await page.waitForSelector("canvas");
    assert.match(await text(page, ".part-body"), /412 MiB of 4\.0 GiB reserved[^]*smollm2-135m/);
  }, { path: "/#/machine", prepare: (fake) => (fake.receipt(30, 0), fake.receipt(40, 100)) });

  visit("an app is given a token that is shown once, and it is taken back", async ({ page, fake }) => {
    await page.locator("[name=app]").fill("editor");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog .token");
    assert.match(await text(page, "dialog"), /lares-0123456789abcdef/);
    await page.keyboard.press("Escape");
    await page.locator('[aria-label="Take back the access of editor"]').click();
    await page.locator("dialog .grave-button").click();
    await page.waitForSelector('[aria-label="Take back the access of editor"]', { state: "detached" });
    assert.deepEqual(fake.credentials.map((one) => one.kind), ["page"]);
  }, { path: "/#/settings" });

  visit("pages have short names, this one is marked, and a token that is refused is told of beside its name", async ({ page }) => {
    await page.waitForSelector("section[aria-labelledby=access] .card");
    const cards = await page.locator("section[aria-labelledby=access] .card").allInnerTexts();
    assert.match(cards[0], /^Chrome on Linux\s+this page/);
    assert.match(cards[1], /^Firefox on Windows\s+page/);
    assert.match(await text(page, "section[aria-labelledby=programs]"), /lares token --show in a terminal prints your own token/);
    await page.locator("[name=app]").fill("twice");
    await page.keyboard.press("Enter");
    await page.waitForSelector("section[aria-labelledby=access] form + [role=alert]");
    assert.match(await text(page, "form + [role=alert]"), /'twice' has a token already/);
    assert.equal(await page.locator("[name=app]").inputValue(), "twice");
  }, {
    path: "/#/settings", complains: true,
    prepare: (fake) => fake.credentials.unshift({ id: "k-other", kind: "page", name: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", created_ms: 1, last_used_ms: 0 }),
  });

  visit("ending the session needs pairing anew", async ({ page }) => {
    await page.locator("text=End this session").click();
    await page.waitForSelector(".pairing");
  }, { path: "/#/settings", complains: true });
});
