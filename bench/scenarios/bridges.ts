import { join } from "node:path";
import { Pool } from "undici";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { freePort, waitUntil } from "../../test/kit/process.ts";
import { SequenceCounter, Sink } from "../../test/kit/sink.ts";
import { countSamples, countSequences } from "../../test/kit/walk.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";
import { EXTRA_SAMPLES, PageServer } from "./metrics.ts";
import { writeLines } from "./write-lines.ts";

const SERIES_PER_REQUEST = 500;
const REQUESTS_PER_ROUND = 20;
const ROUNDS = 200;
const CLIENTS = 4;
const MARKER = "seq=";

/** A request of gauges with six attributes each, and the places of its times. */
class MetricsRequest {
  readonly bytes: Buffer;
  readonly #times: number[] = [];

  constructor(first: number) {
    const writer = new ProtoWriter(SERIES_PER_REQUEST * 250);
    const attribute = (field: number, key: string, value: string) => {
      const mark = writer.begin(field);
      writer.string(1, key);
      const any = writer.begin(2);
      writer.string(1, value);
      writer.end(any);
      writer.end(mark);
    };
    const group = writer.begin(1);
    const resource = writer.begin(1);
    attribute(1, "service.name", "checkout");
    attribute(1, "service.instance.id", `checkout-${first}`);
    writer.end(resource);
    const scope = writer.begin(2);
    for (let metric = 0; metric < SERIES_PER_REQUEST / 50; metric++) {
      const mark = writer.begin(2);
      writer.string(1, `bench.metric.${metric}`);
      writer.string(3, "By");
      const data = writer.begin(5);
      for (let i = 0; i < 50; i++) {
        const point = writer.begin(1);
        attribute(7, "http.request.method", "GET");
        attribute(7, "http.route", `/api/v1/items/${i}`);
        attribute(7, "http.response.status_code", "200");
        attribute(7, "k8s.pod.name", `checkout-${first}-abcde`);
        attribute(7, "zone", "eu-west-1a");
        attribute(7, "version", "1.2.3");
        writer.fixed64(3, 0xfeedbeef, 0x12345678);
        writer.double(4, i * 1.5);
        writer.end(point);
      }
      writer.end(data);
      writer.end(mark);
    }
    writer.end(scope);
    writer.end(group);
    this.bytes = Buffer.from(writer.finish());
    const mark = Buffer.from([0x19, 0xef, 0xbe, 0xed, 0xfe, 0x78, 0x56, 0x34, 0x12]);
    for (let at = this.bytes.indexOf(mark); at >= 0; at = this.bytes.indexOf(mark, at + 9)) this.#times.push(at + 1);
  }

  /** The request with all its points at this time (epoch milliseconds). */
  at(ms: number): Buffer {
    const copy = Buffer.from(this.bytes);
    const nanos = BigInt(ms) * 1_000_000n;
    for (const at of this.#times) copy.writeBigUInt64LE(nanos, at);
    return copy;
  }
}

async function metricsToRemoteWrite(load: Load): Promise<Result> {
  const byTimestamp = new Map<number, number>();
  const sink = await Sink.start((_path, body) => countSamples(body, byTimestamp));
  const port = await freePort();
  const agent = await startAgent(
    load,
    `otelcol.receiver.otlp "bench" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    metrics = [otelcol.exporter.prometheus.bench.input]
  }
}
otelcol.exporter.prometheus "bench" {
  forward_to = [prometheus.remote_write.bench.receiver]
}
prometheus.remote_write "bench" {
  endpoint {
    url = "${sink.url}/api/v1/write"
  }
}
`,
  );
  const requests = Array.from({ length: REQUESTS_PER_ROUND }, (_, i) => new MetricsRequest(i));
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CLIENTS });
  const headers = { "content-type": "application/x-protobuf" };
  const rounds = Math.max(2, Math.ceil(ROUNDS * load.scale));
  const began = Date.now() - rounds * 1000;
  let bytes = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      await Promise.all(
        requests.map(async (request) => {
          const body = request.at(began + round * 1000);
          bytes += body.length;
          const answer = await pool.request({ path: "/v1/metrics", method: "POST", headers, body });
          await answer.body.dump();
          if (answer.statusCode !== 200) throw new Error(`the agent answered ${answer.statusCode}`);
        }),
      );
    }
    const series = SERIES_PER_REQUEST * REQUESTS_PER_ROUND;
    const delivered = () => Array.from({ length: rounds }, (_, i) => byTimestamp.get(began + i * 1000) ?? 0);
    const sum = (counts: readonly number[]) => counts.reduce((all, each) => all + each, 0);
    await waitUntil(() => sum(delivered()) >= rounds * series, 60_000, "delivery", agent.process).catch(() => {});
    // Each series has one sample of each round's time: what is missing of one time is not made up for by another.
    const counts = {
      items: sum(delivered()),
      bytes,
      lost: sum(delivered().map((count) => Math.max(0, series - count))),
      duplicated: sum(delivered().map((count) => Math.max(0, count - series))),
    };
    return result(load, "otlp-metrics-to-remote-write", agent, counts);
  } finally {
    await pool.close();
    await agent.process.stop();
    await sink.stop();
  }
}

const toOtlp = (signal: string, url: string) => `
otelcol.processor.batch "bench" {
  output {
    ${signal} = [otelcol.exporter.otlphttp.bench.input]
  }
}
otelcol.exporter.otlphttp "bench" {
  client {
    endpoint    = "${url}"
    compression = "none"
  }
}
`;

/** About 200 bytes. */
function line(sequence: number): string {
  const text = `2026-11-20T12:00:00.000Z info shop.checkout: order placed ${MARKER}${sequence} customer=${sequence % 5000}`;
  return text.padEnd(199, " x");
}

async function logsToOtlp(load: Load): Promise<Result> {
  const file = writeLines(join(load.folder, "bench.log"), Math.ceil(2_000_000 * load.scale), line);
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => countSequences(body, MARKER, counter));
  const agent = await startAgent(
    load,
    `loki.source.file "bench" {
  targets    = [{ __path__ = "${file.path}", job = "bench", cluster = "eu-west-1", app = "checkout" }]
  forward_to = [otelcol.receiver.loki.bench.receiver]
}
otelcol.receiver.loki "bench" {
  output {
    logs = [otelcol.processor.batch.bench.input]
  }
}
${toOtlp("logs", sink.url)}`,
  );
  try {
    await waitUntil(() => counter.distinct >= file.lines, 120_000, "delivery", agent.process).catch(() => {});
    const lost = Math.max(0, file.lines - counter.distinct);
    const counts = { items: file.lines, bytes: file.bytes, lost, duplicated: counter.duplicated };
    return result(load, "logs-to-otlp", agent, counts, { sink_bytes: sink.counts.bytes });
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

/** The data points in a request of metrics. */
function countPoints(body: Uint8Array): number {
  const reader = new ProtoReader(body);
  /** Fields on the way down: resource group, scope group, metric, its data (gauge or sum). */
  const path = [[1], [2], [2], [5, 7]];
  const count = (depth: number): number => {
    let found = 0;
    while (!reader.done) {
      const tag = reader.tag();
      const isNext = path[depth]?.includes(tag >>> 3) === true && (tag & 7) === 2;
      if (isNext) {
        const outer = reader.enter();
        found += count(depth + 1);
        reader.leave(outer);
      } else {
        if (depth === path.length && tag === 10) found += 1;
        reader.skip(tag);
      }
    }
    return found;
  };
  return count(0);
}

async function scrapeToOtlp(load: Load): Promise<Result> {
  const series = load.scale < 1 ? 1_000 : 10_000;
  const targets = 5;
  const rounds = Math.max(3, Math.ceil(40 * load.scale));
  const server = new PageServer({ series, targets, intervalSeconds: 1, seconds: rounds, churn: 0 });
  await server.start();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countPoints(body);
  });
  const list = Array.from(
    { length: targets },
    (_, i) => `{ __address__ = "${server.address}", instance = "target-${i}" }`,
  );
  const agent = await startAgent(
    load,
    `prometheus.scrape "bench" {
  targets         = [${list.join(", ")}]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  forward_to      = [otelcol.receiver.prometheus.bench.receiver]
}
otelcol.receiver.prometheus "bench" {
  output {
    metrics = [otelcol.processor.batch.bench.input]
  }
}
${toOtlp("metrics", sink.url)}`,
  );
  try {
    const warm = 2 * targets;
    await waitUntil(() => server.scrapes >= warm, 60_000, "first scrapes", agent.process);
    const before = { items: sink.counts.items, bytes: server.bytes, cpuSeconds: agent.process.usage().cpuSeconds };
    await waitUntil(() => server.scrapes >= warm + rounds * targets, 600_000, "scrapes", agent.process);
    const usage = agent.process.usage();
    const measured = { items: sink.counts.items - before.items, bytes: server.bytes - before.bytes };
    const perScrape = series + EXTRA_SAMPLES;
    // The scrape of each target that is under way does not count yet.
    const wanted = (server.scrapes - targets) * perScrape;
    await waitUntil(() => sink.counts.items >= wanted, 60_000, "delivery", agent.process).catch(() => {});
    const lost = Math.max(0, wanted - sink.counts.items);
    const duplicated = Math.max(0, sink.counts.items - server.scrapes * perScrape);
    return result(load, "scrape-to-otlp", agent, {
      ...measured,
      usage,
      cpuSecondsBefore: before.cpuSeconds,
      lost,
      duplicated,
    });
  } finally {
    await agent.process.stop();
    await server.stop();
    await sink.stop();
  }
}

export const bridgeScenarios: readonly Scenario[] = [
  {
    name: "otlp-metrics-to-remote-write",
    summary: "OTLP/HTTP in, 10,000 series with six attributes, remote write out",
    run: metricsToRemoteWrite,
  },
  { name: "logs-to-otlp", summary: "a file's lines as OTLP logs, batch, OTLP/HTTP out", run: logsToOtlp },
  { name: "scrape-to-otlp", summary: "50,000 scraped series as OTLP metrics, batch, OTLP/HTTP out", run: scrapeToOtlp },
];
