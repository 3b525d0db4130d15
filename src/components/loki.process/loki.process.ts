import { s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { Pipeline } from "./pipeline.ts";
import { PROCESS_METRICS, type StageEnvironment } from "./stage.ts";
import { stageField } from "./stages.ts";
import { Tracer } from "./trace.ts";
import { WorkerMode } from "./worker-mode.ts";

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
    const pool = ctx.services.workers;
    const workers =
      pool &&
      new WorkerMode({
        ...{ ctx, pool, environment, inline },
        deliver: (batch, signal) => out.consume(batch, signal),
        replace: (fresh) => {
          pipeline = fresh;
        },
      });
    const build = (stages: typeof args.stage) =>
      workers?.build(stages) ?? { pipeline: new Pipeline(stages, environment), use: () => {} };
    const first = build(args.stage);
    let { pipeline } = first;
    first.use();
    ctx.stack.defer(() => {
      workers?.close();
      pipeline.close();
    });
    ctx.rule("lines_not_parsed", () => pipeline.judge());

    /** Hands on what stages gave back outside of a batch. */
    async function flush(of: Pipeline, all: boolean, signal: AbortSignal): Promise<void> {
      const batch = workers === undefined ? of.flush(all, tracing()) : workers.flushHere(of, all, tracing());
      if (batch !== undefined) await out.consume(batch, signal);
    }

    function inline(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
      const current = pipeline;
      const processed =
        workers === undefined ? current.apply(batch, tracing()) : workers.apply(current, batch, tracing());
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

    const consume = workers === undefined ? inline : workers.consume.bind(workers);
    ctx.export({ receiver: ctx.receiver("logs", consume) });
    ctx.every(FLUSH_INTERVAL_MS, async (signal) => {
      if (workers?.isRemote) workers.flush();
      else if (pipeline.keepsEntries) await flush(pipeline, false, signal);
    });

    return {
      async update(next) {
        const fresh = build(next.stage); // may throw: the old pipeline keeps running
        const old = pipeline;
        const wasRemote = workers?.isRemote === true;
        pipeline = fresh.pipeline;
        fresh.use();
        // What workers hold they give themselves.
        if (!wasRemote) await flush(old, true, ctx.signal);
        old.close();
        out.set(next.forward_to);
      },
      async drain(deadline) {
        await workers?.drain(deadline);
        if (!workers?.isRemote) await flush(pipeline, true, deadline);
      },
      ...(workers !== undefined && { debugInfo: () => workers.debugInfo() }),
    };
  },
});
