// The panel of the indexes: statistics, create, delete, compact, and tasks.

import { ofIndex, request } from "./api.js";
import { $, ask, button, el, fill, show, visibleName } from "./dom.js";
import { bytes, count } from "./numbers.js";
import { changed, removeIndex, setIndex, store, subscribe } from "./store.js";
import { TaskList, isOpen, take } from "./tasks.js";

/** Languages whose words the server stems. "none" leaves words as they are. */
const LANGUAGES = (
  "none arabic danish dutch english finnish french german greek hungarian italian norwegian portuguese romanian " +
  "russian spanish swedish tamil turkish"
).split(" ");

const RETRAIN = [
  ["auto", "train centroids if needed"],
  ["always", "train centroids"],
  ["never", "keep centroids"],
];

const cards = new Map();

/** Prepares the panel. `go(changes, how)` changes the state of the page, `pickFor(index)` picks files to add. */
export function startPanel(go, pickFor) {
  $("#create").addEventListener("toggle", () => $("#create").open && $("#create-name").focus());
  $("#language").append(...LANGUAGES.map((name) => el("option", {}, name)));
  $("#create-form").addEventListener("submit", (event) => {
    event.preventDefault();
    create(event.target);
  });
  const actions = { go, pickFor };
  subscribe((what, name) => draw(what, name, actions));
  draw("indexes", null, actions);
}

function draw(what, name, actions) {
  if (what === "indexes") drawCards(name, actions);
  else if (what === "tasks") for (const card of cards.values()) card.drawTasks();
  else if (what === "info") drawServer();
}

function drawServer() {
  const { version, device, model, role, can_create: canCreate } = store.info;
  const modelName = typeof model === "object" ? model?.name : model;
  const facts = [version && `selvedge ${version}`, device && `device ${device}`, modelName && `model ${modelName}`];
  $("#server").textContent = [...facts, role && `role ${role}`].filter(Boolean).join(", ");
  show($("#create"), canCreate !== false);
}

function drawCards(name, actions) {
  for (const [known, card] of cards) {
    if (!store.indexes.has(known)) {
      card.element.remove();
      cards.delete(known);
    }
  }
  const names = [...store.indexes.keys()].sort();
  for (const each of names) {
    if (!cards.has(each)) cards.set(each, new Card(each, actions));
    if (name === null || name === each) cards.get(each).draw(store.indexes.get(each));
  }
  // Moving an element takes its focus away: cards are moved only if their order is another one.
  const list = $("#index-list");
  const sorted = names.map((each) => cards.get(each).element);
  if (sorted.some((element, at) => list.children[at] !== element)) list.replaceChildren(...sorted);
  show($("#no-indexes"), names.length === 0);
}

/** Sends the form that creates an index. Fields that are empty take the defaults of the server. */
async function create(form) {
  const error = $(".error", form);
  error.textContent = "";
  const fields = [...new FormData(form)].filter(([, value]) => value.trim() !== "");
  const typed = ([name, value]) => [name, name === "nbits" ? Number(value) : value.trim()];
  try {
    await createIndex(Object.fromEntries(fields.map(typed)));
    form.reset();
    $("#create").open = false;
    $(".card h2", $("#index-list"))?.scrollIntoView({ block: "nearest" });
  } catch (failure) {
    error.textContent = `The index was not created. ${failure.message}`;
  }
}

/** Creates an index and returns it. */
export async function createIndex(body) {
  const index = await request("POST", "v1/indexes", body);
  setIndex(index);
  return index;
}

/** Statistics, actions and tasks of one index. */
class Card {
  constructor(name, { go, pickFor }) {
    this.name = name;
    this.state = el("span", { class: "state" });
    this.facts = el("dl", { class: "facts" });
    this.error = el("p", { class: "error", role: "alert" });
    this.broken = el("p", { class: "error" });
    this.tasks = new TaskList(name);
    const title = el("h2", { dir: "auto" }, visibleName(name));
    const retrain = el("select", {}, RETRAIN.map(([value, label]) => el("option", { value }, label)));
    const compact = button("Compact", () => this.compact(retrain.value));
    const search = () => go({ view: "search", index: name, facets: [] }, "push");
    this.search = button("Search", search, { class: "main" });
    this.add = button("Add files", () => pickFor(name), { class: "needs-write" });
    const empty = "It has no passages yet. Files can be dropped anywhere on this page, or onto this box.";
    this.hint = el("p", { class: "hint needs-write" }, empty);
    this.element = el(
      "article",
      { class: "card index-card", "data-index": name },
      el("header", {}, title, this.state),
      this.facts,
      this.broken,
      this.hint,
      el(
        "p",
        { class: "row" },
        this.search,
        this.add,
        (this.compaction = el("span", { class: "group needs-write" }, compact, compactChoice(retrain))),
        button("Delete", () => this.delete(), { class: "danger needs-admin" }),
      ),
      this.error,
      this.tasks.element,
    );
  }

  draw(index) {
    const isEmpty = index.state === "empty";
    for (const each of [this.search, this.compaction]) show(each, !isEmpty);
    this.add.classList.toggle("main", isEmpty);
    Object.assign(this, { isEmpty, indexState: index.state });
    this.broken.textContent = index.error ?? "";
    const waiting = index.waiting_writes ? `${count(index.waiting_writes)} waiting` : null;
    const perVector = Number.isFinite(index.bytes_per_vector) ? index.bytes_per_vector.toFixed(1) : null;
    const facts = [
      ["Passages", isEmpty ? null : count(index.passages)],
      ["Deleted", index.deleted ? count(index.deleted) : null],
      ["Tokens", isEmpty ? null : count(index.tokens)],
      ["Size", isEmpty ? null : bytes(index.bytes)],
      ["Bytes per vector", perVector],
      ["Bits per dimension", index.nbits],
      ["Dimensions", index.dim],
      ["Centroids", index.centroids ? count(index.centroids) : null],
      ["Segments", isEmpty ? null : count(index.segments)],
      ["Generation", isEmpty ? null : count(index.generation)],
      ["Model", index.model],
      ["Language", index.language],
      ["Writes", waiting],
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    fill(this.facts, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, visibleName(value)))));
    this.drawTasks();
  }

  drawTasks() {
    this.tasks.draw();
    const isFilled = [...store.tasks.values()].some(
      (task) => task.index === this.name && task.kind === "add" && isOpen(task),
    );
    this.state.textContent = this.isEmpty && isFilled ? "is being filled" : (this.indexState ?? "");
    show(this.hint, Boolean(this.isEmpty) && !isFilled);
  }

  async compact(retrain) {
    await this.attempt("The compaction did not start.", async () => {
      take(await request("POST", ofIndex(this.name, "/compact"), { retrain }));
    });
  }

  async delete() {
    const typed = $("#delete-typed");
    $("#delete-name").textContent = this.name;
    typed.value = "";
    $("#delete-ok").disabled = true;
    typed.oninput = () => ($("#delete-ok").disabled = typed.value !== this.name);
    if (!(await ask($("#delete-dialog")))) return;
    await this.attempt("The index was not deleted.", async () => {
      await request("DELETE", ofIndex(this.name));
      removeIndex(this.name);
      changed("tasks");
      $("#indexes-title").scrollIntoView({ block: "nearest" });
      $("#main").focus();
    });
  }

  async attempt(what, action) {
    this.error.textContent = "";
    try {
      await action();
    } catch (error) {
      this.error.textContent = `${what} ${error.message}`;
    }
  }
}

const compactChoice = (select) => el("label", {}, el("span", { class: "hidden-title" }, "Centroids"), select);
