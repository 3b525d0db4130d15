import { isDeepStrictEqual } from "node:util";
import { attempt, outputsOf, withParts } from "#kits/otelcol/processor";
import { inputExports } from "#kits/otelcol/schema";
import { OttlContext } from "#kits/ottl/context";
import { StatementFailures } from "#kits/ottl/failures";
import { DROPPED } from "#kits/tail-sampling/policies";
import { type SamplerEvents, TailSampler } from "#kits/tail-sampling/sampler";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { NO_CLIENT, type OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { limitsOf, memoryLimit, TICK_MS } from "./limits.ts";
import { countTally, metrics } from "./metrics.ts";
import { compilePolicies } from "./policies.ts";
import { type Arguments, args } from "./schema.ts";
import { EarlyDrops, RATE_MS } from "./status.ts";
import { Turns } from "./turns.ts";

export default defineComponent({
  name: "otelcol.processor.tail_sampling",
  stability: "generally-available",
  summary: "Keeps or drops whole traces, by policies about all of their spans.",
  example: `otelcol.processor.tail_sampling "default" {
  decision_wait = "10s"

  policy {
    name = "errors"
    type = "status_code"

    status_code {
      status_codes = ["ERROR"]
    }
  }

  policy {
    name = "slow"
    type = "latency"

    latency {
      threshold_ms = 2000
    }
  }

  policy {
    name = "some of the rest"
    type = "probabilistic"

    probabilistic {
      sampling_percentage = 5
    }
  }

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics,

  start(ctx, first) {
    const outputs = outputsOf(ctx, first.output);
    const limitBytes = memoryLimit();
    const early = new EarlyDrops(ctx, first, limitBytes);
    const statements = new StatementFailures(ctx);
    let current = first;
    let isBlocking = first.block_on_overflow;
    const events: SamplerEvents = {
      begun() {
        ctx.metrics.newTraces.inc();
        early.begun();
      },
      removed: (age) => ctx.metrics.removalAge.observe(age),
      late: (age) => ctx.metrics.lateAge.observe(age),
      cached: (isSampled) => ctx.metrics.fromCache.labels(String(isSampled)).inc(),
      notSampled: (decision, spans) =>
        ctx.flow.drop("otlp", decision === DROPPED ? "drop_policy" : "not_sampled", spans),
      tooLarge(spans) {
        ctx.metrics.tooLarge.inc();
        ctx.flow.drop("otlp", "trace_too_large", spans);
        early.tooLarge();
      },
      droppedEarly(why, spans) {
        ctx.metrics.droppedEarly.inc();
        ctx.flow.drop("otlp", why === "memory" ? "tail_sampling_memory" : "num_traces", spans);
        early.dropped(why);
      },
      decided(tally) {
        countTally(ctx.metrics, ctx.id, tally);
        if (tally.failures > 0) early.failed(tally.failures);
      },
    };
    const policiesOf = ({ policy }: Arguments) =>
      compilePolicies(policy, new OttlContext(), (text, error) => statements.add(text, error));
    const expected = (first.expected_new_traces_per_sec * first.decision_wait) / 1000;
    const now = ctx.clock.monotonic();
    const sampler = new TailSampler(limitsOf(first, limitBytes), policiesOf(first), events, now, expected);
    ctx.metrics.onMemory.read = () => sampler.size;
    ctx.rule("traces_dropped_early", () => early.judgeDropped());
    ctx.rule("traces_too_large", () => early.judgeTooLarge());
    ctx.rule("policies_fail", () => early.judgeFailed());
    ctx.rule("statements_fail", () => statements.judge());
    ctx.every(RATE_MS, () => early.measure());
    const turns = new Turns();

    /** Decides what is due and hands on what is sampled. Never rejects: what cannot be handed on is counted. */
    async function tick(): Promise<void> {
      let lost = 0;
      for (const { bytes, spans } of sampler.tick(ctx.clock.monotonic(), ctx.clock.now())) {
        if (lost > 0) {
          lost += spans;
          continue;
        }
        const batch: OtlpBatch = {
          signal: "otlp",
          kind: "traces",
          parts: [bytes],
          items: spans,
          bytes: bytes.length,
          clientMetadata: undefined,
          acknowledgement: Acknowledgement.none,
        };
        try {
          await outputs.traces.consume(batch, ctx.signal);
        } catch {
          lost += spans; // only at the end of the component
        }
      }
      if (lost > 0) ctx.flow.drop("otlp", "shutdown", lost);
    }

    function add(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
      const late: Uint8Array[] = [];
      let items = 0;
      attempt(() => {
        for (const part of batch.parts) {
          const request = sampler.add(part, ctx.clock.monotonic());
          if (request === undefined) continue;
          late.push(request.bytes);
          items += request.spans;
        }
      });
      if (items > 0) {
        const rest = { ...withParts(batch, late, items), ...NO_CLIENT, waiting: undefined };
        return outputs.traces.consume(rest, signal);
      }
      batch.acknowledgement.release(); // what waits is safe from a stop, which decides it, but not from a crash
      ctx.flow.took(); // the first decision is yet to come
    }
    const hasRoom = (batch: OtlpBatch) =>
      !isBlocking || attempt(() => batch.parts.every((part) => sampler.hasRoomFor(part)));
    async function addLater(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
      do await turns.next(signal);
      while (turns.isBusy || !hasRoom(batch));
      await add(batch, signal);
    }

    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          if (batch.kind !== "traces") return outputs[batch.kind].consume(batch, signal);
          // While the next component makes a decision wait, senders wait too.
          return turns.isBusy || !hasRoom(batch) ? addLater(batch, signal) : add(batch, signal);
        },
        { mutates: false },
      ),
    });
    ctx.run(async (signal) => {
      const startedAt = ctx.clock.monotonic();
      const nextAt = () => startedAt + (ticks + 1) * TICK_MS;
      let ticks = 0;
      for (;;) {
        await ctx.clock.sleep(Math.max(0, nextAt() - ctx.clock.monotonic()), signal);
        // Ticks that the next component held up are made up for before anybody adds to what is due.
        await turns.take(async () => {
          for (; nextAt() <= ctx.clock.monotonic(); ticks++) await tick();
        });
      }
    });
    ctx.stack.defer(() => {
      const spans = sampler.dropWaiting();
      if (spans > 0) ctx.flow.drop("otlp", "shutdown", spans);
    });

    return {
      update(next) {
        if (!isDeepStrictEqual(next.policy, current.policy)) sampler.usePolicies(policiesOf(next));
        sampler.configure(limitsOf(next, limitBytes));
        for (const kind of ["traces", "metrics", "logs"] as const) outputs[kind].set(next.output[kind]);
        current = next;
        early.args = next;
        isBlocking = next.block_on_overflow;
      },
      async drain(deadline) {
        await turns.take(async () => {
          if (current.drop_pending_traces_on_shutdown) {
            const spans = sampler.dropWaiting();
            if (spans > 0) ctx.flow.drop("otlp", "pending_at_shutdown", spans);
          }
          while (sampler.waiting > 0 && !deadline.aborted) await tick();
        });
      },
      debugInfo: () => ({
        traces_waiting: sampler.waiting,
        traces_remembered: sampler.size,
        held_bytes: sampler.heldBytes,
        held_bytes_limit: limitBytes,
      }),
    };
  },
});
