// Lines of JSON, as documents. Fields besides id, text, metadata and embeddings are metadata, as in `selvedge index`.

const OWN = new Set(["id", "text", "metadata", "embeddings"]);

/** Tokens of well-formed JSON: strings, punctuation, and the rest. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s"{}[\]:,]+/gs;

/** A line that is no document. */
export class BadLine extends Error {}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Returns the document of a line as `{json, isEmbedded}`. */
export function documentOf(line) {
  const parsed = parse(line);
  const fields = new Map();
  for (const [name, value] of fieldsOf(line)) {
    if (fields.has(name)) throw new BadLine(`“${name}” is given twice`);
    fields.set(name, value);
  }
  const isBeir = !fields.has("id") && fields.has("_id");
  const id = parsed[isBeir ? "_id" : "id"];
  if (!["string", "number"].includes(typeof id)) throw new BadLine("it has no id that is a text or a number");
  const isEmbedded = (parsed.embeddings ?? null) !== null;
  if (typeof parsed.text !== "string" && !isEmbedded) throw new BadLine("it has neither a text nor embeddings");
  const others = [...fields.keys()].filter((name) => !OWN.has(name) && !(isBeir && name === "_id"));
  if (others.length === 0 && !isBeir) return { json: line, isEmbedded };
  const document = [["id", fields.get(isBeir ? "_id" : "id")], ["metadata", metadataOf(parsed, fields, others)]];
  for (const name of ["text", "embeddings"]) if (fields.has(name)) document.push([name, fields.get(name)]);
  // BEIR's own programs put the title before the text.
  const hasTitle = isBeir && typeof parsed.title === "string";
  if (hasTitle) document.push(["text", JSON.stringify(`${parsed.title} ${parsed.text ?? ""}`.trim())]);
  return { json: written([...new Map(document)]), isEmbedded };
}

function parse(line) {
  let parsed;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    throw new BadLine(`it is no JSON: ${error.message}`);
  }
  if (!isObject(parsed)) throw new BadLine("it is no JSON object");
  return parsed;
}

const written = (fields) => `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;

/** Joins the metadata and the other fields. */
function metadataOf(parsed, fields, others) {
  const metadata = parsed.metadata ?? {};
  if (!isObject(metadata)) throw new BadLine("its metadata is no object");
  const twice = others.find((name) => Object.hasOwn(metadata, name));
  if (twice !== undefined) throw new BadLine(`“${twice}” is given in the metadata and beside it`);
  const given = parsed.metadata ? fieldsOf(fields.get("metadata")) : [];
  return written([...given, ...others.map((name) => [name, fields.get(name)])]);
}

/** Returns the fields of a well-formed object, each value as it is written: parsing would round long numbers. */
function fieldsOf(object) {
  const fields = [];
  let depth = 0;
  let name = null;
  let start = 0;
  for (const { 0: token, index } of object.matchAll(TOKEN)) {
    if (depth === 1 && name !== null && (token === "," || token === "}")) {
      fields.push([name, object.slice(start, index).trim()]);
      name = null;
    }
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && token === ":") start = index + 1;
    else if (depth === 1 && name === null && token[0] === '"') name = JSON.parse(token);
  }
  return fields;
}
