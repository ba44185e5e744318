// Times of the stages of a search, as a bar with a legend.

import { el } from "./dom.js";
import { count, counted, time } from "./numbers.js";

/** Stages in the order in which they run, with the names that are shown. */
const STAGES = [
  ["queue", "waiting"],
  ["encode", "encode query"],
  ["quantize_query", "quantize query"],
  ["probe", "probe cells"],
  ["candidates", "candidates"],
  ["approx", "approximate scores"],
  ["score", "MaxSim"],
  ["topk", "top k"],
  ["lexical", "lexical (BM25)"],
  ["output", "texts and explanations"],
];

/** Returns the stages that took time, and the rest of the total as a stage of its own. */
function stages(times) {
  const known = STAGES.map(([name, label], number) => ({ label, number, us: times[name] ?? 0 }));
  const rest = (times.total ?? 0) - known.reduce((sum, { us }) => sum + us, 0);
  known.push({ label: "other", number: STAGES.length, us: Math.max(0, rest) });
  return known.filter(({ us }) => us > 0);
}

/** Makes the bar of an answer; `browserUs` is the time from the request to the answer as the browser saw it. */
export function funnel({ times_us: times = {}, num_scored: numScored, generation }, index, browserUs) {
  const parts = stages(times);
  const label = parts.map(({ label, us }) => `${label} ${time(us)}`).join(", ");
  const segments = parts.map(({ number, label, us }) =>
    el("span", { class: `stage stage-${number}`, title: `${label}: ${time(us)}`, vars: { grow: us } }),
  );
  const bar = el("span", { class: "bar", role: "img", "aria-label": label }, segments);
  const legend = parts.map(({ number, label, us }) =>
    el("div", {}, el("dt", {}, el("span", { class: `swatch stage-${number}` }), label), el("dd", {}, time(us))),
  );
  return el(
    "details",
    { class: "funnel" },
    el("summary", {}, summary(times, browserUs), bar),
    el("dl", { class: "legend" }, legend),
    el("p", {}, scored(numScored, index), ` Answered from generation ${count(generation)}.`),
  );
}

const summary = (times, browserUs) => `${time(times.total)} on the server, ${time(browserUs)} in the browser`;

function scored(numScored, index) {
  const total = index ? ` of ${counted(index.passages, "passage")}` : "";
  return `${count(numScored)}${total} got a full MaxSim score.`;
}
