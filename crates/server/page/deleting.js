// Deletion of passages: one result, or all that a filter finds. Each asks before.

import { ofIndex, request } from "./api.js";
import { $, ask, el, fill, visibleName } from "./dom.js";
import { matching } from "./known.js";
import { count, counted } from "./numbers.js";

function confirmed(title, what) {
  $("#confirm-title").textContent = title;
  fill($("#confirm-what"), what);
  return ask($("#confirm-dialog"));
}

const sentDelete = (index, body) => request("POST", ofIndex(index, "/delete"), body);

/** Deletes a passage; resolves to the answer, or null if it was not confirmed. */
export async function deletePassage(index, id) {
  const what = el("p", {}, el("b", {}, visibleName(id)), " is deleted from ", el("b", {}, visibleName(index)), ".");
  return (await confirmed("Delete a passage", what)) ? sentDelete(index, { ids: [id] }) : null;
}

/** Deletes the passages for which a filter is true; resolves to the answer, or null if none was deleted. */
export async function deleteMatching(index, where) {
  const { hits, isAll } = await matching(index, where);
  const number = isAll ? counted(hits.length, "passage") : `${count(hits.length)} passages or more`;
  const what = [
    el("p", {}, `The filter finds ${number} of `, el("b", {}, visibleName(index)), ", whatever the query is:"),
    el("p", {}, el("code", {}, visibleName(where))),
  ];
  $("#confirm-ok").disabled = hits.length === 0;
  const isConfirmed = await confirmed(`Delete ${number}`, what);
  $("#confirm-ok").disabled = false;
  return isConfirmed ? sentDelete(index, { where }) : null;
}
