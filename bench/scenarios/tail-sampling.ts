import { Pool } from "undici";
import { fnv1a64 } from "#formats/hashes";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { freePort, sleep, waitUntil } from "../../test/kit/process.ts";
import { Sink } from "../../test/kit/sink.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";

/** Traces of five spans: three come at once, and two, the root among them, half a second later from another service. */
const FIRST_SPANS = 3;
const LATER_SPANS = 2;
const SPANS = FIRST_SPANS + LATER_SPANS;
const TRACES_PER_REQUEST = 50;
const LATER_MS = 500;
const PACE_MS = 10;
const CLIENTS = 16;
/** Beyond this the agent is too slow for the pace, and gets no more. */
const MOST_UNDER_WAY = 64;

const BASE_MS = 1_763_640_000_000;
const ERROR_EVERY = 50;
const SLOW_EVERY = 101;
const GOLD_EVERY = 43;
const PERCENT = 5;
const SALT = "bench";
const POLICIES = `
  policy {
    name = "errors"
    type = "status_code"
    status_code {
      status_codes = ["ERROR"]
    }
  }
  policy {
    name = "slow"
    type = "latency"
    latency {
      threshold_ms = 2000
    }
  }
  policy {
    name = "gold"
    type = "string_attribute"
    string_attribute {
      key                    = "user.tier"
      values                 = ["^gold$"]
      enabled_regex_matching = true
    }
  }
  policy {
    name = "some"
    type = "probabilistic"
    probabilistic {
      sampling_percentage = ${PERCENT}
      hash_salt           = "${SALT}"
    }
  }`;

/** Whether the policies above take the trace, worked out from its number alone. */
function isSampled(trace: number, id: Uint8Array): boolean {
  if (trace % ERROR_EVERY === 0 || trace % SLOW_EVERY === 0 || trace % GOLD_EVERY === 0) return true;
  return fnv1a64(Buffer.concat([Buffer.from(SALT), id])) <= (((1n << 64n) - 1n) * BigInt(PERCENT)) / 100n;
}

/** Trace ids look random, and say which trace they are of. */
function writeId(trace: number, target: Buffer, at: number): void {
  for (let word = 0; word < 3; word++) {
    target.writeUInt32BE(Math.imul(trace + 1, 0x9e3779b1 + word * 0x6c078965 * 2) >>> 0, at + word * 4);
  }
  target.writeUInt32BE(trace, at + 12);
}

let random = 1;
/** Eight bytes that look random; the system's take longer than all the rest. */
function writeRandom(target: Buffer, at: number): void {
  for (let i = 0; i < 8; i += 4) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    target.writeInt32LE(random, at + i);
  }
}

/** A request whose spans are filled in anew for each use. */
class Template {
  readonly bytes: Buffer;
  readonly #spans: Map<number, number>[] = [];
  readonly #perTrace: number;

  constructor(service: string, perTrace: number) {
    this.#perTrace = perTrace;
    this.bytes = Buffer.from(template(service, perTrace * TRACES_PER_REQUEST));
    this.#find();
  }

  /** Fills in so many traces from number `first` on. `hasRoots`: the last span of each is its root. */
  fill(first: number, hasRoots: boolean): Buffer {
    const bytes = Buffer.from(this.bytes);
    // By number, not by the clock: an agent that is slow must not make traces slow.
    const now = BigInt(BASE_MS + first) * 1_000_000n;
    for (const [i, fields] of this.#spans.entries()) {
      const trace = first + Math.floor(i / this.#perTrace);
      const isLast = i % this.#perTrace === this.#perTrace - 1;
      writeId(trace, bytes, fields.get(1)!);
      writeRandom(bytes, fields.get(2)!);
      if (hasRoots && isLast) bytes.fill(0, fields.get(4)!, fields.get(4)! + 8);
      else writeRandom(bytes, fields.get(4)!);
      const start = now + BigInt(i) * 1003n;
      bytes.writeBigUInt64LE(start, fields.get(7)!);
      const isSlow = isLast && trace % SLOW_EVERY === 0;
      bytes.writeBigUInt64LE(start + (isSlow ? 3_000_000_000n : 40_000_000n + BigInt(i * 977)), fields.get(8)!);
      const tier = isLast && trace % GOLD_EVERY === 0 ? "gold" : "free";
      bytes.write(tier, fields.get(9)! - tier.length, "latin1");
      bytes[fields.get(15)! + 1] = isLast && trace % ERROR_EVERY === 0 ? 2 : 1;
    }
    return bytes;
  }

  /** Where the fields of each span are. The last attribute, whose end counts, is the tier. */
  #find(): void {
    const reader = new ProtoReader(this.bytes);
    const into = (wanted: number, step: () => void) => {
      while (!reader.done) {
        const tag = reader.tag();
        if (tag !== wanted) {
          reader.skip(tag);
          continue;
        }
        const outer = reader.enter();
        step();
        reader.leave(outer);
      }
    };
    const span = () => {
      const fields = new Map<number, number>();
      while (!reader.done) {
        const tag = reader.tag();
        const at = (tag & 7) === 2 ? reader.position + 1 : reader.position; // all lengths are of one byte
        reader.skip(tag);
        fields.set(tag >>> 3, tag >>> 3 === 9 ? reader.position : at);
      }
      this.#spans.push(fields);
    };
    into(10, () => into(18, () => into(18, span)));
  }
}

/** Spans of about 330 bytes with eight attributes. */
function template(service: string, spans: number): Uint8Array {
  const out = new ProtoWriter(spans * 400);
  const attribute = (field: number, key: string, value: string) => {
    const mark = out.begin(field);
    out.string(1, key);
    const any = out.begin(2);
    out.string(1, value);
    out.end(any);
    out.end(mark);
  };
  const resourceSpans = out.begin(1);
  const resource = out.begin(1);
  attribute(1, "service.name", service);
  attribute(1, "host.name", "node-17");
  out.end(resource);
  const scopeSpans = out.begin(2);
  const scope = out.begin(1);
  out.string(1, "bench");
  out.end(scope);
  for (let i = 0; i < spans; i++) {
    const span = out.begin(2);
    out.bytes(1, Buffer.alloc(16, 1));
    out.bytes(2, Buffer.alloc(8, 1));
    out.bytes(4, Buffer.alloc(8, 1));
    out.string(5, `GET /api/v1/items/${i % 100}`);
    out.int32(6, 2);
    out.fixed64(7, 1, 1);
    out.fixed64(8, 1, 1);
    attribute(9, "http.request.method", "GET");
    attribute(9, "url.path", `/api/v1/items/${(i * 7919) % 100_003}`);
    attribute(9, "http.response.status_code", "200");
    attribute(9, "client.address", `10.1.2.${i % 250}`);
    attribute(9, "db.system", "postgresql");
    attribute(9, "k8s.pod.name", `checkout-${i % 30}-abcde`);
    attribute(9, "user.id", `u${(i * 104_729) % 50_000}`);
    attribute(9, "user.tier", "free");
    const status = out.begin(15);
    out.int32(3, 1);
    out.end(status);
    out.end(span);
  }
  out.end(scopeSpans);
  out.end(resourceSpans);
  return out.finish();
}

/** Counts the spans of each trace in what comes out. */
class TraceCounter {
  readonly #spans: Uint8Array;
  constructor(traces: number) {
    this.#spans = new Uint8Array(traces);
  }
  add(body: Uint8Array): number {
    let found = 0;
    const reader = new ProtoReader(body);
    const into = (wanted: number, step: () => void) => {
      while (!reader.done) {
        const tag = reader.tag();
        if (tag !== wanted) {
          reader.skip(tag);
          continue;
        }
        const outer = reader.enter();
        step();
        reader.leave(outer);
      }
    };
    const span = () => {
      while (!reader.done) {
        const tag = reader.tag();
        if (tag === 10) {
          reader.length();
          const { position } = reader;
          const id = Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + position, 16);
          this.#spans[id.readUInt32BE(12)]! += 1;
          found += 1;
          break;
        }
        reader.skip(tag);
      }
    };
    into(10, () => into(18, () => into(18, span)));
    return found;
  }
  /** Spans that should have come and did not, and the other way around. */
  check(traces: number): { readonly expected: number; readonly lost: number; readonly wrong: number } {
    let expected = 0;
    let lost = 0;
    let wrong = 0;
    const id = Buffer.alloc(16);
    for (let trace = 0; trace < traces; trace++) {
      writeId(trace, id, 0);
      const wanted = isSampled(trace, id) ? SPANS : 0;
      expected += wanted;
      lost += Math.max(0, wanted - this.#spans[trace]!);
      wrong += Math.max(0, this.#spans[trace]! - wanted);
    }
    return { expected, lost, wrong };
  }
}

async function tailSampling(load: Load): Promise<Result> {
  const isShort = load.scale < 1;
  const perSecond = isShort ? 2_000 : 20_000;
  const waitSeconds = isShort ? 2 : 30;
  const seconds = waitSeconds + (isShort ? 1 : 6);
  const traces = perSecond * seconds;
  const counter = new TraceCounter(traces);
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += counter.add(body);
  });
  const port = await freePort();
  const agent = await startAgent(load, configuration(port, sink.url, waitSeconds, traces));
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CLIENTS });
  const first = new Template("checkout", FIRST_SPANS);
  const later = new Template("gateway", LATER_SPANS);
  let refused = 0;
  let bytes = 0;
  let underWay = 0;
  const send = async (body: Buffer) => {
    underWay += 1;
    bytes += body.length;
    const headers = { "content-type": "application/x-protobuf" };
    const response = await pool.request({ path: "/v1/traces", method: "POST", headers, body }).catch(() => undefined);
    await response?.body.dump();
    if (response?.statusCode !== 200) refused += 1;
    underWay -= 1;
  };
  try {
    const startedAt = performance.now();
    let sent = 0;
    let finished = 0;
    while (finished < traces) {
      const elapsed = performance.now() - startedAt;
      const due = (ms: number) => Math.min(traces, (perSecond * ms) / 1000);
      const mostAhead = Math.min(due(elapsed), finished + perSecond);
      for (; sent < mostAhead && underWay < MOST_UNDER_WAY; sent += TRACES_PER_REQUEST) {
        void send(first.fill(sent, false));
      }
      const dueLater = Math.min(sent, due(elapsed - LATER_MS));
      for (; finished < dueLater && underWay < 2 * MOST_UNDER_WAY; finished += TRACES_PER_REQUEST) {
        void send(later.fill(finished, true));
      }
      await sleep(PACE_MS);
    }
    await waitUntil(() => underWay === 0, 60_000, "requests are answered", agent.process);
    const sendSeconds = (performance.now() - startedAt) / 1000;
    const { expected } = counter.check(traces);
    await waitUntil(() => sink.counts.items >= expected, 120_000, "sampled traces arrive", agent.process).catch(
      () => {},
    );
    const usage = agent.process.usage();
    const { lost, wrong } = counter.check(traces);
    const extra = {
      traces_a_second: Math.round(traces / sendSeconds),
      sampled_spans: expected,
      refused_requests: refused,
    };
    return {
      ...result(load, "tail-sampling", agent, { items: traces * SPANS, bytes, lost, duplicated: wrong, usage }, extra),
      note: `${extra.traces_a_second} traces/s, each held for ${waitSeconds} s; ${expected} spans sampled, ${refused} requests refused`,
    };
  } finally {
    await pool.close();
    await agent.process.stop();
    await sink.stop();
  }
}

function configuration(port: number, url: string, waitSeconds: number, traces: number): string {
  return `
otelcol.receiver.otlp "bench" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [otelcol.processor.tail_sampling.bench.input]
  }
}
otelcol.processor.tail_sampling "bench" {
  decision_wait = "${waitSeconds}s"
  num_traces    = ${traces}
  ${POLICIES}
  output {
    traces = [otelcol.processor.batch.bench.input]
  }
}
otelcol.processor.batch "bench" {
  output {
    traces = [otelcol.exporter.otlphttp.bench.input]
  }
}
otelcol.exporter.otlphttp "bench" {
  client {
    endpoint    = "${url}"
    compression = "none"
  }
}
`;
}

export const tailSamplingScenarios: readonly Scenario[] = [
  {
    name: "tail-sampling",
    summary: "20,000 traces a second, decided by four policies after 30 s",
    run: tailSampling,
  },
];
