import { counter } from "#base/metrics";
import { readGroups } from "#kits/discovery/groups";
import { type DiscoveryHttp, pollOverHttp } from "#kits/discovery/http";
import { targetsOf } from "#kits/discovery/labels";
import { discoveryExports, discoveryMetrics } from "#kits/discovery/poller";
import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { httpUrlProblem, shownUrl } from "#kits/http/url";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const schema = httpClientRules(
  s.object({
    url: s.string().doc("Where the targets are: an HTTP server that answers with a JSON list of groups of targets."),
    refresh_interval: s.duration().default("1m").doc("How often to ask; also how long an answer may take."),
    ...httpClientFields,
  }),
)
  .rule(
    "url",
    (args) => httpUrlProblem(args.url) === undefined,
    (args) => httpUrlProblem(args.url)!,
  )
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0");

export default defineComponent({
  name: "discovery.http",
  stability: "generally-available",
  summary: "Asks an HTTP server for targets.",
  example: `discovery.http "example" {
  url = "http://127.0.0.1:8000/targets"
}`,
  args: schema,
  exports: discoveryExports,
  metrics: {
    ...discoveryMetrics,
    httpFailures: counter("prometheus_sd_http_failures_total", "Number of HTTP service discovery refresh failures."),
  },

  start(ctx, args) {
    return pollOverHttp(ctx, "http", args, (options, http) => async (signal) => {
      try {
        return await targetsFrom(http, options, signal);
      } catch (error) {
        if (!signal.aborted) ctx.metrics.httpFailures.inc();
        throw error;
      }
    });
  },
});

const JSON_TYPE = /^application\/json(;\s*charset=("utf-8"|utf-8))?$/i;

/** prometheus/discovery/http. Unlike Prometheus's, `__meta_url` does not show a password that is in the URL. */
async function targetsFrom(http: DiscoveryHttp, { url, refresh_interval }: Infer<typeof schema>, signal: AbortSignal) {
  const headers = {
    accept: "application/json",
    "x-prometheus-refresh-interval-seconds": String(refresh_interval / 1_000),
  };
  const answer = await http.get({ url, headers, timeoutMs: refresh_interval }, signal);
  const shown = shownUrl(url);
  const type = (answer.headers.get("content-type") ?? "").trim();
  if (!JSON_TYPE.test(type)) {
    throw new Error(`${shown} answers with the content type ${JSON.stringify(type)}; it has to be application/json`);
  }
  try {
    return targetsOf(readGroups(answer.body, "json", ["__meta_url", shown]));
  } catch (error) {
    throw new Error(`${shown} does not answer with a list of targets: ${(error as Error).message}`);
  }
}
