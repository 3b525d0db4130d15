import { zip } from "../zip.ts";
import { redactFile, withoutUrlSecrets } from "./redact.ts";

/** Names of environment variables that say how the agent runs and hold no secrets. */
const SHOWN_ENVIRONMENT = [
  "GOMAXPROCS",
  "GOMEMLIMIT",
  "NODE_OPTIONS",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "HOSTNAME",
  "LANG",
  "TZ",
  "PPROF_MUTEX_PROFILING_PERCENT",
  "PPROF_BLOCK_PROFILING_RATE",
];

export interface SupportBundleSource {
  readonly version: string;
  readonly startedMs: number;
  readonly flags: ReadonlyMap<string, unknown>;
  readonly sources: readonly { readonly name: string; readonly text: string }[];
  readonly recentLogs: readonly string[];
  components(): unknown;
  metrics(): Uint8Array;
  cpuProfile(): Promise<Uint8Array>;
  heapProfile(): Promise<Uint8Array>;
}

/** Everything that somebody who helps from afar asks for, as one zip archive, with the secrets hidden. */
export async function supportBundle(source: SupportBundleSource, sleep: Promise<void>): Promise<Buffer> {
  const before = source.metrics();
  const [cpu, heap] = await Promise.all([source.cpuProfile(), source.heapProfile(), sleep]);
  const metadata = [
    `agent: invar`,
    `version: ${source.version}`,
    `os: ${process.platform}`,
    `architecture: ${process.arch}`,
    `node: ${process.version}`,
    `uptime_seconds: ${Math.round((Date.now() - source.startedMs) / 1000)}`,
  ];
  const environment = SHOWN_ENVIRONMENT.filter((name) => process.env[name] !== undefined).map(
    (name) => `${name}=${withoutUrlSecrets(process.env[name]!)}`,
  );
  const flags = [...source.flags].map(([name, value]) => `--${name}=${String(value)}`);
  const files: [string, string | Uint8Array][] = [
    ["alloy-metadata.yaml", `${metadata.join("\n")}\n`],
    ["alloy-components.json", JSON.stringify(source.components(), null, 2)],
    ["alloy-peers.json", "[]"],
    ["alloy-metrics-sample-start.txt", before],
    ["alloy-metrics-sample-end.txt", source.metrics()],
    ["alloy-runtime-flags.txt", `${flags.join("\n")}\n`],
    ["alloy-environment.txt", `${environment.join("\n")}\n`],
    ["alloy-logs.txt", `${source.recentLogs.join("\n")}\n`],
    ["pprof/cpu.pprof", cpu],
    ["pprof/heap.pprof", heap],
    ...source.sources.map((each): [string, string] => [`sources/${each.name.split("/").at(-1)}`, redactFile(each)]),
  ];
  return zip(
    files.map(([name, content]) => ({ name: `alloy-support-bundle/${name}`, content })),
    new Date(),
  );
}
