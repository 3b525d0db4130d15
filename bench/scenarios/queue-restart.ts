import { sleep, waitUntil } from "../../test/kit/process.ts";
import { Sink } from "../../test/kit/sink.ts";
import { countSamples } from "../../test/kit/walk.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";
import { EXTRA_SAMPLES, PageServer } from "./metrics.ts";

const SERIES = 50_000;
/** Scrapes that the queue holds when the agent is killed. */
const HELD = 60;
const STEADY = 15;

/** Memory after a kill with a full queue, beside that of the same agent before: a restart must not need more than it had. */
async function queueRestart(load: Load): Promise<Result> {
  const isShort = load.scale < 1;
  const series = isShort ? SERIES / 10 : SERIES;
  const pages = new PageServer({ series, targets: 1, intervalSeconds: 1, seconds: 0, churn: 0 });
  await pages.start();
  const byTimestamp = new Map<number, number>();
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSamples(body, byTimestamp);
  });
  const config = `
prometheus.scrape "bench" {
  targets         = [{ __address__ = "${pages.address}" }]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  forward_to      = [prometheus.remote_write.bench.receiver]
}
prometheus.remote_write "bench" {
  endpoint {
    url = "${sink.url}/api/v1/write"
    queue_config {
      max_backoff = "1s"
    }
  }
}
`;
  const perScrape = series + EXTRA_SAMPLES;
  const steady = Math.max(2, Math.round(STEADY * load.scale));
  const held = Math.max(3, Math.round(HELD * load.scale));
  const whole = () => [...byTimestamp.values()].filter((count) => count >= perScrape).length;
  let agent = await startAgent(load, config);
  try {
    await waitUntil(() => whole() >= steady, 120_000, "scrapes are delivered", agent.process);
    const before = agent.process.usage().peakRssBytes;
    sink.answer = () => ({ status: 503 });
    const from = pages.scrapes;
    await waitUntil(() => pages.scrapes >= from + held, 300_000, "scrapes are held", agent.process);
    const scraped = pages.scrapes;
    agent.process.kill("SIGKILL");
    await agent.process.stop();
    agent = await startAgent(load, config);
    await sleep(isShort ? 1_000 : 3_000); // reading what is there, with nobody who takes it
    sink.answer = () => ({ status: 204 });
    // The scrape under way at the kill does not count.
    await waitUntil(() => whole() >= scraped - 1, 300_000, "all is delivered", agent.process);
    const usage = agent.process.usage();
    const ratio = usage.peakRssBytes / before;
    const lost = Math.max(0, scraped - 1 - whole()) * perScrape;
    const repeated = [...byTimestamp.values()].reduce((sum, count) => sum + Math.max(0, count - perScrape), 0);
    const counts = { items: sink.counts.items, bytes: 0, lost, duplicated: repeated, usage };
    return {
      ...result(load, "queue-restart", agent, counts, { restart_memory_ratio: ratio }),
      note: `${held} scrapes of ${perScrape} samples held: at most ${(usage.peakRssBytes / 1e6).toFixed(0)} MB after the restart, ${(before / 1e6).toFixed(0)} MB before, ${ratio.toFixed(2)} times`,
    };
  } finally {
    await agent.process.stop();
    await pages.stop();
    await sink.stop();
  }
}

export const queueScenarios: readonly Scenario[] = [
  { name: "queue-restart", summary: "memory after a kill with a full queue, beside before", run: queueRestart },
];
