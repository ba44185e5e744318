// What the page knows of the server: its information, its indexes and its tasks. Views subscribe to changes.

import { events, isAbort, request } from "./api.js";

export const store = { info: {}, indexes: new Map(), tasks: new Map(), isLive: false };

const listeners = new Set();

/** Calls a function after each change with what changed: "indexes", "tasks" or "live", and the name of the index. */
export function subscribe(listener) {
  listeners.add(listener);
}

export function changed(what, name = null) {
  for (const listener of listeners) listener(what, name);
}

/** Loads the indexes. */
export async function loadIndexes(options) {
  const { indexes } = await request("GET", "v1/indexes", undefined, options);
  store.indexes = new Map(indexes.map((index) => [index.name, index]));
  for (const index of indexes) addTasks(index.tasks);
  changed("indexes");
}

/** Loads the tasks. */
export async function loadTasks() {
  const answer = await request("GET", "v1/tasks");
  addTasks(Array.isArray(answer) ? answer : answer.tasks);
  changed("tasks");
}

/** Takes the tasks that came with an index. They may be older than what a task's own stream said: no end is undone. */
export function addTasks(tasks) {
  for (const task of tasks ?? []) {
    const hasEnded = store.tasks.get(task.id)?.ended_ms && !task.ended_ms;
    if (!hasEnded) store.tasks.set(task.id, task);
  }
}

/** Takes a new state of an index. */
export function setIndex(index) {
  store.indexes.set(index.name, index);
  addTasks(index.tasks);
  changed("indexes", index.name);
  changed("tasks");
}

/** Forgets an index. */
export function removeIndex(name) {
  store.indexes.delete(name);
  changed("indexes", name);
}

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 30000;

/** Follows the changes of all indexes, and connects again whenever the connection ends. */
export async function followIndexes() {
  let wait = FIRST_WAIT_MS;
  for (;;) {
    try {
      for await (const { event, data } of events("v1/events", { onOpen: connected })) {
        wait = FIRST_WAIT_MS;
        if (event === "index") takeEvent(data);
      }
    } catch (error) {
      if (isAbort(error)) return;
    }
    setLive(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(2 * wait, MAX_WAIT_MS);
  }
}

/** Loads what changed before this connection. Later changes come as events. */
function connected() {
  setLive(true);
  // A failure shows itself: the stream ends too.
  loadIndexes({ quiet: true }).catch(() => {});
}

function takeEvent(index) {
  if (index.state === "deleted") removeIndex(index.name);
  else setIndex(index);
}

function setLive(isLive) {
  store.isLive = isLive;
  changed("live");
}
