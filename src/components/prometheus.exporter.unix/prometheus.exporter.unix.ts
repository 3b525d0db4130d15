import { exporterExports, hostInstance, runExporter } from "#kits/exporter/exporter";
import { defineComponent } from "#pipeline/component";
import { unixArguments } from "./arguments.ts";
import { COLLECTORS } from "./collectors.ts";
import { HostFiles } from "./files.ts";
import { HostMetrics } from "./host-metrics.ts";
import { selectCollectors } from "./selection.ts";

/** Time between two looks at the host's file systems; rules are asked each second. */
const LOOK_MS = 15_000;

export default defineComponent({
  name: "prometheus.exporter.unix",
  stability: "generally-available",
  summary: "Exposes metrics of this host, as Prometheus's node_exporter does, as a target.",
  example: 'prometheus.exporter.unix "host" { }',
  args: unixArguments,
  exports: exporterExports,

  start(ctx, args) {
    const { enabled, unknown } = selectCollectors(args, COLLECTORS);
    for (const name of unknown) {
      // Alloy ignores them too, so that one configuration serves several versions.
      ctx.log.warn("there is no such collector; the name is ignored", { collector: name });
    }
    const files = new HostFiles(args);
    const host = new HostMetrics({
      args,
      collectors: enabled,
      files,
      log: ctx.log,
      clock: ctx.clock,
      version: ctx.services.version,
    });
    ctx.stack.defer(() => host.close());
    let looked = Number.NEGATIVE_INFINITY;
    let cause: string | undefined;
    ctx.rule("host_paths", () => {
      const now = ctx.clock.monotonic();
      if (now - looked >= LOOK_MS) {
        looked = now;
        cause = files.problem;
      }
      return cause === undefined ? undefined : { state: "degraded", cause };
    });
    ctx.rule("collectors", () => host.judge());
    return runExporter(ctx, { instance: hostInstance(), collect: () => host.collect() });
  },
});
