// Tasks of an index: progress by server-sent events, and a way to cancel.

import { events, request } from "./api.js";
import { button, el, fill, show } from "./dom.js";
import { count } from "./numbers.js";
import { changed, store, subscribe } from "./store.js";

/** A browser opens few connections to one server. Streams of tasks must leave some for searches. */
const MAX_STREAMS = 2;
const SHOWN_ENDED = 3;

const followed = new Set();

export const isOpen = (task) => task.state === "waiting" || task.state === "running";

const pathOf = (id) => `v1/tasks/${encodeURIComponent(id)}`;

/** Follows the open tasks, the running ones first. */
export function followTasks() {
  subscribe((what) => what === "tasks" && followMore());
  followMore();
}

function followMore() {
  const open = [...store.tasks.values()].filter((task) => isOpen(task) && !followed.has(task.id));
  open.sort((a, b) => (a.state === "running" ? 0 : 1) - (b.state === "running" ? 0 : 1));
  for (const task of open.slice(0, MAX_STREAMS - followed.size)) follow(task.id);
}

/** Waits before a stream that ended early is opened again. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 2000));

async function follow(id) {
  followed.add(id);
  try {
    for await (const { event, data } of events(`${pathOf(id)}/events`)) if (event === "task") take(data);
    // The stream may have been cut before the end.
    if (isOpen(store.tasks.get(id))) {
      take(await request("GET", pathOf(id), undefined, { quiet: true }));
      await pause();
    }
  } catch (error) {
    // A task that the server no longer knows would be followed forever.
    if (error.status === 404) store.tasks.delete(id);
    await pause();
  }
  followed.delete(id);
  changed("tasks");
}

export function take(task) {
  store.tasks.set(task.id, task);
  changed("tasks", task.index);
}

/** Returns the tasks of an index to show: the open ones, and the last ones that ended. */
function shownTasks(index) {
  const tasks = [...store.tasks.values()].filter((task) => task.index === index);
  const ended = tasks.filter((task) => !isOpen(task)).sort((a, b) => b.ended_ms - a.ended_ms);
  return [...tasks.filter(isOpen), ...ended.slice(0, SHOWN_ENDED)];
}

/** List of the tasks of an index. Rows are kept while their task changes, so that the focus stays. */
export class TaskList {
  constructor(index) {
    this.index = index;
    this.rows = new Map();
    this.list = el("ul", { class: "tasks" });
    this.element = el("div", {}, el("h3", {}, "Tasks"), this.list);
    this.draw();
  }

  draw() {
    const tasks = shownTasks(this.index);
    show(this.element, tasks.length > 0);
    const ids = new Set(tasks.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (!ids.has(id)) {
        row.element.remove();
        this.rows.delete(id);
      }
    }
    for (const task of tasks) this.drawTask(task);
  }

  drawTask(task) {
    let row = this.rows.get(task.id);
    if (!row) {
      row = new TaskRow(task.id);
      this.rows.set(task.id, row);
      this.list.append(row.element);
    }
    row.draw(task);
  }
}

class TaskRow {
  constructor(id) {
    this.text = el("span", {});
    this.progress = el("progress", {});
    this.error = el("p", { class: "error" });
    this.cancel = button("Cancel", () => this.stop(id), { class: "needs-write" });
    this.element = el("li", {}, this.text, this.progress, this.cancel, this.error);
  }

  draw(task) {
    const isCounted = task.total > 0;
    const amount = isCounted ? `, ${count(task.done)} of ${count(task.total)} ${task.unit ?? ""}` : "";
    const stage = isOpen(task) && task.stage ? `: ${task.stage}` : "";
    fill(this.text, el("b", {}, task.kind), ` ${task.state}${stage}${isOpen(task) ? amount : ""}`);
    this.progress.setAttribute("aria-label", `Progress of ${task.kind}`);
    // Without a value the bar shows that something goes on, and not how much.
    if (isCounted) Object.assign(this.progress, { max: task.total, value: task.done });
    else this.progress.removeAttribute("value");
    show(this.progress, isOpen(task));
    show(this.cancel, isOpen(task));
    this.error.textContent = errorText(task.error);
  }

  async stop(id) {
    this.cancel.disabled = true;
    try {
      const task = await request("DELETE", pathOf(id));
      if (task?.id) take(task);
    } catch (error) {
      this.error.textContent = `The task could not be cancelled. ${error.message}`;
      this.cancel.disabled = false;
    }
  }
}

function errorText(error) {
  if (!error) return "";
  return typeof error === "string" ? error : (error.message ?? JSON.stringify(error));
}
