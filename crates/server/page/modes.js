// Modes of a search: how each ranks, in words, and the settings that it has.

import { $, show } from "./dom.js";
import { NUMBERS, readNumber } from "./state.js";

const HELP = {
  maxsim: "By meaning: each word of the query counts by the most similar word of a passage (MaxSim).",
  hybrid: "By meaning and by words, MaxSim and BM25 together: for queries with names or numbers in them.",
  lexical: "By the words that query and passage share (BM25): for exact names, numbers and rare words.",
  exact: "By meaning, with every passage scored instead of the best candidates: slow in a large index.",
};

/** Modes in which a setting counts. */
const USED_IN = {
  alpha: ["hybrid"],
  lexical_first: ["maxsim"],
  nprobe: ["maxsim", "hybrid"],
  ndocs: ["maxsim", "hybrid"],
};

/** Whether a state uses a setting. Passages that are found by their words are not looked for by their embeddings. */
function isUsed(name, { mode, lexical_first: first }) {
  const isByWords = mode === "maxsim" && first !== null && name !== "lexical_first";
  return USED_IN[name].includes(mode) && !isByWords;
}

/** Returns the fields of a request that choose how passages are ranked. */
export function ranking(state) {
  const isByWords = state.mode === "maxsim" && state.lexical_first !== null;
  const mode = isByWords ? "lexical_first" : state.mode;
  const settings = Object.keys(NUMBERS).filter((name) => state[name] !== null && isUsed(name, state));
  return {
    mode: mode === "exact" ? "maxsim" : mode,
    exact: mode === "exact",
    ...Object.fromEntries(settings.map((name) => [name, state[name]])),
  };
}

/** Listens to the controls. `change(changes)` changes the state. */
export function startModes(change) {
  for (const mode of document.getElementsByName("mode")) {
    mode.addEventListener("change", () => change({ mode: mode.value }));
    mode.closest("label").title = HELP[mode.value];
  }
  for (const name of Object.keys(NUMBERS)) {
    const input = $(`#${name}`);
    input.addEventListener("change", () => {
      if (input.checkValidity()) change({ [name]: readNumber(name, input.value) });
      else input.reportValidity();
    });
  }
}

/** Shows a state in the controls. Settings that the mode does not use are hidden. */
export function drawModes(state) {
  for (const radio of document.getElementsByName("mode")) radio.checked = radio.value === state.mode;
  $("#mode-help").textContent = HELP[state.mode];
  for (const name of Object.keys(NUMBERS)) {
    const input = $(`#${name}`);
    if (document.activeElement !== input) input.value = state[name] ?? "";
    show(input.closest("label"), isUsed(name, state));
    if (state[name] !== null && isUsed(name, state)) $("#advanced").open = true;
  }
  show($("#advanced"), ["maxsim", "hybrid"].includes(state.mode));
}

/** Says what the heat map explains, if that is not the score of the mode. */
export function noteOfMode(mode) {
  const notes = {
    lexical: "These results are ranked by their words (BM25). The heat map explains MaxSim, not this score.",
    hybrid: "These results are ranked by MaxSim and by their words (BM25). The heat map explains MaxSim alone.",
  };
  return notes[mode] ?? null;
}
