// State of the page that its address holds, so that a search can be shared and the back button works.

export const MODES = ["maxsim", "hybrid", "lexical", "exact"];
export const PAGE_SIZES = [10, 20, 50, 100];

/** Settings of a search that are numbers, with their limits; null stands for the server's own. */
export const NUMBERS = { alpha: [0, 1], lexical_first: [1, 1e4], nprobe: [1, 65536], ndocs: [1, 1e7] };

/** State of an address without parameters. */
const START = { view: "search", index: "", q: "", mode: "maxsim", where: "", k: 10, facets: [] };
for (const name of Object.keys(NUMBERS)) START[name] = null;

/** Reads the state from the parameters of an address. Whatever is not understood is left out. */
export function read(search = location.search) {
  const parameters = new URLSearchParams(search);
  const state = { ...START, facets: [] };
  for (const name of ["index", "q", "where"]) state[name] = parameters.get(name) ?? "";
  if (parameters.get("view") === "indexes") state.view = "indexes";
  if (MODES.includes(parameters.get("mode"))) state.mode = parameters.get("mode");
  if (PAGE_SIZES.includes(Number(parameters.get("k")))) state.k = Number(parameters.get("k"));
  for (const name of Object.keys(NUMBERS)) state[name] = readNumber(name, parameters.get(name));
  state.facets = parameters.getAll("facet").map(readFacet).filter(Boolean);
  return state;
}

/** Returns a setting that is written as a number within its limits, or null. */
export function readNumber(name, text) {
  const [least, most] = NUMBERS[name];
  const number = Number(text);
  const isRight = text?.trim() && number >= least && number <= most && (name === "alpha" || Number.isInteger(number));
  return isRight ? number : null;
}

function readFacet(text) {
  try {
    const [key, value] = JSON.parse(text);
    return typeof key === "string" && value !== null && typeof value !== "object" ? [key, value] : null;
  } catch {
    return null;
  }
}

/** Writes a state as the query of an address. */
export function write(state) {
  const parameters = new URLSearchParams();
  for (const name of ["view", "index", "q", "mode", "where", "k", ...Object.keys(NUMBERS)]) {
    if (state[name] !== START[name]) parameters.set(name, state[name]);
  }
  for (const facet of state.facets) parameters.append("facet", JSON.stringify(facet));
  return `?${parameters}`;
}
