// Checks of results: keys, tints, explanations in each mode, settings, warnings.

import { assert, check, equal } from "./browser.mjs";

export async function checks({ page, open, searchRoute }) {
  await check("ArrowDown goes from the query to the results, ArrowUp back", async () => {
    await open({ q: "cloth" });
    await page.locator("#query").focus();
    const places = [];
    for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp"]) {
      await page.keyboard.press(key);
      places.push(await page.evaluate(() => [...document.querySelectorAll(".hit")].indexOf(document.activeElement)));
    }
    equal(places, [0, 1, 0, -1], "results in focus");
  });

  await check("an explanation brings its heat map into view and leaves the text short", async () => {
    await open({ q: "the reed beats the weft home", k: 20 });
    const article = page.locator(".hit", { has: page.getByRole("heading", { name: /long\.md#1$/ }) });
    const before = (await article.locator(".text").textContent()).length;
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.setViewportSize({ width: 1200, height: 560 });
    const full = page.waitForResponse((response) => response.url().endsWith("/explain"));
    await article.getByRole("button", { name: "Why?" }).click();
    await full;
    await article.locator(".heat canvas").waitFor();
    const box = await article.locator(".heat").boundingBox();
    assert(box.y >= -1 && box.y + box.height <= 561, `the heat map is at ${box.y} to ${box.y + box.height} of 560`);
    equal((await article.locator(".text").textContent()).length, before, "characters of the text");
    assert(/Scroll sideways/.test(await article.locator(".heat-block .hint").textContent()), "no hint that it scrolls");
    await page.emulateMedia({ reducedMotion: "no-preference" });
    await page.setViewportSize({ width: 1200, height: 860 });
  });

  await check("words of the query are tinted in a lexical search, whose score is not explained", async () => {
    await open({ q: "INDIGO loom", mode: "lexical" });
    const article = page.locator(".hit", { has: page.getByRole("heading", { name: "quote", exact: true }) });
    equal(await article.locator("mark").allTextContents(), ["Indigo"], "tinted words");
    await article.getByRole("button", { name: "Why?" }).click();
    await article.locator(".note", { hasText: "not this score" }).waitFor();
  });

  await check("a weak result is tinted less than a strong one", async () => {
    await open({ q: "indigo is a dye of blue", k: 20 });
    const tint = (marks) => Math.max(...marks.map((mark) => Number(mark.style.getPropertyValue("--tint"))));
    const strong = await page.locator(".hit").first().locator("mark").evaluateAll(tint);
    const weak = await page.locator(".hit").last().locator("mark").evaluateAll(tint);
    assert(strong > 0.9 && weak < 0.8 * strong, `tints: ${strong} and ${weak}`);
  });

  await check("settings of a mode are in the address and in the request", async () => {
    const asked = async (parameters) => {
      const request = page.waitForRequest((each) => searchRoute(new URL(each.url())));
      await open({ q: "cloth", ...parameters });
      const { mode, alpha, nprobe, ndocs, lexical_first: first } = (await request).postDataJSON();
      return [mode, alpha ?? null, nprobe ?? null, ndocs ?? null, first ?? null];
    };
    const all = { alpha: 0.25, nprobe: 3, ndocs: 50 };
    equal(await asked({ mode: "hybrid", ...all }), ["hybrid", 0.25, 3, 50, null], "hybrid");
    equal(await asked({ mode: "exact", ...all }), ["maxsim", null, null, null, null], "exact");
    equal(await asked({ ...all, lexical_first: 7 }), ["lexical_first", null, null, null, 7], "by words first");
    await page.fill("#lexical_first", "9");
    await page.press("#lexical_first", "Tab");
    await page.waitForURL(/lexical_first=9/);
  });

  await check("warnings of a search are shown", async () => {
    await page.route(searchRoute, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), warnings: ["no key <b>colour</b>"] } });
    });
    await open({ q: "cloth" });
    await page.locator("#warnings", { hasText: "no key <b>colour</b>" }).waitFor();
  });
}
