// Files for the tests: texts, lines of documents, a table, and files that the page must skip.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export const HTML = 'Wash wool <img src=x onerror="window.pwned=1"><b>cold</b> <script>window.pwned=2</script> & dry.';
export const EMOJI = "🧵🧶 𝒲eavers keep thread, 🪡 needle and shears: the edge keeps cloth from fraying 🧵 at the loom.";
export const CONTROL_ID = "bell\u0007/\u202eid";

const LINES = [
  { id: "html", text: HTML, metadata: { venue: "<i>Mill</i>", year: 2020 } },
  { id: "emoji/astral", text: EMOJI, metadata: { venue: "Loom Letters", year: 2021 } },
  { id: CONTROL_ID, text: "A bell \u0007 rings: the loom is empty.", metadata: { venue: "Loom Letters", year: 2022 } },
  { id: "quote", text: "Indigo is a dye of blue.", metadata: { venue: "Dyer's Digest", year: 2021 } },
];
const SUBJECTS = ["linen", "cotton", "silk", "hemp", "jute", "ramie", "mohair", "nettle", "flax", "felt"];
for (const [at, subject] of SUBJECTS.entries()) {
  const venue = at % 2 ? "Dyer's Digest" : "Loom Letters";
  const text = `How ${subject} thread is woven into cloth.`;
  LINES.push({ id: `cloth/${subject}`, text, metadata: { venue, year: 2015 + at } });
}

/** Documents of the table and of the lines. */
export const NUM_LINES = LINES.length + 2;

const PARAGRAPH =
  "A loom holds the warp under tension while the weft is drawn through it. The shuttle carries the weft from side " +
  "to the other, and the reed beats it home. At each side the weft turns back and binds the edge. ";

/** Writes the files and returns their folder. */
export function write(name) {
  const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "page-")), name);
  fs.mkdirSync(path.join(folder, ".hidden"), { recursive: true });
  fs.mkdirSync(path.join(folder, "notes"));
  const put = (file, content) => fs.writeFileSync(path.join(folder, file), content);
  put("documents.jsonl", `${LINES.map((line) => JSON.stringify(line)).join("\n")}\n{"text": "no id"}\n`);
  put("table.tsv", "tab/1\tA teasel raises the nap of wool cloth.\ntab/2\tFulling makes wool dense.\nno tab here\n");
  put("notes/long.md", `# Weaving\n\n${`${PARAGRAPH}\n\n`.repeat(12)}`);
  put("notes/binary.bin", Buffer.from([1, 2, 0, 3]));
  put("notes/latin1.txt", Buffer.from([0x67, 0x72, 0xfc, 0x6e]));
  put(".hidden/secret.txt", "not to be indexed");
  return folder;
}
