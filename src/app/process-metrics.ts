import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { MetricFamily, MetricRegistry, MetricType } from "#base/metrics";

/**
 * Time between two looks at the event loop's delay. Each wakes the process: at Node's own 10 ms, or 20, an idle agent does
 * little else.
 */
const LOOP_LOOK_MS = 200;

/** The agent's own process on its metrics page, under the names of Prometheus's clients and of Alloy's resource collector. */
export function registerProcessMetrics(registry: MetricRegistry, version: string): () => void {
  const startedSeconds = (Date.now() - process.uptime() * 1000) / 1000;
  const loop = monitorEventLoopDelay({ resolution: LOOP_LOOK_MS });
  loop.enable();
  const stop = registry.registerCollector(() => {
    const cpu = process.cpuUsage();
    const cpuSeconds = (cpu.user + cpu.system) / 1e6;
    const memory = process.memoryUsage();
    const virtual = virtualMemoryBytes();
    const network = networkBytes();
    const build = [
      "branch",
      "",
      "goarch",
      process.arch,
      "goos",
      process.platform,
      "goversion",
      "",
      "revision",
      "",
      "tags",
      "",
      "version",
      version,
    ];
    const families = [
      family("alloy_build_info", "gauge", "Version of the agent; the value is 1", 1, build),
      family(
        "alloy_resources_process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        cpuSeconds,
      ),
      family(
        "alloy_resources_process_resident_memory_bytes",
        "gauge",
        "Current resident memory size in bytes.",
        memory.rss,
      ),
      family(
        "alloy_resources_process_start_time_seconds",
        "gauge",
        "Start time of the process since Unix epoch in seconds.",
        startedSeconds,
      ),
      family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpuSeconds),
      family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", memory.rss),
      family(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        startedSeconds,
      ),
      family("nodejs_heap_size_used_bytes", "gauge", "Bytes of the JavaScript heap in use.", memory.heapUsed),
      family("nodejs_heap_size_total_bytes", "gauge", "Bytes of the JavaScript heap.", memory.heapTotal),
      family("nodejs_external_memory_bytes", "gauge", "Bytes held outside the JavaScript heap.", memory.external),
      family(
        "nodejs_eventloop_lag_p99_seconds",
        "gauge",
        "99th percentile of the event loop's delay since the last reading.",
        // Node tells the time from one look to the next, not by how much it was late.
        Math.max(0, loop.percentile(99) / 1e9 - LOOP_LOOK_MS / 1000),
      ),
    ];
    loop.reset();
    if (virtual !== undefined) {
      families.push(
        family(
          "alloy_resources_process_virtual_memory_bytes",
          "gauge",
          "Current virtual memory size in bytes.",
          virtual,
        ),
        family("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", virtual),
      );
    }
    if (network !== undefined) {
      families.push(
        family(
          "alloy_resources_machine_rx_bytes_total",
          "counter",
          "Total bytes, host-wide, received across all network interfaces.",
          network.received,
        ),
        family(
          "alloy_resources_machine_tx_bytes_total",
          "counter",
          "Total bytes, host-wide, sent across all network interfaces.",
          network.sent,
        ),
      );
    }
    return families;
  });
  return () => {
    stop();
    loop.disable();
  };
}

function family(
  name: string,
  type: MetricType,
  help: string,
  value: number,
  labels: readonly string[] = [],
): MetricFamily {
  return { name, help, type, samples: [{ name, labels, value }] };
}

/** Linux only; undefined elsewhere. */
function virtualMemoryBytes(): number | undefined {
  try {
    const pages = Number(readFileSync("/proc/self/statm", "latin1").split(" ", 1)[0]);
    return Number.isFinite(pages) ? pages * 4096 : undefined;
  } catch {
    return undefined;
  }
}

/** Linux only; undefined elsewhere. */
function networkBytes(): { received: number; sent: number } | undefined {
  try {
    let received = 0;
    let sent = 0;
    for (const line of readFileSync("/proc/net/dev", "latin1").split("\n").slice(2)) {
      const fields = line
        .slice(line.indexOf(":") + 1)
        .trim()
        .split(/\s+/);
      received += Number(fields[0]) || 0;
      sent += Number(fields[8]) || 0;
    }
    return { received, sent };
  } catch {
    return undefined;
  }
}
