import { formatDuration } from "#base/duration";
import { errorText, type Logger } from "#base/log";
import { ScrapeRefused } from "#kits/exporter/exporter";
import type { WatchedFiles } from "#kits/http/client-files";
import { shownUrl } from "#kits/http/url";
import { deadline } from "#pipeline/host";
import { probeDns } from "./dns-prober.ts";
import { probeGrpc } from "./grpc-prober.ts";
import { probeHttp } from "./http-prober.ts";
import { probeIcmp } from "./icmp-prober.ts";
import { probeDuration, probeSuccess } from "./metrics.ts";
import { isProber } from "./module-file.ts";
import { type Module, PROBERS } from "./modules.ts";
import { type Probe, ProbeFailure, ProbeLog, ProbeMetrics, type Prober, secondsSince } from "./probe.ts";
import { probeTcp, probeUnix } from "./stream-probers.ts";

/** `Handler` of prober/handler.go. */

const RUN: Readonly<Record<(typeof PROBERS)[number], Prober>> = {
  http: probeHttp,
  tcp: probeTcp,
  dns: probeDns,
  icmp: probeIcmp,
  grpc: probeGrpc,
  unix: probeUnix,
};

const DEFAULT_MODULE = "http_2xx";
/** For a scrape that does not say how long it waits. */
const DEFAULT_TIMEOUT_MS = 120_000;

export interface ProbeRequest {
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly modules: ReadonlyMap<string, Module>;
  readonly timeoutOffsetMs: number;
}
export interface ProbeTools {
  readonly log: Logger;
  readonly files: WatchedFiles;
  readonly version: string;
}
export interface FinishedProbe {
  readonly target: string;
  readonly module: string;
  readonly metrics: ProbeMetrics;
  readonly lines: readonly string[];
  readonly durationSeconds: number;
  /** Why it failed; undefined if it succeeded. */
  readonly problem: string | undefined;
}

/**
 * Runs the probe that a scrape asks for. Rejects with a ScrapeRefused for a module or target that is not there, and with
 * the signal's reason when the scrape is given up. `refused` hears of a target whose module cannot be used.
 */
export async function runProbe(
  request: ProbeRequest,
  tools: ProbeTools,
  signal: AbortSignal,
  refused: (target: string, module: string, problem: string) => void,
): Promise<FinishedProbe> {
  const { query, modules } = request;
  const name = query.get("module") || DEFAULT_MODULE;
  const target = query.get("target") ?? "";
  const refuse = (problem: string): never => {
    if (target !== "") refused(target, name, problem);
    throw new ScrapeRefused(problem);
  };
  const module = modules.get(name);
  if (module === undefined) {
    const known = [...modules.keys()].slice(0, 20).join(", ");
    return refuse(`Unknown module ${JSON.stringify(name)}: there are ${known || "none"}`);
  }
  const { prober } = module;
  if (target === "") throw new ScrapeRefused("Target parameter is missing");
  if (!isProber(prober)) {
    return refuse(`Unknown prober ${JSON.stringify(prober)} of the module ${name}: use ${PROBERS.join(", ")}`);
  }
  const timeoutMs = timeoutOf(request, module);
  const shown = shownUrl(target);
  const log = new ProbeLog(tools.log.with({ module: name, target: shown }));
  const metrics = new ProbeMetrics();
  metrics.register(probeSuccess, probeDuration);
  using limit = deadline(timeoutMs, signal);
  const hostname = query.get("hostname") ?? "";
  const { files, version } = tools;
  const probe: Probe = {
    ...{ target, module, hostname, metrics, log, files, version, timeoutMs },
    signal: limit.signal,
    stage: "starting",
  };
  log.note("Beginning probe", { probe: prober, timeout_seconds: timeoutMs / 1000 });
  const start = performance.now();
  let problem: string | undefined;
  try {
    limit.signal.throwIfAborted();
    await RUN[prober](probe);
  } catch (error) {
    signal.throwIfAborted();
    problem = limit.signal.aborted ? timeoutProblem(probe, request) : reasonOf(error);
  }
  const durationSeconds = secondsSince(start);
  metrics.set(probeDuration, durationSeconds);
  metrics.set(probeSuccess, problem === undefined ? 1 : 0);
  if (problem === undefined) log.note("Probe succeeded", { duration_seconds: durationSeconds });
  else log.note("Probe failed", { duration_seconds: durationSeconds, err: problem });
  return { target, module: name, metrics, lines: log.lines, durationSeconds, problem };
}

/** The shorter one of the module's time and what the scrape leaves: `getTimeout`. */
function timeoutOf({ headers, timeoutOffsetMs }: Omit<ProbeRequest, "query" | "modules">, module: Module): number {
  const header = headers.get("x-prometheus-scrape-timeout-seconds");
  const said = header === undefined ? 0 : Number(header);
  if (Number.isNaN(said)) {
    throw new ScrapeRefused(`X-Prometheus-Scrape-Timeout-Seconds is ${JSON.stringify(header)}, which is no number`);
  }
  const left = (said === 0 ? DEFAULT_TIMEOUT_MS : said * 1000) - timeoutOffsetMs;
  const { timeoutMs } = module;
  return (timeoutMs < left && timeoutMs > 0) || left < 0 ? timeoutMs : left;
}

function timeoutProblem({ timeoutMs, stage }: Probe, { timeoutOffsetMs }: ProbeRequest): string {
  if (timeoutMs > 0) return `it took longer than ${formatDuration(Math.round(timeoutMs))}: it was ${stage}`;
  const offset = formatDuration(timeoutOffsetMs);
  return `no time is left for it: scrape_timeout is not longer than probe_timeout_offset (${offset})`;
}

/** What failed; the causes of a ProbeFailure are in its message. */
function reasonOf(error: unknown): string {
  return error instanceof ProbeFailure ? error.message : errorText(error);
}
