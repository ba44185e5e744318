// Texts with their matched words. The server counts characters as Unicode code points; JavaScript counts UTF-16 units.

import { el, withoutControls } from "./dom.js";

/** Texts up to this number of characters are shown whole. */
const WHOLE = 520;
/** Characters of each of the parts of a long text that are shown. */
const PART = 240;
const MAX_PARTS = 2;
/** Characters before the first match of a part. */
const LEAD = 30;

/** A text whose characters are counted as the server counts them. */
export class Characters {
  constructor(text) {
    this.all = Array.from(text);
  }

  get length() {
    return this.all.length;
  }

  slice(start, end) {
    return this.all.slice(start, end).join("");
  }

  isSpace(at) {
    return at < 0 || at >= this.length || /\s/.test(this.all[at]);
  }
}

/** Returns the ranges of a text to show at first: the whole of a short one, the best matched parts of a long one. */
export function bestParts(characters, words, start = 0) {
  if (characters.length <= WHOLE) return [[0, characters.length]];
  if (words.length === 0) return [aroundSpaces(characters, start, start + 2 * PART)];
  const parts = [];
  let left = words;
  while (parts.length < MAX_PARTS && left.length) {
    const first = bestWindow(left).start - LEAD;
    const part = aroundSpaces(characters, first, first + PART);
    parts.push(part);
    left = left.filter((word) => word.end + PART / 2 < part[0] || word.start > part[1]);
  }
  return merged(parts.sort((a, b) => a[0] - b[0]));
}

/** Returns the word from which the words within one part have the largest share of the score. */
function bestWindow(words) {
  let best = words[0];
  let bestShare = -Infinity;
  let sum = 0;
  let end = 0;
  for (const word of words) {
    for (; end < words.length && words[end].end - word.start <= PART - LEAD; end += 1) sum += words[end].share;
    if (sum > bestShare) [best, bestShare] = [word, sum];
    sum -= word.share;
  }
  return best;
}

/** Widens a range to the next spaces, at most by the length of a long word. */
function aroundSpaces(characters, start, end) {
  const MAX_WORD = 20;
  start = Math.max(0, Math.min(start, characters.length - 1));
  end = Math.min(end, characters.length);
  for (let step = 0; step < MAX_WORD && !characters.isSpace(start - 1); step += 1) start -= 1;
  for (let step = 0; step < MAX_WORD && !characters.isSpace(end); step += 1) end += 1;
  return [start, end];
}

function merged(parts) {
  const kept = [];
  for (const [start, end] of parts) {
    const last = kept.at(-1);
    if (last && start <= last[1] + LEAD) last[1] = Math.max(last[1], end);
    else kept.push([start, end]);
  }
  return kept;
}

/**
 * Returns the nodes of some parts of a text: words in the tint of their share times `strength`, with `title(word)`;
 * tokens to be found by their number.
 */
export function tinted(characters, parts, words, { tokens = [], strength = 1, title }) {
  const nodes = [];
  const largest = Math.max(...words.map((word) => word.share), Number.MIN_VALUE);
  const mark = (word) => {
    // The square root keeps words with a small share visible beside one with a large share.
    const tint = strength * Math.sqrt(Math.min(1, word.share / largest));
    return { title: title(word), "data-start": word.start, "data-end": word.end, vars: { tint: tint.toFixed(3) } };
  };
  for (const [start, end] of parts) {
    if (start > 0) nodes.push(cut());
    nodes.push(...range(characters, start, end, words, tokens, mark));
  }
  if (parts.at(-1)?.[1] < characters.length) nodes.push(cut());
  return nodes;
}

const cut = () => el("span", { class: "cut" }, " … ");

/** Cuts a range at every boundary of a word or token, so that marks of both lie side by side. */
function range(characters, start, end, words, tokens, mark) {
  const nodes = [];
  const spans = [...words.filter((word) => word.share > 0), ...tokens];
  const bounds = new Set([start, end]);
  for (const span of spans) {
    for (const at of [span.start, span.end]) if (at > start && at < end) bounds.add(at);
  }
  const sorted = [...bounds].sort((a, b) => a - b);
  for (let i = 0; i + 1 < sorted.length; i += 1) {
    const covers = (span) => span.start <= sorted[i] && span.end >= sorted[i + 1];
    const text = withoutControls(characters.slice(sorted[i], sorted[i + 1]));
    nodes.push(piece(text, words.find((word) => word.share > 0 && covers(word)), tokens.find(covers), mark));
  }
  return nodes;
}

function piece(text, word, token, mark) {
  const number = token ? { "data-token": token.number } : {};
  if (word) return el("mark", { ...mark(word), ...number }, text);
  return token ? el("span", number, text) : document.createTextNode(text);
}
