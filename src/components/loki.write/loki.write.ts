import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { RetryableError } from "#pipeline/errors";
import { schema, type WriteArguments } from "./arguments.ts";
import type { WriteContext } from "./create-endpoint.ts";
import { MemoryMode } from "./memory-mode.ts";
import { WriteStatus } from "./status.ts";
import { WalMode } from "./wal-mode.ts";
import { WRITE_METRICS } from "./write-metrics.ts";

export default defineComponent({
  name: "loki.write",
  stability: "generally-available",
  summary: "Sends log entries to Loki over its push API.",
  example: `loki.write "default" {
  endpoint {
    url = "http://127.0.0.1:3100/loki/api/v1/push"
  }
}`,
  args: schema,
  exports: s.object({ receiver: s.consumer("logs") }),
  metrics: WRITE_METRICS,

  start(ctx, first) {
    const status: WriteStatus = new WriteStatus(ctx, () => mode);
    let mode = modeFor(ctx, first, status);
    /** Replaced, and perhaps still sending what they hold. */
    const retired: (MemoryMode | WalMode)[] = [];
    let draining = false;
    mode.start();
    ctx.queue(() => mode.queue());
    ctx.stack.defer(async () => {
      await Promise.all([mode, ...retired].map((each) => each.close()));
    });
    ctx.export({
      receiver: ctx.receiver(
        "logs",
        (batch, signal) => {
          // Who still sends comes again to the component's next life; its queues have to become empty now.
          if (draining) throw new RetryableError(`${ctx.id} is stopping or restarting`);
          status.take(batch);
          return mode.consume(batch, signal);
        },
        { mutates: false },
      ),
    });
    return {
      async update(next) {
        if (mode.update(next)) return;
        const fresh = modeFor(ctx, next, status);
        const old = mode;
        retired.push(old);
        const ended = old.retire();
        // One after the other if both may use the folder of the queue on disk; what comes meanwhile is refused, to come again.
        if (old instanceof WalMode) await ended;
        mode = fresh;
        fresh.start();
      },
      async drain(deadline) {
        draining = true;
        await Promise.all([mode, ...retired].map((each) => each.drain(deadline)));
      },
    };
  },
});

function modeFor(ctx: WriteContext, args: WriteArguments, status: WriteStatus): MemoryMode | WalMode {
  return args.wal.enabled ? new WalMode(ctx, args, status) : new MemoryMode(ctx, args, status);
}
