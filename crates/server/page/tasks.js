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

const REOPEN_MS = 2000;
const POLL_MS = 300;
const MAX_FAILURES = 10;

/** Waits for a time, or until a signal is aborted. */
function pause(signal, ms) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

async function follow(id) {
  followed.add(id);
  try {
    for await (const { event, data } of events(`${pathOf(id)}/events`)) if (event === "task") take(data);
    // The stream may have been cut before the end.
    if (isOpen(store.tasks.get(id))) {
      take(await request("GET", pathOf(id), undefined, { quiet: true }));
      await pause(null, REOPEN_MS);
    }
  } catch (error) {
    // A task that the server no longer knows would be followed forever.
    if (error.status === 404) store.tasks.delete(id);
    await pause(null, REOPEN_MS);
  }
  followed.delete(id);
  changed("tasks");
}

/**
 * Asks for a task again and again until it ends, and returns it; `onChange(task)` is told each answer. Once `signal` is
 * aborted, the task is cancelled: how it ended is what the server says.
 */
export async function untilEnd(task, signal, onChange) {
  let isCancelled = false;
  let failures = 0;
  followed.add(task.id);
  try {
    for (;;) {
      take(task);
      onChange(task);
      if (!isOpen(task)) return task;
      try {
        if (signal.aborted && !isCancelled) {
          task = (await request("DELETE", pathOf(task.id))) ?? task;
          isCancelled = true;
        } else {
          await pause(signal.aborted ? null : signal, POLL_MS * (1 + failures));
          if (!signal.aborted || isCancelled) task = await request("GET", pathOf(task.id));
        }
        failures = 0;
      } catch (error) {
        failures += 1;
        if (![0, 429, 503].includes(error.status) || failures > MAX_FAILURES) throw error;
      }
    }
  } finally {
    followed.delete(task.id);
    changed("tasks");
  }
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

/** Stage of a task, and how far it is: "encode, 12 of 40 passages". */
export function stageText({ stage, unit, done, total }) {
  if (!stage) return "";
  if (!(total > 0)) return done > 0 ? `${stage}, ${count(done)} ${unit ?? ""}` : stage;
  return `${stage}, ${count(done)} of ${count(total)} ${unit ?? ""}`;
}

/** Sets a bar to the stage of a task. Without a value the bar shows that something goes on, and not how much. */
export function setProgress(bar, task) {
  if (task?.total > 0) Object.assign(bar, { max: task.total, value: task.done });
  else bar.removeAttribute("value");
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
    const stage = isOpen(task) && stageText(task) ? `: ${stageText(task)}` : "";
    fill(this.text, el("b", {}, task.kind), ` ${task.state}${stage}`);
    this.progress.setAttribute("aria-label", `Progress of ${task.kind}`);
    setProgress(this.progress, task);
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
