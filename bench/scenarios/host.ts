import { sleep, waitUntil } from "../../test/kit/process.ts";
import { Sink } from "../../test/kit/sink.ts";
import { countSamples } from "../../test/kit/walk.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";

const INTERVAL_SECONDS = 15;
/** Code is compiled, and what the start allocated is gone. */
const SETTLE_SCRAPES = 3;
const SCRAPES = 8;
/** So many that remote write has sent some of them: it gathers samples for five seconds. */
const SHORT_SCRAPES = 7;

/** The metrics of the machine itself, each 15 s, to a remote write endpoint: what each machine of a fleet pays. */
async function nodeExporter(load: Load): Promise<Result> {
  const byTimestamp = new Map<number, number>();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSamples(body, byTimestamp);
  });
  const interval = Math.max(1, Math.round(INTERVAL_SECONDS * load.scale));
  const agent = await startAgent(
    load,
    `logging {
  level = "error"
}
prometheus.exporter.unix "host" { }
prometheus.scrape "host" {
  targets         = prometheus.exporter.unix.host.targets
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "${interval}s"
  scrape_timeout  = "${interval}s"
}
prometheus.remote_write "out" {
  endpoint {
    url = "${sink.url}/api/v1/write"
  }
}
`,
  );
  const counted = load.scale < 1 ? SHORT_SCRAPES : SCRAPES;
  const scrapes = (count: number) =>
    waitUntil(() => byTimestamp.size >= count, (count + 2) * interval * 1_000 + 10_000, "scrapes", agent.process);
  try {
    await scrapes(SETTLE_SCRAPES);
    // Between two scrapes, so that each of those that count is in the time.
    await sleep(interval * 500);
    const before = { usage: agent.process.usage(), at: performance.now(), samples: sink.counts.items };
    await sleep(counted * interval * 1_000);
    const usage = agent.process.usage();
    const cpu = usage.cpuSeconds - before.usage.cpuSeconds;
    const share = cpu / ((performance.now() - before.at) / 1_000);
    const items = sink.counts.items - before.samples;
    const counts = { items, bytes: 0, lost: 0, duplicated: 0, cpuSecondsBefore: before.usage.cpuSeconds, usage };
    return {
      ...result(load, "node-exporter", agent, counts, { cpu_share: share, idle_rss_bytes: usage.rssBytes }),
      note: `${Math.round(items / counted)} samples each ${interval} s: ${(share * 100).toFixed(2)} % of a core, ${(usage.rssBytes / 1e6).toFixed(0)} MB`,
    };
  } finally {
    await agent.process.stop();
    await sink.stop();
  }
}

export const hostScenarios: readonly Scenario[] = [
  {
    name: "node-exporter",
    summary: "this machine's own metrics each 15 s to remote write: share of a core, memory",
    run: nodeExporter,
  },
];
