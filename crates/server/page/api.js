// Requests to the server: JSON, errors, the API key, and streams of server-sent events.

/** Address that the routes are relative to, so that the page also works below a path of a reverse proxy. */
const ROOT = new URL("..", import.meta.url);

const KEY = "selvedge-api-key";

/** Error that the server answered, or that kept it from answering (status 0). */
export class ApiError extends Error {
  constructor(status, body = {}, retryAfter = null) {
    super(body.message || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code || "";
    this.details = body.details ?? null;
    this.retryAfter = retryAfter;
  }
}

/** Whether an error only says that a request was aborted. */
export const isAbort = (error) => error?.name === "AbortError";

/** Path of an index, whatever characters its name has. */
export const ofIndex = (name, rest = "") => `v1/indexes/${encodeURIComponent(name)}${rest}`;

let askForKey = async () => null;
let asking = null;

/** Sets the function that asks for an API key: `(wasRefused) => key or null`. */
export function onUnauthorized(ask) {
  askForKey = ask;
}

/** The API key in use, or null. */
export const currentKey = () => sessionStorage.getItem(KEY);

/** Uses another API key, or none. */
export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Asks once, however many requests were refused. */
function newKey(usedKey) {
  const stored = currentKey();
  if (stored !== usedKey) return Promise.resolve(stored);
  asking ??= askForKey(usedKey !== null).then((key) => {
    asking = null;
    if (key !== null) setKey(key);
    return key;
  });
  return asking;
}

async function fetchOnce(path, options, key) {
  const headers = { ...options.headers };
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  try {
    return await fetch(new URL(path, ROOT), { ...options, headers });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, { message: "The server does not answer. Check that it runs, then try again." });
  }
}

async function errorOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy may answer with anything: the status says enough.
  }
  const seconds = Number(response.headers.get("Retry-After"));
  return new ApiError(response.status, body, Number.isFinite(seconds) && seconds > 0 ? seconds : null);
}

/** Sends a request and returns the response, if it is a success. `quiet` requests do not ask for a key. */
async function send(path, { quiet = false, ...options } = {}) {
  for (;;) {
    const key = currentKey();
    const response = await fetchOnce(path, options, key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401 || quiet || (await newKey(key)) === null) throw error;
  }
}

/** Sends a request with a JSON body, if one is given, and returns the JSON of the answer. */
export async function request(method, path, body, options = {}) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const text = body === undefined ? undefined : JSON.stringify(body);
  return json(await send(path, { method, body: text, headers, ...options }));
}

/** Starts a write of an index with a body of JSON that is written already, and returns its task. */
export async function startWrite(index, route, text) {
  const headers = { "Content-Type": "application/json" };
  return json(await send(ofIndex(index, `/${route}?wait=false`), { method: "POST", body: text, headers }));
}

async function json(response) {
  return response.status === 204 ? null : response.json();
}

/**
 * Yields `{event, data}` of a stream of server-sent events until it ends; `onOpen` is called when the server has
 * accepted it. It is read by fetch because an EventSource cannot send an API key.
 */
export async function* events(path, { signal, onOpen } = {}) {
  const headers = { Accept: "text/event-stream" };
  const response = await send(path, { headers, signal, cache: "no-store", quiet: true });
  onOpen?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let message = { event: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.replace(/\r$/, "") === "") {
        if (message.data.length) yield { event: message.event, data: JSON.parse(message.data.join("\n")) };
        message = { event: "message", data: [] };
      } else {
        addField(message, line.replace(/\r$/, ""));
      }
    }
  }
}

/** Adds a line of a message, `field: value`. A line that begins with a colon is a comment that keeps the connection. */
function addField(message, line) {
  const colon = line.indexOf(":");
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (field === "data") message.data.push(value);
  else if (field === "event") message.event = value;
}
