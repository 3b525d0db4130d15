import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ProtoReader } from "#formats/protobuf";
import { uncompress } from "#formats/snappy";
import { sleep, type Usage } from "../../test/kit/process.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";
import { PROMTAIL_PIPELINE, promtailKept, promtailLine } from "./promtail.ts";
import { writeLines } from "./write-lines.ts";

/** How many files are read, and how many lines each has. */
const FILES = 4;
const LINES = 500_000;
/** Both ways one after the other, so often. */
const ROUNDS = 3;
const WORKERS = 2;
/** How often the agent is asked how far it is; that costs it a millisecond. */
const POLL_MS = 250;
const TIMEOUT_MS = 300_000;

/** A server that keeps bodies as they come, so that the work of the sink is next to nothing. */
class RawSink {
  readonly bodies: Buffer[] = [];
  first = 0;
  last = performance.now();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        this.last = performance.now();
        if (this.bodies.length === 0) this.first = this.last;
        this.bodies.push(...(chunks.length === 1 ? chunks : [Buffer.concat(chunks)]));
        response.writeHead(204).end();
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What came in all bodies: each line once, and those of a file and stream in the order in which they were written. */
function check(bodies: readonly Buffer[]): { distinct: number; duplicated: number; disordered: number } {
  const seen = Array.from({ length: FILES }, () => new Uint8Array(LINES));
  const last = new Map<string, number>();
  let distinct = 0;
  let total = 0;
  let disordered = 0;
  for (const body of bodies) {
    const reader = new ProtoReader(uncompress(body, 64 * 1024 * 1024));
    while (!reader.done) {
      if (reader.tag() !== 10) throw new Error("no Loki push request");
      const afterStream = reader.enter();
      let labels = "";
      while (!reader.done) {
        const tag = reader.tag();
        if (tag === 10) labels = reader.string();
        else if (tag === 18) {
          const afterEntry = reader.enter();
          while (!reader.done) {
            const field = reader.tag();
            if (field !== 18) {
              reader.skip(field);
              continue;
            }
            const text = reader.string();
            const [, file, sequence] = /file=(\d+) seq=(\d+)/.exec(text)!.map(Number) as [number, number, number];
            total += 1;
            if (seen[file]![sequence]! === 0) distinct += 1;
            seen[file]![sequence] = 1;
            const key = `${file} ${labels}`;
            if (sequence <= (last.get(key) ?? -1)) disordered += 1;
            last.set(key, sequence);
          }
          reader.leave(afterEntry);
        } else reader.skip(tag);
      }
      reader.leave(afterStream);
    }
  }
  return { distinct, duplicated: total - distinct, disordered };
}

interface Round {
  readonly wallSeconds: number;
  /** What it would take on two CPUs that nobody else uses: the busiest thread's time, or half of all. */
  readonly idealSeconds: number;
  readonly usage: Usage;
  readonly distinct: number;
  readonly duplicated: number;
  readonly disordered: number;
  readonly readyMs: number;
}

/** Entries that the agent says Loki has accepted. */
async function delivered(port: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^loki_write_sent_entries_total\{.*\} (\S+)$/m.exec(page)?.[1] ?? 0);
}

async function round(
  load: Load,
  paths: readonly string[],
  kept: number,
  workers: number,
  name: string,
): Promise<Round> {
  const sink = new RawSink();
  const url = await sink.start();
  const targets = paths.map((path) => `{ __path__ = "${path}", job = "bench" }`).join(", ");
  const config = `
loki.source.file "bench" {
  targets    = [${targets}]
  forward_to = [loki.process.bench.receiver]
}
${PROMTAIL_PIPELINE}
loki.write "bench" {
  endpoint {
    url = "${url}/loki/api/v1/push"
  }
}
`;
  const command = load.agent.command
    .replace(" run ", ` run --workers=${workers} `)
    .replaceAll("{storage}", join(load.folder, name));
  const agent = await startAgent({ ...load, agent: { name, command } }, config);
  try {
    const deadline = performance.now() + TIMEOUT_MS;
    while (performance.now() < deadline && (await delivered(agent.port)) < kept) await sleep(POLL_MS);
    const usage = agent.process.usage();
    const threads = agent.process.threadSeconds();
    return {
      idealSeconds: Math.max(...threads, threads.reduce((sum, each) => sum + each, 0) / 2),
      wallSeconds: (sink.last - sink.first) / 1000,
      usage,
      readyMs: agent.readyMs,
      ...check(sink.bodies),
    };
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** The same load without and with workers, in turns. What is reported is with them. */
async function run(load: Load): Promise<Result> {
  const lines = Math.ceil(LINES * load.scale);
  const files = Array.from({ length: FILES }, (_, file) =>
    writeLines(join(load.folder, `bench-${file}.log`), lines, (sequence) => promtailLine(sequence, file)),
  );
  const kept = FILES * promtailKept(lines);
  const rounds: { readonly workers: number; readonly round: Round }[] = [];
  for (let i = 0; i < (load.scale < 1 ? 1 : ROUNDS); i++) {
    for (const workers of [0, WORKERS]) {
      const paths = files.map(({ path }) => path);
      rounds.push({ workers, round: await round(load, paths, kept, workers, `round-${i}-${workers}`) });
    }
  }
  const of = (workers: number) => rounds.filter((each) => each.workers === workers).map((each) => each.round);
  const walls = (workers: number) => of(workers).map((each) => each.wallSeconds);
  const cpu = (workers: number) => median(of(workers).map((each) => each.usage.cpuSeconds));
  const speedup = median(walls(0)) / median(walls(WORKERS));
  const ideal = (workers: number) => median(of(workers).map((each) => each.idealSeconds));
  const disordered = rounds.reduce((sum, each) => sum + each.round.disordered, 0);
  const lost = rounds.reduce((sum, each) => sum + kept - each.round.distinct, 0);
  const duplicated = rounds.reduce((sum, each) => sum + each.round.duplicated, 0);
  if (disordered > 0) throw new Error(`${disordered} lines came out of order`);
  const best = of(WORKERS)[0]!;
  const rss = (workers: number) => median(of(workers).map((each) => each.usage.peakRssBytes)) / 1e6;
  const seconds = (workers: number) =>
    walls(workers)
      .map((each) => each.toFixed(2))
      .join(", ");
  const counts = { items: FILES * lines, bytes: files.reduce((sum, each) => sum + each.bytes, 0), lost, duplicated };
  return {
    ...result(
      load,
      "logs-workers",
      { process: undefined as never, port: 0, readyMs: best.readyMs },
      { ...counts, usage: { ...best.usage, cpuSeconds: cpu(WORKERS) } },
    ),
    speedup,
    speedup_on_free_cpus: ideal(0) / ideal(WORKERS),
    cpu_seconds_without: cpu(0),
    note: `wall ${seconds(0)} s without, ${seconds(WORKERS)} s with ${WORKERS} workers: ${speedup.toFixed(2)} times; by the threads' CPU time ${(ideal(0) / ideal(WORKERS)).toFixed(2)} times; CPU ${cpu(0).toFixed(1)} and ${cpu(WORKERS).toFixed(1)} s, memory ${rss(0).toFixed(0)} and ${rss(WORKERS).toFixed(0)} MB`,
  };
}

export const workerScenarios: readonly Scenario[] = [
  {
    name: "logs-workers",
    summary: "a Promtail pipeline on four files: --workers=0 against --workers=2",
    run,
  },
];
