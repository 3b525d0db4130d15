import { join } from "node:path";
import { freePort, sleep, waitUntil } from "../../test/kit/process.ts";
import { SequenceCounter, Sink } from "../../test/kit/sink.ts";
import { countSequences } from "../../test/kit/walk.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";
import { PROMTAIL_PIPELINE, promtailKept, promtailLine } from "./promtail.ts";
import { writeLines } from "./write-lines.ts";

const MARKER = "seq=";
const LEVELS = ["debug", "info", "info", "info", "warn", "info", "error", "info"];

/** Lines of about 200 bytes, each with its number. */
function plainLine(sequence: number): string {
  const line = `2026-11-20T12:00:00.000Z ${LEVELS[sequence % 8]} shop.checkout: order placed ${MARKER}${sequence} customer=${sequence % 5000} basket=${sequence % 97} total=${sequence % 1000}.${sequence % 100} currency=EUR`;
  return line.padEnd(199, " x");
}

function jsonLine(sequence: number): string {
  const level = LEVELS[sequence % 8];
  const url = `/api/v1/items/${sequence % 1000}?page=${sequence % 7}`;
  return `{"ts":"2026-11-20T12:00:00.${String(sequence % 1000).padStart(3, "0")}Z","level":"${level}","service":"svc-${sequence % 20}","msg":"GET ${url} 200 ${sequence % 900}ms ${MARKER}${sequence} ","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","user":"u${sequence % 5000}"}`;
}

/** 40 bytes, whatever the number. */
function shortLine(sequence: number): string {
  return `${LEVELS[sequence % 8]!.padEnd(5)} job done ${MARKER}${sequence} ms=${sequence % 900}`.padEnd(39, " .");
}

function criLine(sequence: number): string {
  return `2026-11-20T12:00:00.123456789Z stdout F {"level":"info","sequence":"${sequence}","message":"${MARKER}${sequence} line of a container"}`;
}

const source = (path: string, forward: string) => `
loki.source.file "bench" {
  targets    = [{ __path__ = "${path}", job = "bench" }]
  forward_to = [${forward}]
}
`;
const writer = (url: string) => `
loki.write "bench" {
  endpoint {
    url = "${url}/loki/api/v1/push"
  }
}
`;

async function fileScenario(
  load: Load,
  name: string,
  lines: number,
  line: (sequence: number) => string,
  pipeline: string | undefined,
  expected: (lines: number) => number,
): Promise<Result> {
  const file = writeLines(join(load.folder, "bench.log"), Math.ceil(lines * load.scale), line);
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSequences(body, MARKER, counter);
  });
  const forward = pipeline === undefined ? "loki.write.bench.receiver" : "loki.process.bench.receiver";
  const agent = await startAgent(load, source(file.path, forward) + (pipeline ?? "") + writer(sink.url));
  const wanted = expected(file.lines);
  try {
    let last = -1;
    let since = performance.now();
    await waitUntil(
      () => {
        if (counter.distinct !== last) {
          last = counter.distinct;
          since = performance.now();
        }
        return counter.distinct >= wanted || performance.now() - since > 30_000;
      },
      900_000,
      name,
      agent.process,
    );
    const counts = {
      items: file.lines,
      bytes: file.bytes,
      lost: Math.max(0, wanted - counter.distinct),
      duplicated: counter.duplicated,
    };
    return result(load, name, agent, counts, { delivered: counter.distinct, sink_bytes: sink.counts.bytes });
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

const JSON_PIPELINE = `
loki.process "bench" {
  forward_to = [loki.write.bench.receiver]

  stage.json {
    expressions = { level = "level", service = "service", msg = "msg" }
  }
  stage.drop {
    source = "level"
    value  = "debug"
  }
  stage.regex {
    source     = "msg"
    expression = "^(?P<method>[A-Z]+) (?P<path>\\\\S+) (?P<status>\\\\d+) (?P<duration>\\\\d+)ms"
  }
  stage.labels {
    values = { level = "", service = "" }
  }
}
`;

const CRI_PIPELINE = `
loki.process "bench" {
  forward_to = [loki.write.bench.receiver]

  stage.cri { }
  stage.json {
    expressions = { sequence = "sequence" }
  }
  stage.labels {
    values = { sequence = "" }
  }
}
`;

/** One file to two writers; items are deliveries. */
async function fanout(load: Load): Promise<Result> {
  const file = writeLines(join(load.folder, "bench.log"), Math.ceil(1_000_000 * load.scale), plainLine);
  const counter = new SequenceCounter();
  const good = await Sink.start((_path, body, counts) => {
    counts.items += countSequences(body, MARKER, counter);
  });
  const second = new SequenceCounter();
  const other = await Sink.start((_path, body, counts) => {
    counts.items += countSequences(body, MARKER, second);
  });
  const both = "loki.write.bench.receiver, loki.write.other.receiver";
  const config = source(file.path, both) + writer(good.url) + writer(other.url).replace('"bench"', '"other"');
  const agent = await startAgent(load, config);
  try {
    const done = () => counter.distinct >= file.lines && second.distinct >= file.lines;
    await waitUntil(done, 120_000, "fanout", agent.process).catch(() => {});
    const lost = 2 * file.lines - counter.distinct - second.distinct;
    const counts = {
      items: file.lines * 2,
      bytes: file.bytes,
      lost,
      duplicated: counter.duplicated + second.duplicated,
    };
    return result(load, "fanout", agent, counts);
  } finally {
    await agent.process.stop();
    await good.stop();
    await other.stop();
  }
}

export const logScenarios: readonly Scenario[] = [
  {
    name: "logs-static",
    summary: "1 GiB of 200-byte lines, static labels: file → Loki push",
    run: (load) => fileScenario(load, "logs-static", 5_368_709, plainLine, undefined, (lines) => lines),
  },
  {
    name: "logs-short",
    summary: "40-byte lines, static labels: file → Loki push",
    run: (load) => fileScenario(load, "logs-short", 10_000_000, shortLine, undefined, (lines) => lines),
  },
  {
    name: "logs-promtail",
    summary: "access log: regular expression, time, match, template, labels",
    run: (load) => fileScenario(load, "logs-promtail", 1_500_000, promtailLine, PROMTAIL_PIPELINE, promtailKept),
  },
  {
    name: "logs-json",
    summary: "JSON, drop, regular expression, two labels",
    run: (load) =>
      fileScenario(load, "logs-json", 3_000_000, jsonLine, JSON_PIPELINE, (lines) => lines - Math.ceil(lines / 8)),
  },
  {
    name: "logs-cri-seq",
    summary: "CRI lines with JSON whose sequence number becomes a label: every line its own stream",
    run: (load) => fileScenario(load, "logs-cri-seq", 500_000, criLine, CRI_PIPELINE, (lines) => lines),
  },
  {
    name: "logs-api",
    summary: "Loki push in, Loki push out",
    run: apiScenario,
  },
  { name: "fanout", summary: "one file to two Loki writers", run: fanout },
];

/** Pushes JSON bodies of 1,000 entries from four clients at once. */
async function apiScenario(load: Load): Promise<Result> {
  const requests = Math.ceil(3_000 * load.scale);
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSequences(body, MARKER, counter);
  });
  const port = await freePort();
  const agent = await startAgent(
    load,
    `loki.source.api "bench" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = ${port}
  }
  forward_to = [loki.write.bench.receiver]
}
${writer(sink.url)}`,
  );
  let bytes = 0;
  let next = 0;
  try {
    await waitUntil(() => accepts(port), 10_000, "loki.source.api", agent.process);
    const client = async () => {
      while (next < requests) {
        const first = next++ * 1000;
        const values = Array.from({ length: 1000 }, (_, i) => [`${Date.now()}000000`, plainLine(first + i)]);
        const body = JSON.stringify({ streams: [{ stream: { job: "bench" }, values }] });
        bytes += body.length;
        const response = await fetch(`http://127.0.0.1:${port}/loki/api/v1/push`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        await response.arrayBuffer();
        if (response.status === 503 || response.status === 429) {
          next -= 1; // as a client does: the same again later
          await sleep(50);
        } else if (response.status >= 300) throw new Error(`the agent answered ${response.status}`);
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    const wanted = requests * 1000;
    await waitUntil(() => counter.distinct >= wanted, 60_000, "delivery", agent.process).catch(() => {});
    const counts = { items: wanted, bytes, lost: wanted - counter.distinct, duplicated: counter.duplicated };
    return result(load, "logs-api", agent, counts);
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

async function accepts(port: number): Promise<boolean> {
  try {
    await fetch(`http://127.0.0.1:${port}/ready`);
    return true;
  } catch {
    return false;
  }
}
