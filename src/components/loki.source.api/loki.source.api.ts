import { counter, DEFAULT_BUCKETS, gauge, histogram } from "#base/metrics";
import { LabelTextCache } from "#formats/loki-push-labels";
import { HttpError, HttpServer, type ServedRequest, type ServedResponse, serverOptionsFrom } from "#kits/http-server";
import { httpServerFields } from "#kits/http-server-schema";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { Secret } from "#lang/value";
import type { LogBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { readContent, readLines, readPush } from "./push-body.ts";
import { Settings } from "./settings.ts";
import { ApiStatus } from "./status.ts";

const SIZES = [1, 2.5, 5, 10, 25, 50, 100, 250].map((mib) => mib * 1024 * 1024);

const schema = s.object({
  ...httpServerFields,
  forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  labels: s.map(s.string()).default({}).doc("Labels for all entries; they replace those that clients send."),
  relabel_rules: s
    .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
    .optional()
    .doc("Rules of a `loki.relabel`, applied to the labels of pushed streams."),
  use_incoming_timestamp: s
    .bool()
    .default(false)
    .doc("Keep the times that clients send, rather than the time of arrival."),
  max_send_message_size: s
    .byteSize()
    .default("100MiB")
    .doc("Largest request, before and after decompression; larger ones are answered with 413."),
});

export default defineComponent({
  name: "loki.source.api",
  stability: "generally-available",
  summary: "Receives log entries over HTTP, as Loki's push API takes them, or as plain lines.",
  example: `loki.source.api "default" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 9999
  }
  forward_to = []
}`,
  args: schema,
  metrics: {
    entries: counter("loki_source_api_entries_written", "Total number of entries written."),
    duration: histogram(
      "loki_source_api_request_duration_seconds",
      "Time (in seconds) spent serving HTTP requests.",
      DEFAULT_BUCKETS,
      ["method", "route", "status_code", "ws"],
    ),
    inflight: gauge("loki_source_api_inflight_requests", "Current number of inflight requests.", ["method", "route"]),
    received: histogram(
      "loki_source_api_request_message_bytes",
      "Size (in bytes) of messages received in the request.",
      SIZES,
      ["method", "route"],
    ),
    answered: histogram(
      "loki_source_api_response_message_bytes",
      "Size (in bytes) of messages sent in response.",
      SIZES,
      ["method", "route"],
    ),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const labelTexts = new LabelTextCache();
    let settings = new Settings(args);
    let address = "";
    const status = new ApiStatus(ctx, () => address);
    /** Bytes of requests in memory; beyond two of the largest, clients are asked to come again. */
    let held = 0;

    /** Answers once all consumers have accepted; a client that would wait for too long is asked to come again. */
    async function forward(batch: LogBatch, signal: AbortSignal): Promise<void> {
      if (batch.count === 0) return;
      const { count } = batch;
      const limit = new AbortController();
      const abort = () => limit.abort(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      const timer = new AbortController();
      ctx.clock.sleep(settings.patienceMs, timer.signal).then(
        () => limit.abort(new Busy()),
        () => {},
      );
      try {
        await out.consume(batch, limit.signal);
        ctx.metrics.entries.inc(count);
      } catch (error) {
        if (error instanceof Busy) throw new HttpError(503, "the pipeline is full, try again", { "retry-after": "5" });
        throw error;
      } finally {
        timer.abort();
        signal.removeEventListener("abort", abort);
      }
    }

    async function push(request: ServedRequest, signal: AbortSignal): Promise<ServedResponse> {
      const { batch, problem, rejected } = await readPush(request, settings.maxBytes, labelTexts);
      const tenant = request.headers.get("x-scope-orgid") ?? "";
      for (const [reason, entries] of settings.prepare(batch, tenant, ctx.clock.now())) status.dropped(reason, entries);
      await forward(batch, signal);
      if (problem === undefined) return NO_CONTENT;
      // As in Alloy: what could be read was forwarded, and the client is told about the rest.
      ctx.flow.drop("logs", "bad_labels", rejected);
      throw new HttpError(400, problem);
    }

    async function raw(request: ServedRequest, signal: AbortSignal): Promise<ServedResponse> {
      const body = await readContent(request, settings.maxBytes);
      const batch = readLines(body, settings.labels, Math.floor(ctx.clock.now()));
      if (settings.labels.size === 0) status.unlabelled(batch.count);
      await forward(batch, signal);
      return NO_CONTENT;
    }

    type Handler = (request: ServedRequest, signal: AbortSignal) => Promise<ServedResponse>;
    const measured = (route: string, handler: Handler): Handler => {
      const { duration, inflight, received, answered } = ctx.metrics;
      return async (request, signal) => {
        const size = Number(request.headers.get("content-length") ?? 0);
        if (held > 0 && held + size > 2 * settings.maxBytes) {
          throw new HttpError(429, "too many large requests at once, try again", { "retry-after": "1" });
        }
        held += size;
        inflight.labels(request.method, route).inc();
        received.labels(request.method, route).observe(size);
        const began = ctx.clock.monotonic();
        let code = 500;
        let bytes = 0;
        try {
          const response = await handler(request, signal);
          code = response.status;
          bytes = (response.body as string).length;
          return response;
        } catch (error) {
          if (error instanceof HttpError) {
            code = error.status;
            status.refused(route, code, error.message);
          }
          throw error;
        } finally {
          held -= size;
          inflight.labels(request.method, route).dec();
          answered.labels(request.method, route).observe(bytes);
          const seconds = (ctx.clock.monotonic() - began) / 1000;
          duration.labels(request.method, route, String(code), "false").observe(seconds);
        }
      };
    };

    function createServer(http: (typeof args)["http"]): HttpServer {
      const created = new HttpServer(serverOptionsFrom(http, ctx.log));
      for (const prefix of ["/api/v1", "/loki/api/v1"]) {
        created.route("POST", `${prefix}/push`, measured(routeName(`${prefix}/push`), push));
        created.route("POST", `${prefix}/raw`, measured(routeName(`${prefix}/raw`), raw));
      }
      return created.route("GET", "/ready", () => ({ status: 200, body: "ready" }));
    }
    async function listen(): Promise<void> {
      const { host, port } = await server.listen();
      address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
      ctx.log.info("listening for log entries", { address });
    }

    let current = args;
    let server = createServer(args.http);
    ctx.stack.defer(() => server.close(0));
    ctx.run(listen);

    return {
      async update(next) {
        const fresh = new Settings(next);
        const changed = describe(next.http) !== describe(current.http);
        if (changed) await server.close(current.graceful_shutdown_timeout);
        settings = fresh;
        current = next;
        out.set(next.forward_to);
        if (!changed) return;
        server = createServer(next.http);
        await listen();
      },
      drain: () => server.close(current.graceful_shutdown_timeout),
      debugInfo: () => ({ listen_address: address }),
    };
  },
});

/** The server's arguments as a text that differs when they do; secrets included, since it goes nowhere. */
function describe(http: unknown): string {
  return JSON.stringify(http, (_, value) => (value instanceof Secret ? value.reveal() : value));
}

const NO_CONTENT: ServedResponse = { status: 204, body: "" };

class Busy extends Error {}

/** Prometheus-style route names of dskit's server: `loki_api_v1_push`. */
function routeName(path: string): string {
  return path.slice(1).replaceAll("/", "_");
}
