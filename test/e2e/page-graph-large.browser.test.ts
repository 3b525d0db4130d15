import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
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

/** These run in the page. From the press of the link until all boxes are there. */
const DRAW = `(async () => {
  document.querySelector('a[href$="/graph"]').click();
  while (document.querySelectorAll(".graph-drawing .box").length < 1000)
    await new Promise((resolve) => requestAnimationFrame(resolve));
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

/** Milliseconds of processor time that the page's main thread takes for some work: a busy machine does not change them. */
async function pageWork(page: Page, work: () => Promise<void>): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const spent = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")!.value * 1000;
  };
  const before = await spent();
  await work();
  // Two frames: all that was asked for is drawn.
  await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
  const after = await spent();
  await session.detach();
  return after - before;
}

test("1,000 components: drawn soon, moved smoothly, and a poll draws only what changed", async (t) => {
  const agent = await startAgent(t, fleet());
  await using opened = await openBrowserPage(`${agent.url}/system`);
  const { page } = opened;
  const drawn = await pageWork(page, () => page.evaluate(DRAW));
  t.diagnostic(`first drawing after ${Math.round(drawn)} ms of processor time`);
  assert.ok(drawn < 3000, `${drawn} ms`);
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
  await page.mouse.down();
  const dragged = await pageWork(page, async () => {
    for (let i = 0; i < 40; i++) await page.mouse.move(640 - i * 5, 400 - i * 3);
  });
  await page.mouse.up();
  t.diagnostic(`${Math.round(dragged)} ms of processor time for 40 steps of a drag`);
  assert.ok(dragged < 40 * 30, `${dragged} ms`);

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
