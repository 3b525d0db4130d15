import { defineComponent } from "#pipeline/component";
import { metrics, schema } from "./arguments.ts";
import { JournalSource } from "./journal-source.ts";

export default defineComponent({
  name: "loki.source.journal",
  stability: "generally-available",
  summary: "Reads the journal of systemd, with the help of `journalctl`.",
  example: `loki.source.journal "example" {
  matches    = "_SYSTEMD_UNIT=nginx.service"
  labels     = { service = "nginx" }
  forward_to = []
}`,
  args: schema,
  metrics,

  start(ctx, args) {
    const source = new JournalSource(ctx, args);
    ctx.run((signal) => source.run(signal));
    return {
      update: (next) => source.update(next),
      drain: (deadline) => source.drain(deadline),
      debugInfo: () => ({ position: source.position }),
    };
  },
});
