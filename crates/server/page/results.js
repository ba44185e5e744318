// The list of results: one article for each passage that was found.

import { explanationView } from "./explain.js";
import { ofIndex, request } from "./api.js";
import { button, el, fill, newId, show, visibleName } from "./dom.js";
import { Characters, bestParts, tinted } from "./text.js";

/** Makes the article of a hit. `search` is `{index, query}`; `narrow(key, value)` restricts the search. */
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
    el("footer", {}, view.buttons, chips(hit.metadata ?? {}, narrow)),
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
    this.text = el("div", { class: "text", dir: "auto" });
    this.panel = el("div", { class: "why", id: newId("why"), hidden: true });
    const isOpen = { "aria-expanded": "false", "aria-controls": this.panel.id };
    this.whyButton = button("Why?", () => this.toggle(), isOpen);
    this.allButton = button("Show all", () => this.showWhole(!this.isWhole));
    this.buttons = el("span", { class: "buttons" }, this.whyButton, this.allButton);
    this.draw();
    show(this.allButton, this.text.classList.contains("is-cut"));
  }

  get words() {
    return this.explanation?.words ?? [];
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
    fill(this.text, tinted(this.characters, parts, this.words, tokens));
    if (this.hit.text === "") fill(this.text, el("em", {}, "This passage has no text."));
  }

  showWhole(isWhole) {
    this.isWhole = isWhole;
    this.allButton.textContent = isWhole ? "Show less" : "Show all";
    this.draw();
  }

  /** Opens or closes the explanation. The whole text is shown with it, so that every token can be pointed at. */
  async toggle() {
    const isOpen = this.panel.hidden;
    show(this.panel, isOpen);
    this.whyButton.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && !this.explanation) await this.load();
    if (isOpen && this.explanation && !this.panel.firstChild) {
      this.panel.append(explanationView(this.explanation, this.text));
    }
    this.showWhole(isOpen);
  }

  async load() {
    const { index, query } = this.search;
    this.panel.textContent = "Loading the explanation.";
    try {
      this.explanation = await request("POST", ofIndex(index, "/explain"), { query, id: this.hit.id });
      fill(this.panel);
    } catch (error) {
      fill(this.panel, el("p", { class: "error", role: "alert" }, `No explanation: ${error.message}`));
    }
  }
}

/** Metadata as chips. Simple values narrow the search when they are clicked; others are shown as JSON. */
function chips(metadata, narrow) {
  const entries = Object.entries(metadata).filter(([, value]) => value !== null);
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
