import { closeSync } from "node:fs";
import { counter, type Metric, type Page } from "#kits/exporter/page";
import type { Collector, CollectorDefinition, CollectorOptions } from "../collector.ts";
import { chosenCpus } from "../cpu-ranges.ts";
import { errorCode, isMissing, readNumber } from "../files.ts";
import { type Libc, requireLibc } from "../libc.ts";
import { CACHE, HARDWARE, type PerfCounter, SOFTWARE } from "./perf-counters.ts";

const PERF_EVENT_OPEN: Readonly<Record<string, bigint>> = { x64: 298n, arm64: 241n };
/** `struct perf_event_attr` of Linux 4.1 on; its size is the second number in it. */
const ATTRIBUTE_BYTES = 112;
const ALL_PROCESSES = -1n;
const NO_GROUP = -1n;
const PERF_FLAG_FD_CLOEXEC = 8n;
/** Bits of the attribute: children are counted too, the hypervisor is not. */
const INHERIT = 1n << 1n;
const EXCLUDE_HYPERVISOR = 1n << 6n;
const PERF_TYPE_TRACEPOINT = 2;
/** Where the kernel lists its trace points. */
const TRACING = ["kernel/tracing", "kernel/debug/tracing"];

export const perf: CollectorDefinition = {
  name: "perf",
  enabledByDefault: false,
  create: (options) => new PerfCollector(options),
};

/** A counter that runs on one CPU. */
interface OpenCounter {
  readonly metric: Metric;
  readonly cpu: string;
  readonly file: number;
}

class PerfCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #buffer = Buffer.alloc(8);
  #counters: readonly OpenCounter[] | undefined;
  problem: string | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  collect(page: Page): void {
    const libc = requireLibc("take perf out of enable_collectors");
    this.#counters ??= this.#open(libc);
    for (const { metric, cpu, file } of this.#counters) {
      const size = libc.functions.read(file, this.#buffer, 8n);
      // A CPU that went offline.
      if (size === 8n) page.add(metric, Number(this.#buffer.readBigUInt64LE(0)), cpu);
    }
  }

  close(): void {
    for (const { file } of this.#counters ?? []) closeSync(file);
    this.#counters = [];
  }

  /** Opens what the kernel has of what is asked for. Throws when there is nothing of it. */
  #open(libc: Libc): readonly OpenCounter[] {
    const opened: OpenCounter[] = [];
    const problems: string[] = [];
    const cpus = chosenCpus(this.#options.args.perf.cpus) ?? [];
    try {
      for (const { what, option, counters } of this.#groups()) {
        const before = opened.length;
        let reason: unknown;
        for (const cpu of cpus) {
          for (const { metric, type, config } of counters) {
            try {
              opened.push({ metric, cpu: String(cpu), file: openCounter(libc, type, config, cpu) });
            } catch (error) {
              if (errorCode(error) === undefined) throw error;
              reason = error;
            }
          }
        }
        if (opened.length === before && counters.length > 0) problems.push(`${explain(what, reason)}; ${option}`);
      }
    } catch (error) {
      for (const { file } of opened) closeSync(file);
      throw error;
    }
    if (opened.length === 0 && problems.length > 0) throw new Error(problems.join("; "));
    this.problem = problems.length === 0 ? undefined : problems.join("; ");
    return opened;
  }

  #groups(): readonly { what: string; option: string; counters: readonly PerfCounter[] }[] {
    const { args, files } = this.#options;
    const { perf } = args;
    const choose = (all: readonly PerfCounter[], names: readonly string[], isOff: boolean) =>
      isOff ? [] : all.filter(({ name }) => names.length === 0 || names.includes(name));
    return [
      {
        what: "hardware counters",
        option: "set disable_hardware_profilers",
        counters: choose(HARDWARE, perf.hardware_profilers, perf.disable_hardware_profilers),
      },
      {
        what: "software counters",
        option: "set disable_software_profilers",
        counters: choose(SOFTWARE, perf.software_profilers, perf.disable_software_profilers),
      },
      {
        what: "cache counters",
        option: "set disable_cache_profilers",
        counters: choose(CACHE, perf.cache_profilers, perf.disable_cache_profilers),
      },
      {
        what: "trace points",
        option: "take them out of tracepoint",
        counters: perf.tracepoint.map((name) => tracePoint(name, (path) => files.sys(path))),
      },
    ];
  }
}

function explain(what: string, error: unknown): string {
  const code = errorCode(error);
  if (code === "EACCES" || code === "EPERM") {
    return `the agent's user may not read ${what} of all processes: give it CAP_PERFMON, or set kernel.perf_event_paranoid to 0`;
  }
  if (code === "ENOENT" || code === "ENODEV" || code === "EOPNOTSUPP") return `this machine has no ${what}`;
  return `cannot open ${what}: ${(error as Error).message}`;
}

function openCounter(libc: Libc, type: number, config: bigint, cpu: number): number {
  const call = PERF_EVENT_OPEN[process.arch];
  if (call === undefined) throw new Error(`performance counters are not supported on ${process.arch}`);
  const attribute = Buffer.alloc(ATTRIBUTE_BYTES);
  attribute.writeUInt32LE(type, 0);
  attribute.writeUInt32LE(ATTRIBUTE_BYTES, 4);
  attribute.writeBigUInt64LE(config, 8);
  attribute.writeBigUInt64LE(EXCLUDE_HYPERVISOR | (type === PERF_TYPE_TRACEPOINT ? 0n : INHERIT), 40);
  const { functions } = libc;
  const file = functions.syscall(call, attribute, ALL_PROCESSES, BigInt(cpu), NO_GROUP, PERF_FLAG_FD_CLOEXEC);
  return libc.check(file, "perf_event_open");
}

/** `subsystem:event`. Throws where the kernel does not have it. */
function tracePoint(name: string, sys: (path: string) => string): PerfCounter {
  const [subsystem, event] = name.split(":");
  const metric = counter(`node_perf_${subsystem}_${event}`, `Perf tracepoint ${name}`, "cpu");
  for (const folder of TRACING) {
    try {
      const id = readNumber(sys(`${folder}/events/${subsystem}/${event}/id`));
      return { name, metric, type: PERF_TYPE_TRACEPOINT, config: BigInt(id) };
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  throw new Error(
    `there is no trace point ${name} in ${TRACING.map(sys).join(" or ")}; mount tracefs there, or take it out of tracepoint`,
  );
}
