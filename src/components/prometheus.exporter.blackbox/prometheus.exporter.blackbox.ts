import type { Labels } from "#base/labels";
import { counter } from "#base/metrics";
import { writeExposition } from "#formats/exposition/writer";
import { exporterExports, runExporter, ScrapeRefused } from "#kits/exporter/exporter";
import { WatchedFiles } from "#kits/http/client-files";
import { type Infer, s } from "#lang/schema";
import type { Secret } from "#lang/value";
import { defineComponent, type HttpRequest, type HttpResponse } from "#pipeline/component";
import { ModuleFile } from "./module-file.ts";
import { parseModules } from "./modules.ts";
import { ProbeResults } from "./results.ts";
import { type FinishedProbe, type ProbeRequest, runProbe } from "./run-probe.ts";

/** As `Arguments` of Alloy's `internal/component/prometheus/exporter/blackbox/blackbox.go`. */
const args = s
  .object({
    config_file: s
      .string()
      .default("")
      .doc("File of modules, as blackbox_exporter has it; read again when it changes."),
    config: s.optionalSecret().optional().doc("The modules themselves, as YAML."),
    probe_timeout_offset: s
      .duration()
      .default("500ms")
      .doc("How much sooner than the scrape a probe ends, so that its result still arrives."),
    targets: s
      .list(s.map(s.string()))
      .optional()
      .doc("What to probe: maps with `name`, `address` or `__address__`, `module`, and further labels."),
    target: s
      .blocks(
        s.object({
          name: s.string().nonEmpty().doc("Name of the target, which ends its label `job`."),
          address: s.string().nonEmpty().doc("What to probe: a URL, a host and port, or a host."),
          module: s.string().default("").doc("Module to probe with; `http_2xx` when empty."),
          labels: s.map(s.string()).optional().doc("Further labels of the target."),
        }),
      )
      .doc("A target to probe."),
  })
  .rule("config", (each) => each.config_file !== "" || textOf(each.config) !== "", "or `config_file` must be set")
  .rule(
    "config_file",
    (each) => each.config_file === "" || textOf(each.config) === "",
    "and `config` are mutually exclusive",
  )
  .rule(
    "config",
    (each) => modulesProblem(textOf(each.config)) === undefined,
    (each) => `is no file of modules: ${modulesProblem(textOf(each.config))}`,
  )
  .rule(
    "targets",
    (each) => (each.targets ?? []).length === 0 || each.target.length === 0,
    "and the block `target` are mutually exclusive",
  )
  .rule("targets", (each) => (each.targets ?? []).every((target) => target.get("name")), "all must have a `name`")
  .rule(
    "targets",
    (each) => (each.targets ?? []).every((target) => addressOf(target) !== ""),
    "all must have an `address` or an `__address__`",
  );

type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "prometheus.exporter.blackbox",
  stability: "generally-available",
  summary: "Probes servers over HTTP, TCP, DNS, ICMP and gRPC, as blackbox_exporter does, as targets.",
  example: `prometheus.exporter.blackbox "sites" {
  config = "{ modules: { http_2xx: { prober: http, timeout: 5s } } }"

  target {
    name    = "example"
    address = "https://example.com"
    module  = "http_2xx"
  }
}`,
  args,
  exports: exporterExports,
  metrics: {
    probes: counter("prometheus_exporter_blackbox_probes_total", "Probes by module and result.", ["module", "result"]),
  },

  start(ctx, args) {
    const { clock, log } = ctx;
    const files = new WatchedFiles();
    const file = new ModuleFile(args.config_file, textOf(args.config), files);
    const targets = targetsOf(args);
    const names = targets.map(({ address, module, name }): [string, string] => [
      ProbeResults.key(address, module || "http_2xx"),
      name,
    ]);
    const results = new ProbeResults(() => clock.now(), new Map(names));
    ctx.rule("module_file", () => file.judge());
    ctx.rule("probe_failed", () => results.judge());
    // A file that cannot be used shows at once, and not with the first scrape.
    ctx.run(async () => {
      const problem = await file.current().then(
        () => undefined,
        (error: Error) => error.message,
      );
      ctx.health(problem);
      ctx.flow.judge();
    });

    async function probe(
      query: URLSearchParams,
      headers: ReadonlyMap<string, string>,
      signal: AbortSignal,
    ): Promise<FinishedProbe> {
      const modules = await file.current();
      ctx.health(undefined);
      const request: ProbeRequest = { query, headers, modules, timeoutOffsetMs: args.probe_timeout_offset };
      const { version } = ctx.services;
      const note = (target: string, module: string, durationSeconds: number, problem: string | undefined) => {
        results.note(target, module, { time: clock.now(), durationSeconds, problem });
        ctx.flow.judge();
      };
      const finished = await runProbe(request, { log, files, version }, signal, (target, module, problem) =>
        note(target, module, 0, problem),
      );
      note(finished.target, finished.module, finished.durationSeconds, finished.problem);
      ctx.metrics.probes.labels(finished.module, finished.problem === undefined ? "success" : "failure").inc();
      return finished;
    }

    const exporter = runExporter(ctx, {
      instance: ctx.id,
      collect: async (signal, query, headers) => (await probe(query, headers, signal)).metrics.families(),
      targets: (base) => targets.map((target) => targetLabels(base, target)),
    });
    return {
      debugInfo: () => ({ target: results.debugInfo() }),
      http: (request, signal) =>
        request.query.get("debug") === "true" ? explainProbe(request, signal, probe) : exporter.http!(request, signal),
    };
  },
});

interface Target {
  readonly name: string;
  readonly address: string;
  readonly module: string;
  readonly labels: ReadonlyMap<string, string>;
}

const OWN_FIELDS = new Set(["name", "address", "__address__", "module"]);

function targetsOf({ target, targets }: Arguments): readonly Target[] {
  if (target.length > 0) return target.map((each) => ({ ...each, labels: each.labels ?? new Map() }));
  return (targets ?? []).map((each) => ({
    name: each.get("name")!,
    address: addressOf(each),
    module: each.get("module") ?? "",
    labels: new Map([...each].filter(([name]) => !OWN_FIELDS.has(name))),
  }));
}

/** The labels of Alloy's `buildBlackboxTargets`: those of the exporter win over a target's own. */
function targetLabels(base: Labels, { name, address, module, labels }: Target): Labels {
  let result = base;
  for (const [label, value] of labels) if (!base.has(label)) result = result.with(label, value);
  result = result.with("job", `${base.get("job")}/${name}`).with("__param_target", address);
  return module === "" ? result : result.with("__param_module", module);
}

function addressOf(target: ReadonlyMap<string, string>): string {
  return target.get("address") ?? target.get("__address__") ?? "";
}

function textOf(config: Secret | string | undefined): string {
  return typeof config === "string" || config === undefined ? (config ?? "") : config.reveal();
}

function modulesProblem(text: string): string | undefined {
  if (text === "") return undefined;
  try {
    parseModules(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What one probe did, for `debug=true`: upstream's `DebugOutput`, without the module, which may hold secrets. */
async function explainProbe(
  { query, headers }: HttpRequest,
  signal: AbortSignal,
  probe: (query: URLSearchParams, headers: ReadonlyMap<string, string>, signal: AbortSignal) => Promise<FinishedProbe>,
): Promise<HttpResponse> {
  try {
    const { lines, metrics } = await probe(query, headers, signal);
    const page = Buffer.from(writeExposition(metrics.families(), "text")).toString("utf8");
    const body = `Logs for the probe:\n${lines.join("\n")}\n\n\nMetrics that would have been returned:\n${page}`;
    return { status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body };
  } catch (error) {
    return { status: error instanceof ScrapeRefused ? 400 : 500, body: `${(error as Error).message}\n` };
  }
}
