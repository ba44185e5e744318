// The browser of the tests, and the checks' bookkeeping. Packages are found in the folder that PAGE_TOOLS names.

import { createRequire } from "node:module";
import path from "node:path";

const tools = process.env.PAGE_TOOLS;
if (!tools) throw new Error("set PAGE_TOOLS: a folder whose node_modules has playwright-core and @axe-core/playwright");
const require = createRequire(path.resolve(tools, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("@axe-core/playwright");
const AxeBuilder = axe.AxeBuilder ?? axe.default;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

let prepare = async () => {};

/** Sets what is done before each check, so that a check that fails leaves nothing to the next ones. */
export function beforeEach(body) {
  prepare = body;
}

const results = { passed: 0, failed: 0 };

/** Runs a check and prints one line. A check passes if it neither throws nor returns a complaint. */
export async function check(name, body) {
  const started = performance.now();
  let complaint = "";
  try {
    await prepare();
    complaint = (await body()) || "";
  } catch (error) {
    complaint = String(error.message ?? error).split("\n").slice(0, 4).join(" | ");
  }
  results[complaint ? "failed" : "passed"] += 1;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(complaint ? `FAIL  ${name}: ${complaint}` : `ok    ${name} (${seconds} s)`);
}

/** Prints the sums and returns the exit code. */
export function summary() {
  console.log(`${results.passed} passed, ${results.failed} failed`);
  return results.failed === 0 && results.passed > 0 ? 0 : 1;
}

export function equal(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: found ${a}, expected ${b}`);
}

export function assert(condition, what) {
  if (!condition) throw new Error(what);
}

const OVER_PICTURES = ["bgImage", "bgGradient", "imgNode", "pseudoContent"];

/** Complains about every violation of accessibility rules that axe-core finds. */
export async function accessible(page) {
  const { violations, incomplete } = await new AxeBuilder({ page }).analyze();
  // axe-core does not judge text over pictures and gradients. A page could hide all of its text there.
  const isHidden = ({ any }) => any.some(({ data }) => OVER_PICTURES.includes(data?.messageKey));
  const contrast = incomplete.filter(({ id }) => id === "color-contrast");
  violations.push(...contrast.filter(({ nodes }) => nodes.some(isHidden)));
  const texts = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" ; ")}`);
  if (texts.length) throw new Error(texts.join(" | "));
}

/** Complains if the page is wider than its window. */
export async function fitsWidth(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(content <= window, `the page is ${content} px wide in a window of ${window} px`);
}

export async function screenshot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

/**
 * Watches a page: errors of scripts, violations of the content security policy, and requests to other servers.
 * Returns the list that they are put into.
 */
export function watch(page, base) {
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`script: ${error.message}`));
  page.on("console", (message) => {
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isAnswer) troubles.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:")) troubles.push(`request: ${url}`);
  });
  return troubles;
}

/** Drops files and folders of the disk onto a page, as a file manager does. */
export async function drop(page, paths) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x: 200, y: 300, data });
  }
  await session.detach();
}
