// The list of results: one article for each passage that was found.

import { ofIndex, request } from "./api.js";
import { deletePassage } from "./deleting.js";
import { explanationView } from "./explain.js";
import { isOwnKey } from "./filter.js";
import { noteOfMode } from "./modes.js";
import { queryWords } from "./query-words.js";
import { button, el, fill, newId, show, visibleName } from "./dom.js";
import { percent } from "./numbers.js";
import { Characters, bestParts, tinted } from "./text.js";

/**
 * Makes the article of a hit. `search` is `{index, query, mode, language, best, deleted}`: `best` is the MaxSim of the
 * best hit, and `deleted(id, answer)` is told of a deletion. `narrow(key, value)` restricts the search.
 */
export function hitView(hit, rank, search, narrow) {
  const view = new HitView(hit, search);
  const id = newId("hit");
  const article = el(
    "article",
    { class: "hit", tabindex: 0, "aria-labelledby": id, onkeydown: (event) => keydown(event, view) },
    el(
      "header",
      {},
      el("span", { class: "rank" }, rank),
      el("h3", { id, dir: "auto" }, visibleName(hit.id)),
      el("span", { class: "score", title: "Score of the passage" }, scoreText(hit.score)),
    ),
    view.text,
    el("footer", {}, view.buttons, chips(hit, narrow), view.remove),
    view.error,
    view.panel,
  );
  return el("li", {}, article);
}

const scoreText = (score) => (Number.isFinite(score) ? score.toFixed(4) : "");

/** Enter opens the explanation, the arrow keys go to the results before and after. */
function keydown(event, view) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const item = event.currentTarget.closest("li");
  const neighbours = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling };
  if (event.key === "Enter") view.toggle();
  else if (event.key === "ArrowUp" && !neighbours.ArrowUp) document.querySelector("#query").focus();
  else if (neighbours[event.key]) neighbours[event.key].querySelector(".hit").focus();
  else return;
  event.preventDefault();
}

/** Text, buttons and explanation of one hit. */
class HitView {
  constructor(hit, search) {
    this.hit = hit;
    this.search = search;
    this.explanation = hit.explanation ?? null;
    this.characters = new Characters(hit.text ?? "");
    this.isWhole = false;
    this.isFull = Boolean(hit.explanation?.similarities?.length);
    this.text = el("div", { class: "text", dir: "auto" });
    this.panel = el("div", { class: "why", id: newId("why"), hidden: true });
    const isOpen = { "aria-expanded": "false", "aria-controls": this.panel.id };
    this.whyButton = button("Why?", () => this.toggle(), isOpen);
    this.allButton = button("Show all", () => this.showWhole(!this.isWhole));
    this.remove = button("Delete", () => this.delete(), { class: "quiet needs-write" });
    this.buttons = el("span", { class: "buttons" }, this.whyButton, this.allButton);
    this.error = el("p", { class: "error", role: "alert" });
    this.draw();
    show(this.allButton, this.text.classList.contains("is-cut"));
  }

  /** Words to tint: those of the query in a search for words, else those that matched. */
  get words() {
    const { mode, query, language } = this.search;
    if (mode === "lexical") return (this.queryWords ??= queryWords(this.hit.text ?? "", query, language));
    return this.explanation?.words ?? [];
  }

  /** Part of the full tint: a hit that is weak beside the best one looks weak. */
  get strength() {
    const { mode, best } = this.search;
    const score = this.explanation?.score;
    return mode !== "lexical" && best > 0 && Number.isFinite(score) ? Math.max(0, Math.min(1, score / best)) : 1;
  }

  parts() {
    if (this.isWhole) return [[0, this.characters.length]];
    return bestParts(this.characters, this.words, this.hit.snippet?.start ?? 0);
  }

  draw() {
    const passage = this.panel.hidden ? [] : this.explanation?.passage ?? [];
    const tokens = passage.map((token, number) => ({ ...token, number })).filter(({ start, end }) => end > start);
    const parts = this.parts();
    // Line breaks would make a part of a text as tall as the whole.
    this.text.classList.toggle("is-cut", parts.length > 1 || parts[0][1] - parts[0][0] < this.characters.length);
    fill(this.text, this.tinted(parts, tokens));
    if (this.hit.text === "") fill(this.text, el("em", {}, "This passage has no text."));
  }

  tinted(parts, tokens) {
    const isLexical = this.search.mode === "lexical";
    const title = (word) => (isLexical ? "A word of the query" : `${percent(word.share)} of the score`);
    return tinted(this.characters, parts, this.words, { tokens, strength: this.strength, title });
  }

  showWhole(isWhole) {
    this.isWhole = isWhole;
    this.allButton.textContent = isWhole ? "Show less" : "Show all";
    this.draw();
  }

  /** Opens or closes the explanation. The heat map comes into view; the text stays as short as it was. */
  async toggle() {
    const isOpen = this.panel.hidden;
    show(this.panel, isOpen);
    this.whyButton.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && !this.isFull) await this.load();
    if (isOpen && this.isFull && !this.panel.firstChild) {
      const note = noteOfMode(this.search.mode);
      this.panel.append(...(note ? [el("p", { class: "note" }, note)] : []));
      this.panel.append(explanationView(this.explanation, this.text));
    }
    this.draw();
    if (isOpen && !this.panel.hidden) this.reveal();
  }

  reveal() {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    (this.panel.querySelector(".heat-block") ?? this.panel).scrollIntoView({ block: "nearest", behavior });
  }

  async load() {
    const { index, query } = this.search;
    this.panel.textContent = "Loading the explanation.";
    try {
      const answer = await request("POST", ofIndex(index, "/explain"), { query, id: this.hit.id });
      const isSame = answer.text === null || answer.text === undefined || answer.text === (this.hit.text ?? "");
      if (!isSame) throw new Error("the passage has changed since this search. Search again.");
      this.explanation = answer;
      this.isFull = true;
      fill(this.panel);
    } catch (error) {
      fill(this.panel, el("p", { class: "error", role: "alert" }, `No explanation: ${error.message}`));
    }
  }

  async delete() {
    const { id } = this.hit;
    this.error.textContent = "";
    try {
      const answer = await deletePassage(this.search.index, id);
      if (answer === null) return;
      this.text.closest("li").remove();
      this.search.deleted(id, answer);
    } catch (error) {
      this.error.textContent = `The passage was not deleted. ${error.message}`;
    }
  }
}

/** Metadata as chips. Simple values narrow the search when they are clicked; others are shown as JSON. */
function chips({ metadata }, narrow) {
  const all = Object.entries(metadata ?? {}).filter(([, value]) => value !== null);
  const keys = all.map(([key]) => key);
  const entries = all.filter(([key]) => !isOwnKey(key, keys));
  if (entries.length === 0) return null;
  const chip = ([key, value]) => {
    // The columns of an index compare texts up to this length.
    const isSimple = typeof value !== "object" && String(value).length <= MAX_COMPARED;
    const parts = [el("span", { class: "key" }, visibleName(key)), el("bdi", {}, shortValue(value))];
    const title = `Only passages with this ${key}`;
    const inside = isSimple ? button(parts, () => narrow(key, value), { class: "chip", title }) : parts;
    return el("li", isSimple ? {} : { class: "chip" }, inside);
  };
  return el("ul", { class: "chips", "aria-label": "Metadata" }, entries.map(chip));
}

const MAX_VALUE = 60;
const MAX_COMPARED = 256;

function shortValue(value) {
  const text = visibleName(typeof value === "object" ? JSON.stringify(value) : String(value));
  const characters = Array.from(text);
  return characters.length > MAX_VALUE ? `${characters.slice(0, MAX_VALUE).join("")}…` : text;
}
