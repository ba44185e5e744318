// Passages that an index has already of the files that are added: what has not changed is not sent again, and what is
// gone can be deleted.

import { ofIndex, request } from "./api.js";
import { condition, quotedValue } from "./filter.js";
import { partId } from "./read-files.js";
import { store } from "./store.js";

/** Most passages that one search returns. */
const MOST = 10000;

/**
 * Lists the passages for which a filter is true, without texts, in no order: at most `MOST` of them. Only an exact
 * search finds them whatever the query is.
 */
export async function matching(index, where, { signal, metadata = false } = {}) {
  const { model, dim } = store.indexes.get(index) ?? {};
  // An index without a model has no embeddings of a text.
  const query = model || !dim ? { query: "passage" } : { embeddings: [Array.from({ length: dim }, (_, at) => +!at)] };
  const body = { ...query, exact: true, k: MOST, where, text: false, metadata };
  const { hits } = await request("POST", ofIndex(index, "/search"), body, { signal });
  return { hits, isAll: hits.length < MOST };
}

/** Lists passages of files; beyond `MOST`, by ranges of their parts. */
async function listParts(index, where, signal, from = 1, to = Infinity) {
  const range = to === Infinity ? `part >= ${from}` : `part BETWEEN ${from} AND ${to}`;
  const { hits, isAll } = await matching(index, `(${where}) AND ${range}`, { signal, metadata: true });
  if (isAll) return hits;
  // More files than can be listed: none is compared.
  if (from === to) throw new Error(`The index has more than ${MOST} files of this name.`);
  const middle = to === Infinity ? 2 * from - 1 : Math.floor((from + to) / 2);
  const lower = await listParts(index, where, signal, from, middle);
  return lower.concat(await listParts(index, where, signal, middle + 1, to));
}

/** The first names of the paths of files: folders, and files that came without one. */
function roots(files) {
  const folders = new Set();
  const alone = [];
  for (const { path } of files) {
    if (path.includes("/")) folders.add(path.split("/")[0]);
    else alone.push(path);
  }
  return { folders: [...folders], alone };
}

/** What an index has of some files. */
export class Known {
  /** `found` is `{files, skipped}` of a drop; `parts` has the id and the hash of each part of each path. */
  constructor(found, parts = new Map()) {
    this.parts = parts;
    const { folders } = roots(found.files);
    const present = new Set(found.files.map(({ path }) => path));
    // A folder that could not be read says nothing about its files.
    const isUnread = (path) => found.skipped.some((each) => path === each.path || path.startsWith(`${each.path}/`));
    const isInside = (path) => folders.some((folder) => path.startsWith(`${folder}/`));
    this.gone = [...parts.keys()].filter((path) => isInside(path) && !present.has(path) && !isUnread(path)).sort();
  }

  /** Asks an index for the passages of files. Without text files among them, or in an empty index, it has none. */
  static async of(index, found, signal) {
    const { folders, alone } = roots(found.files);
    if (store.indexes.get(index)?.state !== "ready") return new Known(found);
    // LIKE has wildcards and no escape: what it finds too much is left out below.
    const conditions = folders.map((folder) => `path LIKE ${quotedValue(`${folder}/%`)}`);
    conditions.push(...alone.map((path) => condition(["path", path])));
    if (conditions.length === 0) return new Known(found);
    const parts = new Map();
    for (const { id, metadata } of await listParts(index, conditions.join(" OR "), signal)) {
      const { path, part, sha256 = null } = metadata ?? {};
      // Passages that others added may have keys of the same names.
      if (id !== partId(path, part) || !(alone.includes(path) || folders.includes(path.split("/")[0]))) continue;
      if (!parts.has(path)) parts.set(path, new Map());
      parts.get(path).set(part, { id, sha256 });
    }
    return new Known(found, parts);
  }

  /** Whether the index has a file as it is now: as many parts, all of the same content. */
  isUnchanged(path, sha256, number) {
    const parts = this.parts.get(path);
    if (sha256 === null || number === 0 || parts?.size !== number) return false;
    return Array.from({ length: number }, (_, at) => parts.get(at + 1)).every((part) => part?.sha256 === sha256);
  }

  /** Ids of the parts of a file that has only `number` parts now. */
  stale(path, number) {
    return [...(this.parts.get(path) ?? [])].filter(([part]) => part > number).map(([, { id }]) => id);
  }

  /** Ids of the passages of files that are gone. */
  goneIds() {
    return this.gone.flatMap((path) => this.stale(path, 0));
  }
}
