import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { logEntries } from "#pipeline/log-batch";

export default defineComponent({
  name: "loki.echo",
  stability: "generally-available",
  summary: "Writes log entries into the agent's own log, for trying out a configuration.",
  example: `loki.echo "example" {}`,
  args: s.object({}),
  exports: s.object({ receiver: s.consumer("logs") }),

  start(ctx) {
    const receiver = ctx.receiver(
      "logs",
      (batch) => {
        for (const { line, ms, ns, labels, metadata } of logEntries(batch)) {
          const pairs = Array.from({ length: metadata.length / 2 }, (_, i) => [metadata[2 * i], metadata[2 * i + 1]]);
          ctx.log.info("received log entry", {
            entry: line,
            entry_timestamp: formatTime(ms, ns),
            labels: labels.toString(),
            structured_metadata: JSON.stringify(Object.fromEntries(pairs)),
          });
        }
        ctx.flow.ok();
        batch.acknowledgement.release();
      },
      { mutates: false },
    );
    ctx.export({ receiver });
  },
});

/** RFC 3339 in UTC with nanoseconds, as far as they are not zero. Times that a Date cannot hold are shown as milliseconds. */
function formatTime(ms: number, ns: number): string {
  if (Math.abs(ms) > 8.64e15) return `${ms}ms`;
  const [seconds, millis] = new Date(ms).toISOString().slice(0, -1).split(".") as [string, string];
  const fraction = (millis + String(ns).padStart(6, "0")).replace(/0+$/, "");
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}Z`;
}
