import { lookup } from "node:dns/promises";
import { isIPv4 } from "node:net";
import { abortable } from "#base/abortable";
import { errorText } from "#base/log";
import type { Counter, Gauge } from "#base/metrics";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import type { LoadBalancingArguments } from "./arguments.ts";
import { CloudMap } from "./cloud-map.ts";

/** How the addresses of a name are found: by the system, or another way in tests. */
export type LookUp = (name: string) => Promise<readonly string[]>;

export const systemLookUp: LookUp = async (name) => (await lookup(name, { all: true })).map(({ address }) => address);

export interface ResolverInstruments {
  readonly resolutions: Counter;
  readonly backends: Gauge;
  readonly backendUpdates: Counter;
}

/** Where backends come from, and how often to look. */
interface Source {
  readonly name: "static" | "dns" | "aws";
  readonly intervalMs: number;
  readonly timeoutMs: number;
  find(signal: AbortSignal): Promise<readonly string[]>;
}

/** Matches newLoadBalancer and the resolvers of the Collector's loadbalancingexporter. */
function sourceOf(
  { static: fixed, dns, aws_cloud_map: cloudMap }: LoadBalancingArguments["resolver"],
  lookUp: LookUp,
): Source {
  if (fixed !== undefined) {
    return { name: "static", intervalMs: 0, timeoutMs: 0, find: async () => fixed.hostnames };
  }
  if (dns !== undefined) {
    const { hostname, port } = dns;
    return {
      name: "dns",
      intervalMs: dns.interval || 5_000,
      timeoutMs: dns.timeout || 1_000,
      find: async (signal) =>
        (await abortable(lookUp(hostname), signal)).map((address) => {
          const host = isIPv4(address) ? address : `[${address}]`;
          return port === "" ? host : `${host}:${port}`;
        }),
    };
  }
  const map = new CloudMap(cloudMap!);
  return {
    name: "aws",
    intervalMs: cloudMap!.interval || 30_000,
    timeoutMs: cloudMap!.timeout || 5_000,
    find: (signal) => map.backends(signal),
  };
}

/** Looks for backends and tells of each change. What was found last stays in use while looking fails. */
export class Resolver {
  readonly #ctx: Pick<ComponentContext, "clock" | "log" | "flow" | "deadline">;
  readonly #instruments: ResolverInstruments;
  readonly #source: Source;
  readonly #onChange: (backends: readonly string[]) => void;
  #found: readonly string[] = [];
  #problem: string | undefined;
  #since = 0;

  constructor(
    ctx: Pick<ComponentContext, "clock" | "log" | "flow" | "deadline">,
    instruments: ResolverInstruments,
    args: LoadBalancingArguments["resolver"],
    lookUp: LookUp,
    onChange: (backends: readonly string[]) => void,
  ) {
    this.#ctx = ctx;
    this.#instruments = instruments;
    this.#source = sourceOf(args, lookUp);
    this.#onChange = onChange;
  }

  /** The flow rule about backends that cannot be found. */
  judge(): Judgement {
    if (this.#problem !== undefined) {
      const age = `since ${Math.round((this.#ctx.clock.monotonic() - this.#since) / 1_000)} s`;
      return this.#found.length === 0
        ? { state: "failing", cause: `no backends are known: ${this.#problem}` }
        : {
            state: "degraded",
            cause: `backends cannot be looked for ${age}, the last ones stay in use: ${this.#problem}`,
          };
    }
    return undefined;
  }

  /** Looks until `signal` is aborted, or once if nothing can change; calls `onLook` each time, whatever was found. */
  async run(signal: AbortSignal, onLook: () => void): Promise<void> {
    const { intervalMs } = this.#source;
    for (;;) {
      await this.#look(signal);
      if (signal.aborted) return;
      onLook();
      if (intervalMs === 0) return;
      await this.#ctx.clock.sleep(intervalMs, signal).catch(() => {});
      if (signal.aborted) return;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { name, timeoutMs } = this.#source;
    const { resolutions, backends, backendUpdates } = this.#instruments;
    let found: readonly string[];
    using deadline = timeoutMs === 0 ? undefined : this.#ctx.deadline(timeoutMs);
    try {
      found = (await this.#source.find(deadline?.signal ?? signal)).toSorted();
    } catch (error) {
      if (signal.aborted) return;
      resolutions.labels(name, "false").inc();
      const problem = deadline?.signal.aborted ? `no answer within ${timeoutMs} ms` : errorText(error);
      if (this.#problem === undefined) this.#since = this.#ctx.clock.monotonic();
      if (this.#problem !== problem)
        this.#ctx.log.warn("backends cannot be looked for", { resolver: name, error: problem });
      this.#problem = problem;
      this.#ctx.flow.judge();
      return;
    }
    resolutions.labels(name, "true").inc();
    this.#problem = found.length === 0 ? "the resolver knows none" : undefined;
    if (found.length !== this.#found.length || found.some((each, i) => each !== this.#found[i])) {
      this.#found = found;
      backends.labels(name).set(found.length);
      backendUpdates.labels(name).inc();
      this.#onChange(found);
    }
    this.#ctx.flow.judge();
  }
}
