import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { uncompress } from "#formats/snappy";
import { startAgent } from "../kit/agent.ts";
import { Prometheus } from "../kit/prometheus.ts";

/**
 * One target, scraped by the agent and by Prometheus, each with remote write to the same receiver: what comes from both
 * has to be the same. Bounds of buckets are no whole numbers, since Prometheus spells those `1.0` from version 3 on, as the
 * agent does.
 */

/** A message as its fields: number and value, submessages as such lists again. */
type Fields = [number, string | bigint | Fields][];

/** What came of one series, in order of arrival: values by their bits, so that stale markers are told apart. */
interface Delivered {
  readonly values: string[];
  readonly exemplars: Set<string>;
  readonly histograms: Set<string>;
}

const STALE = "7ff0000000000002";
const MAX_BODY = 16 * 1024 * 1024;
const ZERO = "0".repeat(16);

/** Takes remote write 1.0 for one sender. */
class Delivery {
  readonly series = new Map<string, Delivered>();
  readonly metadata = new Map<string, string>();

  take(body: Uint8Array): void {
    for (const [field, value] of fieldsOf(new ProtoReader(body))) {
      const message = value as Fields;
      if (field === 1) this.#series(message);
      else if (field === 3)
        this.metadata.set(text(message, 2), JSON.stringify([text(message, 1), text(message, 4), text(message, 5)]));
    }
  }

  #series(message: Fields): void {
    const name = labelsOf(message);
    let known = this.series.get(name);
    if (known === undefined)
      this.series.set(name, (known = { values: [], exemplars: new Set(), histograms: new Set() }));
    for (const [field, value] of message) {
      const inner = value as Fields;
      if (field === 2) known.values.push(text(inner, 1) || ZERO);
      // Times differ where the page gives none.
      if (field === 3) known.exemplars.add(`${labelsOf(inner)} ${text(inner, 2)}`);
      if (field === 4) known.histograms.add(show(inner.filter(([each]) => each !== 15)));
    }
  }
}

/** Reads a message whose length-delimited fields are messages if they can be, and text otherwise. */
function fieldsOf(reader: ProtoReader): Fields {
  const fields: Fields = [];
  while (!reader.done) {
    const tag = reader.tag();
    const field = tag >> 3;
    if ((tag & 7) === 0) fields.push([field, reader.uint64()]);
    else if ((tag & 7) === 1) fields.push([field, reader.fixed64().toString(16).padStart(16, "0")]);
    else fields.push([field, messageOrText(reader.lengthDelimited())]);
  }
  return fields;
}

function messageOrText(bytes: Uint8Array): string | Fields {
  try {
    if (bytes.length > 0 && bytes[0]! < 0x20 * 4 && bytes[0]! > 7) return fieldsOf(new ProtoReader(bytes));
  } catch {
    // it is none
  }
  return Buffer.from(bytes).toString("latin1");
}

function text(message: Fields, field: number): string {
  const found = message.find(([each]) => each === field)?.[1];
  return found === undefined ? "" : show(found);
}

function labelsOf(message: Fields): string {
  return message
    .filter(([field]) => field === 1)
    .map(([, pair]) => `${text(pair as Fields, 1)}=${text(pair as Fields, 2)}`)
    .join(",");
}

/** Fields that are 0 are as good as missing. */
function show(value: string | bigint | Fields): string {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return String(value);
  return JSON.stringify(
    value.filter(([, each]) => each !== 0n && each !== ZERO).map(([field, each]) => [field, show(each)]),
  );
}

interface Peers {
  readonly agent: Delivery;
  readonly prometheus: Delivery;
  /** What the target answers with. */
  page: { readonly type: string; readonly body: string | Uint8Array } | undefined;
  readonly asked: { readonly accept: string; readonly timeout: string }[];
  until(holds: () => boolean, what: string): Promise<void>;
}

async function listen(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startPeers(t: TestContext, first: Peers["page"], feature: string, argument: string): Promise<Peers> {
  const deliveries = { agent: new Delivery(), prometheus: new Delivery() };
  const state: Pick<Peers, "page" | "asked"> = { page: first, asked: [] };
  const target = await listen(
    t,
    createServer((request, response) => {
      state.asked.push({
        accept: request.headers.accept ?? "",
        timeout: String(request.headers["x-prometheus-scrape-timeout-seconds"]),
      });
      if (state.page === undefined) response.writeHead(503).end();
      else response.writeHead(200, { "content-type": state.page.type }).end(state.page.body);
    }),
  );
  const receiver = await listen(
    t,
    createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const sender = request.url === "/agent" ? deliveries.agent : deliveries.prometheus;
        sender.take(uncompress(Buffer.concat(parts), MAX_BODY));
        response.writeHead(204).end();
      });
    }),
  );
  const prometheus = await Prometheus.start(
    t,
    `[{ job_name: page, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{ targets: ["${target}"] }] }]`,
    `remote_write:
  - url: http://${receiver}/prometheus
    send_exemplars: true
    send_native_histograms: true
    queue_config: { batch_send_deadline: 100ms }
    metadata_config: { send_interval: 1s }
`,
    [`--enable-feature=exemplar-storage,${feature}`],
  );
  const agent = await startAgent(
    t,
    `prometheus.scrape "page" {
  targets         = [{ __address__ = "${target}" }]
  job_name        = "page"
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  ${argument}
}

prometheus.remote_write "out" {
  endpoint {
    url                    = "http://${receiver}/agent"
    send_native_histograms = true

    queue_config {
      batch_send_deadline = "100ms"
    }

    metadata_config {
      send_interval = "1s"
    }
  }
}
`,
  );
  assert.ok(prometheus.url);
  return Object.assign(state, deliveries, {
    until: (holds: () => boolean, what: string) => agent.until(async () => holds(), what),
  });
}

/** All that a page says, without how long its scrape took and what was new in the first ones, which may not be sent. */
function comparable(delivery: Delivery): Record<string, unknown> {
  const all = [...delivery.series]
    .filter(([name]) => !/__name__=scrape_(?:duration_seconds|series_added)/.test(name))
    .map(([name, { values, exemplars, histograms }]) => [
      name,
      { values: [...new Set(values)].sort(), exemplars: [...exemplars].sort(), histograms: [...histograms].sort() },
    ]);
  return Object.fromEntries(all.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}

const twoOf = (peers: Peers) => [comparable(peers.agent), comparable(peers.prometheus)] as const;
const both = (peers: Peers) => [peers.agent, peers.prometheus];
const named = (delivery: Delivery, part: string) => [...delivery.series].filter(([name]) => name.includes(part));
const lastOf = (delivery: Delivery, part: string) => named(delivery, part).map(([, { values }]) => values.at(-1));

const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const at = (secondsAgo: number) => ((Date.now() - secondsAgo * 1000) / 1000).toFixed(3);

function openMetricsPage(): string {
  return `# HELP requests How many\\nrequests came.
# TYPE requests counter
requests_total{code="200",path="/a\\\\b\\"c"} 1027 # {trace_id="abc"} 0.5 ${at(2)}
requests_total{code="500",text="žluťoučký 🐎"} 3 # {trace_id="without a time"} 7
requests_created{code="200",path="/a\\\\b\\"c"} ${at(100)}
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="0.1"} 3 # {trace_id="x"} 0.05 ${at(3)}
latency_seconds_bucket{le="2.5"} 5
latency_seconds_bucket{le="+Inf"} 6 # {trace_id="y"} 9 ${at(1)}
latency_seconds_sum 4.25
latency_seconds_count 6
# TYPE build info
build_info{version="1.2"} 1
# TYPE mode stateset
mode{mode="on"} 1
mode{mode="off"} 0
# TYPE numbers gauge
numbers{n="nan"} NaN
numbers{n="inf"} -Inf
numbers{n="small"} 5e-324
numbers{n="timed"} 4 ${at(-60)}
# TYPE vanishing unknown
vanishing 1
# EOF
`;
}

test("OpenMetrics: samples, stale markers, exemplars and metadata are those that Prometheus delivers", async (t) => {
  const page = openMetricsPage();
  const peers = await startPeers(t, { type: OPEN_METRICS, body: page }, "agent-is-off", "");
  const complete = (each: Delivery) =>
    named(each, "vanishing").length > 0 &&
    lastOf(each, "scrape_series_added").includes(ZERO) &&
    each.metadata.has("mode");
  await peers.until(() => both(peers).every(complete), "both have scraped twice");
  peers.page = { type: OPEN_METRICS, body: page.replace("vanishing 1\n", "") };
  await peers.until(() => both(peers).every((each) => lastOf(each, "vanishing").includes(STALE)), "the series ended");
  peers.page = undefined;
  await peers.until(
    () =>
      both(peers).every(
        (each) => lastOf(each, "n=small").includes(STALE) && lastOf(each, "__name__=up").includes(ZERO),
      ),
    "all series ended",
  );
  await peers.until(() => isDeepStrictEqual(...twoOf(peers)), "the same has come of both").catch(() => {}); // shown below
  const [ours, theirs] = twoOf(peers);
  assert.ok(Object.keys(theirs).length > 15, `${Object.keys(theirs).length} series`);
  assert.deepEqual(ours, theirs);
  assert.equal(named(peers.agent, "n=timed")[0]![1].values.includes(STALE), false, "it has times of its own");
  assert.deepEqual([...peers.agent.metadata].sort(), [...peers.prometheus.metadata].sort());
  assert.ok(peers.asked.every(({ timeout }) => timeout === "1"));
});

function message(fill: (writer: ProtoWriter) => void): Uint8Array {
  const writer = new ProtoWriter();
  fill(writer);
  return writer.finish();
}

/** A counter, a summary, a native histogram that is classic as well, and one that is classic only. */
function protobufPage(): Uint8Array {
  const label = (name: string, value: string) => message((l) => (l.string(1, name), l.string(2, value)));
  const exemplar = message((e) => {
    e.bytes(1, label("trace_id", "p"));
    e.double(2, 0.5);
    e.bytes(
      3,
      message((time) => time.int64(1, Math.floor(Date.now() / 1000) - 2)),
    );
  });
  const bucket = (bound: number, count: number) => message((b) => (b.int64(1, count), b.double(2, bound)));
  const family = (name: string, type: number, field: number, metric: Uint8Array) =>
    message((f) => {
      f.string(1, name);
      f.string(2, `About ${name}.`);
      f.int32(3, type);
      f.bytes(
        4,
        message((m) => (m.bytes(1, label("path", "/x")), m.bytes(field, metric))),
      );
    });
  const native = message((h) => {
    h.int64(1, 9);
    h.double(2, 12.5);
    for (const [bound, count] of [
      [0.5, 4],
      [2.5, 9],
    ] as const)
      h.bytes(3, bucket(bound, count));
    h.sint32(5, 2);
    h.double(6, 0.001);
    h.int64(7, 2);
    h.bytes(
      12,
      message((span) => (span.sint32(1, -3), span.uint32(2, 2))),
    );
    h.bytes(
      12,
      message((span) => (span.sint32(1, 4), span.uint32(2, 1))),
    );
    for (const delta of [3n, -2n, 2n]) h.sint64(13, delta);
    h.bytes(
      9,
      message((span) => (span.sint32(1, 0), span.uint32(2, 1))),
    );
    h.sint64(10, 0n);
  });
  const families = [
    family(
      "asked_total",
      0,
      3,
      message((c) => (c.double(1, 5), c.bytes(2, exemplar))),
    ),
    family(
      "size_bytes",
      2,
      4,
      message((s) => {
        s.int64(1, 7);
        s.double(2, 70);
        s.bytes(
          3,
          message((q) => (q.double(1, 0.5), q.double(2, 3))),
        );
      }),
    ),
    family("native_seconds", 4, 7, native),
    family(
      "classic_seconds",
      4,
      7,
      message((h) => (h.int64(1, 3), h.double(2, 1), h.bytes(3, bucket(0.25, 1)))),
    ),
  ];
  return message((page) => {
    for (const each of families) {
      page.rawVarint(each.length);
      page.raw(each);
    }
  });
}

test("protobuf: native histograms and what stands beside them are those that Prometheus delivers", async (t) => {
  const type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
  const page = { type, body: protobufPage() };
  const peers = await startPeers(t, page, "native-histograms", "scrape_native_histograms = true");
  await peers.until(
    () => both(peers).every((each) => named(each, "__name__=native_seconds").length > 0 && each.metadata.size >= 4),
    "both have delivered the histogram",
  );
  await peers.until(
    () => both(peers).every((each) => lastOf(each, "scrape_series_added").includes(ZERO)),
    "both have scraped twice",
  );
  await peers.until(() => isDeepStrictEqual(...twoOf(peers)), "the same has come of both").catch(() => {}); // shown below
  const [ours, theirs] = twoOf(peers);
  assert.deepEqual(ours, theirs);
  const [[, native] = assert.fail()] = named(peers.agent, "__name__=native_seconds");
  assert.equal(native.histograms.size, 1);
  assert.equal(named(peers.agent, "native_seconds_bucket").length, 0, "what is native is not classic as well");
  assert.deepEqual([...peers.agent.metadata].sort(), [...peers.prometheus.metadata].sort());
  assert.match(
    peers.asked[0]!.accept,
    /application\/vnd\.google\.protobuf;proto=io\.prometheus\.client\.MetricFamily;encoding=delimited/,
  );
});
