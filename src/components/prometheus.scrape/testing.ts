import type { TestContext } from "node:test";
import type { Clock } from "#base/clock";
import type { HttpResponse } from "#pipeline/component";
import { type RecordedSample, recordMetrics, type StartOptions, startComponent } from "#pipeline/testing";
import scrape from "./prometheus.scrape.ts";

export const START = Date.UTC(2026, 0, 1);

/** A clock that stands still until it is advanced. */
export class ManualClock implements Clock {
  #now = START;
  #sleepers: { at: number; wake: () => void }[] = [];
  now = () => this.#now;
  monotonic = () => this.#now - START;

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((each) => each !== sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Wakes, in order, whoever is due within `ms`, and lets each do its work. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = this.#sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      this.#sleepers = this.#sleepers.filter((each) => each !== due);
      due.wake();
      await settle();
    }
    this.#now = end;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export type Page = string | HttpResponse | Error;

/** A scrape component whose in-memory target answers with `page`. */
export async function start(
  t: TestContext,
  extra = "",
  targets = '[{ __address__ = "memory:1", instance = "i" }]',
  more: Partial<StartOptions> = {},
) {
  const clock = new ManualClock();
  const recorder = recordMetrics();
  const state = {
    page: "up_to_you 1\n" as Page,
    asked: [] as { path: string; headers: ReadonlyMap<string, string> }[],
  };
  const component = await startComponent(scrape, `targets = ${targets}\nforward_to = [out]\n${extra}`, {
    clock,
    scope: { out: recorder.value },
    ...more,
    services: {
      ...more.services,
      memoryAddress: "memory:1",
      fetchLocal: async (path, headers) => {
        state.asked.push({ path, headers });
        if (state.page instanceof Error) throw state.page;
        return typeof state.page === "string" ? { status: 200, body: state.page } : state.page;
      },
    },
  });
  t.after(() => component.stop());
  let seen = 0;
  /** What came since the last call, by series; reports only where asked for. */
  const take = (reports = false): Record<string, RecordedSample["value"]> => {
    const fresh = recorder.items.slice(seen);
    seen = recorder.items.length;
    const isReport = (name: string) => name === "up" || name.startsWith("scrape_");
    return Object.fromEntries(
      fresh
        .filter(({ labels }) => isReport(labels.get("__name__")!) === reports)
        .map(({ labels, value }) => [
          reports ? labels.get("__name__")! : labels.filter((name) => name !== "instance" && name !== "job").toString(),
          value,
        ]),
    );
  };
  return { component, clock, recorder, state, take };
}
