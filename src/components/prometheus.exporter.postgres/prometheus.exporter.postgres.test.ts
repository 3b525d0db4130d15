import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { startComponent } from "#pipeline/testing";
import postgres from "./prometheus.exporter.postgres.ts";

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function scrape(
  component: Awaited<ReturnType<typeof startComponent<unknown, unknown, never>>>,
  signal = new AbortController().signal,
  status = 200,
  headers: ReadonlyMap<string, string> = new Map(),
): Promise<string> {
  const request = {
    method: "GET",
    path: "/metrics",
    query: new URLSearchParams(),
    headers,
    body: async () => new Uint8Array(),
  };
  const response = await component.instance.http!(request, signal);
  assert.equal(response.status, status);
  return response.body.toString();
}

test("a server that is not there still gives a page, and the status says why", async () => {
  const port = await closedPort();
  const config = `data_source_names = ["postgresql://monitor:hush@127.0.0.1:${port}/app?sslmode=disable"]`;
  await using component = await startComponent(postgres, config);
  const [target] = component.exports.targets;
  assert.equal(target?.get("job"), "integrations/postgres");
  assert.equal(target?.get("instance"), `postgresql://127.0.0.1:${port}/app`);
  for (const count of [1, 2]) {
    const page = await scrape(component as never);
    assert.match(page, /^pg_up 0$/m);
    assert.match(page, /^pg_exporter_last_scrape_error 1$/m);
    assert.match(page, new RegExp(`^pg_exporter_scrapes_total ${count}$`, "m"));
    assert.match(page, /^postgres_exporter_build_info\{/m);
  }
  assert.equal(component.flow.status.state, "failing");
  assert.equal(component.flow.status.rule, "servers");
  assert.match(component.flow.status.cause, new RegExp(`127.0.0.1:${port}/app: 127.0.0.1:${port} refuses connections`));
  assert.equal(component.logs.filter(({ message }) => message === "server failed").length, 1);
  assert.equal(JSON.stringify([component.logs, component.exports]).includes("hush"), false);
});

test("a server that never answers is named, and the log says so once", async (t) => {
  const server = createServer((socket) => void socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as { port: number };
  const config = `data_source_names = ["postgresql://monitor:hush@127.0.0.1:${port}/app?sslmode=disable"]`;
  await using component = await startComponent(postgres, config);
  for (let i = 0; i < 2; i++) await scrape(component as never, AbortSignal.timeout(100), 500);
  assert.equal(component.flow.status.state, "failing");
  assert.match(
    component.flow.status.cause,
    new RegExp(`127.0.0.1:${port}/app had not answered at all: see whether it`),
  );
  assert.equal(component.logs.filter(({ message }) => message === "could not collect metrics").length, 1);
});

test("a server that never answers does not take the page of the others, if the scrape says how long it waits", async (t) => {
  const server = createServer((socket) => void socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as { port: number };
  const sources = [port, await closedPort()].map((each) => `"postgresql://127.0.0.1:${each}/app?sslmode=disable"`);
  await using component = await startComponent(postgres, `data_source_names = [${sources.join(", ")}]`);
  const headers = new Map([["x-prometheus-scrape-timeout-seconds", "0.3"]]);
  // Without the header it would wait until the scrape is given up, which then has no page.
  const page = await scrape(component as never, AbortSignal.timeout(60_000), 200, headers);
  assert.match(page, /^pg_exporter_last_scrape_error 1$/m);
  assert.equal(component.flow.status.rule, "servers");
  assert.match(
    component.flow.status.cause,
    new RegExp(
      `when the scrape's time was over, 127.0.0.1:${port}/app had not answered at all: .*refuses connections|refuses connections.*when the scrape's time was over`,
    ),
  );
});

test("several data sources have the component's id as instance; one that cannot be read takes no other away", async () => {
  const port = await closedPort();
  await using component = await startComponent(
    postgres,
    `data_source_names = ["host=127.0.0.1 port=${port} sslmode=disable", "postgres://u:pa/ss@h/d"]`,
  );
  assert.equal(component.exports.targets[0]?.get("instance"), "prometheus.exporter.postgres.test");
  await scrape(component as never);
  assert.equal(component.flow.status.state, "failing");
  assert.match(component.flow.status.cause, /data source name 2: it cannot be used: it has an @ behind/);
  assert.equal(component.flow.status.cause.includes("pa/ss"), false);
});

function setVariable(t: TestContext, value: string | undefined): void {
  const name = "POSTGRES_EXPORTER_DATA_SOURCE_NAME";
  const before = process.env[name];
  const set = (text: string | undefined) => {
    if (text === undefined) delete process.env[name];
    else process.env[name] = text;
  };
  set(value);
  cleanUp(t, () => set(before));
}

test("data sources may come from the environment; without any the component does not start", async (t) => {
  setVariable(t, "postgresql://a@one/x,postgresql://b@two/y");
  await using component = await startComponent(postgres, "");
  assert.equal(component.exports.targets[0]?.get("instance"), "prometheus.exporter.postgres.test");
  setVariable(t, undefined);
  await assert.rejects(startComponent(postgres, ""), /there is no server to ask: set data_source_names, or/);
  await assert.rejects(
    startComponent(postgres, 'data_source_names = ["postgres://u:secret%@h/d"]'),
    (error: Error) =>
      /data source name 1 cannot be used: it has a %/.test(error.message) && !error.message.includes("secret"),
  );
});

test("bad arguments are diagnosed", async () => {
  const source = 'data_source_names = ["postgresql://h/d"]\n';
  for (const [config, message] of [
    ["disable_default_metrics = true", /custom_queries_config_path.*must be set/s],
    [
      'disable_default_metrics = true\ncustom_queries_config_path = "/q"\nenabled_collectors = ["wal"]',
      /enabled_collectors.*cannot be set/s,
    ],
    ['enabled_collectors = ["walls"]', /unknown collector; there are buffercache_summary, database,/],
    ["stat_statements {\n limit = -1\n}", /limit/],
  ] as const) {
    await assert.rejects(
      startComponent(postgres, source + config),
      (error) => error instanceof DiagnosticError && message.test(String(error.message)),
      config,
    );
  }
});
