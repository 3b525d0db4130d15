import { errorText } from "#base/log";
import { readSamplingStrategies, SamplingError } from "#formats/jaeger/sampling";
import { serverAuth } from "#kits/otelcol/auth";
import { grpcClientSchema } from "#kits/otelcol/client-schema";
import { otelGrpcServer } from "#kits/otelcol/grpc-server";
import { parseListenAddress } from "#kits/otelcol/listen";
import { Listener } from "#kits/otelcol/listener";
import { rpcRecorder, rpcServerMetrics } from "#kits/otelcol/metrics";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { bareGrpcServerSchema, bareHttpServerFields, withKeepalive } from "#kits/otelcol/server-schema";
import { type Infer, s } from "#lang/schema";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { FileSource, StaticSource, type StrategySource } from "./file-source.ts";
import { RemoteSource } from "./remote-source.ts";
import { samplingHandlers, samplingHttpServer } from "./servers.ts";

/** Pause before a source without strategies is asked again. */
const RETRY_MS = 5_000;

const sourceSchema = s
  .object({
    content: s.string().default("").doc("A document with strategies, in JSON."),
    file: s.string().default("").doc("A file or URL of such a document."),
    reload_interval: s
      .duration()
      .default("0s")
      .doc("How often `file` is read again, and how long answers of `remote` are kept; 0 for never and not at all."),
    remote: s.block(grpcClientSchema).doc("A collector of Jaeger, or another agent like this, that tells strategies."),
  })
  .rule(
    "content",
    (a) => a.content !== "" || a.file !== "" || a.remote !== undefined,
    "or `file` or a `remote` block must be there",
  )
  .rule(
    "content",
    (a) => [a.content !== "", a.file !== "", a.remote !== undefined].filter((given) => given).length < 2,
    "`file` and `remote` exclude one another; keep one of them",
  );

const args = s
  .object({
    grpc: s.block(bareGrpcServerSchema("0.0.0.0:14250")).doc("Tells strategies over gRPC."),
    http: s.block(s.object(bareHttpServerFields("0.0.0.0:5778"))).doc("Tells strategies over HTTP."),
    source: s.block(sourceSchema).required().doc("Where strategies come from."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "grpc",
    (a) => a.grpc !== undefined || a.http !== undefined,
    "or `http` must be there to serve the sampling document",
  );
type Arguments = Infer<typeof args>;
type Context = ComponentContext<Record<never, never>, typeof rpcServerMetrics>;

export default defineComponent({
  name: "otelcol.extension.jaeger_remote_sampling",
  stability: "generally-available",
  summary: "Tells clients of Jaeger and OpenTelemetry what to sample.",
  example: `otelcol.extension.jaeger_remote_sampling "default" {
  http { }
  grpc { }

  source {
    content = "{\\"default_strategy\\": {\\"type\\": \\"probabilistic\\", \\"param\\": 0.1}}"
  }
}`,
  args,
  metrics: rpcServerMetrics,

  // No update(): changed arguments restart the component.
  start(ctx, { grpc, http, source: given }) {
    if (grpc !== undefined) parseListenAddress(grpc.endpoint, grpc.transport);
    if (http !== undefined) parseListenAddress(http.endpoint);
    for (const each of [grpc, http]) serverAuth(each?.auth);
    const source = sourceOf(ctx, given);
    ctx.stack.defer(() => source.close());
    const problems = new Map<string, string>();
    const listeners = { grpc: new Listener(ctx, "grpc", problems), http: new Listener(ctx, "http", problems) };
    const recordCall = rpcRecorder(ctx.metrics);
    let problem: string | undefined;
    ctx.rule("source_failed", () => {
      const cause = problem ?? (source instanceof RemoteSource ? source.problem : undefined);
      return cause === undefined ? undefined : { state: "failing", cause };
    });

    // Nobody is told anything before there are strategies: a client would take the wrong ones for a minute.
    ctx.run(async (signal) => {
      while (!signal.aborted) {
        try {
          await source.ready(signal);
          break;
        } catch (error) {
          report(errorText(error));
          await ctx.clock.sleep(RETRY_MS, signal).catch(() => {});
        }
      }
      if (signal.aborted) return;
      report(undefined);
      if (grpc !== undefined) {
        const handlers = samplingHandlers(source, grpc.include_metadata);
        const own = withKeepalive(grpc);
        listeners.grpc.on(grpc.tls, (tls) => otelGrpcServer({ args: own, tls, handlers, recordCall }));
      }
      if (http !== undefined) listeners.http.on(http.tls, (tls) => samplingHttpServer(http, tls, source));
      if (source instanceof FileSource && given.reload_interval > 0) await reload(source, signal);
    });

    async function reload(file: FileSource, signal: AbortSignal): Promise<void> {
      for (;;) {
        await ctx.clock.sleep(given.reload_interval, signal).catch(() => {});
        if (signal.aborted) return;
        try {
          if (await file.reload(signal)) ctx.log.info("read new sampling strategies", { file: given.file });
          report(undefined);
        } catch (error) {
          if (signal.aborted) return;
          report(`${errorText(error)}. The strategies that were read before are in use`);
        }
      }
    }

    function report(next: string | undefined): void {
      if (next === problem) return;
      problem = next;
      if (next !== undefined) ctx.log.error("sampling strategies cannot be read", { error: next });
      ctx.health(next);
      ctx.flow.judge();
    }

    return {
      async drain(deadline) {
        await Promise.all([listeners.grpc.close(deadline), listeners.http.close(deadline)]);
      },
      debugInfo: () => ({ listeners: { grpc: listeners.grpc.address, http: listeners.http.address } }),
    };
  },
});

/** Throws for a document that cannot be used, and for an endpoint that is none. */
function sourceOf(ctx: Context, { content, file, remote, reload_interval }: Arguments["source"]): StrategySource {
  const warn = (warning: string) => ctx.log.warn("a part of the sampling strategies is not used", { warning });
  if (remote !== undefined) return new RemoteSource(ctx, remote, reload_interval);
  if (file !== "") {
    const userAgent = `Invar/${ctx.services.version}`;
    return new FileSource(file, { forEveryService: reload_interval > 0, userAgent, warn });
  }
  try {
    const strategies = readSamplingStrategies(content, false);
    for (const warning of strategies.warnings) warn(warning);
    return new StaticSource(strategies);
  } catch (error) {
    if (!(error instanceof SamplingError)) throw error;
    throw new Error(`\`content\` has no sampling strategies: ${error.message}`);
  }
}
