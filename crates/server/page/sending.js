// The upload itself: passages are sent in batches, each a task of the server that is followed to its end. A box at the
// corner of the window shows how far it is, and what came of it.

import { ApiError, ofIndex, request, startWrite } from "./api.js";
import { $, button, el, fill, show } from "./dom.js";
import { bytes, counted } from "./numbers.js";
import { NotText, isOfLines, lineDocuments, textDocuments } from "./read-files.js";
import { removeIndex } from "./store.js";
import { setProgress, stageText, untilEnd } from "./tasks.js";

const MAX_BATCH_BYTES = 1e6;
const MAX_TRIES = 5;
const MAX_REFUSED = 20;

/** Codes of errors that single documents cause: the others of their batch are sent without them. */
const OF_DOCUMENTS = new Set(
  "BAD_DOCUMENT BAD_REQUEST BAD_EMBEDDINGS DIMENSION_MISMATCH DOCUMENT_TOO_LONG MEMORY_BUDGET".split(" "),
);

/** The end of an upload that was cancelled. */
class Cancelled extends Error {}

/** List of places with what is wrong with each, closed at first. */
export function places(what, entries) {
  const item = ([place, why]) => el("li", {}, el("bdi", {}, place), why ? `: ${why}` : "");
  const summary = el("summary", {}, what);
  return el("details", {}, summary, el("ul", { class: "places" }, entries.map(item)));
}

export const skippedText = ({ length }) => `${counted(length, "file or folder", "files or folders")} skipped`;

/** Says something in the box. */
export function sayInDock(message) {
  const close = button("Close", () => show($("#dock"), false));
  fill($("#dock"), el("p", { role: "status" }, message), el("p", { class: "row" }, close));
  show($("#dock"), true);
}

export class Upload {
  constructor({ files, skipped }, { name, isNew, known, deletesGone }) {
    Object.assign(this, { files, name, isNew, deletesGone });
    this.knowing = known;
    this.totalBytes = files.reduce((sum, { file }) => sum + file.size, 0);
    this.readBytes = 0;
    this.sums = { added: 0, replaced: 0, deleted: 0, unchanged: 0, truncated: 0 };
    this.stale = [];
    this.refusedInRow = 0;
    this.failed = [];
    this.skipped = skipped.map(({ path, reason }) => [path, reason]);
    this.batch = [];
    this.batchBytes = 0;
    this.controller = new AbortController();
    this.makeDock();
  }

  makeDock() {
    this.status = el("p", { role: "status" });
    this.stage = el("p", { class: "hint number" });
    this.bar = el("progress", { "aria-label": "Progress of the server" });
    this.lists = el("div", {});
    this.busy = el("p", { class: "error", role: "alert", id: "dock-busy" });
    const cancel = button("Cancel", () => {
      cancel.disabled = true;
      this.controller.abort();
      this.draw();
    });
    this.buttons = el("p", { class: "row" }, cancel);
    fill($("#dock"), this.status, this.stage, this.bar, this.busy, this.lists, this.buttons);
    show($("#dock"), true);
  }

  async run(go) {
    let problem = "";
    this.draw();
    try {
      this.known = await this.knowing;
      for (const file of this.files) await this.add(file);
      await this.send();
      await this.clean();
    } catch (error) {
      const stopped = `It stopped: ${error.message} Add the files again later.`;
      problem = error instanceof Cancelled ? this.cancelled() : stopped;
    }
    this.ended(problem, go);
  }

  get signal() {
    return this.controller.signal;
  }

  check() {
    if (this.signal.aborted) throw new Cancelled();
  }

  async add(item) {
    this.check();
    try {
      if (isOfLines(item.path)) await this.addLines(item);
      else await this.addText(item);
    } catch (error) {
      if (!(error instanceof NotText) && !(error instanceof DOMException)) throw error;
      this.skipped.push([item.path, error.message]);
    }
    this.readBytes += item.file.size;
    this.draw();
  }

  async addLines(item) {
    const begin = this.readBytes;
    let number = 0;
    for await (const document of lineDocuments(item, (read) => (this.readBytes = begin + read))) {
      number += 1;
      if (document.error) this.failed.push([document.place, document.error]);
      else await this.push(document);
    }
    this.readBytes = begin;
    if (number === 0) this.skipped.push([item.path, "it is empty"]);
  }

  async addText(item) {
    const { sha256, documents } = await textDocuments(item);
    if (documents.length === 0) this.skipped.push([item.path, "it has no text"]);
    if (this.known.isUnchanged(item.path, sha256, documents.length)) return void (this.sums.unchanged += 1);
    for (const document of documents) await this.push(document);
    this.stale.push(...this.known.stale(item.path, documents.length));
  }

  /** Puts a document into the batch. The server takes documents with embeddings apart from others. */
  async push(document) {
    const size = document.json.length;
    const isOther = this.batch.length > 0 && Boolean(this.batch[0].isEmbedded) !== Boolean(document.isEmbedded);
    if (isOther || this.batchBytes + size > MAX_BATCH_BYTES) await this.send();
    this.batch.push(document);
    this.batchBytes += size;
  }

  async send() {
    const { batch } = this;
    this.batch = [];
    this.batchBytes = 0;
    if (batch.length) await this.commit(batch);
  }

  /** Commits documents; if they are refused, their halves, until those that are to blame are alone. */
  async commit(documents) {
    try {
      const json = `{"documents":[${documents.map((document) => document.json).join(",")}]}`;
      const { added, deleted, truncated } = await this.write("documents", json);
      this.sums.added += added - deleted;
      this.sums.replaced += deleted;
      this.sums.truncated += truncated ?? 0;
      this.refusedInRow = 0;
      this.draw();
    } catch (error) {
      if (!OF_DOCUMENTS.has(error.code)) throw error;
      if (documents.length === 1) return this.refuse(documents[0], error);
      const middle = Math.ceil(documents.length / 2);
      await this.commit(documents.slice(0, middle));
      await this.commit(documents.slice(middle));
    }
  }

  /** Notes a document that was refused. If the index refuses one after the other, the rest is not tried. */
  refuse({ place }, error) {
    this.failed.push([place, error.message]);
    this.refusedInRow += 1;
    if (this.refusedInRow === MAX_REFUSED) throw error;
  }

  /** Deletes the parts that files no longer have, and the passages of files that are gone if that was chosen. */
  async clean() {
    const ids = [...this.stale, ...(this.deletesGone ? this.known.goneIds() : [])];
    if (ids.length === 0) return;
    this.sums.deleted += (await this.write("delete", JSON.stringify({ ids }))).deleted;
    this.stale = [];
  }

  /** Makes a write and waits until its task has ended. Cancelling asks the server to stop the task. */
  async write(route, json) {
    this.check();
    const first = await this.patiently(() => startWrite(this.name, route, json));
    const task = await untilEnd(first, this.signal, (now) => this.drawTask(now));
    this.drawTask(null);
    if (task.state === "cancelled") throw new Cancelled();
    if (task.state === "failed") throw new ApiError(0, task.error);
    return task.result;
  }

  /** Tries again while the server is busy. Documents have ids, so that nothing is added twice. */
  async patiently(attempt) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (![0, 429, 503].includes(error.status) || tries === MAX_TRIES) throw error;
        this.stage.textContent = "The server is busy. Waiting.";
        await new Promise((resolve) => setTimeout(resolve, 1000 * (error.retryAfter ?? tries)));
        this.check();
      }
    }
  }

  draw() {
    const doing = this.signal.aborted ? "Cancelling: adding" : "Adding";
    const done = `${bytes(this.readBytes)} of ${bytes(this.totalBytes)} read`;
    const { added, replaced } = this.sums;
    const counts = `${counted(added + replaced, "passage")} committed so far.`;
    this.status.textContent = `${doing} ${counted(this.files.length, "file")} to ${this.name}, ${done}. ${counts}`;
    this.drawLists();
  }

  drawTask(task) {
    this.stage.textContent = task ? `${task.kind} ${task.state}${task.stage ? `: ${stageText(task)}` : ""}` : "";
    setProgress(this.bar, task);
  }

  drawLists() {
    const lists = [];
    if (this.failed.length) lists.push(places(`${counted(this.failed.length, "passage")} refused`, this.failed));
    if (this.skipped.length) lists.push(places(skippedText(this.skipped), this.skipped));
    fill(this.lists, lists);
  }

  cancelled() {
    const { added, replaced } = this.sums;
    const stale = this.stale.length;
    const kept = stale ? ` ${counted(stale, "passage")} of earlier versions of the files were not deleted.` : "";
    return (added + replaced ? "It was cancelled: what was committed before stays." : "It was cancelled.") + kept;
  }

  /** Sentences about what came of it. */
  summary(problem) {
    const { added, replaced, deleted, unchanged, truncated } = this.sums;
    const sums = [[added, "added"], [replaced, "replaced"], [deleted, "deleted"]].filter(([sum]) => sum > 0);
    if (sums.length === 0) sums.push([0, "added"]);
    const [first, ...others] = sums;
    const rest = others.map(([sum, what]) => `, ${sum} ${what}`).join("");
    const said = [`${counted(first[0], "passage")} ${first[1]}${rest} in ${this.name}.`];
    if (unchanged) said.push(`${counted(unchanged, "file")} had not changed.`);
    if (truncated) {
      said.push(
        `${counted(truncated, "passage")} ${truncated === 1 ? "was" : "were"} cut at the model's maximum length: ` +
          "what comes after it has no embeddings.",
      );
    }
    const gone = this.known?.gone.length ?? 0;
    if (gone && !this.deletesGone) said.push(`Passages of ${counted(gone, "file")} that are gone were kept.`);
    const unseen = this.known?.problem;
    if (unseen) said.push(`Earlier versions could not be looked up, so that nothing was deleted: ${unseen}`);
    return [...said, problem].join(" ");
  }

  ended(problem, go) {
    this.status.textContent = this.summary(problem);
    show(this.bar, false);
    show(this.stage, false);
    this.busy.textContent = "";
    this.drawLists();
    const close = button("Close", () => show($("#dock"), false));
    const search = button(`Search ${this.name}`, () => {
      show($("#dock"), false);
      go({ view: "search", index: this.name, facets: [] }, "push");
      $("#query").focus();
    }, { class: "main" });
    const { added, replaced } = this.sums;
    if (this.isNew && added + replaced === 0) this.offerToDelete(close);
    else fill(this.buttons, search, close);
  }

  /** An index that was created for nothing is not left without a word. */
  offerToDelete(close) {
    this.status.textContent += ` The index ${this.name}, which was created for it, is empty.`;
    const remove = button("Delete the empty index", async () => {
      try {
        // Others may have filled it meanwhile.
        const index = await request("GET", ofIndex(this.name));
        if (index.state !== "empty" || index.waiting_writes) throw new Error("It is not empty any more.");
        await request("DELETE", ofIndex(this.name));
        removeIndex(this.name);
        sayInDock(`The index ${this.name} was deleted.`);
      } catch (error) {
        this.busy.textContent = `The index was not deleted. ${error.message}`;
      }
    }, { class: "main" });
    fill(this.buttons, remove, close);
  }
}
