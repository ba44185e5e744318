// Words of a query in a text: what a lexical search finds.

const WORD = /[\p{L}\p{N}]+/gu;

/** Endings that an index of English words takes off, more or less. */
const ENDING = /(?:ing|ed|es|s|ly)$/;

/** The word as it is compared: in lower case, and in an English index without its ending. */
function stem(word, language) {
  const lower = word.toLowerCase();
  return language === "english" && lower.length > 4 ? lower.replace(ENDING, "") : lower;
}

/** Returns where a text has words of a query, in code points, as the `words` of an explanation; all count the same. */
export function queryWords(text, query, language) {
  const wanted = new Set((query.match(WORD) ?? []).map((word) => stem(word, language)));
  const found = [];
  let [at, units] = [0, 0];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!wanted.has(stem(word, language))) continue;
    at += Array.from(text.slice(units, index)).length;
    const end = at + Array.from(word).length;
    found.push({ start: at, end, share: 1 });
    [at, units] = [end, index + word.length];
  }
  return found;
}
