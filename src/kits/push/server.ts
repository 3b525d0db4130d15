import { type Counter, counter, DEFAULT_BUCKETS, gauge, histogram, type InstrumentsOf } from "#base/metrics";
import { Secret } from "#lang/value";
import { type Batch, batchItems, type Signal } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { HttpError, HttpServer, type ServedRequest, type ServedResponse, serverOptionsFrom } from "../http/server.ts";
import type { HttpServerArguments } from "../http/server-schema.ts";
import { readContent } from "./body.ts";
import { type MemoryLease, RequestMemory } from "./memory.ts";

/** The buckets of dskit's server, in seconds and in bytes. */
const SECONDS = [...DEFAULT_BUCKETS, 25, 50, 100];
const BYTES = Array.from({ length: 15 }, (_, i) => 4 ** (i + 1));

/** The metrics of a server for logs: those of the server, and how many entries it took. */
export function pushServerMetrics(namespace: string, entries: string, entriesHelp: string) {
  return { entries: counter(entries, entriesHelp), ...serverMetrics(namespace) };
}

/** The metrics of a server as Alloy's dskit server has them (github.com/grafana/dskit/server/metrics.go). */
export function serverMetrics(namespace: string) {
  return {
    duration: histogram(
      `${namespace}_request_duration_seconds`,
      "Time (in seconds) spent serving HTTP requests.",
      SECONDS,
      ["method", "route", "status_code", "ws"],
    ),
    inflight: gauge(`${namespace}_inflight_requests`, "Current number of inflight requests.", ["method", "route"]),
    received: histogram(
      `${namespace}_request_message_bytes`,
      "Size (in bytes) of messages received in the request.",
      BYTES,
      ["method", "route"],
    ),
    answered: histogram(`${namespace}_response_message_bytes`, "Size (in bytes) of messages sent in response.", BYTES, [
      "method",
      "route",
    ]),
    connections: gauge(`${namespace}_tcp_connections`, "Current number of accepted TCP connections.", ["protocol"]),
    connectionsLimit: gauge(
      `${namespace}_tcp_connections_limit`,
      "The max number of TCP connections that can be accepted (0 means no limit).",
      ["protocol"],
    ),
  };
}

/** One request to a route, with what its handler may do. */
export interface PushVisit<S extends Signal = "logs"> {
  readonly request: ServedRequest;
  readonly lease: MemoryLease;
  /** The body without its Content-Encoding (but with snappy), of at most `limit` bytes. Throws an HttpError. */
  content(limit: number): Promise<Uint8Array>;
  /**
   * Resolves once all consumers have accepted. Throws an HttpError with 503 when that takes longer than the client will
   * wait; may be called several times, and the time is that of all together.
   */
  deliver(batch: Batch<S>): Promise<void>;
}

export interface PushRoute<S extends Signal = "logs"> {
  readonly method: "GET" | "POST";
  readonly path: string;
  handle(visit: PushVisit<S>): ServedResponse | Promise<ServedResponse>;
  /** The answer that says what went wrong, in the protocol's own form; left out: plain text. */
  refuse?(status: number, message: string, request: ServedRequest): ServedResponse;
}

export interface PushServerOptions<S extends Signal = "logs"> {
  readonly metrics: InstrumentsOf<ReturnType<typeof serverMetrics>> & { readonly entries?: Counter };
  readonly out: { consume(batch: Batch<S>, signal: AbortSignal): void | Promise<void> };
  readonly routes: readonly PushRoute<S>[];
  /** Bytes of requests that may be in memory at once. */
  readonly memoryBytes: number;
  readonly accepted: () => void;
  /** Hears of requests that were sent away for something that their sender can change. */
  readonly refused: (path: string, status: number, error: string) => void;
}

export interface PushServerArguments {
  readonly http: HttpServerArguments;
  readonly graceful_shutdown_timeout: number;
}

type PushContext = Pick<ComponentContext, "clock" | "log" | "signal" | "stack" | "run">;

/** The HTTP server of a source to which clients push data: routes, limits, metrics, acceptance before the answer. */
export class PushServer<S extends Signal = "logs"> {
  readonly #ctx: PushContext;
  readonly #options: PushServerOptions<S>;
  readonly memory: RequestMemory;
  #args: PushServerArguments;
  #server: HttpServer;
  /** Servers that end their last requests. */
  readonly #closing = new Set<Promise<void>>();
  #listening: Promise<void> = Promise.resolve();
  #address = "";
  #port = 0;

  constructor(ctx: PushContext, options: PushServerOptions<S>, args: PushServerArguments) {
    this.#ctx = ctx;
    this.#options = options;
    this.memory = new RequestMemory(options.memoryBytes);
    this.#args = args;
    this.#server = this.#create(args.http);
    options.metrics.connections.labels("http").read = () => this.#server.connections;
    options.metrics.connectionsLimit.labels("http").read = () => this.#args.http.conn_limit;
    ctx.stack.defer(async () => {
      await this.#server.close(0);
      await Promise.all(this.#closing);
    });
    ctx.run(() => this.#listen(this.#server));
  }

  /** `host:port`; empty as long as it does not listen. */
  get address(): string {
    return this.#address;
  }

  /** Takes changed arguments. Requests under way go on with the old ones; a throw leaves the old server running. */
  async update(next: PushServerArguments): Promise<void> {
    const before = this.#args;
    if (describe(next.http) === describe(before.http)) {
      this.#args = next;
      return;
    }
    await this.#listening.catch(() => {}); // it is told of where it began
    const fresh = this.#create(next.http);
    const old = this.#server;
    const samePort = next.http.listen_port === this.#port;
    if (!samePort) await this.#listen(fresh);
    const closed = old.close(before.graceful_shutdown_timeout).finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
    if (samePort) {
      try {
        await this.#listen(fresh);
      } catch (error) {
        this.#server = this.#create(before.http);
        await this.#listen(this.#server);
        throw error;
      }
    }
    this.#server = fresh;
    this.#args = next;
  }

  /** Accepts nothing more and lets requests under way end. */
  async drain(): Promise<void> {
    await Promise.all([this.#server.close(this.#args.graceful_shutdown_timeout), ...this.#closing]);
  }

  #listen(server: HttpServer): Promise<void> {
    this.#listening = server.listen().then(({ host, port }) => {
      this.#port = port;
      this.#address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
      this.#ctx.log.info("listening for clients", { address: this.#address });
    });
    return this.#listening;
  }

  #create(http: HttpServerArguments): HttpServer {
    const created = new HttpServer({ ...serverOptionsFrom(http, this.#ctx.log), maxHeaderBytes: MAX_HEADER });
    const timeoutMs = http.server_write_timeout > 0 ? http.server_write_timeout : 30_000;
    for (const route of this.#options.routes) {
      const name = route.path
        .slice(1)
        .replaceAll(/[^a-zA-Z0-9]+/g, "_")
        .toLowerCase();
      created.route(route.method, route.path, (request, signal) =>
        this.#serve(name, route, request, signal, timeoutMs),
      );
    }
    const missing: PushRoute<S> = { method: "POST", path: "", handle: ({ request }) => this.#notFound(request) };
    return created.route("*", "/*", (request, signal) => this.#serve("notfound", missing, request, signal, timeoutMs));
  }

  #notFound({ method, path }: ServedRequest): never {
    const { routes } = this.#options;
    const allowed = routes.filter((route) => route.path === path).map((route) => route.method);
    if (allowed.length > 0) throw new HttpError(405, "method not allowed", { allow: allowed.join(", ") });
    const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
    const paths = routes.filter((route) => route.method === "POST").map((route) => route.path);
    // Probes with GET are nobody's lost entries.
    throw new HttpError(404, method === "GET" ? "404 page not found" : `${shown} not found: use ${paths.join(" or ")}`);
  }

  async #serve(
    name: string,
    route: PushRoute<S>,
    request: ServedRequest,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<ServedResponse> {
    const { metrics, accepted, refused } = this.#options;
    const began = this.#ctx.clock.monotonic();
    const method = METHODS.has(request.method) ? request.method : "other";
    metrics.inflight.labels(method, name).inc();
    let code = 500;
    let answered = 0;
    let received = 0;
    let delivered = false;
    try {
      using visit = new Visit(this.#ctx, this.#options, this.memory, request, signal, began + timeoutMs * PATIENCE);
      visit.onData = (bytes) => {
        received += bytes;
      };
      visit.onDelivered = () => {
        delivered = true;
      };
      const response = await route.handle(visit);
      code = response.status;
      answered = (response.body as string).length;
      if (route.method === "POST") accepted();
      return response;
    } catch (error) {
      const { status, message, headers } = httpErrorOf(error, signal);
      code = status;
      const isPush = name !== "notfound" || request.method === "POST" || request.method === "PUT";
      if (isPush && !signal.aborted) refused(request.path, status, message);
      if (delivered) accepted(); // what was wrong was not all of it
      if (route.refuse === undefined || status === 500) throw error;
      const answer = route.refuse(status, message, request);
      answered = (answer.body as string).length;
      return { ...answer, headers: { ...answer.headers, ...headers } };
    } finally {
      metrics.inflight.labels(method, name).dec();
      metrics.received.labels(method, name).observe(received);
      metrics.answered.labels(method, name).observe(answered);
      const seconds = (this.#ctx.clock.monotonic() - began) / 1000;
      metrics.duration.labels(method, name, String(code), "false").observe(seconds);
    }
  }
}

/** Methods that metrics tell apart; clients may invent any number of others. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Firehose puts up to 50 parameters of more than a kilobyte into one header. */
const MAX_HEADER = 128 * 1024;

/** The share of the time for an answer during which the pipeline may take its time. */
const PATIENCE = 0.8;

class Visit<S extends Signal> implements PushVisit<S>, Disposable {
  readonly request: ServedRequest;
  readonly lease: MemoryLease;
  onData: (bytes: number) => void = () => {};
  onDelivered: () => void = () => {};
  readonly #ctx: PushContext;
  readonly #options: PushServerOptions<S>;
  readonly #signal: AbortSignal;
  readonly #deadline: number;
  /** Aborted when the client goes, the component stops, or the time is over. */
  #limit: AbortController | undefined;
  readonly #done = new AbortController();
  #late = false;

  constructor(
    ctx: PushContext,
    options: PushServerOptions<S>,
    memory: RequestMemory,
    request: ServedRequest,
    signal: AbortSignal,
    deadline: number,
  ) {
    this.#ctx = ctx;
    this.#options = options;
    this.request = request;
    this.#signal = signal;
    this.#deadline = deadline;
    this.lease = memory.lease();
  }

  content(limit: number): Promise<Uint8Array> {
    return readContent(this.request, limit, this.lease, (bytes) => this.onData(bytes));
  }

  async deliver(batch: Batch<S>): Promise<void> {
    // Afterwards the batch is its consumer's, who may have taken some out.
    const items = batchItems(batch);
    if (isEmpty(batch)) return;
    const { out, metrics } = this.#options;
    try {
      await out.consume(batch, (this.#limit ??= this.#begin()).signal);
    } catch (error) {
      if (this.#late) throw new HttpError(503, "the pipeline is full, try again", { "retry-after": "5" });
      if (this.#ctx.signal.aborted) throw new HttpError(503, "the server stops", { "retry-after": "1" });
      throw error;
    }
    metrics.entries?.inc(items);
    this.onDelivered();
  }

  #begin(): AbortController {
    const limit = new AbortController();
    const { clock, signal: stop } = this.#ctx;
    for (const signal of [this.#signal, stop]) {
      if (signal.aborted) limit.abort(signal.reason);
      signal.addEventListener("abort", () => limit.abort(signal.reason), { once: true, signal: this.#done.signal });
    }
    const left = Math.max(MIN_PATIENCE_MS, this.#deadline - clock.monotonic());
    clock.sleep(left, this.#done.signal).then(
      () => {
        this.#late = true;
        limit.abort(new Error("the client would wait for too long"));
      },
      () => {}, // answered in time
    );
    return limit;
  }

  [Symbol.dispose](): void {
    this.#done.abort();
    this.lease[Symbol.dispose]();
  }
}

function isEmpty(batch: Batch): boolean {
  if (batch.signal === "metrics" && batch.metadata !== undefined) return false;
  return batchItems(batch) === 0;
}

/** For pipelines to accept what came slowly. */
const MIN_PATIENCE_MS = 100;

/** What HttpServer makes of an error. */
function httpErrorOf(error: unknown, signal: AbortSignal): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof PermanentError) return new HttpError(400, error.message);
  if (error instanceof RetryableError) return new HttpError(503, error.message, { "retry-after": "1" });
  return signal.aborted ? new HttpError(503, "the server stops") : new HttpError(500, "internal error");
}

/** The server's arguments as a text that differs when they do; secrets included, since it goes nowhere. */
function describe(http: unknown): string {
  return JSON.stringify(http, (_, value) => (value instanceof Secret ? value.reveal() : value));
}
