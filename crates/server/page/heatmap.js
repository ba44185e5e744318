// Heat map of the similarities of query tokens and passage tokens. Only the visible part is drawn: a canvas as large as
// 32 x 512 cells would exceed the limits of some browsers.

import { el, hasMoved, newId, visibleName } from "./dom.js";

const CELL = 20;
const ROW_LABEL = 104;
const COLUMN_LABEL = 88;
const MAX_LABEL = 14;

const HELP = "Point at a cell, or move with the arrow keys.";

/** Width of the shade over an edge beyond which there is more. */
const SHADE = 28;

/** Steps of the keys that move the cursor: rows, columns. */
const STEPS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [0, -10],
  PageDown: [0, 10],
};

/** A label that fits beside its row or column. */
function short(token) {
  const characters = Array.from(visibleName(token));
  return characters.length > MAX_LABEL ? `${characters.slice(0, MAX_LABEL - 1).join("")}…` : characters.join("");
}

export class HeatMap {
  /** `onPoint(row, column)` is called with the pair under the pointer or the cursor, in numbers of the explanation. */
  constructor(explanation, onPoint) {
    this.explanation = explanation;
    this.onPoint = onPoint;
    this.cursor = null;
    this.rows = explanation.query.map((_, row) => row);
    this.columns = explanation.passage.map((_, column) => column);
    this.largest = Math.max(...explanation.similarities.map((row) => Math.max(...row)), Number.MIN_VALUE);
    this.make();
  }

  make() {
    const help = newId("heat-help");
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.size = el("div", { class: "heat-size" }, this.canvas);
    this.box = el(
      "div",
      { class: "heat", tabindex: 0, role: "application", "aria-describedby": help, "aria-label": "Heat map" },
      this.size,
    );
    this.help = el("p", { id: help, class: "hint" }, HELP);
    this.readout = el("output", { class: "readout", "aria-live": "polite" }, " ");
    this.element = el("div", { class: "heat-block" }, this.box, this.readout, this.help);
    this.resize();
    this.box.addEventListener("scroll", () => this.redraw());
    this.box.addEventListener("pointermove", (event) => this.pointed(event));
    this.box.addEventListener("pointerleave", () => this.isPointed && this.point(null));
    this.box.addEventListener("keydown", (event) => this.keydown(event));
    new ResizeObserver(() => this.redraw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    document.addEventListener("selvedge-theme", () => this.redraw());
  }

  /** Shows the rows and columns with these numbers only. */
  restrict(rows, columns) {
    Object.assign(this, { rows, columns, cursor: null });
    this.redraw();
  }

  redraw() {
    if (this.isWaiting || !this.box.isConnected) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.draw();
    });
  }

  /** Gives the map its size, which the page needs to scroll to it before it is drawn. Returns its height. */
  resize() {
    const height = COLUMN_LABEL + this.rows.length * CELL;
    this.size.style.setProperty("width", `${ROW_LABEL + this.columns.length * CELL}px`);
    this.size.style.setProperty("height", `${height}px`);
    return height;
  }

  draw() {
    const height = this.resize();
    const view = { width: this.box.clientWidth, height: Math.min(this.box.clientHeight, height) };
    if (!view.width || !view.height) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = view.width * scale;
    this.canvas.height = view.height * scale;
    this.canvas.style.setProperty("width", `${view.width}px`);
    this.canvas.style.setProperty("height", `${view.height}px`);
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    this.paint(context, view, colours(this.box));
    this.describeScrolling(view);
  }

  /** Says that there is more than is visible. */
  describeScrolling(view) {
    const shown = Math.floor((view.width - ROW_LABEL) / CELL);
    const all = this.columns.length;
    const more = shown < all ? ` Scroll sideways: ${shown} of ${all} passage tokens are in view.` : "";
    if (this.help.textContent !== HELP + more) this.help.textContent = HELP + more;
  }

  paint(context, view, colour) {
    const { scrollLeft: left, scrollTop: top } = this.box;
    const columns = visible(left, view.width - ROW_LABEL, this.columns.length);
    const rows = visible(top, view.height - COLUMN_LABEL, this.rows.length);
    const x = (column) => ROW_LABEL + column * CELL - left;
    const y = (row) => COLUMN_LABEL + row * CELL - top;
    context.save();
    context.beginPath();
    context.rect(ROW_LABEL, COLUMN_LABEL, view.width, view.height);
    context.clip();
    for (const row of rows) for (const column of columns) this.cell(context, row, column, x(column), y(row), colour);
    context.restore();
    this.labels(context, rows, y, columns, x, colour, view);
    this.shade(context, view, colour);
  }

  /** Shades the edges beyond which there are more columns. */
  shade(context, view, colour) {
    const left = this.box.scrollLeft;
    const edges = [];
    if (ROW_LABEL + this.columns.length * CELL - left > view.width + 1) edges.push([view.width, -SHADE]);
    if (left > 0) edges.push([ROW_LABEL, SHADE]);
    for (const [edge, width] of edges) {
      const gradient = context.createLinearGradient(edge, 0, edge + width, 0);
      gradient.addColorStop(0, colour.ink);
      gradient.addColorStop(1, "transparent");
      context.globalAlpha = 0.3;
      context.fillStyle = gradient;
      context.fillRect(Math.min(edge, edge + width), 0, SHADE, view.height);
    }
    context.globalAlpha = 1;
  }

  cell(context, row, column, x, y, colour) {
    const [i, j] = [this.rows[row], this.columns[column]];
    const { similarities, matches } = this.explanation;
    // Most pairs are a little similar: the power keeps them pale.
    context.globalAlpha = Math.max(0, similarities[i][j] / this.largest) ** 1.6;
    context.fillStyle = colour.accent;
    context.fillRect(x, y, CELL - 1, CELL - 1);
    context.globalAlpha = 1;
    context.strokeStyle = colour.ink;
    if (matches[i]?.passage_token === j) frame(context, x, y, 1.25);
    if (this.cursor?.[0] === i && this.cursor[1] === j) frame(context, x, y, 3);
  }

  labels(context, rows, y, columns, x, colour, view) {
    const { query, passage } = this.explanation;
    context.textBaseline = "middle";
    context.fillStyle = colour.paper;
    context.fillRect(0, 0, ROW_LABEL - 2, view.height);
    context.fillRect(0, 0, view.width, COLUMN_LABEL - 2);
    context.save();
    context.beginPath();
    context.rect(0, COLUMN_LABEL, ROW_LABEL, view.height);
    context.clip();
    context.textAlign = "right";
    for (const row of rows) {
      const isCurrent = this.cursor?.[0] === this.rows[row];
      label(context, query[this.rows[row]], colour, isCurrent, ROW_LABEL - 8, y(row) + CELL / 2);
    }
    context.restore();
    context.save();
    context.beginPath();
    context.rect(ROW_LABEL, 0, view.width, COLUMN_LABEL);
    context.clip();
    context.textAlign = "left";
    for (const column of columns) {
      context.save();
      context.translate(x(column) + CELL / 2, COLUMN_LABEL - 8);
      context.rotate(-Math.PI / 2);
      label(context, passage[this.columns[column]], colour, this.cursor?.[1] === this.columns[column], 0, 0);
      context.restore();
    }
    context.restore();
  }

  pointed(event) {
    if (!hasMoved(event)) return;
    this.isPointed = true;
    const box = this.box.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - ROW_LABEL + this.box.scrollLeft) / CELL);
    const row = Math.floor((event.clientY - box.top - COLUMN_LABEL + this.box.scrollTop) / CELL);
    const isInside = event.clientX - box.left > ROW_LABEL && event.clientY - box.top > COLUMN_LABEL;
    this.point(isInside && row < this.rows.length && column < this.columns.length ? [row, column] : null);
  }

  keydown(event) {
    this.isPointed = false;
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || !this.columns.length || !this.rows.length) return;
    event.preventDefault();
    const row = this.cursor ? this.rows.indexOf(this.cursor[0]) : -step[0];
    const column = this.cursor ? this.columns.indexOf(this.cursor[1]) : -step[1];
    const within = (at, length) => Math.max(0, Math.min(at, length - 1));
    this.point([within(row + step[0], this.rows.length), within(column + step[1], this.columns.length)]);
    this.reveal();
  }

  /** Moves the cursor to a visible row and column, or away. */
  point(place) {
    const pair = place && [this.rows[place[0]], this.columns[place[1]]];
    if (pair?.join() === this.cursor?.join()) return;
    this.cursor = pair;
    this.describe();
    this.redraw();
    this.onPoint(...(pair ?? [null, null]));
  }

  /** Marks a pair from outside, in numbers of the explanation, and scrolls to it. */
  mark(row, column) {
    this.isPointed = false;
    this.cursor = this.rows.includes(row) && this.columns.includes(column) ? [row, column] : null;
    this.describe();
    if (this.cursor) this.reveal();
    this.redraw();
  }

  describe() {
    if (!this.cursor) return void (this.readout.textContent = " ");
    const [i, j] = this.cursor;
    const { query, passage, similarities, matches } = this.explanation;
    const best = matches[i]?.passage_token === j ? ", the best match" : "";
    const tokens = `“${visibleName(query[i].token)}” and “${visibleName(passage[j].token)}”`;
    this.readout.textContent = `${tokens}: similarity ${similarities[i][j].toFixed(3)}${best}`;
  }

  /** Scrolls the cursor into the visible part. */
  reveal() {
    const [row, column] = [this.rows.indexOf(this.cursor[0]), this.columns.indexOf(this.cursor[1])];
    const scrolled = (at, now, length) => Math.max(Math.min(now, at * CELL), at * CELL - length + CELL);
    this.box.scrollLeft = scrolled(column, this.box.scrollLeft, this.box.clientWidth - ROW_LABEL);
    this.box.scrollTop = scrolled(row, this.box.scrollTop, this.box.clientHeight - COLUMN_LABEL);
  }
}

/** Numbers of the rows or columns that are visible, at least in part. */
function visible(scrolled, length, total) {
  const first = Math.floor(scrolled / CELL);
  const last = Math.min(total, Math.ceil((scrolled + Math.max(0, length)) / CELL));
  return Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
}

function frame(context, x, y, width) {
  context.lineWidth = width;
  context.strokeRect(x + width / 2, y + width / 2, CELL - 1 - width, CELL - 1 - width);
}

/** Tokens that are not of the text are told apart by colour and slant. */
function label(context, token, colour, isCurrent, x, y) {
  const isText = token.kind === "text";
  context.font = `${isText ? "" : "italic "}${isCurrent ? "700 " : ""}12px ${colour.font}`;
  context.fillStyle = isText ? colour.ink : token.kind === "expansion" ? colour.muted : colour.thread;
  context.fillText(short(token.token), x, y);
}

/** Colours as the style sheet has them now. They are read from properties that the browser has resolved. */
function colours(box) {
  const probe = el("span", { class: "probe" });
  box.append(probe);
  const style = getComputedStyle(probe);
  const colour = {
    ink: style.color,
    paper: style.backgroundColor,
    accent: style.borderTopColor,
    muted: style.borderRightColor,
    thread: style.borderBottomColor,
    font: style.fontFamily,
  };
  probe.remove();
  return colour;
}
