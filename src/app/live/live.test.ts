import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { until } from "#base/until.testing";
import { logBatch } from "#pipeline/log-batch";
import { Agent } from "../agent.ts";
import type { LiveEvent } from "../api/json.ts";
import { splitAddress } from "../api-server.ts";
import { LogOutput } from "../log-output.ts";
import { registry } from "../registry.ts";
import { VERSION } from "../version.ts";

const ON = "livedebugging {\n  enabled = true\n}\n";
const METRICS = `
prometheus.exporter.self "me" {}

prometheus.scrape "s" {
  targets         = prometheus.exporter.self.me.targets
  forward_to      = [prometheus.relabel.a.receiver, prometheus.relabel.b.receiver]
  scrape_interval = "50ms"
  scrape_timeout  = "50ms"
}

prometheus.relabel "a" {
  forward_to = []
}

prometheus.relabel "b" {
  forward_to = []
}

declare "inner" {
  prometheus.relabel "deep" {
    forward_to = []
  }
}

inner "i" {}
`;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** An agent inside of this process, so that its taps can be looked at. */
async function startAgent(t: TestContext, config: string) {
  const folder = mkdtempSync(join(tmpdir(), "invar-live-"));
  const path = join(folder, "a.alloy");
  writeFileSync(path, config);
  const agent = new Agent(
    {
      configPath: path,
      version: VERSION,
      registry,
      storagePath: join(folder, "storage"),
      listenAddress: "127.0.0.1:0",
      memoryAddress: "alloy.internal:12345",
      uiPathPrefix: "/",
      enablePprof: false,
      disableSupportBundle: true,
      minimumStability: "experimental",
      communityComponents: false,
      shutdownDeadlineMs: 1000,
      workers: 0,
      flags: new Map(),
    },
    new LogOutput(() => {}),
  );
  t.after(async () => {
    await agent.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await agent.reload();
  await agent.server.listen();
  const url = `http://${agent.server.address}/api/v0/web/live`;
  return {
    agent,
    get: (query: string, init: RequestInit = {}) => fetch(`${url}?${query}`, init),
    reload(text: string) {
      writeFileSync(path, text);
      return agent.reload();
    },
    /** Whether somebody listens to a component. */
    isWatched: (id: string) => agent.controller.component(id)!.tap.active,
  };
}

async function eventsOf(response: Response): Promise<LiveEvent[]> {
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LiveEvent);
}

test("a stream of items up to the limit, then what passed, then nobody listens", async (t) => {
  const { get, isWatched } = await startAgent(t, ON + METRICS);
  const response = await get("component=prometheus.scrape.*&limit=5&rate=1000");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const events = await eventsOf(response);
  assert.deepEqual(
    events.map((each) => each.event),
    ["item", "item", "item", "item", "item", "passed"],
  );
  const [first] = events;
  assert.ok(first?.event === "item" && first.item.type === "sample");
  assert.deepEqual([first.component, first.direction], ["prometheus.scrape.s", "out"]);
  assert.equal(isWatched("prometheus.scrape.s"), false);
});

test("components, edges and directions are chosen by pattern", async (t) => {
  const { get } = await startAgent(t, ON + METRICS);
  const seen = async (query: string) => {
    const rows = new Set<string>();
    for (const each of await eventsOf(await get(`${query}&limit=100&rate=10000&sample=0.2`)))
      if (each.event === "item") rows.add(`${each.component} ${each.direction} ${each.peer}`.trim());
    return [...rows].sort();
  };
  const a = "prometheus.scrape.s out prometheus.relabel.a";
  const b = "prometheus.scrape.s out prometheus.relabel.b";
  assert.deepEqual(await seen("component=prometheus.scrape.s"), [a, b]);
  assert.deepEqual(await seen("component=prometheus.scrape.s&to=*.b"), [b]);
  assert.deepEqual(await seen(`component=${encodeURIComponent("prometheus.*->prometheus.relabel.a")}`), [a]);
  assert.deepEqual(await seen("component=prometheus.scrape.s.prometheus.relabel.b"), [b]);
  assert.deepEqual(await seen("component=*.a&component=*.b"), ["prometheus.relabel.a in", "prometheus.relabel.b in"]);
  assert.deepEqual(await seen("component=prometheus.relabel.a&direction=both"), ["prometheus.relabel.a in"]);
  assert.deepEqual(await seen("component=*.b&direction=&to=&where=&sample=&trace="), ["prometheus.relabel.b in"]);
  const targets = await eventsOf(await get("component=prometheus.exporter.self.me&limit=1"));
  assert.match(JSON.stringify(targets[0]), /"type":"exports".*__address__/);
});

test("what cannot be asked for: off, unknown, malformed", async (t) => {
  const { get, reload } = await startAgent(t, METRICS);
  const answer = async (query: string, init?: RequestInit) => {
    const response = await get(query, init);
    return `${response.status} ${await response.text()}`;
  };
  assert.match(await answer("component=prometheus.scrape.s"), /^403 .*livedebugging \{ enabled = true \}/);
  await reload(ON + METRICS);
  const cases: [string, RegExp][] = [
    [
      "component=prometheus.scrap.s",
      /^404 no component matches "prometheus.scrap.s": did you mean "prometheus.scrape.s"\?/,
    ],
    ["component=xyz", /^404 no component matches "xyz": there are prometheus/],
    ["component=inner.i", /^404 "inner.i" is not a single component: .*"inner.i\/\*"/],
    [
      "component=prometheus.scrape.s&to=nobody",
      /^404 .*hands nothing on to "nobody": it hands on to prometheus\.relabel\.[ab]/,
    ],
    [
      "component=prometheus.scrape.s.prometheus.relabel.c",
      /^404 .*hands nothing on to "prometheus.relabel.c": did you mean/,
    ],
    ["component=prometheus.relabel.a-%3Ex", /^404 .*it hands nothing on to any component/],
    ["direction=up", /^400 direction must be in, out or both/],
    ["direction=in&to=x", /^400 to chooses among consumers/],
    ["sample=2", /^400 sample must be a number from 0 to 1/],
    ["rate=100000", /^400 rate must be a number from 1 to 10000/],
    ["rate=0x10000", /^400 rate must/],
    ["rate=%20", /^400 rate must/],
    ["limit=0", /^400 limit must be a whole number/],
    ["trace=maybe", /^400 trace must be true or false/],
    ["trace=true", /^400 none of these components has stages to trace; those of loki.process have/],
    ["where=level%3D~(", /^400 the regular expression for level cannot be used/],
    ["wher=x", /^400 there is no parameter "wher"/],
    [`component=${"x".repeat(2000)}`, /^400 component must have at most 1000 characters/],
    [`component=x${"&component=x".repeat(100)}`, /^400 at most 100 components/],
  ];
  for (const [query, expected] of cases) assert.match(await answer(query), expected, query);
  assert.match(await answer("", { method: "POST" }), /^405 /);
});

test("a client that goes ends the watching at once", async (t) => {
  const { agent, get, isWatched } = await startAgent(t, ON + METRICS);
  const client = new AbortController();
  const response = await get("component=prometheus.relabel.a", { signal: client.signal });
  await response.body!.getReader().read();
  assert.equal(isWatched("prometheus.relabel.a"), true);
  assert.equal(isWatched("prometheus.relabel.b"), false);
  client.abort();
  await until(() => !isWatched("prometheus.relabel.a"), "nobody listens");
  const old = new AbortController();
  const debug = await fetch(`http://${agent.server.address}/api/v0/web/debug/prometheus.relabel.a`, {
    signal: old.signal,
  });
  const { value } = await debug.body!.getReader().read();
  assert.match(Buffer.from(value!).toString(), /^\[IN\]: sample: ts=\d+, labels=\{__name__="[^|]*, value=[^|]*\|;\|/);
  old.abort();
  await until(() => !isWatched("prometheus.relabel.a"), "nobody listens");
  await get("component=prometheus.relabel.a", { method: "HEAD" });
  assert.equal(isWatched("prometheus.relabel.a"), false);
});

test("sixteen clients at once, and no more", async (t) => {
  const { agent, get, isWatched } = await startAgent(t, ON + METRICS);
  const clients = Array.from({ length: 16 }, () => new AbortController());
  // Kept, since an answer that nobody refers to any more is cancelled.
  const answers: Response[] = [];
  for (const { signal } of clients) answers.push(await get("component=*.a", { signal }));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const refused = await get("component=*.a");
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), /16 clients watch live data already/);
  assert.equal((await fetch(`http://${agent.server.address}/api/v0/web/debug/prometheus.relabel.a`)).status, 429);
  clients[0]!.abort();
  await until(() => !agent.live.isFull, "there is room");
  assert.equal((await get("component=*.a&limit=1")).status, 200);
  for (const client of clients) client.abort();
  assert.equal(answers.length, 16);
  await until(() => !isWatched("prometheus.relabel.a"), "nobody listens");
});

test("components that a reload adds join in, and a reload that turns it off ends the stream", async (t) => {
  const { get, reload } = await startAgent(t, ON + METRICS);
  const response = await get("component=prometheus.relabel.*");
  const seen = new Set<string>();
  const reading = (async () => {
    let rest = "";
    for await (const chunk of response.body!) {
      const lines = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const event = JSON.parse(line) as LiveEvent;
        if (event.event === "item") seen.add(event.component);
      }
    }
  })();
  await until(() => seen.size === 2, "a and b are seen");
  const more = METRICS.replace('"b" {', '"c" {').replace("relabel.b.receiver", "relabel.c.receiver");
  await reload(ON + more);
  await until(() => seen.has("prometheus.relabel.c"), "c is seen");
  await reload(more);
  await reading;
});

test("a client that does not read makes the agent keep little, and is noticed when it goes", async (t) => {
  const { agent, isWatched } = await startAgent(t, ON + METRICS);
  const { host, port } = splitAddress(agent.server.address);
  const socket = connect(port, host).pause();
  t.after(() => socket.destroy());
  socket.write("GET /api/v0/web/live?component=prometheus.relabel.b&rate=10000 HTTP/1.1\r\nHost: x\r\n\r\n");
  await until(() => isWatched("prometheus.relabel.b"), "it is watched");
  const { tap } = agent.controller.component("prometheus.relabel.b")!;
  const lines = logBatch(Array.from({ length: 100 }, () => ({ line: "x".repeat(4000) })));
  const used = () => {
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  // More than sockets hold between the two ends.
  for (let passed = 0; passed < 800; passed++) {
    tap.show("in", "", lines);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(isWatched("prometheus.relabel.b"), true);
  assert.ok(used() - before < 6e6, `${used() - before} bytes more`);
  socket.destroy();
  await until(() => !isWatched("prometheus.relabel.b"), "nobody listens");
});
