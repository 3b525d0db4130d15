import { hostname } from "node:os";
import { Labels } from "#base/labels";
import { errorText } from "#base/log";
import type { MetricFamily, MetricSpecs } from "#base/metrics";
import { expositionContentType, writeExposition } from "#formats/exposition/writer";
import { s } from "#lang/schema";
import type { ComponentContext, ComponentInstance, HttpResponse } from "#pipeline/component";
import { componentPath } from "#pipeline/component";

/** How long the first scrape may take before that is worth a warning; most come once a minute. */
const FIRST_SCRAPE_MS = 3 * 60_000;

/** What every exporter exports. */
export const exporterExports = s.object({
  targets: s.targets().doc("The exporter as a target, to be given to `prometheus.scrape`."),
});

export interface ExporterExports {
  readonly targets: readonly Labels[];
}

/** A scrape asks for what the exporter does not have. The message says what, and what there is. */
export class ScrapeRefused extends Error {
  override readonly name = "ScrapeRefused";
}

export interface ExporterOptions {
  /** The value of the label `instance`; `hostInstance()` for exporters of this host. */
  readonly instance: string;
  /**
   * All families for one scrape, each name once. Rejects when there is nothing to show; `signal` ends with the request,
   * `query` is that of its URL and `headers` are its own, for exporters whose targets differ in them. A ScrapeRefused is
   * the scrape's fault: it is answered, and nothing else comes of it.
   */
  collect(
    signal: AbortSignal,
    query: URLSearchParams,
    headers: ReadonlyMap<string, string>,
  ): Promise<readonly MetricFamily[]> | readonly MetricFamily[];
  /** Turns the one target into several or adds labels to it, as `blackbox` and `snmp` do. */
  targets?(base: Labels): readonly Labels[];
}

/**
 * Runs an exporter: exports its targets and answers scrapes at `/metrics` of the component's path, in text 0.0.4 as
 * Alloy's exporters do. The job is `integrations/` and the last part of the component's name.
 * Matches Alloy's `internal/component/prometheus/exporter/exporter.go`.
 */
export function runExporter<M extends MetricSpecs>(
  ctx: ComponentContext<ExporterExports, M>,
  options: ExporterOptions,
): Pick<ComponentInstance<unknown>, "http"> {
  const base = exporterTarget(ctx.id, ctx.services.memoryAddress, options.instance);
  ctx.export({ targets: options.targets?.(base) ?? [base] });
  ctx.flow.patienceMs = FIRST_SCRAPE_MS;
  ctx.flow.idle("nobody has scraped this exporter yet; give its targets to a prometheus.scrape");
  let logged = "";

  return {
    async http(request, signal): Promise<HttpResponse> {
      if (request.path !== "/metrics" && request.path !== "/metrics/") {
        return { status: 404, body: `There is no ${request.path} here; this exporter serves /metrics.\n` };
      }
      try {
        const families = await options.collect(signal, request.query, request.headers);
        const body = writeExposition(families, "text");
        ctx.flow.ok();
        logged = "";
        return { status: 200, headers: { "content-type": expositionContentType("text") }, body };
      } catch (error) {
        if (error instanceof ScrapeRefused) return { status: 400, body: `${error.message}\n` };
        const cause = errorText(error);
        if (cause !== logged) ctx.log.error("could not collect metrics", { error });
        logged = cause;
        ctx.flow.failing(`could not collect metrics: ${cause}`);
        return { status: 500, body: `An error has occurred while serving metrics:\n\n${(error as Error).message}\n` };
      }
    },
  };
}

/** The target that leads a scrape to the exporter with this id, without a socket. */
export function exporterTarget(id: string, memoryAddress: string, instance: string): Labels {
  // `prometheus.exporter.unix` may stand without a label; then its id is its name.
  const local = id.slice(id.lastIndexOf("/") + 1);
  const name = local.split(".").length > 3 ? local.slice(0, local.lastIndexOf(".")) : local;
  return Labels.from([
    ["__address__", memoryAddress],
    ["__meta_component_id", id],
    ["__meta_component_name", id.slice(0, id.length - local.length) + name],
    ["__metrics_path__", `${componentPath(id)}/metrics`],
    ["__scheme__", "http"],
    ["instance", instance === "" ? "unknown" : instance],
    ["job", `integrations/${name.slice(name.lastIndexOf(".") + 1)}`],
  ]);
}

/** The part of a scraper's time that is kept for the page to travel, in milliseconds, and its most. */
const ANSWER_PART = 0.1;
const MOST_ANSWER_MS = 500;

/** How long an exporter may collect so that the page still comes in time, in milliseconds; Infinity if nobody says. */
export function collectingTime(headers: ReadonlyMap<string, string>): number {
  const ms = Number(headers.get("x-prometheus-scrape-timeout-seconds")) * 1000;
  return ms > 0 ? ms - Math.min(ms * ANSWER_PART, MOST_ANSWER_MS) : Infinity;
}

/** The name of this host as Alloy's exporters put it into `instance`: `$HOSTNAME`, else the host's own. */
export function hostInstance(): string {
  return process.env.HOSTNAME || hostname() || "unknown";
}
