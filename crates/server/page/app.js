// The page: keeps its state in the address, and starts the parts.

import { currentKey, onUnauthorized, request, setKey } from "./api.js";
import { $, ask, show } from "./dom.js";
import { startPanel } from "./indexes.js";
import { Search } from "./search.js";
import { read, write } from "./state.js";
import { changed, followIndexes, loadIndexes, loadTasks, store, subscribe } from "./store.js";
import { followTasks } from "./tasks.js";
import { startTheme } from "./theme-button.js";
import { pickFor, startUpload } from "./upload.js";

let state = read();
// What was typed before this script ran counts as if it was typed after.
const early = $("#query").value;
if (early) {
  state.q = early;
  history.replaceState(null, "", write(state));
}
const sharedIndex = state.index;
const search = new Search(state, go);
/** Whether the address is one of a text that is being typed, which the next one replaces. */
let isTyping = false;

/** Changes the state. What is typed makes one entry of the history, not one for each pause. */
function go(changes, how) {
  const next = { ...state, ...changes };
  const address = write(next);
  const isSame = address === write(state);
  state = next;
  if (!isSame) {
    if (how === "replace" && isTyping) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }
  isTyping = how === "replace" && (isTyping || !isSame);
  drawView();
  // Enter searches again, even for the same words. A pause in typing that changed nothing does not.
  if (state.view === "search" && !(isSame && how === "replace")) search.take(state);
}

function drawView() {
  const isSearch = state.view === "search";
  show($("#search-view"), isSearch);
  show($("#indexes-view"), !isSearch);
  for (const [id, isCurrent] of [["#to-search", isSearch], ["#to-indexes", !isSearch]]) {
    if (isCurrent) $(id).setAttribute("aria-current", "page");
    else $(id).removeAttribute("aria-current");
  }
  document.title = isSearch ? [state.q, "selvedge"].filter(Boolean).join(" – ") : "Indexes – selvedge";
}

/** Chooses an index if there is none, or it is gone, and returns whether it is another one now. */
function chooseIndex() {
  const names = [...store.indexes.keys()].sort();
  // An index of a shared address that does not exist is not silently replaced by another one.
  if (state.index !== "" && (store.indexes.has(state.index) || state.index === sharedIndex)) return false;
  const index = names.find((name) => store.indexes.get(name).state === "ready") ?? names[0] ?? "";
  if (index === state.index) return false;
  state = { ...state, index };
  history.replaceState(null, "", write(state));
  return true;
}

function listen() {
  addEventListener("popstate", () => {
    state = read();
    search.writeTexts(state);
    isTyping = false;
    chooseIndex();
    drawView();
    search.take(state);
  });
  addEventListener("keydown", (event) => {
    const isInField = event.target.closest?.("input, select, textarea, dialog");
    if (event.key !== "/" || isInField || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (state.view !== "search") go({ view: "search" }, "push");
    $("#query").focus();
    $("#query").select();
  });
  for (const [id, view] of [["#to-search", "search"], ["#to-indexes", "indexes"], ["#first-index", "indexes"]]) {
    $(id).addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go({ view }, "push");
      if (id === "#first-index") $("#create").open = true;
    });
  }
  $("#change-key").addEventListener("click", changeKey);
}

async function askForKey(wasRefused) {
  $("#key").value = "";
  $("#key-error").textContent = wasRefused ? "The server did not accept this key." : "";
  show($("#forget-key"), false);
  return (await ask($("#key-dialog"))) ? $("#key").value.trim() : null;
}

/** Takes another key, or forgets it. The page starts again with what the key allows. */
async function changeKey() {
  $("#key").value = "";
  $("#key-error").textContent = "";
  show($("#forget-key"), true);
  const isGiven = await ask($("#key-dialog"));
  if (!isGiven && $("#key-dialog").returnValue !== "forget") return;
  setKey(isGiven ? $("#key").value.trim() : null);
  location.reload();
}

const ROLE_NOTES = {
  read: "This API key may search only: what adds, changes or deletes is hidden.",
  write: "This API key may add and delete passages: what creates or deletes indexes is hidden.",
};

/** Says why controls are hidden. */
function drawRole(role) {
  document.documentElement.dataset.role = role ?? "";
  $("#role-note").textContent = ROLE_NOTES[role] ?? "";
  show($("#role-note"), role in ROLE_NOTES);
  show($("#change-key"), currentKey() !== null);
}

function drawLive() {
  $("#live").textContent = store.isLive ? "live" : "not connected";
  $("#live").dataset.live = store.isLive;
}

/** Loads what the page shows at first. Without it nothing works, so a failure offers to try again. */
async function load() {
  show($("#page-error"), false);
  try {
    store.info = await request("GET", "v1/info");
    drawRole(store.info.role);
    changed("info");
    await loadIndexes();
  } catch (error) {
    $("#page-error").textContent = `${error.message} Reload the page to try again.`;
    show($("#page-error"), true);
    return;
  }
  chooseIndex();
  subscribe((what) => what === "indexes" && chooseIndex() && search.take(state));
  subscribe((what) => what === "live" && drawLive());
  search.take(state);
  // Tasks are no part of the search: without them the page still works.
  loadTasks().catch(() => {});
  followTasks();
  followIndexes();
}

onUnauthorized(askForKey);
startTheme($("#theme"));
startPanel(go, pickFor);
// On the panel of the indexes no index is in view: only a card, or there being one only, says which is meant.
startUpload(go, () => (state.view === "search" || store.indexes.size === 1 ? state.index : null));
if (state.q || state.where) search.writeTexts(state);
listen();
drawView();
if (state.view === "search") $("#query").focus();
await load();
