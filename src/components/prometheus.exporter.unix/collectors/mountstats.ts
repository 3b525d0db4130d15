import { counter, type Metric, type Page } from "#kits/exporter/page";
import { parseMount } from "#kits/mounts";
import type { CollectorDefinition } from "../collector.ts";
import { readLines, readText, words } from "../files.ts";
import { BYTES, EVENTS, MOUNT_LABELS, OPERATIONS, TRANSPORT } from "./mountstats-tables.ts";

const age = counter("node_mountstats_nfs_age_seconds_total", "The age of the NFS mount in seconds.", ...MOUNT_LABELS);

/** A mount of NFS in /proc/self/mountstats. */
interface NfsMount {
  readonly device: string;
  age: number;
  bytes: readonly number[];
  events: readonly number[];
  readonly transports: { readonly protocol: string; readonly values: readonly number[] }[];
  readonly operations: { readonly name: string; readonly values: readonly number[] }[];
}

export const mountstats: CollectorDefinition = {
  name: "mountstats",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const mounts = parseMountStatistics(readText(files.proc("self/mountstats")));
        if (mounts.length === 0) return;
        // Both files have the mounts in the same order.
        const lines = readLines(files.proc("self/mountinfo"));
        const seen = new Set<string>();
        for (const { mount, index } of mounts) {
          const address = lines[index] === undefined ? "" : mountAddress(lines[index]);
          for (const protocol of new Set(mount.transports.map((transport) => transport.protocol))) {
            const values = [mount.device, protocol, address] as const;
            const key = values.join("\n");
            // One file system mounted at several places.
            if (seen.has(key)) continue;
            seen.add(key);
            addMount(page, mount, ...values);
          }
        }
      },
    };
  },
};

function mountAddress(line: string): string {
  const option = parseMount(line).superOptions.find((each) => each.startsWith("addr="));
  return option?.slice("addr=".length) ?? "";
}

function addMount(page: Page, mount: NfsMount, device: string, protocol: string, address: string): void {
  const labels = [device, protocol, address] as const;
  page.add(age, mount.age, ...labels);
  addAll(page, BYTES, mount.bytes, labels);
  const transports = mount.transports.filter((transport) => transport.protocol === protocol);
  for (const [metric, at] of TRANSPORT) {
    const values = transports.map((transport) => transport.values[at] ?? 0);
    // A mount may have several connections.
    page.add(metric, metric.type === "counter" ? sum(values) : Math.max(...values), ...labels);
  }
  for (const { name, values } of mount.operations) {
    for (const [metric, at, scale] of OPERATIONS) page.add(metric, (values[at] ?? 0) * scale, ...labels, name);
  }
  addAll(page, EVENTS, mount.events, labels);
}

function addAll(
  page: Page,
  metrics: readonly (Metric | undefined)[],
  values: readonly number[],
  labels: readonly string[],
): void {
  for (const [i, metric] of metrics.entries()) if (metric !== undefined) page.add(metric, values[i] ?? 0, ...labels);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The mounts that have statistics, each with its number among all mounts. Throws for a line that is not as it should be. */
function parseMountStatistics(text: string): { mount: NfsMount; index: number }[] {
  const found: { mount: NfsMount; index: number }[] = [];
  let index = -1;
  let mount: NfsMount | undefined;
  let inOperations = false;
  for (const line of text.split("\n")) {
    const fields = words(line);
    const [kind] = fields;
    if (kind === "device") {
      index++;
      inOperations = false;
      mount = undefined;
      const hasStatistics = fields.length > 8 && /^nfs4?$/.test(fields[7] ?? "");
      if (!hasStatistics) continue;
      mount = { device: fields[1]!, age: 0, bytes: [], events: [], transports: [], operations: [] };
      found.push({ mount, index });
    } else if (mount === undefined || kind === undefined) continue;
    else if (inOperations) mount.operations.push({ name: kind.replace(/:$/, ""), values: numbers(fields.slice(1)) });
    else if (kind === "age:") mount.age = Number(fields[1]);
    else if (kind === "bytes:") mount.bytes = numbers(fields.slice(1));
    else if (kind === "events:") mount.events = numbers(fields.slice(1));
    else if (kind === "xprt:") mount.transports.push(parseTransport(fields[1] ?? "", fields.slice(2)));
    else if (kind === "per-op") inOperations = true;
  }
  return found;
}

/** UDP has no connections, so that three columns are missing; RDMA has no queues, three others. */
function parseTransport(protocol: string, fields: readonly string[]) {
  const values = numbers(fields);
  if (protocol === "udp") values.splice(2, 0, 0, 0, 0);
  else if (protocol === "rdma") values.splice(10, 0, 0, 0, 0);
  return { protocol, values };
}

/** The kernel's counters of 64 bits may have gone below zero; node_exporter takes what a double holds of them. */
function numbers(fields: readonly string[]): number[] {
  return fields.map((field) => {
    const value = Number(field);
    if (Number.isNaN(value)) throw new Error(`expected a number in mountstats, found ${JSON.stringify(field)}`);
    return value <= Number.MAX_SAFE_INTEGER ? value : Number(BigInt(field) % 2n ** 53n);
  });
}
