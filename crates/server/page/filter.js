// Filters: the expression that was typed, and the values of facets that were clicked.

const WORDS = new Set("AND OR NOT IN BETWEEN LIKE IS NULL TRUE FALSE".split(" "));

/** A key as filters write it: names joined by dots, in double quotes if they need them. */
export function quotedKey(key) {
  const isBare = (part) => /^[\p{L}_][\p{L}\p{N}_-]*$/u.test(part) && !WORDS.has(part.toUpperCase());
  const name = (part) => (isBare(part) ? part : `"${part.replaceAll('"', '""')}"`);
  return key.split(".").map(name).join(".");
}

/** A value as filters write it. */
export function quotedValue(value) {
  if (typeof value === "boolean") return value ? "TRUE" : "FALSE";
  return typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
}

/** The condition of one facet's value. */
export const condition = ([key, value]) => `${quotedKey(key)} = ${quotedValue(value)}`;

/** Joins the expression and the facets; `undefined` if there is no condition. */
export function joined(where, facets) {
  const typed = where.trim();
  const parts = facets.map(condition);
  if (typed && parts.length) parts.unshift(`(${typed})`);
  else if (typed) parts.push(typed);
  return parts.length ? parts.join(" AND ") : undefined;
}

/** Whether a key is one that this page stores with the parts of files, and that says nothing to search by. */
export const isOwnKey = (key, keys) => ["part", "sha256"].includes(key) && keys.includes("path");

/** An example of a filter with keys of the index; "" if it has none. */
export function example(columns) {
  const keys = columns.map(({ key }) => key);
  const used = columns.filter(({ key, kind }) => !isOwnKey(key, keys) && ["text", "integer", "float"].includes(kind));
  const [first] = used;
  const second = used.find(({ key, kind }) => first && key !== first.key && kind !== first.kind);
  const shown = ({ key, kind }) => {
    if (kind !== "text") return `${quotedKey(key)} >= 1`;
    return key === "path" ? "path LIKE '%.md'" : `${quotedKey(key)} = 'value'`;
  };
  return [first, second].filter(Boolean).map(shown).join(" AND ");
}

const MAX_FACETS = 5;
const MAX_FACET_VALUES = 2000;

/** Keys whose values group passages: several values, and several passages for most of them. Few values come first. */
export function facetKeys(columns) {
  const keys = columns.map(({ key }) => key);
  const groups = columns.filter(
    ({ key, kind, values, passages }) =>
      !isOwnKey(key, keys) &&
      !["float", "long"].includes(kind) &&
      values > 1 &&
      values <= MAX_FACET_VALUES &&
      2 * values <= passages,
  );
  groups.sort((a, b) => a.values - b.values);
  return [...new Set(groups.map(({ key }) => key))].slice(0, MAX_FACETS);
}
