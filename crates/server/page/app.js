// The page: keeps its state in the address, and starts the parts.

import { onUnauthorized, request } from "./api.js";
import { $, ask, show } from "./dom.js";
import { startPanel } from "./indexes.js";
import { Search } from "./search.js";
import { read, write } from "./state.js";
import { changed, followIndexes, loadIndexes, loadTasks, store, subscribe } from "./store.js";
import { followTasks } from "./tasks.js";
import { startUpload } from "./upload.js";

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
  $("#theme").addEventListener("click", nextTheme);
}

const THEMES = ["auto", "light", "dark"];

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? "auto";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("selvedge-theme", theme);
  $("#theme").textContent = `Theme: ${theme}`;
  document.dispatchEvent(new Event("selvedge-theme"));
}

async function askForKey(wasRefused) {
  $("#key").value = "";
  $("#key-error").textContent = wasRefused ? "The server did not accept this key." : "";
  return (await ask($("#key-dialog"))) ? $("#key").value.trim() : null;
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
    document.documentElement.dataset.role = store.info.role ?? "";
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
setTheme(document.documentElement.dataset.theme ?? "auto");
startPanel(go);
startUpload(go, () => state.index);
if (state.q || state.where) search.writeTexts(state);
listen();
drawView();
if (state.view === "search") $("#query").focus();
await load();
