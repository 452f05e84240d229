// Draws the pictures of the page that README shows, from the built page and the tests' stand-in: node tests/page/pictures.mjs FOLDER

import { join } from "node:path";
import { Fake } from "./fake.mjs";
import { answered, chromium, open, PAGE, say } from "./support.mjs";

const folder = process.argv[2] ?? "docs";
const ANSWER = "Bread rises because **yeast** turns the flour's sugar into carbon dioxide, which the dough holds.\n\n1. Feed the starter and wait until it has doubled.\n2. Mix it with flour, water and salt.\n3. Let it rest, overnight if you can.\n\n```python\ndef feed(starter, grams=50):\n    starter.add(flour=grams, water=grams)  # every day\n    return starter\n```\n\nThe longer it rests, the better it tastes.";
const TITLES = ["The four seasons", "A title for a lighthouse", "Thank-you note", "What a library is", "A week in the hills", "Dates by regular expression"];

const fake = new Fake(PAGE);
await fake.start();
TITLES.forEach((title, i) => fake.conversation(title, [["user", "a"], ["assistant", "b"]], Date.now() - (i + 1) * 4e7));
for (let i = 0; i < 14; i++) fake.receipt(40 + i, i * 12);
fake.reply = () => ANSWER;
fake.tokensPerSecond = 2_000;
const browser = await chromium();
try {
  for (const scheme of ["light", "dark"]) {
    const { page, context } = await open(browser, fake.address, { colorScheme: scheme, viewport: { width: 1120, height: 740 } });
    const picture = (name) => page.screenshot({ path: join(folder, `page-${name}-${scheme}.png`) });
    await page.waitForSelector(".better");
    await page.waitForTimeout(300);
    await picture("first");
    await say(page, "How does bread rise?");
    await answered(page);
    await page.waitForSelector("button.where");
    await picture("chat");
    await page.evaluate(() => (location.hash = "#/machine"));
    await page.waitForSelector("canvas");
    await page.waitForTimeout(2_500);
    await picture("machine");
    await context.close();
  }
} finally {
  await browser.close();
  await fake.stop();
}
