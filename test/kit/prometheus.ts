import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { temporaryFolder } from "./agent.ts";
import { freePort, sleep } from "./process.ts";

export interface QueriedSeries {
  readonly metric: Readonly<Record<string, string>>;
  /** Time in seconds and the value as text, for an instant query. */
  readonly value?: readonly [number, string];
  /** All of them, for a range such as `up[1h]`. */
  readonly values?: readonly (readonly [number, string])[];
}

/** Debian's Prometheus with a remote-write receiver, on a port and a folder of its own. */
export class Prometheus {
  readonly url: string;
  readonly #child: ChildProcess;
  #output = "";

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
    const keep = (data: Buffer) => void (this.#output += data);
    child.stdout!.on("data", keep);
    child.stderr!.on("data", keep);
  }

  /** `scrapeConfigs` is YAML, for what Prometheus shall scrape on its own; `more` goes behind it. */
  static async start(
    t: TestContext,
    scrapeConfigs = "[]",
    more = "",
    flags: readonly string[] = [],
  ): Promise<Prometheus> {
    const folder = temporaryFolder(t);
    const address = `127.0.0.1:${await freePort()}`;
    writeFileSync(
      join(folder, "prometheus.yml"),
      `global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs: ${scrapeConfigs}\n${more}`,
    );
    const child = spawn(
      process.env.PROMETHEUS_PROGRAM ?? "/usr/bin/prometheus", // another version, to compare with by hand
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
        ...flags,
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const prometheus = new Prometheus(`http://${address}`, child);
    cleanUp(t, () => prometheus.stop());
    for (let i = 0; ; i++) {
      try {
        if ((await fetch(`${prometheus.url}/-/ready`)).status === 200) return prometheus;
      } catch {
        // not yet
      }
      if (i > 1_000 || child.exitCode !== null) throw new Error(`Prometheus does not start\n${prometheus.#output}`);
      await sleep(30);
    }
  }

  async query(expression: string): Promise<readonly QueriedSeries[]> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answer = (await response.json()) as { status: string; error?: string; data: { result: QueriedSeries[] } };
    if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`);
    return answer.data.result;
  }

  async metadata(): Promise<Readonly<Record<string, readonly { type: string; help: string; unit: string }[]>>> {
    const response = await fetch(`${this.url}/api/v1/metadata`);
    return ((await response.json()) as { data: Record<string, { type: string; help: string; unit: string }[]> }).data;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }
}
