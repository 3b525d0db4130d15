import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { freePort, MeasuredProcess, type Usage, waitUntil } from "../../test/kit/process.ts";
import { Sink } from "../../test/kit/sink.ts";
import { countSamples, countSamples2 } from "../../test/kit/walk.ts";
import { type Load, type Result, type RunningAgent, result, type Scenario, startAgent } from "../kit/scenario.ts";

/** Samples that a scrape adds to those of its page. */
export const EXTRA_SAMPLES = 5;
/** What a receiver of remote write 2.0 must say. */
const SAMPLES_WRITTEN = "X-Prometheus-Remote-Write-Samples-Written";

/** One line of a page: ten labels, as `performance.md`'s reference load. */
function seriesLine(index: number, generation: number, value: number): string {
  return `bench_requests_total{cluster="eu-west-1",namespace="shop-${index % 20}",pod="checkout-${index % 500}-${generation}",container="app",method="GET",code="${200 + (index % 5)}",path="/api/v1/items/${index}",instance_type="m6i.large",zone="eu-west-1a",version="1.2.3"} ${value}\n`;
}

interface PageLoad {
  readonly series: number;
  readonly targets: number;
  readonly intervalSeconds: number;
  readonly seconds: number;
  /** The part of the series that is new at each scrape. */
  readonly churn: number;
  /** Whether each page has its lines in another order than the last one. */
  readonly shuffled?: boolean;
}

/** How many series further the next line of a shuffled page is; primes, so that each series has its line. */
const STEPS = [10_007, 10_009, 10_037, 10_039];

/** Serves the pages and counts the scrapes of each. */
export class PageServer {
  readonly #server: Server;
  scrapes = 0;
  bytes = 0;
  #port = 0;

  constructor(load: PageLoad) {
    const stable = STEPS.map((step, i) => Buffer.from(page(load, 0, i * 7.25, load.shuffled ? step : 1)));
    this.#server = createServer((_request, response) => {
      const n = this.scrapes++;
      const body = load.churn === 0 ? stable[n % stable.length]! : Buffer.from(page(load, n, n));
      this.bytes += body.length;
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4", "content-length": body.length });
      response.end(body);
    });
  }
  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function page(load: PageLoad, scrape: number, offset: number, step = 1): string {
  const churned = Math.floor(load.series * load.churn);
  let text = "# HELP bench_requests_total Requests.\n# TYPE bench_requests_total counter\n";
  for (let n = 0; n < load.series; n++) {
    const i = (n * step) % load.series;
    text += seriesLine(i, i < churned ? scrape : 0, i * 1.5 + offset);
  }
  return text;
}

/** The short run shows that it works: pages that any machine scrapes within a second, and no longer pauses than that. */
function scaled(load: Load, pages: PageLoad): PageLoad {
  return load.scale < 1 ? { ...pages, series: Math.ceil(pages.series / 10), intervalSeconds: 1 } : pages;
}

async function scrapeScenario(
  load: Load,
  name: string,
  whole: PageLoad,
  relabel = false,
  version: 1 | 2 = 1,
): Promise<Result> {
  const pages = scaled(load, whole);
  const server = new PageServer(pages);
  await server.start();
  const byTimestamp = new Map<number, number>();
  const count = version === 1 ? countSamples : countSamples2;
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += count(body, byTimestamp);
  });
  if (version === 2) sink.answer = () => ({ status: 204, headers: { [SAMPLES_WRITTEN]: "1000000" } });
  const targets = Array.from(
    { length: pages.targets },
    (_, i) => `{ __address__ = "${server.address}", instance = "target-${i}" }`,
  );
  const forward = relabel ? "prometheus.relabel.bench.receiver" : "prometheus.remote_write.bench.receiver";
  const config = `
prometheus.scrape "bench" {
  targets         = [${targets.join(", ")}]
  scrape_interval = "${pages.intervalSeconds}s"
  scrape_timeout  = "${pages.intervalSeconds}s"
  forward_to      = [${forward}]
}
${relabel ? RELABEL : ""}
prometheus.remote_write "bench" {
  endpoint {
    url           = "${sink.url}/api/v1/write"
    send_exemplars = false
    ${version === 2 ? 'protobuf_message = "io.prometheus.write.v2.Request"' : ""}
  }
}
`;
  const agent = await startAgent(load, config);
  const idleRss = agent.process.usage().rssBytes;
  try {
    const measured = await measure(load, pages, server, sink, agent.process);
    const rss = agent.process.usage().rssBytes;
    // The scrape under way when the agent is told to stop does not count: one per target is forgiven.
    await agent.process.stop();
    const perScrape = pages.series + EXTRA_SAMPLES;
    const expected = server.scrapes * perScrape;
    const lost = Math.max(0, expected - pages.targets * perScrape - sink.counts.items);
    // Stale markers come on top: for the series that a churning page leaves out, and for all when a target goes.
    const markers = stale(pages, server.scrapes) + pages.targets * perScrape;
    const duplicated = Math.max(0, sink.counts.items - expected - markers);
    return finish(
      load,
      name,
      agent,
      measured,
      { lost, duplicated },
      {
        scrapes: server.scrapes,
        rss_per_series: Math.round((rss - idleRss) / (pages.series * pages.targets)),
      },
    );
  } finally {
    await agent.process.stop();
    await server.stop();
    await sink.stop();
  }
}

interface Measured {
  readonly items: number;
  readonly bytes: number;
  readonly usage: Usage;
  readonly cpuSecondsBefore: number;
}

/** What happens between the fifth scrape of each target and the last; what comes before is start-up, for all programs alike. */
async function measure(
  load: Load,
  pages: PageLoad,
  server: PageServer,
  sink: Sink,
  process: MeasuredProcess,
): Promise<Measured> {
  const rounds = Math.max(3, Math.ceil((pages.seconds / pages.intervalSeconds) * Math.min(1, load.scale * 4)));
  const warm = Math.min(5, rounds - 2) * pages.targets;
  const timeoutMs = pages.seconds * 5_000 + 60_000;
  await waitUntil(() => server.scrapes >= warm, timeoutMs, "first scrapes", process);
  const before = { items: sink.counts.items, bytes: server.bytes, cpu: process.usage().cpuSeconds };
  await waitUntil(() => server.scrapes >= warm + rounds * pages.targets, timeoutMs, "scrapes", process);
  return {
    items: sink.counts.items - before.items,
    bytes: server.bytes - before.bytes,
    usage: process.usage(),
    cpuSecondsBefore: before.cpu,
  };
}

function finish(
  load: Load,
  name: string,
  agent: RunningAgent,
  measured: Measured,
  losses: { lost: number; duplicated: number },
  extra: Readonly<Record<string, number>>,
): Result {
  const { items, bytes, cpuSecondsBefore, usage } = measured;
  return result(load, name, agent, { items, bytes, cpuSecondsBefore, usage, ...losses }, extra);
}

/** Stale markers of the series that a churning page leaves out. */
function stale(pages: PageLoad, scrapes: number): number {
  return Math.ceil(pages.series * pages.churn) * scrapes;
}

const RELABEL = `
prometheus.relabel "bench" {
  forward_to = [prometheus.remote_write.bench.receiver]
  rule {
    source_labels = ["namespace"]
    regex         = "shop-1[0-9]"
    target_label  = "team"
    replacement   = "basket"
  }
  rule {
    action = "labeldrop"
    regex  = "instance_type|zone"
  }
}
`;

export const metricScenarios: readonly Scenario[] = [
  {
    name: "scrape-50k",
    summary: "one page of 50,000 stable series every second → remote write",
    run: (load) =>
      scrapeScenario(load, "scrape-50k", { series: 50_000, targets: 1, intervalSeconds: 1, seconds: 40, churn: 0 }),
  },
  {
    name: "scrape-50k-v2",
    summary: "scrape-50k by remote write 2.0",
    run: (load) => {
      const pages = { series: 50_000, targets: 1, intervalSeconds: 1, seconds: 40, churn: 0 };
      return scrapeScenario(load, "scrape-50k-v2", pages, false, 2);
    },
  },
  {
    name: "scrape-churn",
    summary: "the same with 10 % new series at each scrape",
    run: (load) =>
      scrapeScenario(load, "scrape-churn", { series: 50_000, targets: 1, intervalSeconds: 1, seconds: 30, churn: 0.1 }),
  },
  {
    name: "scrape-shuffled",
    summary: "scrape-50k with the lines of each page in another order",
    run: (load) =>
      scrapeScenario(load, "scrape-shuffled", {
        series: 50_000,
        targets: 1,
        intervalSeconds: 1,
        seconds: 30,
        churn: 0,
        shuffled: true,
      }),
  },
  {
    name: "scrape-new",
    summary: "pages of 50,000 series that are all new at each scrape",
    run: (load) =>
      scrapeScenario(load, "scrape-new", { series: 50_000, targets: 1, intervalSeconds: 2, seconds: 30, churn: 1 }),
  },
  {
    name: "scrape-many",
    summary: "1,000 targets of 500 series every 10 seconds",
    run: (load) =>
      scrapeScenario(load, "scrape-many", {
        series: 500,
        targets: Math.max(10, Math.ceil(1_000 * load.scale)),
        intervalSeconds: 10,
        seconds: 40,
        churn: 0,
      }),
  },
  {
    name: "series-memory",
    summary: "10 targets of 50,000 series: memory for each active series (rss_per_series, above the idle process)",
    run: (load) =>
      scrapeScenario(load, "series-memory", {
        series: Math.ceil(50_000 * load.scale),
        targets: 10,
        intervalSeconds: 15,
        seconds: 60,
        churn: 0,
      }),
  },
  {
    name: "relabel",
    summary: "scrape-50k through prometheus.relabel with two rules",
    run: (load) =>
      scrapeScenario(load, "relabel", { series: 50_000, targets: 1, intervalSeconds: 1, seconds: 30, churn: 0 }, true),
  },
];

/** Prometheus in agent mode and vmagent on the load of scrape-50k. */
export async function runPeer(load: Load, peer: "prometheus" | "vmagent"): Promise<Result> {
  const pages: PageLoad = { series: 50_000, targets: 1, intervalSeconds: 1, seconds: 40, churn: 0 };
  const server = new PageServer(pages);
  await server.start();
  const byTimestamp = new Map<number, number>();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSamples(body, byTimestamp);
  });
  const port = await freePort();
  const scrape = `global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: bench\n    static_configs:\n      - targets: ["${server.address}"]\n`;
  const config = join(load.folder, `${peer}.yml`);
  const write = `${sink.url}/api/v1/write`;
  writeFileSync(config, peer === "prometheus" ? `${scrape}remote_write:\n  - url: ${write}\n` : scrape);
  const data = join(load.folder, `${peer}-data`);
  const process = new MeasuredProcess(
    peer === "prometheus"
      ? `prometheus --enable-feature=agent --config.file=${config} --storage.agent.path=${data} --web.listen-address=127.0.0.1:${port}`
      : `vmagent -promscrape.config=${config} -remoteWrite.url=${write} -remoteWrite.tmpDataPath=${data} -httpListenAddr=127.0.0.1:${port}`,
  );
  try {
    const measured = await measure(load, pages, server, sink, process);
    const peerLoad = { ...load, agent: { name: peer, command: "" } };
    const running = { process, port, readyMs: 0 };
    return finish(peerLoad, "scrape-50k", running, measured, { lost: 0, duplicated: 0 }, { scrapes: server.scrapes });
  } finally {
    await process.stop();
    await server.stop();
    await sink.stop();
  }
}
