import { exporterExports, hostInstance, runExporter } from "#kits/exporter/exporter";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

export default defineComponent({
  name: "prometheus.exporter.self",
  stability: "generally-available",
  summary: "Exposes the agent's own metrics as a target.",
  example: 'prometheus.exporter.self "default" { }',
  args: s.object({}),
  exports: exporterExports,

  start(ctx) {
    return runExporter(ctx, { instance: hostInstance(), collect: () => ctx.services.metrics.collect() });
  },
});
