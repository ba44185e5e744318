// Documentation of the API, drawn from the server's own description of it (OpenAPI 3.1).

import { onUnauthorized, request } from "./api.js";
import { $, ask, el, fill } from "./dom.js";
import { startTheme } from "./theme-button.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Groups of routes, those of selvedge itself first. Others, of clients that were written for other servers, follow. */
const TAGS = ["search", "documents", "indexes", "tasks", "encode", "operations"];

startTheme($("#theme"));
onUnauthorized(async () => ((await ask($("#key-dialog"))) ? $("#key").value.trim() : null));

try {
  const spec = await request("GET", "openapi.json");
  fill($("#api"), operations(spec), schemas(spec));
  openTarget();
} catch (error) {
  fill($("#api"), el("p", { class: "error", role: "alert" }, `The description could not be read. ${error.message}`));
}
$("#api").setAttribute("aria-busy", "false");
addEventListener("hashchange", openTarget);

/** Opens the schema that a link leads to. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

/** Sections of the operations, one for each tag. */
function operations(spec) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths ?? {})) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const tag = operation.tags?.[0] ?? "Routes";
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
      groups.set(tag, [...(groups.get(tag) ?? []), operationView(method, path, operation, parameters, spec)]);
    }
  }
  const place = (tag) => (TAGS.includes(tag) ? TAGS.indexOf(tag) : TAGS.length);
  const sorted = [...groups].sort(([a], [b]) => place(a) - place(b));
  return sorted.map(([tag, views]) => el("section", {}, el("h2", {}, tag), views));
}

/** A text of the description, in which backticks mark code. */
function prose(text) {
  return text.split(/`([^`]+)`/).map((piece, at) => (at % 2 ? el("code", {}, piece) : piece));
}

function operationView(method, path, operation, parameters, spec) {
  const title = el("h3", {}, el("span", { class: "method" }, method.toUpperCase()), ` ${path}`);
  return el(
    "details",
    { class: "operation" },
    el("summary", {}, title, el("span", {}, prose(operation.summary ?? ""))),
    operation.description && el("p", { class: "prose" }, prose(operation.description)),
    table("Parameters", parameters.map((parameter) => parameterRow(resolved(parameter, spec)))),
    operation.requestBody && bodyView("Body", resolved(operation.requestBody, spec)),
    table("Answers", Object.entries(operation.responses ?? {}).map((answer) => answerRow(answer, spec))),
  );
}

/** Follows a reference within the description. */
function resolved(object, spec) {
  if (!object?.$ref) return object;
  const steps = object.$ref.replace(/^#\//, "").split("/");
  return steps.reduce((at, step) => at?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], spec) ?? {};
}

function table(title, rows) {
  if (rows.length === 0) return null;
  const body = rows.map(([name, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, el("code", {}, name)), cells.map((cell) => el("td", {}, cell))),
  );
  return [el("h4", {}, title), el("table", {}, el("tbody", {}, body))];
}

function parameterRow({ name, in: place, required, schema, description }) {
  const where = `${place}${required ? "" : ", optional"}`;
  return [name ?? "", [typeOf(schema), ` in ${where}`], prose(description ?? "")];
}

function bodyView(title, body) {
  const view = ([type, { schema }]) => el("p", {}, el("code", {}, type), " ", typeOf(schema));
  return [el("h4", {}, title), Object.entries(body.content ?? {}).map(view)];
}

function answerRow([status, answer], spec) {
  const { description, content } = resolved(answer, spec);
  const types = Object.values(content ?? {}).map(({ schema }) => typeOf(schema));
  return [status, prose(description ?? ""), types.flatMap((type, at) => (at ? [" or ", type] : [type]))];
}

function nameOf(reference) {
  return decodeURIComponent(reference.split("/").at(-1));
}

/** A type in words, with links to the schemas that it names. */
function typeOf(schema) {
  if (schema === undefined || schema === true) return "anything";
  if (schema.$ref) return el("a", { href: `#schema-${encodeURIComponent(nameOf(schema.$ref))}` }, nameOf(schema.$ref));
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (choices) {
    const word = schema.allOf ? " and " : " or ";
    return choices.flatMap((choice, at) => (at ? [word, typeOf(choice)] : [typeOf(choice)]));
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const type = [schema.type ?? "anything"].flat().join(" or ");
  return schema.items ? ["array of ", typeOf(schema.items)] : type;
}

/** The schemas: their fields with types and descriptions. */
function schemas(spec) {
  const all = Object.entries(spec.components?.schemas ?? {});
  if (all.length === 0) return null;
  return el("section", {}, el("h2", {}, "Schemas"), all.map(([name, schema]) => schemaView(name, schema)));
}

function schemaView(name, schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([field, of]) => {
    const optional = required.has(field) ? "" : ", optional";
    return [field, [typeOf(of), optional], prose(of.description ?? "")];
  });
  return el(
    "details",
    { class: "operation", id: `schema-${name}` },
    el("summary", {}, el("h3", {}, name)),
    schema.description && el("p", { class: "prose" }, prose(schema.description)),
    rows.length ? table("Fields", rows) : el("p", {}, typeOf(schema)),
  );
}
