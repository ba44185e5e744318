// Explanation of a score: the heat map, and the best match of each query token.

import { button, el, hasMoved, newId, setVars, visibleName } from "./dom.js";
import { HeatMap } from "./heatmap.js";
import { counted, percent } from "./numbers.js";

/** Kinds of tokens that are not of the text, in the words of the page. */
const KINDS = { prompt: "prompt", marker: "markers", special: "special tokens", expansion: "expansion" };

/** Makes the view of an explanation. `text` is the element that holds the passage's text with numbered tokens. */
export function explanationView(explanation, text) {
  const { query, passage, matches, similarities, score } = explanation;
  const hasPairs = query.length > 0 && passage.length > 0 && similarities.length > 0;
  if (!hasPairs) return el("p", {}, withoutTokens(explanation));
  const pointAt = (row, column) => highlight(text, column);
  const map = new HeatMap(explanation, pointAt);
  const table = matchTable(explanation, (row, column) => {
    map.mark(row, column);
    highlight(text, column);
  });
  const restrict = (kinds) => {
    const shown = (tokens) => tokens.map((_, at) => at).filter((at) => !kinds.has(tokens[at].kind));
    map.restrict(shown(query), shown(passage));
    table.hide(kinds);
  };
  const tokens = counted(matches.length, "query token");
  const sum = `MaxSim score ${score.toFixed(4)}: the sum over ${tokens} of the similarity to `;
  return el(
    "div",
    { class: "explanation" },
    el("p", {}, `${sum}the best of ${counted(passage.length, "passage token")}. Frames mark the best.`),
    kindChoices([...query, ...passage], restrict),
    map.element,
    table.element,
  );
}

function withoutTokens({ matches, score }) {
  if (!matches.length) return "This passage has no explanation: it has no embeddings, or was found by its words alone.";
  const sum = `MaxSim score ${score.toFixed(4)} is the sum over ${counted(matches.length, "query embedding")}.`;
  return `${sum} The tokens are unknown: the index holds embeddings without texts, or pooled ones.`;
}

/** Marks a passage token in the text. */
function highlight(text, number) {
  for (const old of text.querySelectorAll(".is-hot")) old.classList.remove("is-hot");
  if (number === null) return;
  for (const piece of text.querySelectorAll(`[data-token="${number}"]`)) piece.classList.add("is-hot");
}

/** Choices that hide kinds of tokens; only kinds that there are. */
function kindChoices(tokens, restrict) {
  const hidden = new Set();
  const kinds = Object.keys(KINDS).filter((kind) => tokens.some((token) => token.kind === kind));
  if (kinds.length === 0) return null;
  const choice = (kind) => {
    const change = (event) => {
      if (event.target.checked) hidden.delete(kind);
      else hidden.add(kind);
      restrict(hidden);
    };
    const box = el("input", { type: "checkbox", checked: true, value: kind, onchange: change });
    return el("label", {}, box, el("span", { class: `kind-${kind}` }, KINDS[kind]));
  };
  return el("fieldset", { class: "kinds" }, el("legend", {}, "Show also"), kinds.map(choice));
}

/** Table of the best match of each query token. `point(row, column)` is called for the row in use. */
function matchTable({ query, passage, matches }, point) {
  const id = newId("matches");
  const largest = Math.max(...matches.map((match) => match.share), Number.MIN_VALUE);
  const rows = matches.map((match, at) => matchRow(match, at, query[at], passage[match.passage_token], largest, point));
  const head = ["Query token", "Best passage token", "Similarity", "Share of the score"];
  const table = el(
    "table",
    { class: "matches", "aria-labelledby": id },
    el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows),
  );
  const caption = el("h4", { id }, "Best match of each query token");
  const scroll = { class: "table-scroll", tabindex: 0, role: "region", "aria-labelledby": id };
  return {
    element: el("div", {}, caption, el("div", scroll, table)),
    hide: (kinds) => rows.forEach((row, at) => (row.hidden = kinds.has(query[at].kind))),
  };
}

function matchRow(match, at, token, best, largest, point) {
  const on = () => point(at, match.passage_token);
  const off = () => point(null, null);
  const bar = el("span", { class: "share", "aria-hidden": "true" });
  setVars(bar, { share: Math.max(0, match.share / largest).toFixed(3) });
  const pointer = button(tokenView(token), on, { class: "token", onfocus: on, onblur: off });
  return el(
    "tr",
    { onmouseenter: (event) => hasMoved(event) && on(), onmouseleave: (event) => hasMoved(event) && off() },
    el("th", { scope: "row" }, pointer),
    el("td", {}, best ? tokenView(best) : ""),
    el("td", { class: "number" }, match.similarity.toFixed(3)),
    el("td", { class: "number" }, bar, percent(match.share)),
  );
}

const tokenView = (token) => el("bdi", { class: `kind-${token.kind}` }, visibleName(token.token));
