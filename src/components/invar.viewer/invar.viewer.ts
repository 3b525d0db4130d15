import { errorText } from "#base/log";
import { gauge } from "#base/metrics";
import { Backoff } from "#kits/backoff";
import { HttpError, HttpServer } from "#kits/http/server";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { addReceiverRoutes } from "./receiver.ts";
import { Stores } from "./stores.ts";
import { createView } from "./view.ts";

/** How long requests under way may take when the viewer stops. */
const CLOSE_GRACE_MS = 2000;
const EXPIRE_EVERY_MS = 10_000;

export default defineComponent({
  name: "invar.viewer",
  stability: "generally-available",
  summary: "Takes logs, metrics and traces from this machine and shows the last minutes of them on the agent's page.",
  example: 'invar.viewer "example" { }',
  args: s
    .object({
      listen_address: s
        .string()
        .default("127.0.0.1:12346")
        .doc("Where it takes data over Loki's push API, Prometheus remote write 1.0 and OTLP over HTTP."),
      retention: s.duration().min(1000).default("15m").doc("How long it remembers what arrived."),
      max_memory: s
        .byteSize()
        .min(1024 * 1024)
        .default("64MiB")
        .doc("Memory for what it remembers; beyond it the oldest goes first."),
    })
    .rule(
      "listen_address",
      (a) => addressOf(a.listen_address) !== undefined,
      "is no address: write it as host:port, with a port from 1 on",
    ),
  exports: s.object({
    loki_url: s.string().doc("Base URL for `loki.write`: add `/loki/api/v1/push`."),
    prometheus_url: s.string().doc("Base URL for `prometheus.remote_write`: add `/api/v1/write`."),
    otlp_url: s.string().doc("Endpoint for `otelcol.exporter.otlphttp`."),
  }),
  metrics: {
    memory: gauge("invar_viewer_memory_bytes", "Memory that the viewer's data take."),
    lines: gauge("invar_viewer_log_lines", "Log lines that the viewer remembers."),
    series: gauge("invar_viewer_series", "Series that the viewer remembers."),
    traces: gauge("invar_viewer_traces", "Traces that the viewer remembers."),
  },

  start(ctx, args) {
    const stores = new Stores(args.max_memory);
    const { host, port } = addressOf(args.listen_address)!;
    const url = `http://${host.includes(":") ? `[${host}]` : host || "127.0.0.1"}:${port}`;
    const urls = { loki_url: url, prometheus_url: url, otlp_url: url };
    let problem = "";
    const now = () => ctx.clock.now();

    ctx.metrics.memory.read = () => stores.bytes;
    ctx.metrics.lines.read = () => stores.logs.size;
    ctx.metrics.series.read = () => stores.series.size;
    ctx.metrics.traces.read = () => stores.traces.size;
    // Known before anything listens, so that those who send need not wait for it; their first attempts may be refused.
    ctx.export(urls);
    ctx.every(EXPIRE_EVERY_MS, () => stores.expire(now() - args.retention));

    ctx.run(async (signal) => {
      const backoff = new Backoff(500, 10_000);
      for (;;) {
        const server = new HttpServer({ address: host, port, guard: refuseBrowsers, log: ctx.log });
        addReceiverRoutes(server, stores, now, {
          received(kind, items, bytes, refused) {
            const received = ctx.flow.receiving(kind);
            received.batches += 1;
            received.items += items;
            received.bytes += bytes;
            received.last = now();
            if (refused > 0) {
              ctx.flow.drop(kind, "viewer_memory", refused);
              ctx.flow.degraded("there are more series than max_memory can hold; the viewer shows the first ones");
            } else ctx.flow.ok();
          },
        });
        try {
          await server.listen();
          problem = "";
          ctx.health(undefined);
          await aborted(signal);
          await server.close(CLOSE_GRACE_MS);
          return;
        } catch (error) {
          problem = `${errorText(error)} (listen_address)`;
          ctx.health(problem);
          ctx.flow.failing(problem);
          if (backoff.attempts === 0) ctx.log.error("cannot take data", { error });
          await ctx.clock.sleep(backoff.next(), signal);
        }
      }
    });

    return {
      http: createView({
        stores,
        now,
        retentionMs: () => args.retention,
        maxBytes: () => args.max_memory,
        urls: () => urls,
        problem: () => problem,
      }),
      debugInfo: () => ({
        log_lines: stores.logs.size,
        series: stores.series.size,
        traces: stores.traces.size,
        memory_bytes: Math.round(stores.bytes),
      }),
    };
  },
});

/** A web page that the user visits must not write into the viewer; what sends to it is no browser. */
function refuseBrowsers(_path: string, headers: ReadonlyMap<string, string>): void {
  if (headers.has("origin")) throw new HttpError(403, "requests of web pages are not accepted");
}

function addressOf(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port < 1 || port > 65_535 ? undefined : { host: match[1] ?? match[2] ?? "", port };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
