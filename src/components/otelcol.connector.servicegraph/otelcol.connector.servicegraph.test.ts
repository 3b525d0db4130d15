import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import {
  batchOf,
  countsOf,
  pointsOf,
  type TestGroup,
  type TestSpan,
  traces,
} from "#kits/span-metrics/span-metrics.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import connector from "./otelcol.connector.servicegraph.ts";

const { signal } = new AbortController();
const OUTPUT = "output {\n  metrics = [out]\n}";
const CLIENT = 3;
const SERVER = 2;
const PRODUCER = 4;
const CONSUMER = 5;
const TOTAL = "traces_service_graph_request_total";

async function start(t: TestContext, config = "") {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const component = await startComponent(connector, `${config}\n${OUTPUT}`, { scope: { out: sink.value }, clock });
  cleanUp(t, () => component.stop());
  const send = async (...groups: readonly TestGroup[]) => {
    await component.exports.input.consume(batchOf(traces(...groups)), signal);
  };
  /** What the last flush within a minute hands on. */
  const flush = async (ms = 60_000) => {
    await clock.advance(ms);
    return sink.items.splice(0);
  };
  const totals = async (ms?: number) =>
    countsOf(await flush(ms))
      .filter((each) => each.startsWith(`${TOTAL}{`))
      .map((each) => each.slice(TOTAL.length));
  return { component, sink, clock, send, flush, totals };
}

const service = (name: string, ...spans: readonly TestSpan[]): TestGroup => ({
  resource: { "service.name": name },
  spans,
});
const client = (more: TestSpan = {}): TestSpan => ({ kind: CLIENT, trace: 1, span: 1, ...more });
const server = (more: TestSpan = {}): TestSpan => ({ kind: SERVER, trace: 1, span: 2, parent: 1, ...more });

test("the spans of a call make an edge, in whatever order and request they come", async (t) => {
  const { component, clock, send, flush } = await start(t);
  const began = clock.now();
  await send(service("web", client({ ms: 7 })), service("shop", server({ ms: 5 })));
  await send(service("shop", server({ ms: 20_000, trace: 2, status: 2 })));
  await send(service("web", client({ ms: 30_000, trace: 2 })));
  await send(service("web", { kind: 1, trace: 3 }, { kind: 0, trace: 4 }));
  const points = pointsOf(await flush());
  const labels = (failed: boolean) => `client=web server=shop connection_type= failed=${failed}`;
  assert.deepEqual(
    points.map(({ metric, unit, temporality, scope, resource, labels: text, count }) => [
      metric.replace("traces_service_graph_request_", ""),
      unit,
      temporality,
      scope,
      resource,
      text,
      count,
    ]),
    [
      ["total", "", 2, "traces_service_graph", "", labels(false), 1],
      ["total", "", 2, "traces_service_graph", "", labels(true), 1],
      ["failed_total", "", 2, "traces_service_graph", "", labels(true), 1],
      ["server", "s", 2, "traces_service_graph", "", labels(false), 1],
      ["server", "s", 2, "traces_service_graph", "", labels(true), 1],
      ["client", "s", 2, "traces_service_graph", "", labels(false), 1],
      ["client", "s", 2, "traces_service_graph", "", labels(true), 1],
    ],
  );
  assert.equal(points[3]!.point.sum, 0.005);
  assert.deepEqual(points[3]!.point.bucketCounts, ["0", "0", "1", ...Array(14).fill("0")]);
  assert.equal(points[6]!.point.sum, 30);
  for (const { point } of points) assert.equal(point.startTimeUnixNano, `${began}000000`);
  assert.equal(component.metric("otelcol_connector_servicegraph_edges_total"), 2);
  assert.equal(component.metric("otelcol_connector_servicegraph_expired_edges_total"), 0);
  assert.equal(component.flow.dropped.size, 0);
});

test("messages and databases", async (t) => {
  const { send, totals } = await start(t);
  await send(
    service("web", client({ kind: PRODUCER })),
    service("shop", server({ kind: CONSUMER })),
    service("shop", client({ trace: 2, attributes: { "db.name": "orders" } })),
  );
  assert.deepEqual(await totals(), [
    "{client=shop server=orders connection_type=database failed=false} 1",
    "{client=web server=shop connection_type=messaging_system failed=false} 1",
  ]);
});

test("dimensions are of both sides, the resource before the span", async (t) => {
  const { send, totals } = await start(t, 'dimensions = ["zone", "peer"]');
  await send(
    { resource: { "service.name": "web", zone: "a" }, spans: [client({ attributes: { zone: "x", peer: 4 } })] },
    service("shop", server({ attributes: { zone: "b" } })),
  );
  assert.deepEqual(await totals(), [
    "{client=web server=shop connection_type= failed=false client_zone=a server_zone=b client_peer=4} 1",
  ]);
});

test("ends without spans are virtual nodes once the time is over", async (t) => {
  const { component, send, totals } = await start(t, "virtual_node_extra_label = true");
  await send(
    service("shop", server({ parent: 0 })), // nobody called: the user
    service("shop", client({ trace: 2, attributes: { "db.system": "redis" } })),
    service("shop", client({ trace: 3, attributes: { "peer.service": "bank", "db.system": "no" } })),
    service("shop", client({ trace: 4 })),
    service("shop", server({ trace: 5 })), // whose client never came
  );
  assert.deepEqual(await totals(), [
    "{client=shop server=bank connection_type=virtual_node failed=false virtual_node=server} 1",
    "{client=shop server=redis connection_type=virtual_node failed=false virtual_node=server} 1",
    "{client=shop server=unknown connection_type=virtual_node failed=false virtual_node=server} 1",
    "{client=user server=shop connection_type=virtual_node failed=false virtual_node=client} 1",
  ]);
  assert.equal(component.metric("otelcol_connector_servicegraph_expired_edges_total"), 5);
});

test("ends with the same names are one series, however they got them", async (t) => {
  const { send, totals } = await start(t);
  await send(
    // No client at all, and one without a name; a user by name, and one that is made up.
    service("", server({ trace: 1 }), client({ trace: 2 })),
    service("user", client({ trace: 3, attributes: { "peer.service": "" } })),
    service("", server({ trace: 4, parent: 0 })),
  );
  assert.deepEqual(await totals(), [
    "{client= server=unknown connection_type=virtual_node failed=false} 2",
    "{client=user server= connection_type=virtual_node failed=false} 2",
    "{client=user server=unknown connection_type=virtual_node failed=false} 1",
  ]);
});

test("without peer attributes nothing is virtual", async (t) => {
  const { component, send, flush } = await start(t, "virtual_node_peer_attributes = []");
  await send(service("shop", server({ parent: 0 })));
  assert.deepEqual(await flush(), []);
  assert.equal(component.metric("otelcol_connector_servicegraph_expired_edges_total"), 1);
});

test("a full store drops spans, which the status and the self metrics tell of", async (t) => {
  const { component, send, totals } = await start(t, "store {\n  max_items = 1\n}");
  await send(service("web", client(), client({ trace: 2 })), service("shop", server(), server({ trace: 2 })));
  assert.equal(component.flow.dropped.get("otlp")!.get("edge_store_full"), 1);
  assert.equal(component.metric("otelcol_connector_servicegraph_dropped_spans_total"), 1);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "edges_dropped");
  assert.match(component.flow.status.cause, /^1 items .*max_items/);
  assert.deepEqual(await totals(), ["{client=web server=shop connection_type= failed=false} 1"]);
});

test("spans without a service are dropped", async (t) => {
  const { component, send } = await start(t);
  await send({ resource: {}, spans: [client(), server()] });
  assert.equal(component.flow.dropped.get("otlp")!.get("no_service_name"), 2);
});

test("exponential buckets", async (t) => {
  const { send, flush } = await start(t, "exponential_histogram_max_size = 10");
  await send(service("web", client({ ms: 1000 })), service("shop", server({ ms: 500 })));
  const [, latency] = pointsOf(await flush());
  assert.equal(latency!.metric, "traces_service_graph_request_server");
  assert.deepEqual(latency!.point.positive, { offset: -(2 ** 20) - 1, bucketCounts: ["1"] });
  assert.equal(latency!.point.scale, 20);
});

test("with an interval of 0 each batch is followed by the metrics", async (t) => {
  const { component, sink, send } = await start(t, 'metrics_flush_interval = "0s"');
  await send(service("web", client()), service("shop", server()));
  assert.equal(countsOf(sink.items.splice(0)).length, 3);
  const state = acknowledged();
  const request = traces(service("web", client()), service("shop", server()));
  await component.exports.input.consume(batchOf(request, "traces", state.acknowledgement), signal);
  assert.equal(state.fired, true);
  assert.match(countsOf(sink.items)[2]!, / 2$/);
});

test("series that nobody counted in for 15 minutes are forgotten, and begin anew with a start of their own", async (t) => {
  const { clock, send, flush, totals } = await start(t);
  const call = () => send(service("web", client()), service("shop", server()));
  await call();
  assert.equal((await totals()).length, 1);
  await clock.advance(13 * 60_000);
  await flush(0);
  assert.equal((await totals()).length, 1);
  await clock.advance(2 * 60_000);
  await flush(0);
  assert.deepEqual(await flush(), []);
  await call();
  const { point, count } = pointsOf(await flush())[0]!;
  assert.equal(count, 1);
  assert.ok(BigInt(String(point.startTimeUnixNano)) > 1_700_000_800_000_000_000n);
});

test("edges and counts outlive a change of the consumers, and a stop hands on what was counted", async (t) => {
  const { component, sink, send } = await start(t);
  await send(service("web", client()));
  await component.update(OUTPUT);
  await send(service("shop", server()));
  await component.stop();
  assert.deepEqual(countsOf(sink.items), [
    "traces_service_graph_request_client{client=web server=shop connection_type= failed=false} 1",
    "traces_service_graph_request_server{client=web server=shop connection_type= failed=false} 1",
    "traces_service_graph_request_total{client=web server=shop connection_type= failed=false} 1",
  ]);
});

test("other dimensions begin with an empty graph", async (t) => {
  const { component, sink, clock, send } = await start(t);
  await send(service("web", client()), service("shop", server()));
  await component.update(`dimensions = ["zone"]\n${OUTPUT}`);
  assert.equal(countsOf(sink.items.splice(0)).length, 3);
  await clock.advance(60_000);
  assert.deepEqual(sink.items, []);
});

test("what is wrong with a configuration is said", async () => {
  for (const config of [
    'cache_loop = "0s"',
    'store_expiration_loop = "0s"',
    'store {\n  ttl = "0s"\n}',
    "store {\n  max_items = 0\n}",
  ]) {
    const sink = recordOtlp();
    await assert.rejects(
      startComponent(connector, `${config}\n${OUTPUT}`, { scope: { out: sink.value } }),
      (error) => error instanceof DiagnosticError && /must be (greater than 0|at least 1)|1 or/.test(error.message),
      config,
    );
  }
});
