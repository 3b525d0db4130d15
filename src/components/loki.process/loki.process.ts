import { s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { Pipeline } from "./pipeline.ts";
import { PROCESS_METRICS, type StageEnvironment } from "./stage.ts";
import { stageField } from "./stages.ts";
import { Tracer } from "./trace.ts";

/** How often entries that stages keep are looked after, such as the last block of `stage.multiline`. */
const FLUSH_INTERVAL_MS = 250;

const schema = s.object({
  forward_to: s.list(s.consumer("logs")).doc("Where processed entries go."),
  stage: stageField.doc("Stages, applied in order."),
});

export default defineComponent({
  name: "loki.process",
  stability: "generally-available",
  summary: "Runs log entries through stages that parse, change, label and drop them.",
  example: `loki.process "default" {
  forward_to = []

  stage.json {
    expressions = { level = "" }
  }
  stage.labels {
    values = { level = "" }
  }
}`,
  args: schema,
  exports: s.object({ receiver: s.consumer("logs") }),
  metrics: PROCESS_METRICS,

  start(ctx, args) {
    const environment: StageEnvironment = {
      clock: ctx.clock,
      log: ctx.log,
      metrics: ctx.metrics,
      registry: ctx.services.metrics,
      metricLabels: ctx.metricLabels,
      dropped: (reason, count) => ctx.flow.drop("logs", reason, count),
      random: Math.random,
    };
    const out = ctx.fanout("logs", args.forward_to);
    const tracer = new Tracer(ctx.tap);
    const tracing = () => (ctx.tap.tracing ? tracer : undefined);
    let pipeline = new Pipeline(args.stage, environment);
    ctx.stack.defer(() => pipeline.close());
    ctx.rule("lines_not_parsed", () => pipeline.judge());

    /** Hands on what stages gave back outside of a batch. */
    async function handOn(batch: LogBatch | undefined, signal: AbortSignal): Promise<void> {
      if (batch !== undefined) await out.consume(batch, signal);
    }

    function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      const current = pipeline;
      const processed = current.apply(batch, tracing());
      const delayMs = current.takeDelay();
      if (processed.count === 0) {
        processed.acknowledgement.release();
        current.recycle(processed, batch);
        return delayMs > 0 ? ctx.clock.sleep(delayMs, signal) : undefined;
      }
      const accepted =
        delayMs > 0
          ? ctx.clock.sleep(delayMs, signal).then(() => out.consume(processed, signal))
          : out.consume(processed, signal);
      if (accepted !== undefined) return accepted.then(() => current.recycle(processed, batch));
      current.recycle(processed, batch);
    }

    ctx.export({ receiver: ctx.receiver("logs", consume) });
    ctx.every(FLUSH_INTERVAL_MS, async (signal) => {
      if (pipeline.keepsEntries) await handOn(pipeline.flush(false, tracing()), signal);
    });

    return {
      async update(next) {
        const fresh = new Pipeline(next.stage, environment); // may throw: the old pipeline keeps running
        const old = pipeline;
        pipeline = fresh;
        await handOn(old.flush(true, tracing()), ctx.signal);
        old.close();
        out.set(next.forward_to);
      },
      async drain(deadline) {
        await handOn(pipeline.flush(true, tracing()), deadline);
      },
    };
  },
});
