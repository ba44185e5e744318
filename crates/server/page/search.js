// The search: reads the form, asks the server, and shows what it found.

import { ApiError, isAbort, ofIndex, request } from "./api.js";
import { $, button, el, fill, show, visibleName } from "./dom.js";
import { deleteMatching } from "./deleting.js";
import { drawFacets, drawKeys, drawNarrowed } from "./facets.js";
import { example, facetKeys, joined } from "./filter.js";
import { funnel } from "./funnel.js";
import { drawModes, ranking, startModes } from "./modes.js";
import { counted } from "./numbers.js";
import { hitView } from "./results.js";
import { store, subscribe } from "./store.js";

const TYPING_PAUSE_MS = 250;
/** Explanations tint the matched words. They take a while, so that longer lists load one only when it is opened. */
const MAX_EXPLAINED = 20;
const FACET_DEPTH = 100;

export class Search {
  /** `go(changes, how)` changes the state of the page; `how` is "push" or "replace". */
  constructor(state, go) {
    this.state = state;
    this.go = go;
    this.controller = null;
    this.shown = null;
    this.columns = [];
    this.columnsOf = "";
    this.listen();
    subscribe((what, name) => what === "indexes" && this.indexesChanged(name));
  }

  listen() {
    let timer = 0;
    const typed = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.typed("replace"), TYPING_PAUSE_MS);
    };
    const enter = (event) => {
      event?.preventDefault();
      clearTimeout(timer);
      this.typed("push");
    };
    $("#query").addEventListener("input", typed);
    $("#where").addEventListener("input", typed);
    $("#search").addEventListener("submit", enter);
    $("#index").addEventListener("change", () => this.go({ index: $("#index").value, facets: [] }, "push"));
    $("#k").addEventListener("change", () => this.go({ k: Number($("#k").value) }, "push"));
    startModes((changes) => this.go(changes, "push"));
    $("#query").addEventListener("keydown", (event) => {
      const first = event.key === "ArrowDown" && $("#results .hit");
      if (!first) return;
      event.preventDefault();
      first.focus();
    });
    $("#delete-found").addEventListener("click", () => this.deleteFound());
    $("#more").addEventListener("click", () => this.more());
  }

  typed(how) {
    this.go({ q: $("#query").value, where: $("#where").value }, how);
  }

  /** Takes the state of the page and searches. */
  async take(state) {
    this.state = state;
    this.fillForm();
    await this.run();
  }

  /** Writes the texts of a state into the form. Only an address does this: what is being typed must not be lost. */
  writeTexts({ q, where }) {
    $("#query").value = q;
    $("#where").value = where;
  }

  fillForm() {
    drawModes(this.state);
    $("#k").value = String(this.state.k);
    this.fillIndexes();
    show($("#delete-found-row"), joined(this.state.where, this.state.facets) !== undefined);
    drawNarrowed($("#narrowed"), this.state.facets, (facets) => this.go({ facets }, "push"));
  }

  fillIndexes() {
    const names = [...store.indexes.keys()].sort();
    // An index of a shared address may have been deleted: it stays to be seen, and the search says so.
    if (this.state.index && !names.includes(this.state.index)) names.unshift(this.state.index);
    const select = $("#index");
    if ([...select.options].map(({ value }) => value).join("\n") !== names.join("\n")) {
      fill(select, names.map((name) => el("option", { value: name }, name)));
    }
    select.value = this.state.index;
    show($("#no-index"), names.length === 0);
    show($("#search"), names.length > 0);
  }

  indexesChanged(name) {
    this.fillIndexes();
    const now = store.indexes.get(this.state.index);
    const isOurs = name === null || name === this.state.index;
    if (isOurs && now && this.shown && now.generation > this.shown.generation) this.offerNewGeneration(now);
    if (isOurs && now?.state === "ready" && $("#notice").dataset.kind === "empty") this.run();
  }

  offerNewGeneration(index) {
    const passages = counted(index.passages, "passage");
    this.notice("new", `The index has changed: ${passages} in generation ${index.generation}.`);
  }

  /** Shows a notice with a button that searches again. */
  notice(kind, message, hasButton = true) {
    const notice = $("#notice");
    notice.dataset.kind = kind;
    fill(notice, message && el("span", {}, message), message && hasButton && button("Search again", () => this.run()));
  }

  /** Metadata keys of the index; they change when documents are added. */
  async loadColumns(index, signal) {
    const { generation } = store.indexes.get(index) ?? {};
    if (this.columnsOf === `${index}\n${generation}`) return;
    const { columns } = await request("GET", ofIndex(index, "/columns"), undefined, { signal });
    this.columns = columns;
    this.columnsOf = `${index}\n${generation}`;
    drawKeys($("#keys"), columns, $("#where"));
    $("#where").placeholder = example(columns);
  }

  async run() {
    this.controller?.abort();
    const { index, q } = this.state;
    if (!index) return this.clear();
    const controller = new AbortController();
    this.controller = controller;
    try {
      const known = store.indexes.get(index);
      if (known?.state === "empty") return this.empty(index);
      if (known?.state === "broken") return this.broken(known);
      await this.loadColumns(index, controller.signal);
      if (q.trim()) await this.search(controller.signal);
      else this.clear();
    } catch (error) {
      if (!isAbort(error) && this.controller === controller) this.failed(error);
    } finally {
      if (this.controller === controller) $("#found").setAttribute("aria-busy", "false");
    }
  }

  async search(signal) {
    $("#found").setAttribute("aria-busy", "true");
    const started = performance.now();
    const search = { index: this.state.index, query: this.state.q.trim() };
    const body = this.body(search.query);
    const answer = await request("POST", ofIndex(search.index, "/search"), body, { signal });
    const browserUs = 1000 * (performance.now() - started);
    const focused = focusedPart();
    this.clear();
    this.shown = { ...search, body, generation: answer.generation, cursor: answer.cursor, hits: 0 };
    this.shown.mode = this.state.mode;
    this.shown.language = store.indexes.get(search.index)?.language ?? null;
    this.shown.best = bestScore(answer.hits);
    this.shown.deleted = (id, deletion) => this.hitDeleted(id, deletion);
    fill($("#warnings"), (answer.warnings ?? []).map((warning) => el("p", {}, warning)));
    fill($("#funnel"), funnel(answer, store.indexes.get(search.index), browserUs));
    const narrow = (facets) => this.go({ facets }, "push");
    drawFacets($("#facets"), answer.facets ?? [], FACET_DEPTH, this.state.facets, narrow);
    this.append(answer);
    restoreFocus(focused);
    const now = store.indexes.get(search.index);
    if (now && now.generation > answer.generation) this.offerNewGeneration(now);
  }

  body(query) {
    const { mode, k, where, facets } = this.state;
    return {
      query,
      k,
      ...ranking(this.state),
      where: joined(where, facets),
      facets: facetKeys(this.columns),
      facet_depth: FACET_DEPTH,
      text: true,
      metadata: true,
      snippet: 300,
      explain: k <= MAX_EXPLAINED && mode !== "lexical" ? "words" : false,
    };
  }

  append({ hits, cursor }) {
    const narrow = (key, value) => this.go({ facets: [...this.state.facets, [key, value]] }, "push");
    const first = this.shown.hits + 1;
    $("#results").append(...hits.map((hit, at) => hitView(hit, first + at, this.shown, narrow)));
    this.shown.hits += hits.length;
    this.shown.cursor = cursor ?? null;
    show($("#results-title"), this.shown.hits > 0);
    show($("#more"), this.shown.cursor !== null);
    $("#count").textContent = this.shown.hits ? counted(this.shown.hits, "result") : this.nothing();
  }

  /** A result that was deleted leaves the list. The generation is of this page's own making: it is not announced. */
  hitDeleted(id, { generation }) {
    if (!this.shown) return;
    this.shown.hits -= 1;
    this.shown.generation = Math.max(this.shown.generation, generation);
    $("#count").textContent = this.shown.hits ? counted(this.shown.hits, "result") : "No results are left.";
    this.notice("deleted", `“${visibleName(id)}” was deleted.`, false);
    ($("#results .hit") ?? $("#query")).focus({ preventScroll: true });
  }

  async deleteFound() {
    const { index, where, facets } = this.state;
    try {
      const answer = await deleteMatching(index, joined(where, facets));
      if (answer === null) return;
      await this.run();
      if (this.shown) this.shown.generation = Math.max(this.shown.generation, answer.generation);
      this.notice("deleted", `${counted(answer.deleted, "passage")} deleted.`, false);
    } catch (error) {
      this.failed(error, "Nothing was deleted.");
    }
  }

  nothing() {
    const { where, facets } = this.state;
    const isNarrowed = where.trim() || facets.length;
    return `Nothing was found. ${isNarrowed ? "Try it without the filter." : "Try other words."}`;
  }

  async more() {
    const shown = this.shown;
    const moreButton = $("#more");
    moreButton.disabled = true;
    try {
      const body = { ...shown.body, cursor: shown.cursor };
      const answer = await request("POST", ofIndex(shown.index, "/search"), body);
      if (shown !== this.shown) return;
      const first = shown.hits;
      this.append(answer);
      // The button may be gone: the focus goes on to the first new result.
      $("#results").children[first]?.querySelector(".hit").focus();
    } catch (error) {
      if (shown === this.shown) this.moreFailed(error);
    } finally {
      moreButton.disabled = false;
    }
  }

  moreFailed(error) {
    const isGone = error instanceof ApiError && (error.status === 410 || error.code.includes("CURSOR"));
    if (!isGone) return this.notice("failed", `More results could not be loaded. ${error.message}`);
    show($("#more"), false);
    this.notice("expired", "These results have expired: the server no longer keeps their generation.");
    $("#notice button").focus();
  }

  failed(error, what = "The search failed.") {
    this.clear();
    if (/FILTER|WHERE/.test(error.code ?? "")) {
      $("#where-error").textContent = error.message;
      $("#where").setAttribute("aria-invalid", "true");
    } else if (error.code === "INDEX_EMPTY") {
      this.empty(this.state.index);
    } else if (error.code === "INDEX_NOT_FOUND") {
      this.notice("failed", `There is no index “${this.state.index}”. Choose another one.`, false);
    } else {
      this.notice("failed", `${what} ${error.message}`);
    }
  }

  empty(index) {
    this.clear();
    this.notice("empty", `The index “${index}” has no documents yet. Drop files here to add some.`, false);
  }

  broken({ name, error }) {
    this.clear();
    this.notice("failed", `The index “${name}” cannot be opened. ${error ?? ""}`, false);
  }

  clear() {
    this.shown = null;
    this.notice("", null);
    $("#where-error").textContent = "";
    $("#where").removeAttribute("aria-invalid");
    // The facets are hidden only: whether they are open outlasts a search.
    for (const id of ["#results", "#funnel", "#count", "#warnings"]) fill($(id));
    for (const id of ["#facets", "#more", "#results-title"]) show($(id), false);
  }
}

/** MaxSim of the best of some hits, to which tints are scaled; null without explanations. */
function bestScore(hits) {
  const scores = hits.map(({ explanation }) => explanation?.score).filter(Number.isFinite);
  return scores.length ? Math.max(...scores) : null;
}

/** Returns the name of the focused part of the old results: "" for one without a name, null if none is focused. */
function focusedPart() {
  const { activeElement } = document;
  return activeElement?.closest(".found, .notice") ? (activeElement.dataset.focus ?? "") : null;
}

/** Gives the focus to the same part of the new results, so that a keyboard user does not start again at the top. */
function restoreFocus(name) {
  if (name === null) return;
  const same = [...document.querySelectorAll("[data-focus]")].find((element) => element.dataset.focus === name);
  (same ?? $("#results .hit") ?? $("#query")).focus({ preventScroll: true });
}
