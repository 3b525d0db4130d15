import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { createLogger, errorText, type Logger } from "#base/log";
import { counter, gauge, MetricRegistry } from "#base/metrics";
import type { Source } from "#lang/ast";
import { DiagnosticError } from "#lang/diagnostic";
import { decodeSource } from "#lang/position";
import { standardScope } from "#lang/stdlib";
import type { HttpHandler, HttpResponse, Services, Stability } from "#pipeline/component";
import { SeriesRegistry } from "#pipeline/series";
import { Controller } from "#runtime/controller";
import type { BlockHandler } from "#runtime/environment";
import type { ChangeReport } from "#runtime/module";
import type { ComponentRegistry } from "#runtime/registry";
import { createApi } from "./api/api.ts";
import { hideSecrets } from "./api/redact.ts";
import { ApiServer } from "./api-server.ts";
import { CollectAfterLoad } from "./collect-after-load.ts";
import { flowMetrics } from "./flow/flow-metrics.ts";
import { FlowMonitor } from "./flow/flow-monitor.ts";
import { host } from "./host.ts";
import { LiveStreams } from "./live/live.ts";
import type { LogOutput } from "./log-output.ts";
import { openPage, type Page } from "./page.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { SelfTracing } from "./tracing.ts";
import { createWorkers } from "./workers.ts";

export interface AgentOptions {
  /** A file, or a folder whose `*.alloy` files are one configuration. */
  readonly configPath: string;
  readonly version: string;
  readonly registry: ComponentRegistry;
  readonly storagePath: string;
  /** `host:port` of the HTTP API. */
  readonly listenAddress: string;
  readonly memoryAddress: string;
  readonly uiPathPrefix: string;
  readonly enablePprof: boolean;
  readonly disableSupportBundle: boolean;
  readonly minimumStability: Stability;
  readonly communityComponents: boolean;
  readonly shutdownDeadlineMs: number;
  /** Worker threads that components may have. */
  readonly workers: number;
  /** All flags with their values, for the support bundle. */
  readonly flags: ReadonlyMap<string, unknown>;
}

/** What the last load did. */
export interface Reload {
  readonly time: string;
  readonly report: ChangeReport;
  readonly sources: readonly Source[];
  /** The text that was in force before; none for the first load. */
  readonly previous: readonly Source[];
}

const METRICS = {
  loadSuccessful: gauge("alloy_config_last_load_successful", "Config loaded successfully."),
  loadTime: gauge(
    "alloy_config_last_load_success_timestamp_seconds",
    "Timestamp of the last successful configuration load.",
  ),
  loadFailures: counter("alloy_config_load_failures_total", "Configuration load failures."),
  hash: gauge("alloy_config_hash", "Hash of the currently active config file.", ["sha256", "cluster_name"]),
};

/** Several events of one save are one reload. */
const WATCH_SETTLE_MS = 200;

/** One running agent: its configuration, its components, its HTTP API, and what it says of itself. */
export class Agent {
  readonly options: AgentOptions;
  readonly clock: Clock = systemClock;
  readonly logOutput: LogOutput;
  readonly log: Logger;
  readonly metrics = new MetricRegistry();
  readonly controller: Controller;
  /** Rates, history and forecasts of every component's data flow. */
  readonly monitor: FlowMonitor;
  /** Serves the whole HTTP API. */
  readonly handle: HttpHandler;
  readonly server: ApiServer;
  readonly startedMs = Date.now();
  readonly tracing: SelfTracing;
  liveDebugging = false;
  readonly live = new LiveStreams(this);
  lastReload: Reload | undefined;
  /** The last load that failed, if none has succeeded since. */
  failedReload: { readonly time: string; readonly error: unknown } | undefined;
  #sources: readonly Source[] = [];
  #page: Page | undefined;
  #hash = "";
  readonly #instruments;
  readonly #stack = new AsyncDisposableStack();
  readonly #collector = this.#stack.use(new CollectAfterLoad());
  #stopping = false;

  constructor(options: AgentOptions, logOutput: LogOutput) {
    this.options = options;
    this.logOutput = logOutput;
    this.log = createLogger(logOutput);
    this.tracing = new SelfTracing(options.version);
    this.#instruments = this.metrics.register(METRICS).instruments;
    this.#stack.defer(registerProcessMetrics(this.metrics, options.version));
    this.metrics.registerCollector(() => flowMetrics(this.controller.nodes(), this.clock.now()));
    this.handle = createApi(this);
    this.server = new ApiServer(options.listenAddress, this.handle, this.log);
    const workers = options.workers > 0 ? createWorkers(options.workers) : undefined;
    if (workers !== undefined) this.#stack.defer(() => workers.close());
    const services: Services = {
      workers,
      metrics: this.metrics,
      series: new SeriesRegistry(),
      httpAddress: options.listenAddress,
      memoryAddress: options.memoryAddress,
      minimumStability: options.minimumStability,
      version: options.version,
      fetchLocal: (path, headers, signal) => this.#fetchLocal(path, headers, signal),
    };
    const blocks = new Map<string, BlockHandler>([
      ["http", this.server],
      ["logging", logOutput],
      ["tracing", this.tracing],
      [
        "livedebugging",
        {
          apply: (args) => {
            this.liveDebugging = (args as { enabled: boolean } | undefined)?.enabled ?? false;
          },
        },
      ],
    ]);
    this.controller = new Controller({
      clock: this.clock,
      log: this.log,
      services,
      registry: options.registry,
      blocks,
      tracer: this.tracing,
      storagePath: resolve(options.storagePath),
      communityComponents: options.communityComponents,
      standardScope: standardScope(host),
    });
    this.monitor = new FlowMonitor(this.controller, this.clock, this.log);
    this.monitor.start();
    this.#stack.defer(() => this.monitor.stop());
  }

  get ready(): boolean {
    return this.controller.loaded && !this.#stopping;
  }
  /** SHA-256 of the configuration in force, in hexadecimal. */
  get configHash(): string {
    return this.#hash;
  }
  /** The text of the configuration in force. */
  get sources(): readonly Source[] {
    return this.#sources;
  }

  /**
   * Reads the configuration and puts it in force. `beforeStart` as `Controller.load` has it. Rejects with a
   * DiagnosticError, or with what reading the files or `beforeStart` rejected with.
   */
  async reload(beforeStart?: () => Promise<void>): Promise<ChangeReport> {
    try {
      const { sources, folder } = readConfiguration(this.options.configPath);
      const report = await this.controller.load(sources, folder, beforeStart);
      const previous = this.#sources;
      this.#sources = sources;
      this.#loaded(sources, report, previous);
      return report;
    } catch (error) {
      this.failedReload = { time: new Date().toISOString(), error };
      this.#instruments.loadSuccessful.set(0);
      this.#instruments.loadFailures.inc();
      const text =
        error instanceof DiagnosticError
          ? hideSecrets(error.diagnostics)
              .map((each) => each.message)
              .join("; ")
          : errorText(error);
      this.log.error("failed to load config", {
        err: text,
        effect: this.controller.loaded ? "the previous configuration stays in force" : "nothing runs",
      });
      throw error;
    }
  }

  /** Reloads when a configuration file changes. */
  watchConfiguration(): void {
    const { configPath } = this.options;
    const folder = statSync(configPath).isDirectory() ? configPath : dirname(configPath);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watcher = watch(folder, () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        if (!this.#isInForce()) void this.reload().catch(() => {}); // logged there
      }, WATCH_SETTLE_MS);
    });
    this.#stack.defer(() => {
      watcher.close();
      if (timer !== undefined) clearTimeout(timer);
    });
  }

  /** Whether the configuration's files say what is in force. Not so if they cannot be read: the reload then says why. */
  #isInForce(): boolean {
    try {
      const { sources } = readConfiguration(this.options.configPath);
      return (
        sources.length === this.#sources.length && sources.every((each, i) => each.text === this.#sources[i]!.text)
      );
    } catch {
      return false;
    }
  }

  /** A file of the page. */
  async page(path: string): Promise<HttpResponse> {
    this.#page ??= await openPage();
    return this.#page.serve(path, this.options.uiPathPrefix);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.tracing.close();
    await this.controller.stop(this.options.shutdownDeadlineMs);
    await this.server.close();
    await this.#stack.disposeAsync();
  }

  #loaded(sources: readonly Source[], report: ChangeReport, previous: readonly Source[]): void {
    this.#instruments.loadSuccessful.set(1);
    this.#instruments.loadTime.set(Date.now() / 1000);
    this.#instruments.hash.remove(this.#hash, "");
    this.#hash = createHash("sha256")
      .update(sources.map((each) => each.text).join(""))
      .digest("hex");
    this.#instruments.hash.labels(this.#hash, "").set(1);
    this.lastReload = { time: new Date().toISOString(), report, sources, previous };
    this.failedReload = undefined;
    const { added, updated, restarted, removed } = report;
    this.log.info("config loaded", { added: added.length, updated, restarted, removed });
    this.monitor.loaded();
    this.#collector.loaded();
  }

  async #fetchLocal(path: string, headers: ReadonlyMap<string, string>, signal: AbortSignal): Promise<HttpResponse> {
    const url = new URL(path, "http://local");
    return this.handle(
      { method: "GET", path: url.pathname, query: url.searchParams, headers, body: async () => new Uint8Array() },
      signal,
    );
  }
}

/** The files of a configuration in the order of their names, and their folder. Throws an Error that says what to do. */
export function readConfiguration(path: string): { sources: Source[]; folder: string } {
  if (!existsSync(path)) throw new Error(`${path}: no such file or folder; give the path of a configuration`);
  if (!statSync(path).isDirectory()) {
    return { sources: [decodeSource(path, readFileSync(path))], folder: resolve(dirname(path)) };
  }
  const names = readdirSync(path).filter((name) => name.endsWith(".alloy"));
  if (names.length === 0) throw new Error(`${path}: the folder holds no *.alloy files`);
  const sources = names
    .sort()
    .map((name) => ({ name: join(path, name), text: readFileSync(join(path, name), "utf8") }));
  return { sources, folder: resolve(path) };
}
