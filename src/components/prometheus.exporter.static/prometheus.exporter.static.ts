import type { MetricFamily } from "#base/metrics";
import { parseTextPage } from "#formats/text-file";
import { exporterExports, runExporter } from "#kits/exporter/exporter";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

export default defineComponent({
  name: "prometheus.exporter.static",
  stability: "experimental",
  summary: "Exposes metrics that the configuration spells out.",
  example: `prometheus.exporter.static "default" {
  text = "# TYPE build_info gauge\\nbuild_info{version=\\"1.2\\"} 1\\n"
}`,
  args: s.object({ text: s.string().doc("The metrics, as a page in Prometheus's text format.") }).rule(
    "text",
    ({ text }) => problemOf(text) === undefined,
    ({ text }) => `is no page in Prometheus's text format: ${problemOf(text)}`,
  ),
  exports: exporterExports,

  start(ctx, args) {
    let families = familiesOf(args.text);
    const exporter = runExporter(ctx, { instance: ctx.id, collect: () => families });
    return {
      ...exporter,
      update(next) {
        families = familiesOf(next.text);
      },
    };
  },
});

function problemOf(text: string): string | undefined {
  try {
    parseTextPage(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function familiesOf(text: string): MetricFamily[] {
  const families = parseTextPage(text).map((each) => ({ ...each, help: each.help ?? "" }));
  return families.sort((a, b) => (a.name < b.name ? -1 : 1));
}
