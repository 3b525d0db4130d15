import { quote } from "#base/labels";
import { formatFloat } from "#base/metrics";
import { s } from "#lang/schema";
import { type MetricBatch, type MetricMetadata, SAMPLE_STALE } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

const LEGACY_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
/** Families whose metadata is remembered for the headers. */
const MAX_FAMILIES = 10_000;

export default defineComponent({
  name: "prometheus.echo",
  stability: "generally-available",
  summary: "Writes the samples that it gets to the agent's log, for finding out what flows.",
  example: 'prometheus.echo "example" { }',
  args: s.object({
    format: s.string().default("text").doc('"text" or "openmetrics".'),
  }),
  exports: s.object({ receiver: s.consumer("metrics").doc("Takes samples to show.") }),

  start(ctx, args) {
    let { format } = args;
    const families = new Map<string, MetricMetadata>();
    ctx.export({ receiver: ctx.receiver("metrics", consume, { mutates: false }) });
    return {
      update(next) {
        format = next.format;
      },
    };

    function consume(batch: MetricBatch): void {
      for (const each of batch.metadata ?? []) if (families.size < MAX_FAMILIES) families.set(each.family, each);
      if (ctx.log.enabled("info")) {
        if (format !== "text" && format !== "openmetrics") ctx.log.warn("unknown format, using text", { format });
        ctx.log.info("received metrics", { metrics: render(batch, families, format === "openmetrics") });
      }
      ctx.flow.ok();
      batch.acknowledgement.release();
    }
  },
});

/** The batch as a page of the text format or of OpenMetrics, with timestamps; families in order of appearance. */
function render(batch: MetricBatch, families: ReadonlyMap<string, MetricMetadata>, openMetrics: boolean): string {
  const pages = new Map<string, string>();
  for (let i = 0; i < batch.count; i++) {
    const labels = batch.registry.labels(batch.ref[i]!);
    const name = labels.get("__name__") ?? "";
    const family = families.get(name) ?? families.get(name.replace(/_(?:total|bucket|sum|count|created|info)$/, ""));
    const key = family?.family ?? name;
    let page = pages.get(key);
    if (page === undefined) page = header(key, family, openMetrics);
    const value = batch.flags[i]! & SAMPLE_STALE ? "NaN" : formatFloat(batch.value[i]!);
    const timestamp = openMetrics ? formatFloat(batch.timestamp[i]! / 1000) : String(batch.timestamp[i]!);
    const pairs = [...labels]
      .filter(([label]) => label !== "__name__")
      .map(([label, text]) => `${nameText(label)}=${quote(text)}`);
    const series = LEGACY_NAME.test(name)
      ? `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`}`
      : `{${[quote(name), ...pairs].join(",")}}`;
    pages.set(key, `${page}${series} ${value} ${timestamp}\n`);
  }
  return [...pages.values()].join("") + (openMetrics ? "# EOF\n" : "");
}

function header(name: string, family: MetricMetadata | undefined, openMetrics: boolean): string {
  const help = family?.help
    ? `# HELP ${nameText(name)} ${family.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`
    : "";
  const type = family?.type ?? "unknown";
  return `${help}# TYPE ${nameText(name)} ${type === "unknown" && !openMetrics ? "untyped" : type}\n`;
}

function nameText(name: string): string {
  return LEGACY_NAME.test(name) ? name : quote(name);
}
