// Upload: files are dropped or chosen, and a dialog asks where they go.

import { $, ask, el, fill, show } from "./dom.js";
import { createIndex } from "./indexes.js";
import { Known } from "./known.js";
import { bytes, counted } from "./numbers.js";
import { collectDrop, collectPicked } from "./read-files.js";
import { Upload, places, sayInDock, skippedText } from "./sending.js";
import { store } from "./store.js";

let isBusy = false;
/** Index of the card whose button opened a picker. */
let picksFor = null;

/** Prepares dropping and choosing of files. `go` changes the state of the page; `current()` is the index in view. */
export function startUpload(go, current) {
  listenForDrops((transfer, aimed) => offer(collectDrop(transfer), go, aimed ?? current()));
  const picked = (list) => offer(Promise.resolve(collectPicked(list)), go, picksFor ?? current());
  listenForPicks("#file-picker", ["#add-files", "#first-files"], picked);
  listenForPicks("#folder-picker", ["#add-folder", "#first-folder"], picked);
}

/** Opens the picker for files that go to an index. */
export function pickFor(index) {
  picksFor = index;
  $("#file-picker").click();
}

function listenForPicks(picker, buttons, picked) {
  for (const each of buttons) {
    $(each).addEventListener("click", () => {
      picksFor = null;
      $(picker).click();
    });
  }
  $(picker).addEventListener("change", (event) => {
    const list = [...event.target.files];
    // The same files can be chosen again later.
    event.target.value = "";
    picked(list);
  });
}

function listenForDrops(dropped) {
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const hint = (isShown) => show($("#drop-hint"), isShown && store.info.role !== "read");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    hint(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) hint(false);
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hint(false);
    dropped(event.dataTransfer, event.target.closest?.(".index-card")?.dataset.index ?? null);
  });
}

/** Asks where the files go, and uploads them. */
async function offer(collecting, go, aimed) {
  if ($("dialog[open]")) return;
  if (isBusy) return void ($("#dock-busy").textContent = "An upload is running. Wait until it ends, or cancel it.");
  if (store.info.role === "read") return sayInDock("This API key may search only: no files can be added with it.");
  const found = await collecting;
  // A large folder takes a while to list: another one may have come first.
  if (isBusy || $("dialog[open]")) return;
  const target = await chooseTarget(found, aimed);
  if (target === null) return;
  isBusy = true;
  try {
    await new Upload(found, target).run(go);
  } finally {
    isBusy = false;
  }
}

/** Resolves to `{name, isNew, known, deletesGone}`, or null. */
async function chooseTarget(found, aimed) {
  const { files, skipped } = found;
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  $("#upload-what").textContent = `${counted(files.length, "file")}, ${bytes(size)}.`;
  const reasons = skipped.map(({ path, reason }) => [path, reason]);
  fill($("#upload-skipped"), reasons.length ? places(skippedText(reasons), reasons) : null);
  fillChoices(files, aimed);
  const select = $("#upload-index");
  let known = null;
  const chosen = () => {
    const isNew = select.value === NEW;
    show($("#upload-name-label"), isNew);
    $("#upload-name").required = isNew;
    $("#upload-ok").disabled = files.length === 0 || select.value === "";
    known = select.value.startsWith("=") ? lookUp(select.value.slice(1), found) : Promise.resolve(new Known(found));
    offerGone(known, () => known);
  };
  select.onchange = chosen;
  chosen();
  for (;;) {
    if (!(await ask($("#upload-dialog")))) return null;
    const deletesGone = $("#upload-gone").checked;
    if (select.value !== NEW) return { name: select.value.slice(1), isNew: false, known, deletesGone };
    const name = $("#upload-name").value.trim();
    try {
      return { name: (await createIndex({ name })).name, isNew: true, known, deletesGone: false };
    } catch (error) {
      $("#upload-error").textContent = `The index was not created. ${error.message}`;
    }
  }
}

/** What the index has of the files. If it cannot be asked, all files are sent, and nothing is deleted. */
async function lookUp(name, found) {
  try {
    return await Known.of(name, found);
  } catch (error) {
    return Object.assign(new Known(found), { problem: error.message });
  }
}

/** Offers to delete the passages of files that are gone, once it is known that there are some. */
async function offerGone(known, latest) {
  show($("#upload-gone-label"), false);
  $("#upload-gone").checked = false;
  const { gone, goneIds } = await known.then((each) => ({ gone: each.gone, goneIds: each.goneIds() }));
  if (known !== latest() || gone.length === 0) return;
  const files = `${counted(gone.length, "file")} that ${gone.length === 1 ? "is" : "are"} no longer in the folder`;
  $("#upload-gone-text").textContent = `Delete ${counted(goneIds.length, "passage")} of ${files}`;
  fill($("#upload-gone-list"), places("Which files", gone.map((path) => [path])));
  show($("#upload-gone-label"), true);
}

/** Value of the choice of a new index. A prefix tells the names of indexes from it. */
const NEW = "+";

/** Fills the choices. The index that was aimed at is chosen; without one, and with several, none is. */
function fillChoices(files, aimed) {
  const names = [...store.indexes.keys()].sort();
  const choices = names.map((name) => el("option", { value: `=${name}` }, name));
  const { can_create: canCreate, role } = store.info;
  if (canCreate !== false && role !== "write") choices.push(el("option", { value: NEW }, "a new index"));
  const isClear = names.includes(aimed) || names.length === 0;
  if (!isClear) choices.unshift(el("option", { value: "" }, "choose an index"));
  fill($("#upload-index"), choices);
  $("#upload-index").value = names.includes(aimed) ? `=${aimed}` : isClear ? NEW : "";
  $("#upload-name").value = indexName(files[0]?.path ?? "");
  $("#upload-error").textContent = "";
}

/** Name of a new index: that of the folder, or of the file without its ending. */
function indexName(path) {
  const [root] = path.split("/");
  const plain = root.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "");
  return plain || "documents";
}
