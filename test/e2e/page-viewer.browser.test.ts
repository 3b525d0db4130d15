import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { type Browser, type Page as BrowserPage, chromium, type Locator } from "playwright-core";
import { openPage } from "#app/page";
import { createLogger } from "#base/log";
import viewer from "#components/invar.viewer/invar.viewer";
import { HttpServer } from "#kits/http-server";
import { componentPath } from "#pipeline/component";
import { startComponent } from "#pipeline/testing";

/** The page against a viewer of its own: `SCREENSHOTS=folder` leaves pictures of each view there. */

let browser: Browser;
before(async () => {
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
});
after(() => browser.close());

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Site extends AsyncDisposable {
  readonly page: BrowserPage;
  readonly url: string;
  /** What the page must not have: errors of scripts, and requests to other places. */
  readonly faults: string[];
  push(path: string, body: object): Promise<void>;
  stopAgent(): Promise<void>;
}

/** Serves page and viewer as the agent does, and opens the page. */
async function site(
  options: { withViewer?: boolean; colorScheme?: "dark" | "light"; hash?: string } = {},
): Promise<Site> {
  const files = await openPage();
  const port = await freePort();
  const component = await startComponent(viewer, `listen_address = "127.0.0.1:${port}"`);
  const log = createLogger({ enabled: () => false, write: () => {} });
  const server = new HttpServer({ address: "127.0.0.1", port: 0, log });
  const prefix = componentPath("invar.viewer.local");
  const healthy = { state: "healthy", message: "started" };
  const flow = { state: "ok", cause: "", since: "", received: { items: 12, bytes: 900 }, sent: [], dropped: [] };
  const stuck = {
    ...flow,
    state: "failing",
    cause: "nothing listens at 10.0.0.1",
    dropped: [{ signal: "logs", reason: "queue_full", items: 3 }],
  };
  const components = [
    { name: "loki.write", localID: "loki.write.out", moduleID: "", health: healthy, flow: stuck },
    {
      name: "local.file_match",
      localID: "local.file_match.logs",
      moduleID: "",
      health: { state: "unhealthy", message: "no such folder" },
    },
    ...(options.withViewer === false
      ? []
      : [{ name: "invar.viewer", localID: "invar.viewer.local", moduleID: "", health: healthy, flow }]),
  ];
  server.route("GET", "/api/v0/web/components", () => ({
    status: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(components),
  }));
  server.route("*", `${prefix}/*`, (request, signal) =>
    component.instance.http!({ ...request, path: request.path.slice(prefix.length) }, signal),
  );
  server.route("GET", "/*", ({ path }) => files.serve(path, "/"));
  const { port: sitePort } = await server.listen();
  const url = `http://127.0.0.1:${sitePort}/`;
  const context = await browser.newContext({
    colorScheme: options.colorScheme ?? "light",
    viewport: { width: 1280, height: 800 },
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/ERR_CONNECTION_REFUSED/.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(url + (options.hash ?? ""));
  return {
    page,
    url,
    faults,
    async push(path, body) {
      for (let i = 0; ; i++) {
        try {
          const response = await fetch(`http://127.0.0.1:${port}${path}`, {
            method: "POST",
            body: JSON.stringify(body),
            headers: { "content-type": "application/json" },
          });
          assert.ok(response.ok, `${response.status} ${await response.text()}`);
          return;
        } catch (error) {
          if (i > 100 || error instanceof assert.AssertionError) throw error;
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }
    },
    stopAgent: () => server.close(0),
    async [Symbol.asyncDispose]() {
      await context.close();
      await server.close(0);
      await component.stop();
    },
  };
}

async function picture(page: BrowserPage, name: string): Promise<void> {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
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

test("nothing there yet: every view says what to do", async () => {
  await using empty = await site();
  const { page } = empty;
  for (const [key, text] of [
    ["1", "No log lines yet"],
    ["2", "No series yet"],
    ["3", "No traces yet"],
  ] as const) {
    await page.keyboard.press(key);
    await page.getByRole("heading", { name: text }).waitFor();
  }
  assert.match(await textOf(page.locator("pre")), /endpoint = "http:\/\/127\.0\.0\.1:\d+"/);
  await picture(page, "empty");
  assert.deepEqual(empty.faults, []);
});

test("without a viewer the page says how to get one and shows the components", async () => {
  await using none = await site({ withViewer: false });
  const { page } = none;
  await page.getByRole("heading", { name: "This configuration has no viewer" }).waitFor();
  await page.getByRole("button", { name: "Show the components" }).click();
  await page.getByRole("cell", { name: /failing/ }).waitFor();
  assert.equal(await textOf(page.locator("#summary")), "2 components, 1 not healthy");
  await picture(page, "components");
  assert.deepEqual(none.faults, []);
});

test("logs: the latest first, filtered by typing and by clicking a label, opened for the whole line, refreshed by itself", async () => {
  await using full = await site();
  const { page, push } = full;
  await push("/loki/api/v1/push", logs(Date.now()));
  await page.getByText("checkpoint done").first().waitFor();
  assert.equal(await page.title(), "Invar", "markup in a line is shown, not run");
  assert.equal(await page.locator(".log").count(), 41);
  await picture(page, "logs");
  await page.keyboard.press("/");
  await page.keyboard.type("job=web level=error");
  await page.getByText("None of the 41 log lines matches").waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.locator("#filter").fill("msg error");
  await page.getByText("13 lines", { exact: true }).waitFor();
  assert.match(page.url(), /#logs\?filter=msg\+error$/);
  await page.locator(".log summary").first().click();
  await page.getByRole("button", { name: "env=prod" }).first().click();
  assert.equal(await page.locator("#filter").inputValue(), "msg error env=prod");
  await picture(page, "logs-open");
  const again = logs(Date.now() + 1000);
  again.streams.splice(1);
  await push("/loki/api/v1/push", again);
  await page.getByText("26 lines", { exact: true }).waitFor();
  assert.equal(await page.locator(".log[open]").count(), 1, "an open line stays open");
  await page.getByRole("button", { name: "Pause" }).click();
  await push("/loki/api/v1/push", again);
  await page.waitForTimeout(2500);
  assert.equal(await textOf(page.locator("#summary")), "26 lines");
  assert.deepEqual(full.faults, []);
});

test("metrics: last value and plot; counters as increase per second", async () => {
  await using full = await site({ hash: "#metrics" });
  const { page, push } = full;
  await push("/v1/metrics", metrics(Date.now()));
  const row = page.getByRole("row", { name: /node_load1/ });
  await row.waitFor();
  assert.match(await row.locator("svg path").last().getAttribute("d").then(String), /^M0\.0 .*L160\.0 /);
  const rate = page.getByRole("row", { name: /http_requests/ });
  assert.match(await textOf(rate), /counter[\s\S]*154\/s/);
  await picture(page, "metrics");
  await page.locator("#filter").fill("load service_name=shop");
  await page.getByText("1 series", { exact: true }).waitFor();
  assert.deepEqual(full.faults, []);
});

test("traces: a list, and a waterfall of the spans, by keyboard alone, in the dark", async () => {
  await using full = await site({ colorScheme: "dark" });
  const { page, push } = full;
  await push("/v1/traces", traces(Date.now()));
  await page.locator("#tab-logs").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("#tab-traces").getAttribute("aria-selected"), "true");
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
  await picture(page, "traces-dark");
  await page.waitForTimeout(2500);
  assert.equal(await page.locator(".trace[open] .span[open]").count(), 1, "what is open survives a refresh");
  assert.deepEqual(full.faults, []);
});

test("an agent that stops answering is announced, and so is that a phone's width is enough", async () => {
  await using full = await site();
  const { page, push } = full;
  await push("/loki/api/v1/push", logs(Date.now()));
  await page.getByText("checkpoint done").first().waitFor();
  await page.setViewportSize({ width: 390, height: 800 });
  const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  assert.equal(overflow, 0);
  await picture(page, "logs-narrow");
  await full.stopAgent();
  await page.getByRole("alert").getByText("does not answer").waitFor();
  assert.equal(await page.locator(".log").count(), 41, "what was shown stays");
});
