// Checks of adding and deleting: what is sent, followed, cancelled, replaced, left out and deleted.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { accessible, assert, check, drop, equal, screenshot } from "./browser.mjs";

const LINE = "A heddle lifts the warp so that the shuttle may pass below it, and the reed beats the weft home. ";

/** A folder of files on the disk, which is dropped by its name. */
function makeFolder(name, files) {
  const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "page-")), name);
  fs.mkdirSync(folder);
  for (const [file, content] of Object.entries(files)) fs.writeFileSync(path.join(folder, file), content);
  return folder;
}

export async function checks(tools) {
  await cancelled(tools);
  await cancelledBetween(tools);
  await progress(tools);
  await redropped(tools);
  await flatLines(tools);
  await nothingAdded(tools);
  await aimed(tools);
  await deletedHit(tools);
  await deletedByFilter(tools);
}

const passagesOf = async ({ api, name }) => (await (await api(`v1/indexes/${name}`)).json()).passages;

const has = async ({ api, name }, id) =>
  (await api(`v1/indexes/${name}/documents?id=${encodeURIComponent(id)}`)).status === 200;

const dock = (page) => page.locator("#dock");

/** Drops a folder onto the search, and adds it to the index in view. */
async function add({ page, open, name }, folder, before = async () => {}) {
  await open();
  await page.locator("#live[data-live=true]").waitFor();
  await drop(page, [folder]);
  await page.locator("#upload-dialog[open]").waitFor();
  equal(await page.inputValue("#upload-index"), `=${name}`, "index that is chosen");
  await before();
  await page.click("#upload-ok");
}

const ended = ({ page, name }) => page.getByRole("button", { name: `Search ${name}` }).waitFor({ timeout: 60000 });

const cancelled = (tools) =>
  check("cancelling an upload cancels its task on the server", async () => {
    const { page, api } = tools;
    const before = await passagesOf(tools);
    const deletes = [];
    page.on("request", (request) => request.method() === "DELETE" && deletes.push(request.url()));
    // The server looks for a cancellation after some hundred passages: many short ones end soon.
    const lines = Array.from({ length: 6000 }, (_, at) => JSON.stringify({ id: `large/${at}`, text: LINE }));
    await add(tools, makeFolder("large", { "large.jsonl": lines.join("\n") }));
    await dock(page).locator("p", { hasText: /^add running/ }).waitFor();
    await dock(page).getByRole("button", { name: "Cancel" }).click();
    await ended(tools);
    equal(deletes.filter((url) => /\/v1\/tasks\/\d+$/.test(url)).length, 1, "tasks that were cancelled");
    const text = await dock(page).textContent();
    assert(/^0 passages added .*It was cancelled\./.test(text), text);
    const { tasks } = await (await api("v1/tasks")).json();
    equal(tasks.at(-1).state, "cancelled", "state of the task");
    equal(await passagesOf(tools), before, "passages");
  });

/** Answers writes of documents by tasks that are made up: `states(number)` has the states of a task in order. */
async function fakeTasks(page, index, states) {
  let number = 0;
  const tasks = new Map();
  const next = (id) => {
    const queue = tasks.get(id);
    const state = queue.length > 1 ? queue.shift() : queue[0];
    const now = Date.now();
    const task = { id, index, kind: "add", stage: null, unit: "passages", done: 0, total: null };
    const isOpen = state.state === "running" || state.state === "waiting";
    return { ...task, result: null, error: null, ...state, created_ms: now, ended_ms: isOpen ? null : now };
  };
  await page.route(/\/documents\?wait=false$/, (route) => {
    number += 1;
    tasks.set(900000 + number, states(number));
    return route.fulfill({ status: 202, json: next(900000 + number) });
  });
  await page.route(/\/v1\/tasks\/9\d{5}$/, (route) => {
    const id = Number(route.request().url().split("/").at(-1));
    if (route.request().method() === "DELETE") tasks.set(id, [{ state: "cancelled" }]);
    return route.fulfill({ json: next(id) });
  });
}

const result = (added, deleted) => ({ generation: 9, added, deleted, passages: 9, truncated: 2, drift: null });

const cancelledBetween = (tools) =>
  check("what was committed before a cancelled task stays and is counted", async () => {
    const { page, name } = tools;
    const done = [{ state: "waiting" }, { state: "done", result: result(700, 100) }];
    await fakeTasks(page, name, (number) => (number === 1 ? done : [{ state: "running" }]));
    const paragraphs = Array.from({ length: 13000 }, (_, at) => `${at} ${LINE}`).join("\n\n");
    await add(tools, makeFolder("between", { "between.txt": paragraphs }));
    await dock(page).locator("p", { hasText: "700 passages committed so far" }).waitFor();
    await dock(page).locator("p", { hasText: /^add running/ }).waitFor();
    await dock(page).getByRole("button", { name: "Cancel" }).click();
    await ended(tools);
    const text = await dock(page).textContent();
    assert(text.startsWith(`600 passages added, 100 replaced in ${name}.`), text);
    assert(text.includes("It was cancelled: what was committed before stays."), text);
    assert(text.includes("2 passages were cut at the model's maximum length"), text);
  });

const progress = (tools) =>
  check("progress is that of the server, in the box and on the card", async () => {
    const { page, name } = tools;
    const encoding = { state: "running", stage: "encode", done: 3, total: 8 };
    let states = [{ state: "waiting" }];
    await fakeTasks(page, name, () => states);
    await add(tools, makeFolder("small", { "small.txt": LINE }));
    await dock(page).locator("p", { hasText: /^add waiting$/ }).waitFor();
    const value = () => dock(page).locator("progress").evaluate((bar) => bar.getAttribute("value"));
    equal(await value(), null, "value of the bar before anything was done");
    states.splice(0, 1, encoding);
    await dock(page).locator("p", { hasText: "add running: encode, 3 of 8 passages" }).waitFor();
    const bar = await dock(page).locator("progress").evaluate(({ value, max }) => [value, max]);
    equal(bar, [3, 8], "bar");
    await page.click("#to-indexes");
    const card = page.locator(`.index-card[data-index="${name}"]`);
    await card.locator(".tasks li", { hasText: "add running: encode, 3 of 8 passages" }).waitFor();
    await screenshot(page, "adding");
    await accessible(page);
    states.splice(0, 1, { state: "done", result: result(1, 0) });
    await ended(tools);
  });

const redropped = (tools) =>
  check("a folder that is dropped again: parts and files that are gone", async () => {
    const { page, api, name } = tools;
    const long = Array.from({ length: 60 }, (_, at) => `${at} ${LINE}`).join("\n\n");
    const folder = makeFolder("house", { "house.md": long, "gone.md": LINE, "same.md": `Same. ${LINE}` });
    // A passage of someone else with the metadata of a part, and a folder whose name begins alike.
    const others = [
      { id: "mine", text: "Mine.", metadata: { path: "house/house.md", part: 3 } },
      { id: "house/other.md#1", text: "Other.", metadata: { path: "elsewhere.md", part: 1 } },
      { id: "house2/x.md#1", text: "Two.", metadata: { path: "house2/x.md", part: 1 } },
    ];
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ documents: others });
    await api(`v1/indexes/${name}/documents`, { method: "POST", headers, body });
    await add(tools, folder);
    await ended(tools);
    const first = await dock(page).textContent();
    const [, added] = /^(\d+) passages added in/.exec(first) ?? [];
    assert(Number(added) >= 6, first);

    fs.writeFileSync(path.join(folder, "house.md"), `Short now. ${LINE}`);
    fs.rmSync(path.join(folder, "gone.md"));
    await add(tools, folder, async () => {
      await page.locator("#upload-gone-text", { hasText: "Delete 1 passage of 1 file that is no longer" }).waitFor();
      equal(await page.isChecked("#upload-gone"), false, "deletes what is gone");
      await accessible(page);
    });
    await ended(tools);
    const second = await dock(page).textContent();
    const expected = `1 passage replaced, ${Number(added) - 3} deleted in ${name}. 1 file had not changed.`;
    assert(second.startsWith(expected), `${second}, expected ${expected}`);
    const ids = ["house.md#1", "house.md#2", "gone.md#1", "same.md#1"].map((id) => `house/${id}`);
    ids.push(...others.map(({ id }) => id));
    const found = () => Promise.all(ids.map((id) => has(tools, id)));
    equal(await found(), [true, false, true, true, true, true, true], "passages that are left");

    await add(tools, folder, () => page.locator("#upload-gone").check());
    await ended(tools);
    const third = await dock(page).textContent();
    assert(third.startsWith(`1 passage deleted in ${name}. 2 files had not changed.`), third);
    equal(await found(), [true, false, false, true, true, true, true], "passages that are left at last");
  });

const flatLines = (tools) =>
  check("fields of a line besides id and text are metadata", async () => {
    const { page, api, name } = tools;
    const lines = [
      '{"id": 12345678901234567890, "text": "Flat.", "year": 1999, "size": 1.0, "tags": ["a", {"b": "}"}]}',
      '{"id": "both", "text": "Both.", "metadata": {"venue": "Mill"}, "year": 2001}',
      '{"_id": "beir", "title": "Foxes", "text": "are red."}',
      '{"id": "twice", "text": "Twice.", "metadata": {"year": 1}, "year": 2}',
    ];
    await add(tools, makeFolder("lines", { "lines.jsonl": lines.join("\n"), "empty.txt": " \n" }));
    await ended(tools);
    const text = await dock(page).textContent();
    assert(/^3 passages added/.test(text) && /1 passage refused/.test(text), text);
    assert(text.includes("line 4: “year” is given in the metadata and beside it"), text);
    assert(text.includes("empty.txt: it has no text"), text);
    const stored = async (id) => {
      const document = await (await api(`v1/indexes/${name}/documents?id=${encodeURIComponent(id)}`)).json();
      return [document.text, document.metadata];
    };
    equal(await stored("12345678901234567890"), ["Flat.", { size: 1, tags: ["a", { b: "}" }], year: 1999 }], "flat");
    equal(await stored("both"), ["Both.", { venue: "Mill", year: 2001 }], "fields and metadata");
    equal(await stored("beir"), ["Foxes are red.", { title: "Foxes" }], "BEIR");
  });

const nothingAdded = (tools) =>
  check("an index that was created for nothing is not left without a word", async () => {
    const { page, open, api } = tools;
    await open();
    await page.locator("#live[data-live=true]").waitFor();
    const created = `page-nothing-${process.pid}`;
    await drop(page, [makeFolder(created, { "data.bin": Buffer.from([1, 0]) })]);
    await page.selectOption("#upload-index", "+");
    await page.click("#upload-ok");
    await dock(page).locator("p", { hasText: `The index ${created}, which was created for it, is empty.` }).waitFor();
    await accessible(page);
    await page.getByRole("button", { name: "Delete the empty index" }).click();
    await dock(page).locator("p", { hasText: "was deleted" }).waitFor();
    equal((await api(`v1/indexes/${created}`)).status, 404, "status of the index");
  });

const aimed = (tools) =>
  check("files go to the index of the card, and without one the dialog asks", async () => {
    const { page, base, api, name } = tools;
    const other = `page-aimed-${process.pid}`;
    const body = JSON.stringify({ name: other });
    await api("v1/indexes", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    await page.goto(`${base}?view=indexes`);
    const card = page.locator(`.index-card[data-index="${other}"]`);
    await card.locator(".hint", { hasText: "dropped anywhere" }).waitFor();
    const file = { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from(LINE) };
    const chosen = async (open) => {
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), open.click()]);
      await chooser.setFiles([file]);
      await page.locator("#upload-dialog[open]").waitFor();
      const state = [await page.inputValue("#upload-index"), await page.isDisabled("#upload-ok")];
      await page.keyboard.press("Escape");
      return state;
    };
    equal(await chosen(card.getByRole("button", { name: "Add files" })), [`=${other}`, false], "from the card");
    equal(await chosen(page.locator("#add-files")), ["", true], "from the panel");
    await page.locator("#to-search").click();
    await page.selectOption("#index", name);
    equal(await chosen(page.locator("#add-files")), [`=${name}`, false], "from the search");
    await api(`v1/indexes/${other}`, { method: "DELETE" });
  });

const deletedHit = (tools) =>
  check("a result can be deleted", async () => {
    const { page, open } = tools;
    await open({ q: "mine", where: "path = 'house/house.md'" });
    const article = page.locator(".hit", { has: page.getByRole("heading", { name: "mine", exact: true }) });
    await article.getByRole("button", { name: "Delete" }).click();
    await page.locator("#confirm-dialog[open]").waitFor();
    await accessible(page);
    await page.locator("#confirm-dialog").getByRole("button", { name: "Cancel" }).click();
    equal(await has(tools, "mine"), true, "it is there after Cancel");
    await article.getByRole("button", { name: "Delete" }).click();
    await page.click("#confirm-ok");
    await article.waitFor({ state: "detached" });
    await page.locator("#notice", { hasText: "“mine” was deleted" }).waitFor();
    equal([await has(tools, "mine"), await has(tools, "house/house.md#1")], [false, true], "passages that are left");
  });

const deletedByFilter = (tools) =>
  check("what a filter finds can be deleted", async () => {
    const { page, open } = tools;
    await open({ q: "warp" });
    equal(await page.isVisible("#delete-found"), false, "offered without a filter");
    const before = await passagesOf(tools);
    await open({ q: "warp", where: "path LIKE 'house/%'" });
    await page.click("#delete-found");
    await page.locator("#confirm-title", { hasText: "Delete 2 passages" }).waitFor();
    await page.click("#confirm-ok");
    await page.locator("#notice", { hasText: "2 passages deleted" }).waitFor();
    equal(await passagesOf(tools), before - 2, "passages");
  });
