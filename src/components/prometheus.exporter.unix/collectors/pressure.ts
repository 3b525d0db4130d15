import { counter } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { errorCode, readText } from "../files.ts";

const LINES = [
  [
    "cpu",
    "some",
    counter("node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time"),
  ],
  [
    "io",
    "some",
    counter(
      "node_pressure_io_waiting_seconds_total",
      "Total time in seconds that processes have waited due to IO congestion",
    ),
  ],
  [
    "io",
    "full",
    counter(
      "node_pressure_io_stalled_seconds_total",
      "Total time in seconds no process could make progress due to IO congestion",
    ),
  ],
  [
    "memory",
    "some",
    counter(
      "node_pressure_memory_waiting_seconds_total",
      "Total time in seconds that processes have waited for memory",
    ),
  ],
  [
    "memory",
    "full",
    counter(
      "node_pressure_memory_stalled_seconds_total",
      "Total time in seconds no process could make progress due to memory congestion",
    ),
  ],
  [
    "irq",
    "full",
    counter(
      "node_pressure_irq_stalled_seconds_total",
      "Total time in seconds no process could make progress due to IRQ congestion",
    ),
  ],
] as const;

export const pressure: CollectorDefinition = {
  name: "pressure",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const texts = new Map<string, string>();
        for (const resource of ["cpu", "io", "memory", "irq"]) {
          const text = readPressure(files.proc(`pressure/${resource}`));
          if (text !== undefined) texts.set(resource, text);
        }
        if (texts.size === 0) throw new NoDataError("the kernel has no pressure information");
        for (const [resource, line, metric] of LINES) {
          const text = texts.get(resource);
          if (text === undefined) continue;
          const microseconds = new RegExp(`^${line} .*total=(\\d+)`, "m").exec(text)?.[1];
          if (microseconds === undefined) throw new NoDataError(`no "${line}" line for ${resource}`);
          page.add(metric, Number(microseconds) / 1000 / 1000);
        }
      },
    };
  },
};

/** Undefined before Linux 4.20 (6.1 for irq); fails with EOPNOTSUPP when started with `psi=0`. */
function readPressure(path: string): string | undefined {
  try {
    return readText(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return undefined;
    if (code === "EOPNOTSUPP" || code === "ENOTSUP") throw new NoDataError("pressure information is turned off");
    throw error;
  }
}
