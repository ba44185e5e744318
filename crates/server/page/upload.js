// Upload: a dialog that asks where files go, then batches of documents, with their progress and failures.

import { ApiError, isAbort, sendLines } from "./api.js";
import { $, ask, button, el, fill, show } from "./dom.js";
import { createIndex } from "./indexes.js";
import { bytes, counted } from "./numbers.js";
import { NotText, collectDrop, collectPicked, documents } from "./read-files.js";
import { store } from "./store.js";

const MAX_BATCH_BYTES = 1e6;
const MAX_SHOWN = 200;
const MAX_TRIES = 5;

let isBusy = false;

/** Prepares dropping and choosing of files. `go` changes the state of the page; `current()` is the index in use. */
export function startUpload(go, current) {
  listenForDrops((transfer) => offer(collectDrop(transfer), go, current()));
  const picked = (list) => offer(Promise.resolve(collectPicked(list)), go, current());
  listenForPicks("#file-picker", ["#add-files", "#first-files"], picked);
  listenForPicks("#folder-picker", ["#add-folder", "#first-folder"], picked);
}

function listenForPicks(picker, buttons, picked) {
  for (const each of buttons) $(each).addEventListener("click", () => $(picker).click());
  $(picker).addEventListener("change", (event) => {
    const list = [...event.target.files];
    // The same files can be chosen again later.
    event.target.value = "";
    picked(list);
  });
}

function listenForDrops(dropped) {
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const hint = (isShown) => show($("#drop-hint"), isShown);
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    hint(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) hint(false);
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hint(false);
    dropped(event.dataTransfer);
  });
}

/** Asks where the files go, and uploads them. */
async function offer(collecting, go, current) {
  if ($("dialog[open]") || store.info.role === "read") return;
  if (isBusy) return void ($("#dock-busy").textContent = "An upload is running. Wait until it ends, or cancel it.");
  const found = await collecting;
  // A large folder takes a while to list: another one may have come first.
  if (isBusy || $("dialog[open]")) return;
  const name = await chooseIndex(found, current);
  if (name === null) return;
  isBusy = true;
  try {
    await new Upload(found, name).run(go);
  } finally {
    isBusy = false;
  }
}

/** Resolves to the name of an index that exists, or null. */
async function chooseIndex({ files, skipped }, current) {
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  $("#upload-what").textContent = `${counted(files.length, "file")}, ${bytes(size)}.`;
  const reasons = skipped.map(({ path, reason }) => [path, reason]);
  fill($("#upload-skipped"), reasons.length ? places("skipped", reasons) : null);
  fillChoices(files, current);
  for (;;) {
    $("#upload-ok").disabled = files.length === 0;
    if (!(await ask($("#upload-dialog")))) return null;
    const chosen = $("#upload-index").value;
    if (chosen !== "") return chosen.slice(1);
    const name = $("#upload-name").value.trim();
    try {
      return (await createIndex({ name })).name;
    } catch (error) {
      $("#upload-error").textContent = `The index was not created. ${error.message}`;
    }
  }
}

function fillChoices(files, current) {
  const names = [...store.indexes.keys()].sort();
  // A prefix tells an index from the choice of a new one, whatever its name is.
  const choices = names.map((name) => el("option", { value: `=${name}` }, name));
  const { can_create: canCreate, role } = store.info;
  if (canCreate !== false && role !== "write") choices.push(el("option", { value: "" }, "a new index"));
  const select = $("#upload-index");
  fill(select, choices);
  select.value = names.includes(current) ? `=${current}` : names.length ? `=${names[0]}` : "";
  $("#upload-name").value = indexName(files[0]?.path ?? "");
  $("#upload-error").textContent = "";
  select.onchange = () => {
    const isNew = select.value === "";
    show($("#upload-name-label"), isNew);
    $("#upload-name").required = isNew;
  };
  select.onchange();
}

/** Name of a new index: that of the folder, or of the file without its ending. */
function indexName(path) {
  const [root] = path.split("/");
  const plain = root.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "");
  return plain || "documents";
}

/** List of places with what is wrong with each, closed at first. */
function places(what, entries) {
  const items = entries.slice(0, MAX_SHOWN).map(([place, why]) => el("li", {}, el("bdi", {}, place), `: ${why}`));
  const rest = entries.length - items.length;
  const summary = el("summary", {}, `${entries.length} ${what}`);
  const more = rest > 0 ? el("p", {}, `and ${rest} more`) : null;
  return el("details", {}, summary, el("ul", { class: "places" }, items), more);
}

class Upload {
  constructor({ files, skipped }, name) {
    this.files = files;
    this.name = name;
    this.total = files.reduce((sum, { file }) => sum + file.size, 0);
    this.doneBytes = 0;
    this.added = 0;
    this.failed = [];
    this.skipped = skipped.map(({ path, reason }) => [path, reason]);
    this.batch = { lines: [], places: [], bytes: 0 };
    this.controller = new AbortController();
    this.makeDock();
  }

  makeDock() {
    this.status = el("p", { role: "status" });
    this.bar = el("progress", { max: Math.max(1, this.total), value: 0, "aria-label": "Progress of the upload" });
    this.lists = el("div", {});
    this.busy = el("p", { class: "error", role: "alert", id: "dock-busy" });
    this.buttons = el("p", { class: "row" }, button("Cancel", () => this.controller.abort()));
    fill($("#dock"), this.status, this.bar, this.busy, this.lists, this.buttons);
    show($("#dock"), true);
  }

  async run(go) {
    let problem = "";
    this.draw("Adding");
    try {
      for (const file of this.files) await this.add(file);
      await this.send();
    } catch (error) {
      problem = isAbort(error) ? " It was cancelled." : ` It stopped: ${error.message} Add the files again later.`;
    }
    this.ended(problem, go);
  }

  async add(item) {
    try {
      for await (const { json, place, error } of documents(item, (read) => this.read(read))) {
        this.controller.signal.throwIfAborted();
        if (error) this.failed.push([place, error]);
        else await this.push(json, place);
      }
    } catch (error) {
      const isUnreadable = error instanceof DOMException && !isAbort(error);
      if (!(error instanceof NotText) && !isUnreadable) throw error;
      this.skipped.push([item.path, error.message]);
    }
    this.doneBytes += item.file.size;
    this.bar.value = this.doneBytes;
  }

  read(bytesOfFile) {
    this.bar.value = this.doneBytes + bytesOfFile;
  }

  async push(json, place) {
    const size = new TextEncoder().encode(json).length + 1;
    if (this.batch.bytes + size > MAX_BATCH_BYTES) await this.send();
    this.batch.lines.push(json);
    this.batch.places.push(place);
    this.batch.bytes += size;
  }

  /** Sends the batch. The server counts its lines from 1. */
  async send() {
    const { lines, places: placesOfBatch } = this.batch;
    if (lines.length === 0) return;
    this.batch = { lines: [], places: [], bytes: 0 };
    const answer = await this.sendPatiently(`${lines.join("\n")}\n`);
    this.added += answer.added;
    for (const { line, message } of answer.failed ?? []) this.failed.push([placesOfBatch[line - 1], message]);
    this.draw("Adding");
  }

  /** Sends lines again while the server is busy. Documents have ids, so that nothing is added twice. */
  async sendPatiently(lines) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendLines(this.name, lines, this.controller.signal);
      } catch (error) {
        const isBusyNow = error instanceof ApiError && [0, 429, 503].includes(error.status);
        if (!isBusyNow || attempt === MAX_TRIES) throw error;
        this.draw("The server is busy. Waiting with");
        await this.pause(1000 * (error.retryAfter ?? attempt));
      }
    }
  }

  pause(ms) {
    const { signal } = this.controller;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
  }

  draw(doing) {
    const counts = `${counted(this.added, "document")} added so far.`;
    this.status.textContent = `${doing} ${counted(this.files.length, "file")} to ${this.name}. ${counts}`;
    this.drawLists();
  }

  drawLists() {
    const lists = [];
    if (this.failed.length) lists.push(places("failed", this.failed));
    if (this.skipped.length) lists.push(places("skipped", this.skipped));
    fill(this.lists, lists);
  }

  ended(problem, go) {
    this.status.textContent = `${counted(this.added, "document")} added to ${this.name}.${problem}`;
    show(this.bar, false);
    this.busy.textContent = "";
    this.drawLists();
    const close = button("Close", () => show($("#dock"), false));
    const search = button(`Search ${this.name}`, () => {
      show($("#dock"), false);
      go({ view: "search", index: this.name, facets: [] }, "push");
      $("#query").focus();
    }, { class: "main" });
    fill(this.buttons, search, close);
  }
}
