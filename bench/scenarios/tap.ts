import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LiveEvent } from "#app/api/json";
import { waitUntil } from "../../test/kit/process.ts";
import { SequenceCounter, Sink } from "../../test/kit/sink.ts";
import { countSequences } from "../../test/kit/walk.ts";
import { type Load, type Result, type RunningAgent, result, type Scenario, startAgent } from "../kit/scenario.ts";

/**
 * What watching live data costs a pipeline at full speed. One agent works through pieces of equal size, every other one
 * with somebody who watches, and each of those is compared with its neighbours, so that neither start-up nor a noisy
 * machine falls on one of them. Compared is the CPU time of the agent's process, not the time that passes. An agent that
 * has to wait for others spends more of its time on watching, since watching may use a share of all time.
 */

const MARKER = "seq=";
const LEVELS = ["debug", "info", "info", "info", "warn", "info", "error", "info"];
const LINES = 1_000_000;
const ROUNDS = 5;
/** One line of so many has it. */
const NEEDLE = "wanted-by-somebody";
const NEEDLE_EVERY = 50_000;

/** Ways of watching: the query of the stream. */
const WAYS: readonly (readonly [name: string, query: string])[] = [
  ["live", "component=loki.process.bench&direction=both"],
  ["word", `component=loki.process.bench&where=${NEEDLE}`],
  ["field", "component=loki.process.bench&where=level%3Dnone"],
  ["regex", "component=loki.process.bench&where=line%3D~items%2F999%5C%3Fpage%3D6.*u42%22"],
  ["fast", "component=loki.process.bench&direction=both&rate=10000"],
  ["trace", "component=loki.process.bench&trace=true"],
];
/** How much pieces that nobody watches differ from their neighbours: how far the figures can be trusted. */
const NOISE = "noise";

const config = (log: string, url: string) => `
livedebugging {
  enabled = true
}

loki.source.file "bench" {
  targets    = [{ __path__ = "${log}", job = "bench" }]
  forward_to = [loki.process.bench.receiver]
}

loki.process "bench" {
  forward_to = [loki.write.bench.receiver]

  stage.json {
    expressions = { level = "level", service = "service" }
  }
  stage.drop {
    source = "level"
    value  = "debug"
  }
  stage.labels {
    values = { level = "", service = "" }
  }
}

loki.write "bench" {
  endpoint {
    url = "${url}/loki/api/v1/push"
  }
}
`;

function line(sequence: number): string {
  const level = LEVELS[sequence % 8];
  const url = `/api/v1/items/${sequence % 1000}?page=${sequence % 7}`;
  const mark = sequence % NEEDLE_EVERY === 1 ? NEEDLE : "4bf92f3577b34da6a3ce929d0e0e4736";
  return `{"ts":"2026-11-20T12:00:00.${String(sequence % 1000).padStart(3, "0")}Z","level":"${level}","service":"svc-${sequence % 20}","msg":"GET ${url} 200 ${sequence % 900}ms ${MARKER}${sequence} ","trace_id":"${mark}","user":"u${sequence % 5000}"}\n`;
}

async function run(load: Load): Promise<Result> {
  const lines = Math.ceil((LINES * load.scale) / 8) * 8;
  const rounds = load.scale < 1 ? 2 : ROUNDS;
  const log = join(load.folder, "bench.log");
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSequences(body, MARKER, counter);
  });
  writeFileSync(log, "");
  const agent = await startAgent(load, config(log, sink.url));
  let written = 0;
  let bytes = 0;
  const wanted = () => written - written / 8;
  /** Has the agent work through one more piece; CPU seconds a million lines. */
  const piece = async () => {
    let text = "";
    for (let i = 0; i < lines; i++) text += line(written + i);
    bytes += text.length;
    writeFileSync(`${log}.new`, text);
    const before = agent.process.usage().cpuSeconds;
    renameSync(`${log}.new`, log); // rotated, so that the disk holds one piece only
    written += lines;
    await waitUntil(() => counter.distinct >= wanted(), 60_000, "delivery", agent.process);
    return ((agent.process.usage().cpuSeconds - before) / lines) * 1e6;
  };
  try {
    if (load.scale >= 1) for (let i = 0; i < 5; i++) await piece(); // until the code is as fast as it gets
    const ratios = new Map<string, number[]>([...WAYS.map(([name]) => name), NOISE].map((name) => [name, []]));
    const shares = new Map<string, number>();
    const quiet = [await piece()];
    for (let round = 0; round < rounds; round++) {
      for (const [name, query] of WAYS) {
        const watcher = await Watcher.start(agent, query);
        const watched = await piece();
        shares.set(name, await watcher.stop(name));
        quiet.push(await piece());
        const [first, before, after] = quiet.slice(-3) as [number, number, number?];
        ratios.get(name)!.push((2 * watched) / (after === undefined ? first + before : before + after));
        if (after !== undefined) ratios.get(NOISE)!.push((2 * before) / (first + after));
      }
    }
    const percents = [...ratios].map(([name, values]) => [name, 100 * (median(values) - 1)] as const);
    const counts = {
      items: written,
      bytes,
      lost: Math.max(0, wanted() - counter.distinct),
      duplicated: counter.duplicated,
    };
    const note = percents.map(([name, percent]) => {
      const share = shares.get(name);
      return `${name} ${percent >= 0 ? "+" : ""}${percent.toFixed(1)} %${share === undefined ? "" : ` (looked at ${(100 * share).toFixed(1)} %)`}`;
    });
    return {
      ...result(
        load,
        "tap",
        agent,
        counts,
        Object.fromEntries(percents.map(([name, value]) => [`${name}_percent`, value])),
      ),
      note: note.join(", "),
    };
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A client of the live stream that reads all of it. */
class Watcher {
  readonly #stop: AbortController;
  readonly #reading: Promise<void>;
  #passed = 0;
  #looked = 0;
  #shown = 0;

  private constructor(body: AsyncIterable<Uint8Array>, stop: AbortController) {
    this.#stop = stop;
    this.#reading = this.#read(body);
  }

  static async start(agent: RunningAgent, query: string): Promise<Watcher> {
    const stop = new AbortController();
    const response = await fetch(`http://127.0.0.1:${agent.port}/api/v0/web/live?${query}`, { signal: stop.signal });
    if (response.status !== 200) throw new Error(`live: ${response.status} ${await response.text()}`);
    return new Watcher(response.body!, stop);
  }

  /** The share of what passed that was looked at. Rejects if nothing was shown that should have been. */
  async stop(name: string): Promise<number> {
    await waitUntil(() => this.#passed > 0, 5_000, `what passed (${name})`);
    this.#stop.abort();
    await this.#reading.catch(() => {});
    if (["live", "fast", "trace"].includes(name) && this.#shown === 0) throw new Error(`${name} showed nothing`);
    return this.#looked / this.#passed;
  }

  async #read(body: AsyncIterable<Uint8Array>): Promise<void> {
    let rest = "";
    for await (const chunk of body) {
      const lines = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = lines.pop()!;
      for (const text of lines) {
        const event = JSON.parse(text) as LiveEvent;
        if (event.event !== "passed") continue;
        this.#passed += event.items;
        this.#looked += event.looked;
        this.#shown += event.shown;
      }
    }
  }
}

export const tapScenarios: readonly Scenario[] = [
  { name: "tap", summary: "what watching live data costs a pipeline at full speed, in several ways", run },
];
