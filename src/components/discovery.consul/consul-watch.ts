import type { Clock } from "#base/clock";
import type { PartAnswer } from "#kits/discovery/targets";
import type { ConsulApi, Indexed } from "./consul-api.ts";
import { consulTargets } from "./consul-targets.ts";

export interface WatchOptions {
  readonly services: readonly string[];
  readonly tags: readonly string[];
  readonly tagSeparator: string;
  readonly intervalMs: number;
}

/** Told of what is found, service by service. */
export interface WatchEvents {
  set(service: string, answer: PartAnswer): void;
  /** There are no others. */
  retain(services: ReadonlySet<string>): void;
  /** A request began that ends with the returned function. */
  asks(call: "services" | "service"): (failed: boolean) => void;
}

/** What the list of services is called among the services. */
const CATALOG = "the list of services";
/** Longest pause after a failure. */
const RETRY_MS = 15_000;

/**
 * Watches services by blocking queries, one for each: all of them, or those with the names and tags that are wanted. Each
 * is asked no more often than once in an interval: Consul may have changes without an end.
 */
export class ConsulWatch {
  readonly #api: ConsulApi;
  readonly #clock: Clock;
  readonly #options: WatchOptions;
  readonly #events: WatchEvents;
  #datacenter = "";

  constructor(api: ConsulApi, clock: Clock, options: WatchOptions, events: WatchEvents) {
    this.#api = api;
    this.#clock = clock;
    this.#options = options;
    this.#events = events;
  }

  /** Until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { services, tags } = this.#options;
    while (this.#datacenter === "" && !signal.aborted) {
      try {
        this.#datacenter = await this.#api.datacenter(signal);
        if (this.#datacenter === "") throw new Error("Consul does not tell its data centre: set `datacenter`");
      } catch (error) {
        if (!signal.aborted) this.#events.set(CATALOG, error as Error);
        await this.#pause(0, true, signal);
      }
    }
    const wanted = new Set(services);
    if (wanted.size > 0 && tags.length === 0) {
      this.#events.retain(wanted);
      await Promise.all([...wanted].map((name) => this.#watchService(name, signal)));
    } else await this.#watchCatalog(wanted, signal);
  }

  async #watchCatalog(wanted: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { tags } = this.#options;
    const watched = new Map<string, AbortController>();
    const tasks = new Set<Promise<void>>();
    await this.#watch(
      CATALOG,
      "services",
      (index) => this.#api.services(index, signal),
      signal,
      (all) => {
        const names = new Set<string>();
        for (const [name, has] of all) {
          if ((wanted.size === 0 || wanted.has(name)) && tags.every((tag) => has.includes(tag))) names.add(name);
        }
        for (const [name, life] of watched) {
          if (names.has(name)) continue;
          life.abort(new Error(`the service ${name} is gone`));
          watched.delete(name);
        }
        this.#events.retain(new Set([CATALOG, ...names]));
        for (const name of names) {
          if (watched.has(name)) continue;
          const life = new AbortController();
          watched.set(name, life);
          const task = this.#watchService(name, AbortSignal.any([signal, life.signal])).finally(() =>
            tasks.delete(task),
          );
          tasks.add(task);
        }
        return [];
      },
    );
    await Promise.all(tasks);
  }

  #watchService(name: string, signal: AbortSignal): Promise<void> {
    const { tags, tagSeparator } = this.#options;
    const options = { service: name, datacenter: this.#datacenter, tagSeparator };
    const ask = (index: bigint) =>
      this.#api.service(name, tags, index, signal, (entries) => consulTargets(entries, options));
    return this.#watch(name, "service", ask, signal, (targets) => targets);
  }

  /** Asks again and again; `read` gives the targets of an answer. */
  async #watch<T>(
    part: string,
    call: "services" | "service",
    ask: (index: bigint) => Promise<Indexed<T>>,
    signal: AbortSignal,
    read: (value: T) => PartAnswer,
  ): Promise<void> {
    let index = 0n;
    while (!signal.aborted) {
      const began = this.#clock.monotonic();
      const ends = this.#events.asks(call);
      let failed = false;
      try {
        const answer = await ask(index);
        if (signal.aborted) return;
        // An index that goes back is that of a Consul that began anew: what is newer than the old one never comes.
        index = answer.index < index ? 0n : answer.index;
        this.#events.set(part, read(answer.value));
      } catch (error) {
        if (signal.aborted) return;
        failed = true;
        index = 0n;
        this.#events.set(part, error as Error);
      } finally {
        ends(failed && !signal.aborted);
      }
      await this.#pause(this.#clock.monotonic() - began, failed, signal);
    }
  }

  #pause(sinceMs: number, failed: boolean, signal: AbortSignal): Promise<void> {
    const { intervalMs } = this.#options;
    const pause = failed ? Math.min(intervalMs, RETRY_MS) : Math.max(0, intervalMs - sinceMs);
    return this.#clock.sleep(pause, signal).catch(() => {});
  }
}
