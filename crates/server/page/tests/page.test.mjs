// Tests of the page in a browser: node page.test.mjs BASE_URL
//
// The server may be any that can create indexes. The tests make one index, fill it through the page, and delete it.
// Answers that a server gives rarely (an expired cursor, 401, a long task) are put in by intercepting requests.

import fs from "node:fs";
import path from "node:path";
import { accessible, assert, beforeEach, check, drop, equal, fitsWidth } from "./browser.mjs";
import { launch, screenshot, summary, watch } from "./browser.mjs";
import * as adding from "./adding.mjs";
import * as corpus from "./corpus.mjs";
import * as rare from "./rare.mjs";
import * as results from "./results.mjs";

const base = new URL(process.argv[2] ?? "http://127.0.0.1:8080").href;
const name = `page-test-${process.pid}`;
const api = (route, options) => fetch(new URL(route, base), options);
const indexRoute = `v1/indexes/${name}`;
const searchRoute = (url) => url.pathname.endsWith("/search");

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1200, height: 860 }, colorScheme: "light" });
const page = await context.newPage();
page.setDefaultTimeout(15000);
const troubles = watch(page, base);
const folder = corpus.write(name);

beforeEach(async () => {
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.evaluate(() => {
    if (location.protocol === "about:") return;
    sessionStorage.clear();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  });
});

/** Opens the page with a search and waits for its results. */
async function open(parameters = {}) {
  await page.goto(`${base}?${new URLSearchParams({ index: name, ...parameters })}`);
  if (parameters.q) await page.locator(".hit").first().waitFor();
}

const apiSearch = async (body) => {
  const headers = { "Content-Type": "application/json" };
  const response = await api(`${indexRoute}/search`, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
};

await check("start page without an index", async () => {
  await page.route(/\/v1\/indexes$/, (route) => route.fulfill({ json: { indexes: [] } }));
  await page.goto(base);
  await page.getByRole("heading", { name: "There is no index yet" }).waitFor();
  equal(await page.locator("#search").isVisible(), false, "search form is shown");
  await screenshot(page, "start-light");
  await accessible(page);
});

await check("dropping a folder creates an index and fills it", async () => {
  await page.goto(base);
  await page.locator("#live[data-live=true]").waitFor();
  await drop(page, [folder]);
  await page.locator("#upload-dialog[open]").waitFor();
  await page.selectOption("#upload-index", "+");
  equal(await page.inputValue("#upload-name"), name, "name that the page offers");
  await page.click("#upload-ok");
  await page.getByRole("button", { name: `Search ${name}` }).waitFor({ timeout: 120000 });
  const dock = await page.locator("#dock").textContent();
  assert(/2 passages refused/.test(dock), `a line without an id and one without a tab fail: ${dock}`);
  assert(/3 files or folders skipped/.test(dock), `a hidden folder, a binary file and one in Latin-1 are skipped: ${dock}`);
  await accessible(page);
});

await check("documents that were dropped are in the index", async () => {
  const index = await (await api(indexRoute)).json();
  const parts = index.passages - corpus.NUM_LINES;
  assert(parts >= 2 && parts <= 5, `${parts} parts of a text of 2,700 characters`);
  const id = `${name}/notes/long.md#2`;
  const document = await (await api(`${indexRoute}/documents?id=${encodeURIComponent(id)}`)).json();
  const { path: file, part } = document.metadata;
  equal([file, part], [`${name}/notes/long.md`, 2], "metadata of a part");
});

await check("'/' focuses the query, and a pause in typing searches once", async () => {
  await open();
  await page.locator("#keys button").first().waitFor();
  const bodies = [];
  page.on("request", (request) => searchRoute(new URL(request.url())) && bodies.push(request.postDataJSON()));
  await page.locator("#main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type("wool cloth", { delay: 20 });
  await page.locator(".hit").first().waitFor();
  equal(bodies.map(({ query }) => query), ["wool cloth"], "queries");
});

await check("an earlier request is aborted", async () => {
  let isFirst = true;
  await page.route(searchRoute, async (route) => {
    if (isFirst) await new Promise((resolve) => setTimeout(resolve, 1500));
    isFirst = false;
    await route.continue().catch(() => {});
  });
  const aborted = page.waitForEvent("requestfailed", { timeout: 5000 });
  await page.fill("#query", "first");
  await page.waitForTimeout(500);
  await page.fill("#query", "second");
  equal((await aborted).postDataJSON().query, "first", "aborted query");
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

await check("the address holds the search, and the back button works", async () => {
  await open({ q: "indigo dye" });
  await page.fill("#query", "wool teasel");
  await page.press("#query", "Enter");
  await page.waitForURL(/q=wool/);
  await page.check("input[name=mode][value=lexical]", { force: true });
  await page.waitForURL(/mode=lexical/);
  await page.goBack();
  await page.goBack();
  await page.waitForFunction(() => document.querySelector("#query").value === "indigo dye");
  equal(await page.locator("input[name=mode]:checked").getAttribute("value"), "maxsim", "mode");
});

await check("what is typed while the page loads is kept", async () => {
  await page.route(/\/v1\/info$/, async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 400));
    await route.continue();
  });
  await page.goto(`${base}?index=${name}`, { waitUntil: "commit" });
  await page.locator("#query").fill("wool");
  await page.locator(".hit").first().waitFor();
  equal(await page.inputValue("#query"), "wool", "query");
});

await check("every mode is asked for and answered", async () => {
  const asked = [];
  for (const mode of ["maxsim", "hybrid", "lexical", "exact"]) {
    const request = page.waitForRequest((each) => searchRoute(new URL(each.url())));
    const response = page.waitForResponse((each) => searchRoute(new URL(each.url())));
    await open({ q: "wool cloth", mode });
    const body = (await request).postDataJSON();
    asked.push([body.mode, body.exact, (await response).status()]);
  }
  const expected = [["maxsim", false, 200], ["hybrid", false, 200], ["lexical", false, 200], ["maxsim", true, 200]];
  equal(asked, expected, "mode, exact and status");
});

await check("matched words are tinted where the server says, by code points", async () => {
  const q = "edge keeps cloth from fraying";
  const { hits } = await apiSearch({ query: q, k: 20, explain: true, text: true });
  const hit = hits.find(({ id }) => id === "emoji/astral");
  const spelled = ({ start, end }) => Array.from(hit.text).slice(start, end).join("");
  const expected = hit.explanation.words.filter(({ share }) => share > 0).map(spelled);
  assert(expected.includes("fraying"), `the server matched ${expected}`);
  await open({ q, k: 20 });
  const article = page.locator(".hit", { has: page.getByRole("heading", { name: "emoji/astral", exact: true }) });
  equal(await article.locator("mark").allTextContents(), expected, "words");
  equal(await article.locator(".text").textContent(), corpus.EMOJI, "text");
  const colours = (marks) => marks.map((mark) => getComputedStyle(mark).backgroundColor);
  const tints = await article.locator("mark").evaluateAll(colours);
  assert(new Set(tints).size > 1, `words with different shares have one tint: ${tints[0]}`);
});

await check("HTML of a document is shown as its text", async () => {
  await open({ q: "wash wool cold", k: 20 });
  const article = page.locator(".hit", { has: page.getByRole("heading", { name: "html", exact: true }) });
  equal(await article.locator(".text").textContent(), corpus.HTML, "text");
  assert((await article.textContent()).includes("<i>Mill</i>"), "metadata is not shown as text");
  equal(await page.locator("main img, main script, main i").count(), 0, "elements of documents");
  await open({ q: '<img src=x onerror="window.pwned=3">' });
  equal(await page.evaluate(() => window.pwned ?? null), null, "script of a document or query");
});

await check("control characters of an id are visible", async () => {
  await open({ q: "bell rings loom", k: 20 });
  equal(await page.getByRole("heading", { name: "bell␇/‹U+202E›id", exact: true }).count(), 1, "headings");
});

await check("results page", async () => {
  await open({ q: "how is wool cloth woven" });
  await screenshot(page, "results-light");
  await accessible(page);
});

await check("a long text shows parts with its matches, and all of it on demand", async () => {
  await open({ q: "the reed beats the weft home", k: 20 });
  const article = page.locator(".hit", { has: page.getByRole("heading", { name: /long\.md#1$/ }) });
  const cut = Array.from(await article.locator(".text").textContent()).length;
  assert(cut < 700, `${cut} characters are shown at first`);
  assert((await article.locator("mark").count()) > 0, "no matched word is shown");
  await article.getByRole("button", { name: "Show all" }).click();
  const whole = (await article.locator(".text").textContent()).length;
  assert(whole > 900, `${whole} characters are shown on demand`);
});

await check("facets narrow and chips widen", async () => {
  await open({ q: "thread woven cloth" });
  await page.locator("#facets").getByRole("button", { name: /^venue Dyer's Digest/ }).click();
  await page.waitForURL(/facet=/);
  await page.locator("#narrowed button").waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".hit")].length === 6);
  const chips = await page.locator(".hit .chips").allTextContents();
  assert(chips.every((text) => text.includes("Dyer's Digest")), `results have ${chips}`);
  const focused = await page.evaluate(() => document.activeElement.textContent);
  assert(focused.includes("Dyer's Digest"), `the focus went to ${focused}`);
  await page.locator("#narrowed button").click();
  await page.waitForFunction(() => document.querySelectorAll(".hit").length > 6);
});

await check("filter: keys are offered, conditions hold, mistakes are named", async () => {
  await open({ q: "thread woven cloth", k: 20 });
  await page.locator("#keys").getByRole("button", { name: /^year/ }).click();
  await page.keyboard.type(">= 2022");
  await page.keyboard.press("Enter");
  await page.waitForURL(/where=year/);
  await page.waitForFunction(() => /^[1-9]\d? results?$/.test(document.querySelector("#count").textContent));
  await page.waitForFunction(() => document.querySelectorAll(".hit").length < 10);
  const { hits } = await apiSearch({ query: "thread woven cloth", k: 20, where: "year >= 2022" });
  equal(await page.locator(".hit").count(), hits.length, "results");
  await page.fill("#where", "year >=");
  await page.press("#where", "Enter");
  await page.locator("#where-error:visible, #notice:visible").first().waitFor();
  equal(await page.locator(".hit").count(), 0, "results of a filter with a mistake");
});

await results.checks({ page, open, searchRoute });

await check("Enter on a result explains it", async () => {
  await open({ q: "how does an edge keep cloth from fraying" });
  await page.locator("#query").focus();
  for (let tabs = 0; tabs < 60; tabs += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.matches(".hit"))) break;
  }
  await page.keyboard.press("Enter");
  await page.locator(".hit").first().locator(".heat canvas").waitFor();
  await page.waitForTimeout(200);
  await page.locator(".heat").scrollIntoViewIfNeeded();
  await screenshot(page, "explanation");
  await accessible(page);
});

await check("the heat map is drawn, and its cursor moves by keys", async () => {
  const colours = await page.locator(".heat canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert(colours > 20, `the canvas has ${colours} colours`);
  await page.locator(".heat").focus();
  await page.keyboard.press("ArrowRight");
  const first = await page.locator(".readout").textContent();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  const second = await page.locator(".readout").textContent();
  assert(/similarity -?\d\.\d{3}/.test(first) && first !== second, `readouts: ${first}; ${second}`);
});

await check("kinds of tokens can be hidden", async () => {
  const rows = page.locator(".matches tbody tr:visible");
  const before = await rows.count();
  const boxes = page.locator(".kinds input");
  assert((await boxes.count()) > 0, "no kind is offered");
  for (const box of await boxes.all()) await box.uncheck();
  const after = await rows.count();
  assert(after > 0 && after < before, `${before} rows before, ${after} after`);
});

await check("a query token highlights its match in the text", async () => {
  const row = page.locator(".matches tbody tr:visible", { hasText: /fray/ }).first();
  await row.locator("button").focus();
  const hot = (await page.locator(".text .is-hot").allTextContents()).join("");
  const token = await row.locator("td").first().textContent();
  assert(hot && hot.toLowerCase().includes(token.replace(/^(##|Ġ|▁)/, "").toLowerCase()), `"${hot}" for "${token}"`);
});

await check("times of the stages have a bar and a legend", async () => {
  await page.locator(".funnel summary").click();
  const text = await page.locator(".funnel").textContent();
  assert(/on the server, .* in the browser/.test(text), text);
  assert((await page.locator(".funnel .legend dt").count()) >= 2, "fewer than 2 stages");
  const widths = await page.locator(".funnel .stage").evaluateAll((all) => all.map((one) => one.clientWidth));
  assert(Math.max(...widths) > 50, `widths: ${widths}`);
});

await check("more results are loaded", async () => {
  await open({ q: "cloth" });
  equal(await page.locator(".hit").count(), 10, "results of the first page");
  await page.click("#more");
  await page.waitForFunction(() => document.querySelectorAll(".hit").length > 10);
  equal(await page.locator(".hit .rank").nth(10).textContent(), "11", "rank");
  const ids = await page.locator(".hit h3").allTextContents();
  equal(new Set(ids).size, ids.length, "different results");
});

await rare.checks({ page, base, name, open, searchRoute });
await adding.checks({ page, base, name, open, api });

await check("a change of the index is announced", async () => {
  await open({ q: "wool cloth" });
  await page.locator("#live[data-live=true]").waitFor();
  const headers = { "Content-Type": "application/x-ndjson" };
  const body = `${JSON.stringify({ id: "new", text: "A new wool cloth." })}\n`;
  await api(`${indexRoute}/bulk`, { method: "POST", headers, body });
  await page.locator("#notice", { hasText: "The index has changed" }).waitFor();
  await page.locator("#notice button").click();
  await page.getByRole("heading", { name: "new", exact: true }).waitFor();
});

await check("the panel shows statistics, and compaction ends", async () => {
  await page.click("#to-indexes");
  const card = page.locator(".index-card", { has: page.getByRole("heading", { name, exact: true }) });
  const index = await (await api(indexRoute)).json();
  const facts = await card.locator(".facts").textContent();
  assert(facts.includes(`Passages${index.passages}`), `facts: ${facts}`);
  assert(facts.includes(`Generation${index.generation}`), `facts: ${facts}`);
  await card.getByRole("button", { name: "Compact" }).click();
  await card.locator(".tasks li", { hasText: /compact\s+done/ }).waitFor({ timeout: 60000 });
  await screenshot(page, "panel-light");
  await accessible(page);
});

await check("dark colours", async () => {
  const light = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.click("#theme");
  await page.click("#theme");
  const dark = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  assert(light !== dark, `both are ${dark}`);
  await accessible(page);
  await open({ q: "how is wool cloth woven" });
  equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark", "theme after a reload");
  await page.locator(".hit").first().getByRole("button", { name: "Why?" }).click();
  await page.locator(".heat canvas").waitFor();
  // Without an animation that goes on.
  await page.waitForTimeout(600);
  await page.evaluate(() => scrollTo(0, 0));
  await screenshot(page, "results-dark");
  await accessible(page);
  await page.evaluate(() => localStorage.clear());
});

await check("360 px wide", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  await open({ q: "how is wool cloth woven" });
  await screenshot(page, "narrow");
  await fitsWidth(page);
  await page.locator(".hit").first().getByRole("button", { name: "Why?" }).click();
  await page.locator(".heat canvas").waitFor();
  await page.locator(".why").first().scrollIntoViewIfNeeded();
  await screenshot(page, "narrow-explanation");
  await fitsWidth(page);
  await accessible(page);
  await page.click("#to-indexes");
  await screenshot(page, "narrow-panel");
  await fitsWidth(page);
  await accessible(page);
  await page.setViewportSize({ width: 1200, height: 860 });
});

await check("no motion where it is not wished", async () => {
  const duration = () => page.locator("#theme").evaluate((button) => getComputedStyle(button).transitionDuration);
  const usual = await duration();
  await page.emulateMedia({ reducedMotion: "reduce" });
  equal([usual !== "0s", await duration()], [true, "0s"], "transitions, usual and reduced");
  await page.emulateMedia({ reducedMotion: null });
});

await check("the description of the API is readable", async () => {
  await page.goto(new URL("page/api.html", base).href);
  const search = page.locator(".operation", { has: page.getByRole("heading", { name: /POST .*\/search$/ }) });
  await search.first().locator("summary").click();
  assert((await search.first().locator("table").count()) > 0, "the search has no table");
  await accessible(page);
});

await check("an index is deleted when its name is typed", async () => {
  await page.goto(`${base}?view=indexes`);
  const card = page.locator(".index-card", { has: page.getByRole("heading", { name, exact: true }) });
  await card.getByRole("button", { name: "Delete" }).click();
  await page.fill("#delete-typed", name.slice(0, -1));
  equal(await page.locator("#delete-ok").isDisabled(), true, "disabled with another name");
  await page.fill("#delete-typed", name);
  await page.click("#delete-ok");
  await card.waitFor({ state: "detached" });
  equal((await api(indexRoute)).status, 404, "status of the index");
});

await check("no script error, no violation of the policy, no request elsewhere", () => troubles.join(" | "));

await browser.close();
await api(indexRoute, { method: "DELETE" });
fs.rmSync(path.dirname(folder), { recursive: true });
process.exit(summary());
