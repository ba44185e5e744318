// Keys of the metadata, facets of the results, and the values that a search is narrowed to.

import { button, el, fill, show, visibleName } from "./dom.js";
import { condition, isOwnKey, quotedKey } from "./filter.js";
import { count, counted } from "./numbers.js";

/** Number of values of a facet that are shown at first. */
const SHOWN_VALUES = 6;

const isSame = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Draws a button for each key, which writes it into the filter. */
export function drawKeys(element, columns, input) {
  const kinds = new Map();
  const keys = columns.map(({ key }) => key);
  const offered = columns.filter(({ key }) => key !== "sha256" || !isOwnKey(key, keys));
  for (const { key, kind } of offered) kinds.set(key, [...(kinds.get(key) ?? []), kind]);
  const key = ([name, kindsOfKey]) =>
    button([visibleName(name), el("small", {}, ` ${kindsOfKey.join(", ")}`)], () => insert(input, name), {
      title: `Write ${name} into the filter`,
    });
  fill(element, [...kinds].map(key));
  show(element, kinds.size > 0);
}

/** Writes a key at the cursor of the filter, joined with AND to a condition before it. */
function insert(input, key) {
  const before = input.value.slice(0, input.selectionStart).trimEnd();
  const joins = before === "" || /(\bAND|\bOR|\bNOT|\()$/i.test(before);
  const space = before ? " " : "";
  input.setRangeText(`${before}${joins ? space : " AND "}${quotedKey(key)} `, 0, input.selectionEnd, "end");
  input.focus();
}

/** Whether the facets were opened or closed by hand; before, they are open where they are beside the results. */
let isOpenByHand = null;
const isWide = matchMedia("(min-width: 52.01rem)");
isWide.addEventListener("change", () => {
  const details = document.querySelector("#facets details");
  if (details) details.open = isOpenByHand ?? isWide.matches;
});

/** Draws the facets of an answer, counted in its best `depth`. `change(facets)` takes the new chosen values. */
export function drawFacets(element, facets, depth, chosen, change) {
  const used = facets.filter(({ counts }) => counts.length > 0);
  const views = used.map((facet) => facetView(facet, chosen, change));
  const title = el("h2", { class: "hint" }, `Narrow the best ${depth}`);
  const details = el("details", { open: isOpenByHand ?? isWide.matches });
  const summary = el("summary", { onclick: () => (isOpenByHand = !details.open) }, title);
  fill(details, summary, el("div", {}, views));
  fill(element, details);
  show(element, used.length > 0);
}

const MAX_PATH = 20;

/** A value that fits its line. Paths are cut at the start, since they differ at the end. */
function shortValue(value) {
  const characters = Array.from(visibleName(value));
  const isLongPath = characters.length > MAX_PATH && characters.includes("/");
  return isLongPath ? `…${characters.slice(1 - MAX_PATH).join("")}` : characters.join("");
}

function facetView({ key, counts }, chosen, change) {
  const items = counts.map(({ value, passages }, at) => {
    const pair = [key, value];
    const isChosen = chosen.some((other) => isSame(other, pair));
    const toggled = isChosen ? chosen.filter((other) => !isSame(other, pair)) : [...chosen, pair];
    const shown = el("bdi", { title: visibleName(value) }, shortValue(value));
    const label = [shown, el("span", { class: "number" }, count(passages))];
    const name = `${key} ${visibleName(value)}, ${counted(passages, "passage")}`;
    const attributes = { "aria-pressed": String(isChosen), "aria-label": name, "data-focus": JSON.stringify(pair) };
    const choose = button(label, () => change(toggled), attributes);
    return el("li", { hidden: at >= SHOWN_VALUES && !isChosen }, choose);
  });
  const rest = items.filter((item) => item.hidden);
  const all = button(`${rest.length} more`, () => {
    for (const item of rest) show(item, true);
    rest[0].querySelector("button").focus();
    all.remove();
  });
  const list = el("ul", {}, items);
  return el("section", { class: "facet" }, el("h3", {}, visibleName(key)), list, rest.length ? all : null);
}

/** Draws the chosen values, each with a way to remove it. */
export function drawNarrowed(element, chosen, change) {
  const chip = (pair) => {
    const name = visibleName(condition(pair));
    const remove = () => change(chosen.filter((other) => !isSame(other, pair)));
    const cross = el("span", { "aria-hidden": "true" }, " ×");
    return el("li", {}, button([name, cross], remove, { class: "chip", "aria-label": `Remove ${name}` }));
  };
  fill(element, chosen.map(chip));
  show(element, chosen.length > 0);
}
