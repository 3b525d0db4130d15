import { defineComponent } from "#pipeline/component";
import { metrics, schema } from "./arguments.ts";
import { FileSource } from "./file-source.ts";
import { lagSeconds } from "./status.ts";

/** Metrics and flow status are brought up to date this often. */
const STATUS_INTERVAL_MS = 1_000;

export default defineComponent({
  name: "loki.source.file",
  stability: "generally-available",
  summary: "Reads lines from files and follows them as they grow, are rotated and come back.",
  example: `loki.source.file "example" {
  targets    = [{ __path__ = "/var/log/syslog", job = "system" }]
  forward_to = []
}`,
  args: schema,
  metrics,

  start(ctx, args) {
    const source = new FileSource(ctx, args);
    ctx.run((signal) => source.run(signal));
    ctx.every(STATUS_INTERVAL_MS, () => source.status.update(source.follower));
    return {
      update: (next) => source.update(next),
      drain: (deadline) => source.drain(deadline),
      debugInfo: () => ({
        targets_info: [...source.follower.tails].map((file) => ({
          path: file.target.path,
          labels: file.target.labels.toString(),
          is_running: file.state === "running",
          read_offset: file.readOffset,
          lag_bytes: file.lagBytes,
          lag_seconds: lagSeconds(file, ctx.clock.now()),
        })),
      }),
    };
  },
});
