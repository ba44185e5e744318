// Files and folders that were dropped or chosen, and the passages in them.

import { BadLine, documentOf } from "./json-lines.js";

/** Length of a part of a text file, in UTF-16 units. */
const PART = 1200;
/** Files above this size are no texts to read as a whole. */
const MAX_TEXT_BYTES = 32e6;

/** Returns why a folder is skipped, if it is. */
function skipReason(name) {
  if (name.startsWith(".")) return "a hidden folder";
  return name === "node_modules" ? "a folder of packages" : null;
}

/**
 * Starts to collect what a drop holds. The entries must be taken before the event ends, so this part is not async;
 * the promise resolves to `{files: [{path, file}], skipped: [{path, reason}]}`.
 */
export function collectDrop(transfer) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const roots = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  return collectEntries(roots);
}

async function collectEntries(roots) {
  const found = { files: [], skipped: [] };
  for (const root of roots) {
    if (root instanceof File) found.files.push({ path: root.name, file: root });
    else await walk(root, found);
  }
  return found;
}

async function walk(entry, found) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.files.push({ path, file });
    } else if (skipReason(entry.name)) {
      found.skipped.push({ path, reason: skipReason(entry.name) });
    } else {
      for (const child of await children(entry)) await walk(child, found);
    }
  } catch (error) {
    found.skipped.push({ path, reason: `it cannot be read: ${error.message}` });
  }
}

/** Entries of a folder in the order of their names. A reader gives at most some hundred at a time. */
async function children(entry) {
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all.sort((a, b) => (a.name < b.name ? -1 : 1));
    all.push(...some);
  }
}

/** Takes the files of a file picker; those of a folder have a path. A folder that is skipped is named once. */
export function collectPicked(list) {
  const found = { files: [], skipped: [] };
  const skipped = new Map();
  for (const file of list) {
    const path = file.webkitRelativePath || file.name;
    const folders = path.split("/").slice(0, -1);
    const at = folders.findIndex(skipReason);
    if (at >= 0) skipped.set(folders.slice(0, at + 1).join("/"), skipReason(folders[at]));
    else found.files.push({ path, file });
  }
  found.skipped = [...skipped].map(([path, reason]) => ({ path, reason }));
  return found;
}

/** Whether each line of a file is a passage, with an id of its own. */
export const isOfLines = (path) => /\.(jsonl|ndjson|tsv)$/i.test(path);

/**
 * Yields the documents of a file of lines as `{json, isEmbedded, place}`, and `{error, place}` for a line that is none.
 * `onRead(bytes)` is told how far the file was read.
 */
export async function* lineDocuments({ path, file }, onRead) {
  if (/\.tsv$/i.test(path)) yield* tableLines(path, file, onRead);
  else yield* jsonLines(path, file, onRead);
}

async function* jsonLines(path, file, onRead) {
  for await (const { text, place } of lines(path, file, onRead)) {
    if (text.trim() === "") continue;
    try {
      yield { ...documentOf(text.trim()), place };
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      yield { place, error: error.message };
    }
  }
}

async function* tableLines(path, file, onRead) {
  for await (const { text, place } of lines(path, file, onRead)) {
    const tab = text.indexOf("\t");
    if (text.trim() === "") continue;
    if (tab <= 0) yield { place, error: "no id with a tab after it" };
    else yield { json: JSON.stringify({ id: text.slice(0, tab), text: text.slice(tab + 1) }), place };
  }
}

/** Yields the lines of a file, which may be larger than the memory. */
async function* lines(path, file, onRead) {
  const reader = file.stream().getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let read = 0;
  let number = 0;
  for (;;) {
    const { value, done } = await reader.read();
    let more;
    try {
      more = done ? decoder.decode() : decoder.decode(value, { stream: true });
    } catch {
      throw new NotText(`line ${number + 1} or one after it is not UTF-8`);
    }
    const all = (rest + more).split("\n");
    rest = done ? "" : all.pop();
    for (const line of all) {
      number += 1;
      yield { text: line.replace(/\r$/, ""), place: `${path}, line ${number}` };
    }
    read += value?.length ?? 0;
    onRead(read);
    if (done) return;
  }
}

/** A file that holds no text. */
export class NotText extends Error {}

/**
 * Reads a text file as `{sha256, documents: [{json, place}]}`. The hash is that of its bytes; `null` where the browser
 * computes none, on pages that came without encryption from another machine.
 */
export async function textDocuments({ path, file }) {
  if (file.size > MAX_TEXT_BYTES) throw new NotText("it is too large for a text");
  const data = new Uint8Array(await file.arrayBuffer());
  const parts = split(decoded(data));
  const sha256 = crypto.subtle ? hex(await crypto.subtle.digest("SHA-256", data)) : null;
  const documents = parts.map((text, at) => {
    const metadata = { path, part: at + 1, ...(sha256 && { sha256 }) };
    const id = partId(path, at + 1);
    return { json: JSON.stringify({ id, text, metadata }), place: id };
  });
  return { sha256, documents };
}

/** Id of a part of a text file. */
export const partId = (path, part) => `${path}#${part}`;

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

function decoded(data) {
  if (data.includes(0)) throw new NotText("it is binary: it contains a zero byte");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    throw new NotText("it is not UTF-8 text");
  }
}

/** Splits a text into parts of about `PART` units at the best boundary: an empty line, a line, a sentence, a space. */
export function split(text) {
  const parts = [];
  let rest = text.replace(/\r\n?/g, "\n");
  // A short end stays with the part before it.
  while (rest.length > 1.25 * PART) {
    const at = cutBefore(rest, PART);
    parts.push(rest.slice(0, at));
    rest = rest.slice(at);
  }
  parts.push(rest);
  return parts.map((part) => part.replace(/^\n+/, "").trimEnd()).filter((part) => part.trim() !== "");
}

/** Returns the last place of the best boundary in the second half of the first `end` units. */
function cutBefore(text, end) {
  for (const boundary of ["\n\n", "\n", ". ", " "]) {
    const at = text.lastIndexOf(boundary, end - boundary.length);
    if (at >= end / 2) return at + boundary.length;
  }
  // Never between the two halves of a character.
  return /[\ud800-\udbff]/.test(text[end - 1]) ? end - 1 : end;
}
