import { counter, gauge, histogram } from "#base/metrics";
import { exporterInstruments, exporterMetrics, rpcClientMetrics, rpcRecorder } from "#kits/otelcol/metrics";
import { SendError } from "#kits/otelcol/retry";
import { inputExports } from "#kits/otelcol/schema";
import { OtlpSender, type SenderOptions } from "#kits/otelcol/sender";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { PermanentError } from "#pipeline/errors";
import { type FlowQueue, fullestQueue, type Judgement } from "#pipeline/flow";
import { type LoadBalancingArguments, loadBalancingSchema } from "./arguments.ts";
import { Backends } from "./backends.ts";
import { Balancer } from "./balancer.ts";
import { type LookUp, Resolver, systemLookUp } from "./resolver.ts";
import { ROUTED } from "./routing.ts";

const LATENCIES = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/** `lookUp` finds the addresses of names: another one in tests. */
export function loadBalancing(lookUp: LookUp) {
  return defineComponent({
    name: "otelcol.exporter.loadbalancing",
    stability: "generally-available",
    summary:
      "Spreads traces, metrics and logs over several backends, so that what belongs together meets in one place.",
    example: `otelcol.exporter.loadbalancing "default" {
  resolver {
    static {
      hostnames = ["tempo-0:4317", "tempo-1:4317"]
    }
  }
  protocol {
    otlp {
      client { }
    }
  }
}`,
    args: loadBalancingSchema,
    exports: inputExports,
    metrics: {
      ...exporterMetrics,
      ...rpcClientMetrics,
      latency: histogram(
        "otelcol_loadbalancer_backend_latency_milliseconds",
        "Response latency in ms for the backends.",
        LATENCIES,
        ["endpoint"],
      ),
      outcome: counter(
        "otelcol_loadbalancer_backend_outcome_total",
        "Number of successes and failures for each endpoint.",
        ["endpoint", "success"],
      ),
      backends: gauge("otelcol_loadbalancer_num_backends", "Current number of backends in use.", ["resolver"]),
      backendUpdates: counter(
        "otelcol_loadbalancer_num_backend_updates_total",
        "Number of times the list of backends was updated.",
        ["resolver"],
      ),
      resolutions: counter(
        "otelcol_loadbalancer_num_resolutions_total",
        "Number of times the resolver has triggered new resolutions.",
        ["resolver", "success"],
      ),
    },

    start(ctx, first) {
      let args = first;
      const backends: Backends = new Backends(ctx, args, {
        instruments: ctx.metrics,
        record: rpcRecorder(ctx.metrics),
        reroute: async (batch, signal) => void (await balancer.send(batch, signal)),
      });
      const balancer = new Balancer(ctx, backends, args.routing_key);
      let resolving = new AbortController();
      let resolver = resolve();

      // The sender's own rules and queue are shown together with those of the backends.
      const rules = new Map<string, () => Judgement>();
      let ownQueue: (() => FlowQueue) | undefined;
      const sender = new OtlpSender(
        {
          id: ctx.id,
          clock: ctx.clock,
          log: ctx.log,
          flow: ctx.flow,
          run: ctx.run,
          signal: ctx.signal,
          rule: (name, judge) => void rules.set(name, judge),
          queue: (read) => {
            ownQueue = read;
          },
        },
        exporterInstruments(ctx.metrics, `load_balancing/${ctx.id}`),
        options(),
      );
      for (const [name, own] of rules) ctx.rule(name, () => own() ?? backends.judge(name));
      ctx.rule("backends", () => resolver.judge());
      ctx.rule("not_routed", () => balancer.judge());
      ctx.queue(() => fullestQueue(args.sending_queue.enabled ? [ownQueue!(), backends.queue] : [backends.queue]));
      ctx.stack.defer(async () => {
        resolving.abort();
        await sender.close();
        await backends.close();
      });
      ctx.export({
        input: ctx.receiver(
          "otlp",
          (batch, signal) => {
            refuseUnrouted(batch, args);
            return sender.consume(batch, signal);
          },
          { mutates: false },
        ),
      });
      return {
        update(next) {
          args = next;
          resolving.abort();
          resolving = new AbortController();
          balancer.configure(next.routing_key);
          backends.configure(next);
          resolver = resolve();
          sender.configure(options());
        },
        async drain(deadline) {
          await sender.drain(deadline);
          await backends.drain(deadline);
        },
      };

      function resolve(): Resolver {
        const { signal } = resolving;
        const made = new Resolver(ctx, ctx.metrics, args.resolver, lookUp, (found) => {
          if (!signal.aborted) backends.change(found);
        });
        ctx.run((stop) => made.run(AbortSignal.any([stop, signal]), () => balancer.begin()));
        return made;
      }

      function options(): SenderOptions {
        const { sending_queue: queue, retry_on_failure: retry, timeout } = args;
        return {
          queue,
          retry,
          destination: "the backends",
          handsOn: true,
          send: async (batch, signal) => {
            if (timeout === 0) return balancer.send(batch, signal);
            using deadline = ctx.deadline(timeout);
            try {
              return await balancer.send(batch, AbortSignal.any([signal, deadline.signal]));
            } catch (error) {
              if (signal.aborted || !deadline.signal.aborted) throw error;
              const message = `the backends did not take the data within the \`timeout\` of ${timeout} ms`;
              throw new SendError("timeout", message, { retryable: true });
            }
          },
        };
      }

      /** Matches the signals for which Alloy makes an exporter. */
      function refuseUnrouted({ kind }: OtlpBatch, { routing_key: key }: LoadBalancingArguments): void {
        if (!ROUTED[key].includes(kind)) {
          const routed = ROUTED[key].join(", ");
          throw new PermanentError("signal_not_routed", `routing_key = "${key}" routes ${routed}, and no ${kind}`);
        }
        if (kind === "metrics" && ctx.services.minimumStability !== "experimental") {
          throw new PermanentError(
            "signal_not_routed",
            "load balancing of metrics is experimental: start the agent with --stability.level=experimental",
          );
        }
      }
    },
  });
}

export default loadBalancing(systemLookUp);
