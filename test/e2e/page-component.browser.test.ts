import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import { cleanUp } from "#base/clean-up.testing";
import type { ExplainJson, StatusJson } from "../../src/app/api/json.ts";
import { type AgentOptions, fileContext, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { type OpenedPage, openBrowserPage, type PageOptions, useBrowser } from "../kit/browser.ts";

/** The component's and the system's part of the page, on a real agent. */

useBrowser();

/** Nothing listens there: it is the discard port. */
const DEAD = "127.0.0.1:9";
const SECRETS = ["hunter2", "token-of-the-shipper", "header-secret"];

interface Site extends OpenedPage {
  readonly agent: TestAgent;
  /** What the API says of a block. */
  explain(id: string): Promise<ExplainJson>;
  status(): Promise<StatusJson>;
}

interface SiteOptions extends PageOptions, AgentOptions {
  readonly config?: string;
}

const file = fileContext();
/** One for all tests that have nothing of their own in its configuration, and only look at it. */
let shared: Promise<TestAgent> | undefined;

async function site(t: TestContext, view: string, options: SiteOptions = {}): Promise<Site> {
  const isShared = options.config === undefined && options.flags === undefined;
  if (isShared) shared ??= pipeline(file).then((config) => startAgent(file, config));
  const agent = isShared ? await shared! : await startAgent(t, options.config!, options);
  const prefix = options.flags?.find((flag) => flag.startsWith("--server.http.ui-path-prefix="))?.split("=")[1] ?? "/";
  const opened = await openBrowserPage(agent.url + prefix + view, options);
  return {
    ...opened,
    agent,
    explain: (id) => agent.json(`${prefix}api/v0/web/explain/${id}`),
    status: () => agent.json(`${prefix}api/v0/web/status`),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** Three files to a writer whose server is gone, two good targets and a dead one, and modules. */
async function pipeline(t: TestContext): Promise<string> {
  const folder = join(temporaryFolder(t), "logs");
  mkdirSync(folder);
  for (const name of ["a", "b", "c"]) {
    const lines = Array.from({ length: 12 }, (_, i) => `level=${i % 3 === 0 ? "debug" : "info"} msg="line ${i}"\n`);
    writeFileSync(join(folder, `${name}.log`), lines.join(""));
  }
  const good = await exporter(t);
  return `livedebugging {
	enabled = true
}

local.file_match "logs" {
	path_targets = [{__path__ = "${folder}/*.log", job = "web"}]
	sync_period  = "1s"
}

loki.source.file "web" {
	targets    = local.file_match.logs.targets
	forward_to = [loki.process.web.receiver]
}

loki.process "web" {
	forward_to = [loki.write.broken.receiver]

	stage.logfmt {
		mapping = {"level" = ""}
	}

	stage.drop {
		source              = "level"
		expression          = "debug"
		drop_counter_reason = "debug_lines"
	}
}

loki.write "broken" {
	endpoint {
		url        = "http://${DEAD}/loki/api/v1/push"
		batch_wait = "100ms"
		headers    = {"X-Token" = "header-secret"}

		basic_auth {
			username = "reader"
			password = "hunter2"
		}
	}
	external_labels = {
		cluster = "eu-1",
		host    = constants.os,
	}
}

discovery.relabel "nodes" {
	targets = [
		{__address__ = "${good}", instance = "one", team = "platform"},
		{__address__ = "${good}", instance = "two", team = "platform"},
		{__address__ = "${DEAD}", instance = "dead", team = "platform"},
		{__address__ = "${DEAD}", instance = "unwanted", team = "other"},
	]

	rule {
		source_labels = ["team"]
		regex         = "platform"
		action        = "keep"
	}
}

prometheus.scrape "nodes" {
	targets         = discovery.relabel.nodes.output
	forward_to      = []
	scrape_interval = "1s"
	scrape_timeout  = "1s"
}

declare "shipper" {
	argument "token" { }

	loki.write "out" {
		endpoint {
			url          = "http://${DEAD}/push"
			bearer_token = argument.token.value
		}
	}

	export "receiver" {
		value = loki.write.out.receiver
	}
}

shipper "eu" {
	token = "token-of-the-shipper"
}

foreach "teams" {
	collection = ["red", "green"]
	var        = "team"

	template {
		loki.write "out" {
			endpoint {
				url       = "http://${DEAD}/push"
				tenant_id = team
			}
		}
	}
}
`;
}

/** Serves a metrics page; its `host:port`. */
async function exporter(t: TestContext): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end("orders_total 5\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The section of a component's page with a name. */
function part(page: Page, name: string): Locator {
  return page.locator(`section[aria-labelledby="${name}"]`);
}

/** The texts of a table's body, row by row. */
function cells(rows: Locator): Promise<readonly (readonly string[])[]> {
  return rows.evaluateAll((all) =>
    all.map((row) => [...row.querySelectorAll("th, td")].map((cell) => (cell.textContent ?? "").trim())),
  );
}

/** The cells of a table once it has so many rows: it may still be on its way from the agent, or from one search to the next. */
async function settled(rows: Locator, count: number): Promise<readonly (readonly string[])[]> {
  if (count > 0) await rows.nth(count - 1).waitFor();
  await rows.nth(count).waitFor({ state: "detached" });
  return cells(rows);
}

async function textOf(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? "";
}

async function assertNoSecrets(page: Page): Promise<void> {
  const content = await page.content();
  for (const secret of SECRETS) assert.ok(!content.includes(secret), `${secret} is in the page`);
}

test("a writer whose server is gone: state, cause, queue, edges and arguments as the API says", async (t) => {
  await using full = await site(t, "component/loki.write.broken");
  const { page, agent, explain } = full;
  await agent.until(async () => (await agent.component("loki.write.broken")).flow.state === "failing", "it fails");
  await page.getByText("failing since").waitFor();
  const { source, arguments: args } = await explain("loki.write.broken");
  const shown = () => page.locator(".cause.failing p").first().textContent();
  await agent.until(
    async () => (await shown()) === (await explain("loki.write.broken")).flow!.cause,
    "the page has the cause as the API says it",
  );
  assert.equal(await page.locator("h1").textContent(), "loki.write broken");
  assert.equal(await page.title(), "loki.write.broken · Invar");
  assert.match((await page.locator(".component-facts").textContent()) ?? "", new RegExp(`:${source.line}$`));

  // 24 lines are not debug ones; the counts do not move any more.
  await part(page, "flow").getByRole("row", { name: "loki.process.web" }).getByText("24", { exact: true }).waitFor();
  const edges = await cells(part(page, "flow").locator("tbody tr"));
  assert.deepEqual(edges[0]!.slice(1, 3), ["logs", "24"]);
  assert.match(await textOf(part(page, "flow").locator(".tile", { hasText: "Queue" })), /B of 10 MiB[\s\S]*the oldest/);
  await part(page, "history").getByText("Queue").waitFor();

  const written = args.filter(({ origin }) => origin === "text");
  const rows = part(page, "arguments").locator("tbody tr");
  assert.deepEqual(
    (await settled(rows, written.length)).map(([path, value]) => [path, value]),
    written.map(({ path, value }) => [path, value]),
  );
  assert.equal(written.find(({ path }) => path.endsWith("password"))!.value, "(secret)");
  await page.getByRole("button", { name: `Show ${args.length - written.length} defaults` }).click();
  await settled(rows, args.length);
  assert.equal(await rows.locator("td:last-child", { hasText: /^default$/ }).count(), args.length - written.length);
  assert.match(page.url(), /defaults=1/);
  await page.reload();
  await page.getByRole("button", { name: "Hide defaults" }).waitFor();
  assert.equal(await rows.count(), args.length, "the address restores the view");
  await assertNoSecrets(page);

  const username = written.find(({ path }) => path.endsWith("username"))!;
  await rows.filter({ hasText: "username" }).hover();
  assert.equal(await page.locator(".source-line.marked").getAttribute("data-line"), String(username.line));
  assert.match(await textOf(page.locator(".source-line.marked")), /username\s*=\s*"reader"/);
  const labels = written.find(({ path }) => path === "external_labels")!;
  await page.getByRole("button", { name: "external_labels" }).focus();
  assert.deepEqual(
    await page.locator(".source-line.marked").evaluateAll((all) => all.map((each) => each.getAttribute("data-line"))),
    [0, 1, 2, 3].map((i) => String(labels.line + i)),
  );
  await full.picture("component-write");
  await full.assertAccessible();
  await page.emulateMedia({ colorScheme: "dark" });
  await full.assertAccessible();
  await full.picture("component-write-dark");
  assert.deepEqual(full.faults, []);
});

test("tailed files with their place, own metrics with search, and links to neighbours", async (t) => {
  await using full = await site(t, "component/loki.source.file.web");
  const { page, explain } = full;
  await part(page, "debug").getByText("a.log").waitFor();
  const { debugInfo, metrics } = await explain("loki.source.file.web");
  const rows = await settled(part(page, "debug").locator("tbody tr"), 3);
  const paths = debugInfo.map((each) =>
    each.type === "block" && each.body[0]?.type === "attr" ? each.body[0].value.value : "",
  );
  assert.deepEqual(
    rows.map(([path]) => path),
    paths,
  );

  const search = page.getByRole("searchbox", { name: "Search series" });
  await search.fill("read_lines a.log");
  const lines = metrics.find(
    ({ name, labels }) => name === "loki_source_file_read_lines_total" && labels.includes("a.log"),
  )!;
  const [found] = await settled(part(page, "metrics").locator("tbody tr"), 1);
  assert.deepEqual([found![0], found!.at(-1)], [`${lines.name} ${lines.labels}`, String(lines.value)]);
  await page.waitForFunction(`document.querySelector("#metrics ~ * .sparkline path:last-child")?.getAttribute("d")`);
  await page.reload();
  assert.equal(await search.inputValue(), "read_lines a.log");

  await part(page, "flow").getByRole("link", { name: "loki.process.web" }).click();
  await page.getByText("debug_lines").first().waitFor();
  assert.equal(new URL(page.url()).pathname, "/component/loki.process.web");
  await part(page, "flow").locator(".drops").getByText("12", { exact: true }).waitFor();
  const [drop] = await settled(part(page, "flow").locator(".drops tbody tr"), 1);
  assert.deepEqual(drop!.slice(0, 3), ["debug_lines", "logs", "12"]);
  const [from, to] = await settled(part(page, "flow").locator(".data-table tbody tr"), 2);
  assert.deepEqual([from![2], to![2]], ["36", "24"]);
  await page.goBack();
  assert.equal(new URL(page.url()).pathname, "/component/loki.source.file.web");
  await full.picture("component-file");
  await full.assertAccessible();
  assert.deepEqual(full.faults, []);
});

test("targets with their last scrape, the dead one first; by keyboard to where they come from", async (t) => {
  await using full = await site(t, "component/prometheus.scrape.nodes", { colorScheme: "dark" });
  const { page, agent, explain } = full;
  await agent.until(
    async () => (await agent.component("prometheus.scrape.nodes")).flow.state === "degraded",
    "one fails",
  );
  const table = part(page, "debug").locator("tbody tr");
  await table.locator(".state.failing").waitFor();
  await table.locator(".state.ok").nth(1).waitFor();
  const untilRow = (at: number, pattern: RegExp, what: string) =>
    agent.until(async () => pattern.test((await cells(table)).at(at)!.join(" ")), what);
  await untilRow(0, /127\.0\.0\.1:9\/metrics down instance="dead".*refuses connections/, "the dead one comes first");
  await full.picture("component-scrape-dark");
  await full.assertAccessible();

  const sort = part(page, "debug").getByRole("button", { name: "last error" });
  await sort.focus();
  await page.keyboard.press("Enter");
  await page.locator('th[aria-sort="ascending"]', { hasText: "last error ↑" }).waitFor();
  await untilRow(-1, /refuses connections/, "sorted by the error, it is the last");
  assert.match(page.url(), /debug.target.sort=last_error/);

  const reference = part(page, "arguments").getByRole("link", { name: "discovery.relabel.nodes" }).first();
  await reference.focus();
  await page.keyboard.press("Enter");
  await part(page, "exports").getByText("3 targets").waitFor();
  const { exports } = await explain("discovery.relabel.nodes");
  const output = exports.find(({ name }) => name === "output")!;
  assert.ok(output.type === "attr" && output.value.type === "array");
  assert.deepEqual(
    (await settled(part(page, "exports").locator("tbody tr"), 3)).map((row) => row[1]),
    ["one", "two", "dead"],
  );
  assert.equal(output.value.value.length, 3);
  await full.picture("component-relabel-dark");
  await full.assertAccessible();
  assert.deepEqual(full.faults, []);
});

test("long lists of targets are cut, and searched whole", async (t) => {
  const targets = Array.from({ length: 250 }, (_, i) => `{__address__ = "10.0.0.${i}:9100", shard = "s${i % 7}"}`);
  const config = `discovery.relabel "many" {\n\ttargets = [${targets.join(", ")}]\n}\n`;
  await using full = await site(t, "component/discovery.relabel.many", { config });
  const { page } = full;
  await page.getByText("the first 200 of 250 targets").waitFor();
  await settled(part(page, "exports").locator("tbody tr"), 200);
  await page.keyboard.press("/");
  await page.keyboard.type("10.0.0.249");
  await page.getByText("1 of 250 targets").waitFor();
  assert.deepEqual(await settled(part(page, "exports").locator("tbody tr"), 1), [["10.0.0.249:9100", "s4"]]);
  assert.deepEqual(full.faults, []);
});

test("plots of the last minutes are read by keyboard", async (t) => {
  await using full = await site(t, "component/prometheus.scrape.nodes?section=history", {
    config: `prometheus.scrape "nodes" {
	targets         = [{__address__ = "${await exporter(t)}"}]
	forward_to      = [prometheus.remote_write.none.receiver]
	scrape_interval = "1s"
	scrape_timeout  = "1s"
}
prometheus.remote_write "none" { }
`,
  });
  const { page } = full;
  const plot = page.getByRole("slider", { name: "Items, along time" });
  await plot.waitFor();
  await page.waitForFunction(`document.querySelector("[role=slider]")?.getAttribute("aria-valuemax") > 0`);
  await plot.focus();
  await page.keyboard.press("Home");
  assert.equal(await plot.getAttribute("aria-valuenow"), "0");
  const text = (await plot.getAttribute("aria-valuetext"))!;
  assert.match(text, /^\d\d:\d\d:\d\d: out [\d.]+\/s$/);
  assert.ok((await textOf(page.locator(".plot").first())).includes(text.slice(10).replace("out ", "")));
  await page.keyboard.press("ArrowRight");
  assert.equal(await plot.getAttribute("aria-valuenow"), "1");
  assert.deepEqual(full.faults, []);
});

test("modules: custom components and foreach lead inside, the breadcrumb leads out", async (t) => {
  await using full = await site(t, "component/shipper.eu");
  const { page } = full;
  await part(page, "modules").getByRole("link", { name: "shipper.eu/loki.write.out" }).waitFor();
  await part(page, "modules").getByRole("link", { name: "shipper.eu/argument.token" }).waitFor();
  await full.picture("component-custom");
  await full.assertAccessible();
  await assertNoSecrets(page);
  await part(page, "modules").getByRole("link", { name: "shipper.eu/loki.write.out" }).click();
  await page.locator("h1", { hasText: "out" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/component/shipper.eu/loki.write.out");
  const token = part(page, "arguments").locator("tbody tr", { hasText: "bearer_token" });
  assert.deepEqual((await settled(token, 1))[0], ["endpoint[0].bearer_token", "(secret)", "argument.token.value"]);
  await assertNoSecrets(page);
  await page.getByRole("navigation", { name: "Module" }).getByRole("link", { name: "shipper.eu" }).click();
  await page.locator("h1", { hasText: "shipper" }).waitFor();

  await page.goto(`${full.agent.url}/component/foreach.teams`);
  await page.getByText("2 items, 2 components").waitFor();
  await part(page, "modules").getByRole("link", { name: "foreach.teams/foreach_red_1/loki.write.out" }).click();
  await page.getByRole("navigation", { name: "Module" }).getByText("foreach_red_1").waitFor();
  assert.equal(
    await page.getByRole("link", { name: "Graph", exact: true }).last().getAttribute("href"),
    "/graph?module=foreach.teams%2Fforeach_red_1&selected=foreach.teams%2Fforeach_red_1%2Floki.write.out",
  );
  assert.deepEqual(full.faults, []);
});

test("an unknown component is said to be one, with those that may have been meant", async (t) => {
  await using full = await site(t, "component/loki.write.brokn", { expected: /404/ });
  const { page } = full;
  await page.getByRole("heading", { name: "No such component" }).waitFor();
  await page.getByRole("link", { name: "loki.write.broken" }).click();
  await page.locator("h1", { hasText: "broken" }).waitFor();
  assert.deepEqual(full.faults, []);
});

test("the reference comes from the schema when somebody asks for it", async (t) => {
  await using full = await site(t, "component/loki.write.broken");
  const { page } = full;
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.getByRole("link", { name: "What loki.write takes and gives" }).waitFor();
  assert.ok(!asked.includes("/schema.json"));
  await page.getByRole("link", { name: "Reference", exact: true }).first().click();
  await page.getByText("Sends log entries to Loki").waitFor();
  assert.equal(asked.filter((path) => path === "/schema.json").length, 1);
  const reference = part(page, "reference");
  assert.match(await textOf(reference.locator(".example")), /loki\.write "\w+" \{/);
  await reference.locator("summary", { hasText: "endpoint" }).first().focus();
  await page.keyboard.press("Enter");
  const url = reference.locator("tr", { has: page.locator('th:text-is("url")') });
  assert.deepEqual((await cells(url))[0]!.slice(0, 3), ["url", "string", "required"]);
  assert.ok(await page.locator("#reference").isVisible());
  await full.assertAccessible();
  await page.reload();
  await page.getByText("Sends log entries to Loki").waitFor();
  assert.deepEqual(full.faults, []);
});

test("a phone's width is enough", async (t) => {
  await using full = await site(t, "component/prometheus.scrape.nodes?defaults=1&section=reference", { width: 390 });
  const { page, agent } = full;
  await page.getByText("Pulls metrics from targets").waitFor();
  const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  assert.equal(await page.evaluate(overflow), 0);
  await full.assertAccessible();
  await full.picture("component-narrow");
  await page.goto(`${agent.url}/system`);
  await page.getByText("99th percentile").waitFor();
  assert.equal(await page.evaluate(overflow), 0);
  assert.deepEqual(full.faults, []);
});

test("the system: what runs, since when, and what the process takes", async (t) => {
  await using full = await site(t, "system");
  const { page, agent, status } = full;
  await page.getByText("99th percentile").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate("document.activeElement.id"), "content", "the first stop skips the navigation");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "Reload now");
  assert.equal(new URL(page.url()).pathname, "/system");
  const { version, config, components, lastReload } = await status();
  const text = await textOf(page.locator("main"));
  for (const each of [version, config.path, config.hash, ...lastReload!.added.slice(0, 5)])
    assert.ok(text.includes(each), each);
  await page.getByRole("link", { name: String(components.length), exact: true }).waitFor();
  await page.getByRole("heading", { name: "Live debugging is on" }).waitFor();
  await page.getByText("not part of a cluster").waitFor();
  await page.getByText("Not configured").waitFor();
  const shown = await textOf(page.locator(".tile", { hasText: "resident" }).locator("b"));
  const real = (await agent.metric("process_resident_memory_bytes"))! / 1024 / 1024;
  assert.match(shown, /MiB$/);
  assert.ok(Math.abs(Number.parseFloat(shown) - real) < real / 2, `${shown}, ${real}`);
  for (const name of ["Metrics", "Profiles"]) {
    const href = await page.getByRole("link", { name, exact: true }).getAttribute("href");
    assert.equal((await agent.api(href!)).status, 200, name);
  }
  assert.equal(await page.getByRole("link", { name: "Support bundle" }).getAttribute("href"), "/-/support");
  await full.picture("system");
  await full.assertAccessible();
  await page.emulateMedia({ colorScheme: "dark" });
  await full.assertAccessible();
  assert.deepEqual(full.faults, []);
});

test("reload, under a prefix: what changed, what is wrong, and that it is right again", async (t) => {
  const before = await pipeline(t);
  await using full = await site(t, "system", {
    config: before,
    flags: ["--server.http.ui-path-prefix=/agent/"],
    expected: /400/,
  });
  const { page, agent } = full;
  const reload = page.getByRole("button", { name: "Reload now" });
  const panel = part(page, "configuration");
  agent.write(before.replace('scrape_interval = "1s"', 'scrape_interval = "2s"').replace('"hunter2"', '"hunter3"'));
  await reload.focus();
  await page.keyboard.press("Enter");
  await page.getByText("config reloaded").waitFor();
  await panel.locator("ins", { hasText: '+\tscrape_interval = "2s"' }).waitFor();
  await panel.locator("del", { hasText: '-\tscrape_interval = "1s"' }).waitFor();
  await assertNoSecrets(page);
  assert.ok(!(await page.content()).includes("hunter3"));
  await panel.getByRole("link", { name: "prometheus.scrape.nodes" }).waitFor();

  agent.write(before.replace('scrape_interval = "1s"', 'scrape_interval = "soon"'));
  await reload.click();
  await page.getByText("the reload failed").waitFor();
  await page.getByText("The configuration could not be loaded").waitFor();
  const diagnostics = await textOf(panel.locator(".diagnostics"));
  assert.match(diagnostics, /^Error: .*config\.alloy:\d+:\d+: .*scrape_interval/);
  assert.match(diagnostics, /\| +scrape_interval = "soon" +\| +\^+/);
  assert.match(await textOf(panel.locator(".failed-reload")), /What was loaded before stays in force/);
  await full.picture("system-failed");
  await full.assertAccessible();
  await page.emulateMedia({ colorScheme: "dark" });
  await full.assertAccessible();
  await full.picture("system-failed-dark");
  await assertNoSecrets(page);

  agent.write(before);
  await reload.click();
  await page.getByText("config reloaded").waitFor();
  await page.getByText("The configuration could not be loaded").waitFor({ state: "detached" });
  await panel.getByRole("link", { name: "prometheus.scrape.nodes" }).click();
  await page.locator("h1", { hasText: "nodes" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/agent/component/prometheus.scrape.nodes");
  await page.reload();
  await page.locator("h1", { hasText: "nodes" }).waitFor();
  assert.deepEqual(full.faults, []);
});

test("what goes away with a reload is said to be gone", async (t) => {
  await using full = await site(t, "component/loki.echo.x", { config: 'loki.echo "x" { }\n', expected: /404/ });
  const { page, agent } = full;
  await page.locator("h1", { hasText: "x" }).waitFor();
  assert.equal((await agent.reload('loki.echo "y" { }\n')).status, 200);
  await page.getByRole("heading", { name: "No such component" }).waitFor();
  await page.getByRole("link", { name: "What the last reload changed" }).click();
  await page.locator("del", { hasText: "loki.echo.x" }).waitFor();
  assert.deepEqual(full.faults, []);
});
