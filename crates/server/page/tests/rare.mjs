// Checks of answers that a server gives rarely. They are put in by intercepting requests of the page.

import { accessible, assert, check, equal } from "./browser.mjs";

const failure = (status, code, message, headers = {}) => ({ status, headers, json: { code, message, details: null } });

export async function checks(tools) {
  await expiredCursor(tools);
  await failedSearch(tools);
  await busyServer(tools);
  await apiKey(tools);
  await cancelledTask(tools);
  await roles(tools);
}

const expiredCursor = ({ page, open, searchRoute }) =>
  check("an expired cursor offers to search again", async () => {
    await open({ q: "cloth" });
    await page.route(searchRoute, (route) => {
      const isNextPage = route.request().postDataJSON().cursor;
      return isNextPage ? route.fulfill(failure(410, "CURSOR_EXPIRED", "expired")) : route.continue();
    });
    await page.click("#more");
    await page.locator("#notice", { hasText: "expired" }).waitFor();
    equal(await page.locator("#more").isVisible(), false, "more is shown");
    const again = page.waitForRequest((request) => searchRoute(new URL(request.url())));
    await page.keyboard.press("Enter");
    equal((await again).postDataJSON().query, "cloth", "query of the new search");
  });

const failedSearch = ({ page, open, searchRoute }) =>
  check("a failed search says why, and can be tried again", async () => {
    await page.route(searchRoute, (route) => route.fulfill(failure(500, "INTERNAL", "the <b>encoder</b> failed")));
    await open();
    await page.fill("#query", "wool");
    await page.press("#query", "Enter");
    await page.locator("#notice", { hasText: "the <b>encoder</b> failed" }).waitFor();
    await accessible(page);
    await page.unrouteAll();
    await page.getByRole("button", { name: "Search again" }).click();
    await page.locator(".hit").first().waitFor();
  });

const busyServer = ({ page, open, name }) =>
  check("an upload waits for a busy server, and uses the file picker", async () => {
    await open();
    await page.locator("#live[data-live=true]").waitFor();
    let tries = 0;
    await page.route(/\/documents\?wait=false$/, (route) => {
      tries += 1;
      if (tries > 1) return route.continue();
      return route.fulfill(failure(429, "RATE_LIMITED", "busy", { "Retry-After": "1" }));
    });
    const file = { name: "picked.txt", mimeType: "text/plain", buffer: Buffer.from("A heddle lifts the warp.") };
    await page.setInputFiles("#file-picker", [file]);
    await page.click("#upload-ok");
    await page.getByRole("button", { name: `Search ${name}` }).waitFor();
    equal(tries, 2, "tries");
    assert(/^1 passage added/.test(await page.locator("#dock").textContent()), "the document was not added");
    await page.unrouteAll();
  });

const apiKey = ({ page, open }) =>
  check("401 asks for an API key, which is then sent", async () => {
    await page.route(/\/v1\//, (route) =>
      route.request().headers().authorization === "Bearer right"
        ? route.continue()
        : route.fulfill(failure(401, "UNAUTHORIZED", "an API key is needed")),
    );
    await open();
    await page.locator("#key-dialog[open]").waitFor();
    await accessible(page);
    await page.fill("#key", "wrong");
    await page.keyboard.press("Enter");
    await page.locator("#key-error", { hasText: "did not accept" }).waitFor();
    await page.fill("#key", "right");
    await page.keyboard.press("Enter");
    await page.locator("#live[data-live=true]").waitFor();
    equal(await page.evaluate(() => sessionStorage.getItem("selvedge-api-key")), "right", "stored key");
  });

const cancelledTask = ({ page, base, name }) =>
  check("a task shows its progress and can be cancelled", async () => {
    const task = { id: "long task", index: name, kind: "compact", state: "running", stage: "merge", unit: "passages" };
    Object.assign(task, { done: 25, total: 100, result: null, error: null, created_ms: Date.now(), ended_ms: null });
    await page.route(/\/compact$/, (route) => route.fulfill({ status: 202, json: task }));
    await page.route(/\/v1\/tasks\/long%20task$/, (route) => {
      if (route.request().method() === "DELETE") Object.assign(task, { state: "cancelled", ended_ms: Date.now() });
      return route.fulfill({ json: task });
    });
    await page.route(/\/v1\/tasks\/long%20task\/events$/, (route) => {
      const body = `: comment\r\n\r\nevent: task\ndata: ${JSON.stringify({ ...task, done: 75 })}\n\n`;
      return route.fulfill({ contentType: "text/event-stream", body });
    });
    await page.goto(`${base}?view=indexes`);
    const card = page.locator(".index-card", { has: page.getByRole("heading", { name, exact: true }) });
    await card.getByRole("button", { name: "Compact" }).click();
    const row = card.locator(".tasks li", { hasText: "compact running" });
    await row.waitFor();
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".tasks progress")].some((bar) => !bar.hidden && bar.value === 75),
    );
    await accessible(page);
    await row.getByRole("button", { name: "Cancel" }).click();
    await card.locator(".tasks li", { hasText: "compact cancelled" }).waitFor();
  });

const roles = ({ page, base, name }) =>
  check("what the role of a key does not allow is not offered", async () => {
    const offered = {};
    for (const role of ["read", "write", "admin"]) {
      await page.unrouteAll({ behavior: "ignoreErrors" });
      await page.route(/\/v1\/info$/, (route) => route.fulfill({ json: { role, can_create: true } }));
      await page.goto(`${base}?view=indexes`);
      const card = page.locator(".index-card", { has: page.getByRole("heading", { name, exact: true }) });
      await card.waitFor();
      const buttons = [page.locator("#add-files"), card.getByRole("button", { name: "Compact" })];
      buttons.push(card.getByRole("button", { name: "Delete" }), page.locator("#create"));
      offered[role] = await Promise.all(buttons.map((button) => button.isVisible()));
    }
    const expected = { read: [false, false, false, false], write: [true, true, false, false] };
    equal(offered, { ...expected, admin: [true, true, true, true] }, "files, compact, delete and create");
  });
