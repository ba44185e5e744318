// State of the page that its address holds, so that a search can be shared and the back button works.

export const MODES = ["maxsim", "hybrid", "lexical", "exact"];
export const PAGE_SIZES = [10, 20, 50, 100];

/** State of an address without parameters. */
const START = { view: "search", index: "", q: "", mode: "maxsim", where: "", k: 10, facets: [] };

/** Reads the state from the parameters of an address. Whatever is not understood is left out. */
export function read(search = location.search) {
  const parameters = new URLSearchParams(search);
  const state = { ...START, facets: [] };
  for (const name of ["index", "q", "where"]) state[name] = parameters.get(name) ?? "";
  if (parameters.get("view") === "indexes") state.view = "indexes";
  if (MODES.includes(parameters.get("mode"))) state.mode = parameters.get("mode");
  if (PAGE_SIZES.includes(Number(parameters.get("k")))) state.k = Number(parameters.get("k"));
  state.facets = parameters.getAll("facet").map(readFacet).filter(Boolean);
  return state;
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
  for (const name of ["view", "index", "q", "mode", "where", "k"]) {
    if (state[name] !== START[name]) parameters.set(name, state[name]);
  }
  for (const facet of state.facets) parameters.append("facet", JSON.stringify(facet));
  return `?${parameters}`;
}
