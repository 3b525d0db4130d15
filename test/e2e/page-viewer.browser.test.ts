import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Locator } from "playwright-core";
import { startAgent, type TestAgent } from "../kit/agent.ts";
import { type OpenedPage, openBrowserPage, type PageOptions, useBrowser } from "../kit/browser.ts";
import { freePort } from "../kit/process.ts";

/** The viewer's part of the page, on a real agent. */

useBrowser();

interface Site extends OpenedPage {
  readonly agent: TestAgent;
  push(path: string, body: object): Promise<void>;
}

/** An agent with a viewer, and its page opened. */
async function site(t: TestContext, view: string, options: PageOptions & { withViewer?: boolean } = {}): Promise<Site> {
  const port = await freePort();
  const viewer = `invar.viewer "local" {\n  listen_address = "127.0.0.1:${port}"\n}\n`;
  const agent = await startAgent(t, options.withViewer === false ? 'loki.echo "x" { }' : viewer);
  const opened = await openBrowserPage(`${agent.url}/${view}`, { expected: /ERR_CONNECTION_REFUSED/, ...options });
  async function push(path: string, body: object) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    assert.ok(response.ok, `${response.status} ${await response.text()}`);
  }
  return { ...opened, agent, push, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

async function textOf(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? "";
}

const NANOS = 1_000_000n;
const nanos = (ms: number) => String(BigInt(Math.round(ms)) * NANOS);

function logs(now: number) {
  const levels = ["info", "warn", "error"];
  const values = Array.from({ length: 40 }, (_, i) => [
    nanos(now - i * 700),
    `level=${levels[i % 3]} msg="request ${i} served" path=/api/items/${i} took=${i * 3}ms`,
  ]);
  return {
    streams: [
      { stream: { job: "web", env: "prod" }, values },
      {
        stream: { job: "db", env: "prod" },
        values: [[nanos(now), "<script>document.title = 'owned'</script> checkpoint done", { user: "u 1" }]],
      },
    ],
  };
}

function metrics(now: number) {
  const points = (value: (i: number) => number, extra: object = {}) =>
    Array.from({ length: 40 }, (_, i) => ({
      timeUnixNano: nanos(now - (40 - i) * 15_000),
      asDouble: value(i),
      attributes: [{ key: "cpu", value: { stringValue: "0" } }],
      ...extra,
    }));
  return {
    resourceMetrics: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
        scopeMetrics: [
          {
            metrics: [
              { name: "node_load1", gauge: { dataPoints: points((i) => 1 + Math.sin(i / 4)) } },
              {
                name: "http_requests",
                sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: points((i) => i * i * 30) },
              },
            ],
          },
        ],
      },
    ],
  };
}

function traces(now: number) {
  const span = (id: number, parent: number, name: string, from: number, ms: number, more: object = {}) => ({
    traceId: "0102030405060708090a0b0c0d0e0f10",
    spanId: String(id).padStart(16, "0"),
    parentSpanId: parent === 0 ? "" : String(parent).padStart(16, "0"),
    name,
    kind: parent === 0 ? 2 : 3,
    startTimeUnixNano: nanos(now + from),
    endTimeUnixNano: nanos(now + from + ms),
    attributes: [{ key: "http.route", value: { stringValue: "/checkout" } }],
    ...more,
  });
  return {
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
        scopeSpans: [
          {
            spans: [
              span(1, 0, "POST /checkout", 0, 240),
              span(2, 1, "reserve items", 10, 80),
              span(3, 2, "SELECT stock", 20, 50),
              span(4, 1, "charge card", 100, 130, { status: { code: 2, message: "card declined" } }),
            ],
          },
        ],
      },
    ],
  };
}

test("nothing there yet: every view says what to do", async (t) => {
  await using empty = await site(t, "viewer");
  const { page } = empty;
  for (const [tab, text] of [
    ["Logs", "No log lines yet"],
    ["Metrics", "No series yet"],
    ["Traces", "No traces yet"],
  ] as const) {
    await page.getByRole("link", { name: tab }).click();
    await page.getByRole("heading", { name: text }).waitFor();
    assert.match(await textOf(page.locator("pre")), /= "http:\/\/127\.0\.0\.1:\d+/);
  }
  await empty.assertAccessible();
  assert.deepEqual(empty.faults, []);
});

test("without a viewer the page says how to get one", async (t) => {
  await using none = await site(t, "viewer", { withViewer: false });
  await none.page.getByRole("heading", { name: "This configuration has no viewer" }).waitFor();
  await none.page.getByRole("link", { name: "look at the components" }).click();
  await none.page.getByRole("link", { name: "loki.echo.x" }).first().waitFor();
  assert.deepEqual(none.faults, []);
});

test("logs: the latest first, filtered by typing and by clicking a label, opened for the whole line, renewed by itself", async (t) => {
  await using full = await site(t, "viewer/logs");
  const { page, push } = full;
  const summary = page.locator(".viewer .summary");
  await push("/loki/api/v1/push", logs(Date.now()));
  await page.getByText("checkpoint done").first().waitFor();
  assert.match(await page.title(), /Invar$/, "markup in a line is shown, not run");
  assert.equal(await page.locator(".log").count(), 41);
  await full.picture("viewer-logs");
  await page.keyboard.press("/");
  await page.keyboard.type("job=web level=error");
  await page.getByText("None of the 41 log lines matches").waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.getByRole("searchbox").fill("msg error");
  await page.getByText("13 lines", { exact: true }).waitFor();
  assert.match(page.url(), /viewer\/logs\?filter=msg\+error$/);
  await page.locator(".log summary").first().click();
  await page.getByRole("button", { name: "env=prod" }).first().click();
  await page.waitForFunction("document.querySelector('input[type=search]').value === 'msg error env=prod'");
  await full.picture("viewer-logs-open");
  await full.assertAccessible();
  const again = logs(Date.now() + 1000);
  again.streams.splice(1);
  await push("/loki/api/v1/push", again);
  await page.getByText("26 lines", { exact: true }).waitFor();
  assert.equal(await page.locator(".log[open]").count(), 1, "an open line stays open");
  await page.getByRole("button", { name: "Pause" }).click();
  await push("/loki/api/v1/push", again);
  await page.waitForTimeout(2500);
  assert.equal(await textOf(summary), "26 lines");
  await page.getByRole("button", { name: "Paused" }).click();
  await page.getByText("39 lines", { exact: true }).waitFor();
  assert.deepEqual(full.faults, []);
});

test("metrics: last value and plot, counters as increase per second, a large plot on demand", async (t) => {
  await using full = await site(t, "viewer/metrics");
  const { page, push } = full;
  await push("/v1/metrics", metrics(Date.now()));
  const row = page.getByRole("row", { name: /node_load1/ });
  await row.waitFor();
  assert.match(await row.locator("svg path").last().getAttribute("d").then(String), /^M0\.0 .*L160\.0 /);
  const rate = page.getByRole("row", { name: /http_requests/ });
  assert.match(await textOf(rate), /counter[\s\S]*154\/s/);
  await page.getByRole("button", { name: "node_load1" }).click();
  await page.locator(".plot canvas").waitFor();
  await full.picture("viewer-metrics");
  await full.assertAccessible();
  await page.getByRole("searchbox").fill("load service_name=shop");
  await page.getByText("1 series", { exact: true }).waitFor();
  assert.deepEqual(full.faults, []);
});

test("traces: a list, and a waterfall of the spans, by keyboard alone, in the dark", async (t) => {
  await using full = await site(t, "viewer/traces", { colorScheme: "dark" });
  const { page, push } = full;
  await push("/v1/traces", traces(Date.now()));
  const trace = page.locator(".trace > summary");
  await trace.waitFor();
  assert.match(await textOf(trace), /POST \/checkout 1 failed[\s\S]*4 spans[\s\S]*240 ms/);
  await trace.focus();
  await page.keyboard.press("Enter");
  await page.getByText("charge card").waitFor();
  const names = await page.locator(".span .name").allInnerTexts();
  assert.deepEqual(
    names.map((name) => name.split(" shop")[0]!.trim()),
    ["POST /checkout", "reserve items", "SELECT stock", "failed charge card"],
  );
  await page.locator(".span > summary").nth(3).click();
  await page.getByText("card declined").waitFor();
  await full.picture("viewer-traces-dark");
  await full.assertAccessible();
  await page.waitForTimeout(2500);
  assert.equal(await page.locator(".trace[open] .span[open]").count(), 1, "what is open survives a renewal");
  assert.deepEqual(full.faults, []);
});

test("an agent that stops answering is announced, and a phone's width is enough", async (t) => {
  await using full = await site(t, "viewer/logs");
  const { page, push, agent } = full;
  await push("/loki/api/v1/push", logs(Date.now()));
  await page.getByText("checkpoint done").first().waitFor();
  await page.setViewportSize({ width: 390, height: 800 });
  const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  assert.equal(overflow, 0);
  await full.picture("viewer-logs-narrow");
  await agent.kill();
  await page.getByRole("alert").getByText("does not answer").first().waitFor();
  assert.equal(await page.locator(".log").count(), 41, "what was shown stays");
});
