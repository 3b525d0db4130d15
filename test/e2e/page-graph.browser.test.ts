import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import { type AgentOptions, fileContext, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { openBrowserPage, useBrowser } from "../kit/browser.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";

/** Overview, graph and list of components, on a real agent. */

useBrowser();

/** Logs that go nowhere, a block that nothing feeds, metrics that are well, and a module. */
async function startMixed(t: TestContext, options: AgentOptions = {}): Promise<TestAgent> {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "app.log"), "one\ntwo\n");
  const [deadPort, apiPort] = [await freePort(), await freePort()];
  return startAgent(
    t,
    `
logging {
  level = "info"
}
local.file_match "app" {
  path_targets = [{ __path__ = "${folder}/*.log" }]
}
local.file_match "nothing" {
  path_targets = [{ __path__ = "/var/nothing-here/*.log" }]
}
loki.source.file "app" {
  targets    = array.concat(local.file_match.app.targets, local.file_match.nothing.targets)
  forward_to = [loki.process.parse.receiver]
}
loki.process "parse" {
  forward_to = [loki.write.out.receiver]
}
loki.process "forgotten" {
  forward_to = [loki.write.out.receiver]
}
loki.write "out" {
  endpoint {
    url = "http://127.0.0.1:${deadPort}/loki/api/v1/push"
  }
}
prometheus.exporter.self "agent" { }
prometheus.scrape "agent" {
  targets         = prometheus.exporter.self.agent.targets
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  forward_to      = [prometheus.echo.metrics.receiver]
}
prometheus.echo "metrics" { }
declare "team" {
  argument "to" { }
  loki.source.api "in" {
    http {
      listen_address = "127.0.0.1"
      listen_port    = ${apiPort}
    }
    forward_to = [loki.process.inner.receiver]
  }
  loki.process "inner" {
    forward_to = argument.to.value
  }
}
team "blue" {
  to = [loki.write.out.receiver]
}
`,
    options,
  );
}

const file = fileContext();
let shared: Promise<TestAgent> | undefined;

/** One for all tests that only look at it. */
function mixed(): Promise<TestAgent> {
  shared ??= startMixed(file);
  return shared;
}

async function untilFailing(agent: TestAgent): Promise<void> {
  await agent.until(async () => (await agent.component("loki.write.out")).flow.state === "failing", "it fails");
}

async function textOf(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? "";
}

/** Where the drawing is. */
function transformOf(page: Page): Promise<string | null> {
  return page.locator(".graph-drawing > g").getAttribute("transform");
}

async function untilMoved(page: Page, before: string | null): Promise<void> {
  const world = "document.querySelector('.graph-drawing > g').getAttribute('transform')";
  await page.waitForFunction(`${world} !== ${JSON.stringify(before)}`);
}

async function untilAddress(page: Page, pattern: RegExp): Promise<void> {
  await page.waitForURL(pattern);
}

test("the first page says what is wrong and why, and each problem leads to its component", async () => {
  const agent = await mixed();
  await untilFailing(agent);
  await using opened = await openBrowserPage(`${agent.url}/`);
  const { page } = opened;
  await page.getByRole("heading", { level: 1, name: /1 failing.*1 wired to nothing/ }).waitFor();
  const problems = page.getByRole("list", { name: "Problems" }).getByRole("listitem");
  assert.equal(await problems.count(), 2);
  assert.match(await textOf(problems.first()), /failing.*loki\.write\.out.*for \d.*refuses connections/);
  assert.match(await textOf(problems.last()), /wiring.*loki\.process\.forgotten.*nothing feeds it/);
  const waiting = page.getByRole("region", { name: "Waiting for something" });
  assert.match(await textOf(waiting), /local\.file_match\.nothing\s*0 files for "\/var\/nothing-here\/\*\.log"/);
  assert.match(await textOf(page.getByRole("row", { name: /Metrics/ })), /\d\/s/);
  await opened.picture("overview-problems");
  await opened.assertAccessible();

  await problems.first().getByRole("link", { name: "see it in the graph" }).click();
  await page.getByRole("complementary", { name: "About loki.write.out" }).getByText("refuses connections").waitFor();
  await page.goBack();
  await page
    .locator("header.top")
    .getByRole("link", { name: /^1\s+failing$/ })
    .click();
  await page.getByText(/^1 of \d+ components$/).waitFor();
  await page.getByRole("link", { name: "loki.write.out" }).click();
  await untilAddress(page, /\/component\/loki\.write\.out$/);
  assert.deepEqual(opened.faults, []);
});

test("nothing wrong is said calmly; a viewer has a way to it; a failed reload is shown with its error", async (t) => {
  const agent = await startAgent(t, "");
  await using opened = await openBrowserPage(`${agent.url}/`);
  const { page } = opened;
  await page.getByRole("heading", { name: "This configuration has no components yet" }).waitFor();
  await opened.picture("overview-empty");
  await opened.assertAccessible();
  const advice = await textOf(page.locator("main pre"));
  const port = await freePort();
  const config = advice.replace('"local" { }', `"local" {\n  listen_address = "127.0.0.1:${port}"\n}`);
  assert.deepEqual(await agent.reload(config.replace('"10s"', '"1s"\n  scrape_timeout = "1s"')), {
    status: 200,
    text: "config reloaded\n",
  });
  await page.getByRole("heading", { level: 1, name: "All is well" }).waitFor();
  assert.equal(await page.getByRole("list", { name: "Problems" }).count(), 0);
  await opened.picture("overview-well");
  await opened.assertAccessible();

  assert.equal((await agent.reload(`${config}\nloki.wrte "x" { }\n`)).status, 400);
  await page.getByRole("link", { name: "The last reload failed" }).waitFor();
  assert.match(await textOf(page.getByRole("list", { name: "Problems" })), /loki\.wrte[\s\S]*stays in force/);
  await opened.picture("overview-reload");
  await page.getByRole("link", { name: "Look at the data" }).click();
  await untilAddress(page, /\/viewer$/);
  assert.deepEqual(opened.faults, []);
});

test("the graph shows what the configuration says, as a drawing and as a table", async () => {
  const agent = await mixed();
  await untilFailing(agent);
  await using opened = await openBrowserPage(`${agent.url}/graph`);
  const { page } = opened;
  const box = (name: string | RegExp) => page.getByRole("link", { name });
  await box(/^loki\.write\.out, failing: .*refuses connections/).waitFor();
  const { nodes, edges } = await agent.json<{
    nodes: readonly { id: string }[];
    edges: readonly { from: string; to: string }[];
  }>("/api/v0/web/pipeline");
  assert.equal(await page.locator(".graph-drawing .box").count(), nodes.length);
  assert.equal(await page.locator(".graph-drawing .edge").count(), edges.length);
  await box(/^loki\.process\.parse, .*receives from loki\.source\.file\.app; sends to loki\.write\.out$/).waitFor();
  assert.match((await page.locator('[data-id="loki.process.forgotten"]').getAttribute("class")) ?? "", /\bdead\b/);
  assert.match(await page.locator('[data-id="loki.process.forgotten"]').innerHTML(), /⚠ nothing feeds it/);
  await page.locator(".edge-targets").first().waitFor({ state: "attached" });
  await page.locator(".edge-data:has(.edge-flow)").first().waitFor({ state: "attached" });
  await opened.picture("graph");
  await opened.assertAccessible();

  await page.getByRole("button", { name: "As a table" }).click();
  const row = page.getByRole("row", { name: /^loki\.process\.parse/ });
  await row.waitFor();
  assert.match(await textOf(row), /loki\.write\.out\s*logs/);
  await opened.picture("graph-table");
  await opened.assertAccessible();
  await page.goBack();
  await page.locator(".graph-drawing").waitFor();
  assert.deepEqual(opened.faults, []);
});

test("modules open by button and key, with the way back", async () => {
  const agent = await mixed();
  await using opened = await openBrowserPage(`${agent.url}/graph`);
  const { page } = opened;
  await page.getByRole("link", { name: "Open team.blue" }).click();
  await page.getByRole("link", { name: /^loki\.process\.inner, .*sends to argument\.to$/ }).waitFor();
  assert.match(page.url(), /graph\?module=team\.blue$/);
  await opened.picture("graph-module");
  await page.getByRole("navigation", { name: "Modules" }).getByRole("link", { name: "whole pipeline" }).click();
  await page.getByRole("link", { name: /^team\.blue, / }).dblclick();
  await page.getByRole("link", { name: /^loki\.process\.inner, / }).waitFor();
  await page.goBack();
  await page.getByRole("link", { name: /^team\.blue, / }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: /^loki\.source\.api\.in, / }).focus();
  await page.keyboard.press("Enter");
  await untilAddress(page, /\/component\/team\.blue\/loki\.source\.api\.in$/);
  await page.goBack();
  await page.goBack();
  await page.getByRole("link", { name: /^loki\.write\.out, / }).waitFor();
  assert.deepEqual(opened.faults, []);
});

test("search dims the rest and goes from hit to hit; states and connections narrow the graph", async () => {
  const agent = await mixed();
  await untilFailing(agent);
  await using opened = await openBrowserPage(`${agent.url}/graph`);
  const { page } = opened;
  const search = page.getByRole("searchbox", { name: "Search the graph" });
  await page.locator(".graph-drawing .box").first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("local.file_match.");
  await page.getByText(/^2 of \d+$/).waitFor();
  assert.equal(await page.locator(".graph-drawing .box:not(.dim)").count(), 2);
  const selected = () => new URL(page.url()).searchParams.get("selected");
  await search.press("Enter");
  await page.getByRole("complementary", { name: /About local\.file_match/ }).waitFor();
  const first = selected();
  await search.press("Enter");
  await page.waitForURL(() => selected() !== first);
  await search.press("Enter");
  await page.waitForURL(() => selected() === first);
  await opened.picture("graph-search");
  await opened.assertAccessible();
  await search.fill("");
  await page.getByRole("combobox", { name: "Show states" }).selectOption({ label: "wired to nothing (1)" });
  assert.equal(await page.locator(".graph-drawing .box:not(.dim)").getAttribute("data-id"), "loki.process.forgotten");
  await page.getByRole("combobox", { name: "Show states" }).selectOption("");

  await page.locator('[data-id="prometheus.scrape.agent"] > a').click();
  await page.getByRole("button", { name: "Only what is connected" }).click();
  await page.waitForFunction("document.querySelectorAll('.graph-drawing .box').length === 3");
  await page.goBack();
  await page.waitForFunction("document.querySelectorAll('.graph-drawing .box').length > 3");
  assert.deepEqual(opened.faults, []);
});

test("by keyboard alone: along the edges, to a component's page, zoom and way", async () => {
  const agent = await mixed();
  await using opened = await openBrowserPage(`${agent.url}/graph`);
  const { page } = opened;
  const focused = () => page.evaluate<string | undefined>("document.activeElement.parentElement.dataset.id");
  await page.locator(".graph-drawing .box").first().waitFor();
  await page.getByRole("button", { name: "Skip the drawing" }).focus();
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate("document.activeElement.matches('.graph-drawing')"), "the drawing has the focus");
  const before = await transformOf(page);
  await page.keyboard.press("ArrowRight");
  await untilMoved(page, before);
  await page.keyboard.press("Tab");
  assert.notEqual(await focused(), undefined, "the first box has the focus");
  await page.locator('[data-id="loki.source.file.app"] > a').focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "loki.process.parse");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "loki.write.out");
  await page.keyboard.press("ArrowLeft");
  assert.match((await focused()) ?? "", /^(?:loki\.process\.\w+|team\.blue)$/);
  await page.locator('[data-id="loki.process.parse"] > a').focus();
  await page.keyboard.press("Space");
  await page.getByRole("complementary", { name: "About loki.process.parse" }).waitFor();
  await page.waitForFunction("document.activeElement.textContent === 'Open its page'");
  await page.keyboard.press("Escape");
  await page.getByRole("complementary").waitFor({ state: "detached" });
  assert.equal(await focused(), "loki.process.parse");
  await page.keyboard.press("+");
  await untilAddress(page, /zoom=/);
  await page.keyboard.press("0");
  await untilAddress(page, /zoom=fit/);
  await page.keyboard.press("Enter");
  await untilAddress(page, /\/component\/loki\.process\.parse$/);
  assert.deepEqual(opened.faults, []);
});

test("the address has all of the view: a reload and a step back show the same", async () => {
  const agent = await mixed();
  await using opened = await openBrowserPage(`${agent.url}/graph`);
  const { page } = opened;
  await page.locator(".graph-drawing .box").first().waitFor();
  await page.mouse.move(640, 400);
  await page.mouse.wheel(0, -300);
  await page.mouse.down();
  await page.mouse.move(700, 450, { steps: 5 });
  await page.mouse.up();
  await untilAddress(page, /zoom=[\d.]+&x=-?\d+&y=-?\d+/);
  await page.locator('[data-id="loki.process.parse"] > a').click();
  await untilAddress(page, /selected=loki\.process\.parse/);
  // The view settles: neither the drawing nor the address has changed for a while.
  const view = async () => `${page.url()} ${await transformOf(page)}`;
  for (let seen = ""; seen !== (await view()); await page.waitForTimeout(700)) seen = await view();
  const numbers = async () => (await transformOf(page))!.match(/-?[\d.]+/g)!.map(Number);
  const before = await numbers();
  await page.reload();
  await page.getByRole("complementary", { name: "About loki.process.parse" }).waitFor();
  const assertSame = (now: readonly number[]) => {
    for (const [i, value] of now.entries()) assert.ok(Math.abs(value - before[i]!) < 2, `${now} is not ${before}`);
  };
  assertSame(await numbers());
  await page.getByRole("link", { name: "Open its page" }).click();
  await untilAddress(page, /\/component\//);
  await page.goBack();
  await page.getByRole("complementary", { name: "About loki.process.parse" }).waitFor();
  assertSame(await numbers());
  assert.deepEqual(opened.faults, []);
});

test("the list of components: sorted by any column, filtered by words and states", async () => {
  const agent = await mixed();
  await untilFailing(agent);
  await using opened = await openBrowserPage(`${agent.url}/components`);
  const { page } = opened;
  const names = () => page.locator("tbody th").allTextContents();
  await page.getByRole("row", { name: /loki\.write\.out/ }).waitFor();
  assert.equal((await names())[0], "loki.write.out", "the worst comes first");
  const heading = page.getByRole("columnheader", { name: "Component" });
  await heading.getByRole("button").click();
  assert.equal(await heading.getAttribute("aria-sort"), "ascending");
  assert.equal((await names())[0], "local.file_match.app");
  await heading.getByRole("button").click();
  assert.equal(await heading.getAttribute("aria-sort"), "descending");
  assert.match(page.url(), /sort=-id/);
  await page.getByRole("button", { name: "Out" }).click();
  assert.equal((await names())[0], "prometheus.scrape.agent");
  await page.getByRole("searchbox").fill("loki -write ok");
  await page.waitForFunction("document.querySelectorAll('tbody tr').length <= 2");
  for (const name of await names()) assert.match(name, /^loki\.(?:source|process)/);
  await page.getByRole("searchbox").fill("no-such-thing");
  await page.getByRole("heading", { name: "No component matches" }).waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await opened.picture("components");
  await opened.assertAccessible();
  assert.deepEqual(opened.faults, []);
});

test("a phone's width is enough, and the dark is readable", async () => {
  const agent = await mixed();
  await untilFailing(agent);
  for (const view of ["", "graph?selected=loki.write.out", "graph?as=table", "components"]) {
    await using opened = await openBrowserPage(`${agent.url}/${view}`, {
      colorScheme: "dark",
      width: 390,
      height: 844,
    });
    const { page } = opened;
    await page
      .getByText(/refuses connections/)
      .first()
      .waitFor({ state: "attached" });
    const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert.equal(overflow, 0, view);
    await opened.picture(`phone-${view.replace(/\W+/g, "-") || "overview"}`);
    await opened.assertAccessible();
    assert.deepEqual(opened.faults, []);
  }
});

test("fingers: one moves the graph, two scale it, a tap selects", async () => {
  const agent = await mixed();
  await using opened = await openBrowserPage(`${agent.url}/graph`, { width: 390, height: 844 });
  const { page } = opened;
  await page.locator(".graph-drawing .box text").first().waitFor();
  const touch = await page.context().newCDPSession(page);
  const send = (type: string, ...points: readonly (readonly [x: number, y: number])[]) =>
    touch.send(
      "Input.dispatchTouchEvent" as never,
      { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) } as never,
    );
  const numbers = async () => (await transformOf(page))!.match(/-?[\d.]+/g)!.map(Number);
  const [zoom, , , , left, top] = await numbers();
  async function untilSo(holds: (now: readonly number[]) => boolean, what: string) {
    await waitUntil(async () => holds(await numbers()), WAIT_MS, what).catch(async (error) => {
      throw new Error(`${await transformOf(page)}`, { cause: error });
    });
  }
  await send("touchStart", [200, 500]);
  for (const step of [10, 20, 30, 40]) await send("touchMove", [200 + step, 500 + step]);
  await send("touchEnd");
  await untilSo(
    ([, , , , x, y]) => Math.abs(x! - left! - 40) < 12 && Math.abs(y! - top! - 40) < 12,
    "it moves as far as the finger",
  );
  assert.equal((await numbers())[0], zoom);
  await send("touchStart", [180, 500], [220, 500]);
  for (const step of [10, 20, 30, 40]) await send("touchMove", [180 - step, 500], [220 + step, 500]);
  await send("touchEnd");
  await untilSo(([now]) => now! > zoom! * 1.5, "fingers apart: larger");
  await untilAddress(page, /zoom=/);
  await page.keyboard.press("0");
  await untilAddress(page, /zoom=fit/);
  const { x, y, width, height } = (await page.locator('[data-id="loki.process.parse"]').boundingBox())!;
  await send("touchStart", [x + width / 2, y + height / 2]);
  await send("touchEnd");
  await page.getByRole("complementary", { name: "About loki.process.parse" }).waitFor();
  assert.deepEqual(opened.faults, []);
});

test("all of it works below a path prefix", async (t) => {
  const agent = await startMixed(t, { flags: ["--server.http.ui-path-prefix=/x/"] });
  await agent.until(async () => (await agent.api("/x/api/v0/web/status")).ok, "the prefix is served");
  await using opened = await openBrowserPage(`${agent.url}/x/graph`);
  const { page } = opened;
  await page.getByRole("link", { name: "Open team.blue" }).click();
  await untilAddress(page, /\/x\/graph\?module=team\.blue$/);
  await page.reload();
  await page.getByRole("link", { name: /^loki\.process\.inner, / }).waitFor();
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Overview" }).click();
  await untilAddress(page, /\/x\/$/);
  await page.getByRole("link", { name: "loki.process.forgotten" }).click();
  await untilAddress(page, /\/x\/component\/loki\.process\.forgotten$/);
  assert.deepEqual(opened.faults, []);
});
