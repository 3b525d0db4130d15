import assert from "node:assert/strict";
import { test } from "node:test";
import { startAgent } from "../kit/agent.ts";
import { openBrowserPage, useBrowser } from "../kit/browser.ts";

/** Graph and list of a thousand components, on a real agent. */

useBrowser();

/** 1,000 components: 300 of them hang together, the others in parts of four. */
function fleet(): string {
  const blocks: string[] = [];
  const chain = (name: string, end: string) => {
    blocks.push(
      `local.file_match "${name}" {\n  path_targets = [{ __path__ = "/var/nothing-here/${name}/*.log" }]\n}`,
      `loki.source.file "${name}" {\n  targets    = local.file_match.${name}.targets\n  forward_to = [loki.process.${name}.receiver]\n}`,
      `loki.process "${name}" {\n  forward_to = [${end}]\n}`,
    );
  };
  for (let i = 0; i < 4; i++) blocks.push(`loki.echo "shared_${i}" { }`);
  for (let i = 0; i < 98; i++)
    chain(`big_${i}`, `loki.echo.shared_${i % 4}.receiver, loki.echo.shared_${(i + 1) % 4}.receiver`);
  blocks.push('loki.process "extra_0" {\n  forward_to = [loki.echo.shared_0.receiver]\n}');
  blocks.push('loki.process "extra_1" {\n  forward_to = [loki.echo.shared_0.receiver]\n}');
  for (let i = 0; i < 175; i++) {
    blocks.push(`loki.echo "small_${i}" { }`);
    chain(`small_${i}`, `loki.echo.small_${i}.receiver`);
  }
  return blocks.join("\n");
}

/** These run in the page. Milliseconds from the press of the link until all boxes are there. */
const DRAW = `(async () => {
  const began = performance.now();
  document.querySelector('a[href$="/graph"]').click();
  while (document.querySelectorAll(".graph-drawing .box").length < 1000)
    await new Promise((resolve) => requestAnimationFrame(resolve));
  return performance.now() - began;
})()`;

const PLACES = `[...document.querySelectorAll(".graph-drawing .box")].map((box) => box.getAttribute("transform"))`;

/** How often something in the drawing changes within two polls and more. */
const COUNT_CHANGES = `(async () => {
  let count = 0;
  const observer = new MutationObserver((records) => void (count += records.length));
  const all = { subtree: true, childList: true, attributes: true, characterData: true };
  observer.observe(document.querySelector(".graph-drawing"), all);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  observer.disconnect();
  return count;
})()`;

/** How long the frames of a second and a half take, the shortest first. */
const FRAMES = `(async () => {
  const times = [];
  const end = performance.now() + 1500;
  let last = performance.now();
  while (performance.now() < end) {
    const now = await new Promise((resolve) => requestAnimationFrame(resolve));
    times.push(now - last);
    last = now;
  }
  return times.sort((a, b) => a - b);
})()`;

test("1,000 components: drawn soon, moved smoothly, and a poll draws only what changed", async (t) => {
  const agent = await startAgent(t, fleet());
  await using opened = await openBrowserPage(`${agent.url}/system`);
  const { page } = opened;
  const drawn = await page.evaluate<number>(DRAW);
  t.diagnostic(`first drawing after ${Math.round(drawn)} ms`);
  assert.ok(drawn < 6000, `${drawn} ms`);
  await opened.picture("graph-1000");
  const places = (await page.evaluate<string[]>(PLACES)).map((text) => text.match(/-?[\d.]+/g)!.map(Number));
  const overlaps = places.filter(([x, y], i) =>
    places.some(([otherX, otherY], j) => j > i && Math.abs(x! - otherX!) < 236 && Math.abs(y! - otherY!) < 70),
  ).length;
  assert.equal(overlaps, 0);

  const changes = await page.evaluate<number>(COUNT_CHANGES);
  assert.ok(changes < 100, `${changes} changes of a drawing in which nothing changed`);

  // A box outside of the window, which is drawn in full only when it comes into view, keeps the focus then.
  await page.locator('[data-id="loki.echo.small_170"] > a').focus();
  await page.keyboard.press("ArrowLeft");
  await page.locator('[data-id="loki.process.small_170"] text').first().waitFor({ state: "attached" });
  assert.equal(await page.evaluate("document.activeElement.parentElement.dataset.id"), "loki.process.small_170");

  await page.keyboard.press("0");
  await page.waitForURL(/zoom=fit/);
  await opened.picture("graph-1000-fit");
  await page.mouse.move(640, 400);
  const frames = page.evaluate<number[]>(FRAMES);
  await page.mouse.down();
  for (let i = 0; i < 40; i++) await page.mouse.move(640 - i * 5, 400 - i * 3);
  await page.mouse.up();
  const times = await frames;
  t.diagnostic(
    `frames while dragging: median ${Math.round(times[times.length >> 1]!)} ms, longest ${Math.round(times.at(-1)!)} ms`,
  );
  assert.ok(times[times.length >> 1]! < 50, times.join(" "));

  await page.getByRole("searchbox", { name: "Search the graph" }).fill("small_174");
  await page.getByText("4 of 1000").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("complementary", { name: /small_174/ }).waitFor();

  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Components" }).click();
  await page.getByText("1000 components", { exact: true }).waitFor();
  await page.getByRole("searchbox").fill("small_17");
  await page.getByText("24 of 1000 components").waitFor();
  assert.deepEqual(opened.faults, []);
});
