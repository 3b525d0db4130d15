import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { requestFromJson } from "#formats/otlp/json";
import { ProtoWriter } from "#formats/protobuf";
import { compress } from "#formats/snappy";
import { freePort } from "#kits/free-port.testing";
import type { HttpResponse } from "#pipeline/component";
import { startComponent } from "#pipeline/testing";
import viewer from "./invar.viewer.ts";
import { Stores } from "./stores.ts";

async function start(more = "") {
  const port = await freePort();
  const component = await startComponent(viewer, `listen_address = "127.0.0.1:${port}"\n${more}`);
  const view = component.instance.http!;
  async function get(path: string): Promise<unknown> {
    const { pathname, searchParams } = new URL(path, "http://x");
    const request = {
      method: "GET",
      path: pathname,
      query: searchParams,
      headers: new Map(),
      body: async () => new Uint8Array(),
    };
    const response: HttpResponse = await view(request, new AbortController().signal);
    return response.status === 200 ? JSON.parse(String(response.body)) : response.status;
  }
  const url = `http://127.0.0.1:${port}`;
  for (let i = 0; i < 200; i++) {
    const up = await fetch(url).then(
      () => true,
      () => false,
    );
    if (up) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  async function post(path: string, body: Uint8Array | string, headers: Record<string, string> = {}): Promise<number> {
    const response = await fetch(url + path, { method: "POST", body: body as Buffer, headers });
    await response.text();
    return response.status;
  }
  return { component, get, post, url };
}

const JSON_TYPE = { "content-type": "application/json" };

interface Logs {
  matched: number;
  entries: { line: string; labels: string[]; metadata: string[]; time: number }[];
}

test("Loki: JSON and protobuf, newest first, filtered by words and labels", async () => {
  const { component, get, post, url } = await start();
  await using _ = component;
  assert.deepEqual(component.exports, { loki_url: url, prometheus_url: url, otlp_url: url });
  const push = {
    streams: [
      {
        stream: { app: "web", env: "prod" },
        values: [
          ["1700000000123456789", "GET /a"],
          ["1700000001000000000", "GET /b", { user: "u1" }],
        ],
      },
    ],
  };
  assert.equal(await post("/loki/api/v1/push", JSON.stringify(push), JSON_TYPE), 204);
  const message = new ProtoWriter();
  const stream = message.begin(1);
  message.string(1, '{app="db"}');
  const entry = message.begin(2);
  const time = message.begin(1);
  message.int64(1, 1_700_000_002);
  message.end(time);
  message.string(2, "slow Query");
  message.end(entry);
  message.end(stream);
  assert.equal(
    await post("/loki/api/v1/push", compress(message.finish()), { "content-type": "application/x-protobuf" }),
    204,
  );
  const all = (await get("/logs")) as Logs;
  assert.deepEqual(
    all.entries.map(({ line }) => line),
    ["slow Query", "GET /b", "GET /a"],
  );
  assert.deepEqual(all.entries[1]!.labels, ["app", "web", "env", "prod"]);
  assert.deepEqual(all.entries[1]!.metadata, ["user", "u1"]);
  assert.ok(Math.abs(all.entries[2]!.time - 1_700_000_000_123.4568) < 0.001);
  const matching = async (filter: string) =>
    ((await get(`/logs?filter=${encodeURIComponent(filter)}`)) as Logs).matched;
  assert.equal(await matching("query"), 1);
  assert.equal(await matching("app=web"), 2);
  assert.equal(await matching("app=web -user=u1"), 1);
  assert.equal(await matching('"GET /b" env=prod'), 1);
  assert.equal(await matching("app=we"), 0);
  assert.equal(await matching("app=~^we user!=u1"), 1);
  assert.equal(await get("/logs?filter=app%3D~("), 400);
  assert.equal(await post("/loki/api/v1/push", "not snappy"), 400);
  assert.equal(await post("/loki/api/v1/push", "not json", JSON_TYPE), 400);
  assert.equal(
    await post("/loki/api/v1/push", JSON.stringify(push), { ...JSON_TYPE, origin: "http://evil.example" }),
    403,
  );
  assert.equal(component.flow.received.items, 3);
  assert.equal(component.flow.status.state, "ok");
});

test("remote write: series with their points, type and end", async () => {
  const { component, get, post } = await start();
  await using _ = component;
  const message = new ProtoWriter();
  for (const [name, value] of [
    ["requests_total", 5],
    ["up", 1],
  ] as const) {
    const series = message.begin(1);
    for (const [label, text] of [
      ["__name__", name],
      ["job", "x"],
    ] as const) {
      const pair = message.begin(1);
      message.string(1, label);
      message.string(2, text);
      message.end(pair);
    }
    const sample = message.begin(2);
    message.double(1, value);
    message.int64(2, 1_700_000_000_000);
    message.end(sample);
    message.end(series);
  }
  const metadata = message.begin(3);
  message.uint32(1, 1);
  message.string(2, "requests");
  message.end(metadata);
  const body = compress(message.finish());
  assert.equal(
    await post("/api/v1/write", body, { "content-encoding": "snappy", "content-type": "application/x-protobuf" }),
    204,
  );
  assert.deepEqual(await get("/series?filter=requests"), {
    matched: 1,
    kept: 2,
    series: [{ name: "requests_total", type: "counter", labels: ["job", "x"], points: [[1_700_000_000_000, 5]] }],
  });
  const v2 = { "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request" };
  assert.equal(await post("/api/v1/write", body, v2), 415);
});

const SPANS = {
  resourceSpans: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: "0102030405060708090a0b0c0d0e0f10",
              spanId: "0102030405060708",
              name: "GET /",
              kind: 2,
              startTimeUnixNano: "1700000000000000000",
              endTimeUnixNano: "1700000000250000000",
            },
            {
              traceId: "0102030405060708090a0b0c0d0e0f10",
              spanId: "0102030405060709",
              parentSpanId: "0102030405060708",
              name: "SELECT",
              kind: 3,
              startTimeUnixNano: "1700000000100000000",
              endTimeUnixNano: "1700000000150000000",
              status: { code: 2, message: "deadlock" },
              attributes: [{ key: "db.rows", value: { intValue: "7" } }],
            },
          ],
        },
      ],
    },
  ],
};

test("OTLP: traces as a list and in full, metrics as series, logs as lines", async () => {
  const { component, get, post } = await start();
  await using _ = component;
  const gzip = { ...JSON_TYPE, "content-encoding": "gzip" };
  assert.equal(await post("/v1/traces", gzipSync(JSON.stringify(SPANS)), gzip), 200);
  const protobuf = { "content-type": "application/x-protobuf" };
  assert.equal(
    await post(
      "/v1/traces",
      requestFromJson("traces", JSON.stringify(SPANS).replaceAll("01020304", "aa020304")),
      protobuf,
    ),
    200,
  );
  const { traces } = (await get("/traces?filter=deadlock%20")) as { traces: unknown[] };
  assert.deepEqual(traces, []);
  const list = (await get("/traces?filter=db.rows=7&limit=1")) as { matched: number; traces: object[] };
  assert.equal(list.matched, 2);
  assert.deepEqual(list.traces[0], {
    id: "aa02030405060708090a0b0c0d0e0f10",
    name: "GET /",
    services: ["shop"],
    start: 1_700_000_000_000,
    durationMs: 250,
    spans: 2,
    errors: 1,
  });
  const whole = (await get("/traces/0102030405060708090a0b0c0d0e0f10")) as { spans: Record<string, unknown>[] };
  assert.deepEqual(
    whole.spans.map(({ name, kind, parent, failed, durationMs }) => [name, kind, parent, failed, durationMs]),
    [
      ["GET /", "server", "", false, 250],
      ["SELECT", "client", "0102030405060708", true, 50],
    ],
  );
  assert.equal(await get("/traces/ffff"), 404);

  const point = { timeUnixNano: "1700000000000000000", attributes: [{ key: "zone", value: { stringValue: "a" } }] };
  const metrics = {
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: [
              {
                name: "jobs",
                sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: [{ ...point, asInt: "4" }] },
              },
              {
                name: "size",
                histogram: { aggregationTemporality: 2, dataPoints: [{ ...point, count: "3", sum: 1.5 }] },
              },
            ],
          },
        ],
      },
    ],
  };
  assert.equal(await post("/v1/metrics", JSON.stringify(metrics), JSON_TYPE), 200);
  const { series } = (await get("/series")) as { series: { name: string; type: string; points: unknown }[] };
  assert.deepEqual(
    series.map(({ name, type, points }) => [name, type, points]),
    [
      ["jobs", "counter", [[1_700_000_000_000, 4]]],
      ["size_count", "histogram", [[1_700_000_000_000, 3]]],
      ["size_sum", "histogram", [[1_700_000_000_000, 1.5]]],
    ],
  );

  const logs = {
    resourceLogs: [
      {
        scopeLogs: [
          {
            logRecords: [
              {
                timeUnixNano: "1700000000000000000",
                severityText: "WARN",
                body: { kvlistValue: { values: [{ key: "a", value: { boolValue: true } }] } },
              },
            ],
          },
        ],
      },
    ],
  };
  assert.equal(await post("/v1/logs", JSON.stringify(logs), JSON_TYPE), 200);
  const { entries } = (await get("/logs?filter=level=warn")) as Logs;
  assert.deepEqual(
    entries.map(({ line, labels }) => [line, labels]),
    [["{a=true}", ["service_name", "unknown_service", "level", "warn"]]],
  );

  assert.equal(await post("/v1/traces", "{", JSON_TYPE), 400);
  assert.equal(await post("/v1/traces", Buffer.from([0xff]), protobuf), 400);
  assert.equal(await post("/v1/traces", "x", { "content-type": "text/plain" }), 415);
});

test("a port that is taken: unhealthy with the reason, and fine once it is free", async () => {
  const port = await freePort();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, "127.0.0.1", resolve));
  await using component = await startComponent(viewer, `listen_address = "127.0.0.1:${port}"`);
  const until = async (done: () => boolean) => {
    for (let i = 0; !done(); i++) {
      assert.ok(i < 1000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await until(() => component.problem !== undefined);
  assert.match(component.problem!, /another program listens there/);
  assert.equal(component.flow.status.state, "failing");
  await new Promise((resolve) => taken.close(resolve));
  await until(() => component.problem === undefined);
});

test("an address without a port is refused", async () => {
  await assert.rejects(startComponent(viewer, 'listen_address = "localhost"'), /listen_address.*is no address/);
  await assert.rejects(startComponent(viewer, 'listen_address = "127.0.0.1:0"'), /listen_address.*is no address/);
});

test("whatever arrives, the memory stays within its bound, and nothing is left when all has expired", () => {
  const line = fc.record({ do: fc.constant("line" as const), length: fc.integer({ min: 0, max: 40_000 }) });
  const sample = fc.record({ do: fc.constant("sample" as const), series: fc.nat(3000) });
  const span = fc.record({ do: fc.constant("span" as const), trace: fc.nat(40), name: fc.nat(3000) });
  fc.assert(
    fc.property(fc.array(fc.oneof(line, sample, span), { maxLength: 400 }), (steps) => {
      const limit = 200_000;
      const stores = new Stores(limit);
      for (const [now, step] of steps.entries()) {
        if (step.do === "line") stores.logs.add(now, now, [], ["a", "b"], "x".repeat(step.length));
        else if (step.do === "sample") stores.series.add(now, `series_${step.series}`, ["a", "b"], now, 1);
        else {
          const { trace, name } = step;
          const rest = {
            parent: "",
            service: "s",
            kind: "",
            start: 0,
            durationMs: 0,
            failed: false,
            message: "",
            attributes: [],
          };
          stores.traces.add(now, String(trace), { id: String(now), name: "n".repeat(name), ...rest });
        }
        if (now % 50 === 49) stores.expire(now - 100);
        assert.ok(stores.logs.bytes <= limit * 0.5 && stores.series.bytes <= limit * 0.3, `${stores.bytes}`);
        assert.ok(stores.traces.bytes <= limit * 0.2 || stores.traces.size === 1);
      }
      stores.expire(Infinity);
      assert.deepEqual([stores.bytes, stores.logs.size, stores.series.size, stores.traces.size], [0, 0, 0, 0]);
    }),
  );
});
