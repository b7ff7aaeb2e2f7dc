/**
 * The pages in a real browser, Debian's chromium: each at two widths, light and dark, with what axe finds; stories by the keyboard alone;
 * hostile texts; without JavaScript. Screenshots are kept in CHP_SCREENSHOTS, by default .run/browser/screenshots. Ends with
 * `N passed, N failed, N skipped`.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { compareText } from "../../src/text.ts";
import { serve } from "../e2e/chp.ts";
import { check, equal, finish, skip } from "../interop/checks.ts";
import { fullStore, hostileStore, IMAGE, storeFolder } from "./world.ts";

const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"].map((name) => Bun.which(name)).find((path) => path !== null);
const SCREENSHOTS = resolve(process.env["CHP_SCREENSHOTS"] ?? ".run/browser/screenshots");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A name that is not of this machine, so that the browser takes its http for unsafe, as of a hub. */
const HUB = "hub.test";

const PAGES: Readonly<Record<string, string>> = {
  list: "/",
  search: "/?q=acme&type=charm&base=ubuntu%4022.04",
  nothing: "/?q=nothing-like-it",
  charm: "/charms/acme-db",
  "charm-real": "/charms/postgresql-k8s",
  bundle: "/charms/cos-lite",
  snap: "/snaps/hello",
  "snap-brand": "/snaps/dtrack",
  image: `/images/${IMAGE}`,
  agents: "/agents/juju-3.6.11",
  status: "/_status",
  setup: "/_setup",
  manual: "/_docs",
  "manual-page": "/_docs/serve",
  "not-found": "/nope",
};
const WIDTHS = { 360: 760, 1280: 900 } as const;
const SCHEMES = ["light", "dark"] as const;

if (CHROMIUM === undefined) {
  if (process.env["CI"]) throw new Error("there is no chromium: apt-get install chromium");
  skip("there is no chromium: apt-get install chromium");
  finish();
}

rmSync(SCREENSHOTS, { recursive: true, force: true });
mkdirSync(SCREENSHOTS, { recursive: true });
const full = storeFolder("full");
const hostile = storeFolder("hostile");
await fullStore(full);
const hostilePaths = await hostileStore(hostile);
const served = await serve(full, ["--public-url", `http://${HUB}`]);
const enemy = await serve(hostile);
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", `--host-resolver-rules=MAP ${HUB} 127.0.0.1`],
});

try {
  await everyPage(browser);
  await byKeyboard(browser, {});
  await byKeyboard(browser, { javaScriptEnabled: false });
  await hostileTexts(browser);
} finally {
  await browser.close();
  await Promise.all([served.stop(), enemy.stop()]);
}
console.log(`screenshots: ${SCREENSHOTS}`);
finish();

/** What a page must not do: an error, a load from elsewhere, a dialog, a line wider than the screen. */
function watch(page: Page, origin: string): string[] {
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && !message.text().includes("404") && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => new URL(request.url()).origin !== origin && wrong.push(`asks ${request.url()}`));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return wrong;
}

async function layout(page: Page): Promise<string[]> {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  return wide > 0 ? [`wider than the screen by ${wide} px`] : [];
}

/** What axe finds that is serious or worse. */
async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    (
      window as unknown as { axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> } }
    ).axe.run(),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`);
}

async function everyPage(on: Browser): Promise<void> {
  await check("axe sees what is wrong", async () => {
    const page = await on.newPage();
    await page.goto(served.url);
    await page.evaluate(() => document.body.append(document.createElement("img"), document.createElement("button")));
    equal((await axe(page)).map((found) => found.split(":")[0] ?? "").toSorted(compareText), ["button-name", "image-alt"]);
    await page.close();
  });
  for (const [width, height] of Object.entries(WIDTHS)) {
    const context = await on.newContext({ viewport: { width: Number(width), height } });
    const page = await context.newPage();
    const wrong = watch(page, served.url);
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(served.url + path);
      for (const colorScheme of SCHEMES)
        await check(`${name} at ${width} px, ${colorScheme}`, async () => {
          await page.emulateMedia({ colorScheme });
          await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
          const paper = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
          const [red = 0] = (/\d+/.exec(paper) ?? []).map(Number);
          equal(
            [
              ...wrong.splice(0),
              ...(await layout(page)),
              ...(await axe(page)),
              ...(red > 127 === (colorScheme === "light") ? [] : [paper]),
            ],
            [],
          );
        });
    }
    await context.close();
  }
}

/** Presses Tab until the element that has the focus matches; fails where none does. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    if ((await page.locator(`${selector}:focus`).count()) > 0) return;
  }
  throw new Error(`Tab never comes to ${selector}`);
}

/** Search, filter, copy, download. */
async function byKeyboard(on: Browser, options: BrowserContextOptions): Promise<void> {
  const how = options.javaScriptEnabled === false ? "without JavaScript" : "with JavaScript";
  const context = await on.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  const origin = served.url.replace("127.0.0.1", HUB);
  const page = await context.newPage();
  const wrong = watch(page, origin);

  await check(`${how}, by keyboard alone: a search leads to a package`, async () => {
    await page.goto(`${origin}/`);
    await page.keyboard.press("Tab");
    equal(await page.locator(".skip:focus").count(), 1);
    await tabTo(page, "#q");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    await page.waitForURL(/[?&]q=hello/);
    await tabTo(page, 'a[href="/snaps/hello"]');
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/snaps\/hello$/);
  });

  await check(`${how}, by keyboard alone: a filter`, async () => {
    await page.goto(`${origin}/`);
    await tabTo(page, "#base");
    await page.keyboard.type("ubuntu@22");
    await tabTo(page, 'button[type="submit"]');
    await page.keyboard.press("Enter");
    await page.waitForURL(/base=ubuntu%4022\.04/);
    await tabTo(page, '.kinds a[href*="type=charm"]');
    await page.keyboard.press("Enter");
    await page.waitForURL(/type=charm/);
    const links = await page.locator(".entry .name a").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
    equal(links.includes("/charms/tiny") && !links.includes("/snaps/hello"), true);
  });

  await check(`${how}, by keyboard alone: a command is copied`, async () => {
    await page.goto(`${origin}/charms/acme-db`);
    equal(await page.evaluate(() => window.isSecureContext), false);
    if (options.javaScriptEnabled === false) {
      equal(await page.locator(".command button").count(), 0);
      await tabTo(page, "textarea");
      await page.keyboard.press("Control+A");
      await page.keyboard.press("Control+C");
    } else {
      await tabTo(page, ".command button");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelector("[data-said]")?.textContent === "Copied: Deploy acme-db");
    }
    await page.goto(`${origin}/`);
    await tabTo(page, "#q");
    await page.keyboard.press("Control+V");
    equal(await page.locator("#q").inputValue(), "juju deploy acme-db");
  });

  await check(`${how}, by keyboard alone: a download, which has the sum that the page says`, async () => {
    await page.goto(`${origin}/snaps/hello`);
    await tabTo(page, 'a[download][href$=".snap"]');
    const row = page.locator("li:has(a[download]:focus)");
    const sum = /sha256 ([0-9a-f]{64})/.exec((await row.textContent()) ?? "")?.[1];
    const coming = page.waitForEvent("download");
    await page.keyboard.press("Enter");
    const file = await (await coming).path();
    equal(createHash("sha256").update(readFileSync(file)).digest("hex"), sum);
  });

  await check(`${how}: nothing went wrong meanwhile`, () => equal(wrong, []));
  await context.close();
}

async function hostileTexts(on: Browser): Promise<void> {
  for (const width of Object.keys(WIDTHS).map(Number)) {
    const context = await on.newContext({ viewport: { width, height: 900 } });
    const page = await context.newPage();
    const wrong = watch(page, enemy.url);
    for (const [i, path] of hostilePaths.entries())
      await check(`hostile texts run nothing, and the layout stays, at ${width} px: ${path}`, async () => {
        await page.goto(enemy.url + path);
        await page.mouse.move(width / 2, 300 + i); // what would wait for a pointer
        const found = i < 6 ? await axe(page) : [];
        if (i < 6) await page.screenshot({ path: join(SCREENSHOTS, `hostile-${i}-${width}.png`) });
        equal([...wrong.splice(0), ...(await layout(page)), ...found], []);
        equal(await page.locator("h1").count(), 1);
      });
    await context.close();
  }
}
