import type { WriteVersion } from "#formats/remote-write/2-parts";
import { SymbolTable } from "#formats/remote-write/2-symbols";
import { compress } from "#formats/snappy";
import { Backoff } from "#kits/backoff";
import { HttpClient } from "#kits/http/client";
import { roundRobinLookup } from "#kits/http/client-round-robin";
import { shownCredentials } from "#kits/refused-credentials";
import type { EndpointArguments, QueueArguments } from "./arguments.ts";
import { cloudSigner } from "./authentication.ts";
import type { RemoteWriteContext } from "./endpoint.ts";
import type { EndpointStatus } from "./endpoint-status.ts";
import { Bell } from "./lanes.ts";
import type { EndpointMetrics } from "./metrics.ts";
import { type Outcome, type Rejected, sendWriteRequest, type WriteRequestBody } from "./request.ts";
import type { ShardCalculation } from "./shards.ts";

/** Longest pause between questions while credentials are refused. */
const REFUSED_PAUSE_MS = 30_000;
/** How long a backend that does not take version 2 is left alone with it. */
const FALLBACK_MS = 3_600_000;
/** One for all, since an error with its stack for each wait would cost more than the wait. */
const WAIT_OVER = new Error("the wait is over");

/** What became of a request in the end. */
export type Verdict = Extract<Outcome, { readonly kind: "sent" }> | Rejected;

/** The requests of one endpoint: which version they have, when they are sent again, and that they wait while nobody may send. */
export class Sender {
  readonly #ctx: RemoteWriteContext;
  readonly #title: string;
  readonly #status: EndpointStatus;
  readonly #metrics: EndpointMetrics;
  readonly #shards: ShardCalculation;
  /** Called when the version changed, and when a request failed. */
  readonly #onChange: () => void;
  #args: EndpointArguments;
  #config: QueueArguments;
  #client: HttpClient;
  /** Rung when arguments changed, so that what was refused is tried again at once. */
  readonly #reconfigured = new Bell();
  /** Monotonic time until which version 1 is sent though version 2 is configured. */
  #fallbackUntil = 0;
  #knowsVersion2 = false;
  /** The question whether credentials are accepted again, which all lanes wait for. */
  #asking: Promise<void> | undefined;
  /** Questions in a row that were refused. */
  #refusals = 0;

  constructor(
    ctx: RemoteWriteContext,
    title: string,
    status: EndpointStatus,
    metrics: EndpointMetrics,
    shards: ShardCalculation,
    args: EndpointArguments,
    config: QueueArguments,
    onChange: () => void,
  ) {
    this.#ctx = ctx;
    this.#title = title;
    this.#status = status;
    this.#metrics = metrics;
    this.#shards = shards;
    this.#args = args;
    this.#config = config;
    this.#onChange = onChange;
    this.#client = this.#newClient();
  }

  /** The version of the protocol that is sent now. */
  get version(): WriteVersion {
    const wants2 = this.#args.protobuf_message === "io.prometheus.write.v2.Request";
    return wants2 && this.#ctx.clock.monotonic() >= this.#fallbackUntil ? 2 : 1;
  }

  /** Takes changed arguments; requests under way end with the old ones. */
  configure(args: EndpointArguments, config: QueueArguments): void {
    const old = this.#client;
    const graceMs = this.#args.remote_timeout;
    if (args.url !== this.#args.url || args.protobuf_message !== this.#args.protobuf_message) {
      this.#fallbackUntil = 0;
      this.#knowsVersion2 = false;
    }
    this.#args = args;
    this.#config = config;
    this.#client = this.#newClient();
    this.#ctx.run(async (signal) => {
      await this.#ctx.clock.sleep(graceMs, signal).catch(() => {});
      await old.close();
    });
    this.#refusals = 0;
    this.#reconfigured.ring();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Sends a request once. */
  sendOnce(request: WriteRequestBody, attempt: number, signal: AbortSignal): Promise<Outcome> {
    const { url, headers, remote_timeout: timeoutMs } = this.#args;
    const options = {
      url,
      headers,
      timeoutMs,
      retryOn429: this.#config.retry_on_http_429,
      credentials: shownCredentials(this.#args, url),
      skew: this.#status.clockSkew,
      now: () => this.#ctx.clock.now(),
      knowsVersion2: this.#knowsVersion2,
    };
    return sendWriteRequest(this.#client, request, attempt, options, signal);
  }

  /** Sends what `next` gives, anew for each attempt, until the backend took or rejected it. Undefined if there is nothing left. */
  async exchange(
    next: (version: WriteVersion) => WriteRequestBody | undefined,
    signal: AbortSignal,
  ): Promise<Verdict | undefined> {
    const { clock } = this.#ctx;
    const backoff = new Backoff(this.#config.min_backoff, this.#config.max_backoff);
    /** Why version 2 may not be taken; version 1 is the proof. */
    let doubt: Extract<Outcome, { readonly kind: "unsupported" }> | undefined;
    for (let attempt = 0; ; ) {
      await this.#asking;
      signal.throwIfAborted();
      const request = next(doubt === undefined ? this.version : 1);
      if (request === undefined) return undefined;
      const began = clock.monotonic();
      const outcome = await this.sendOnce(request, attempt, signal);
      const seconds = (clock.monotonic() - began) / 1000;
      this.#metrics.duration.observe(seconds);
      switch (outcome.kind) {
        case "sent":
          if (request.version === 2) this.#knowsVersion2 = true;
          if (doubt !== undefined) this.#fallBack(doubt.cause);
          this.#shards.sent(request.items, seconds);
          this.#metrics.bytes.inc(request.body.reduce((sum, chunk) => sum + chunk.length, 0));
          this.#refusals = 0;
          this.#status.delivered();
          return outcome;
        case "rejected":
          if (request.version === 2 && outcome.written !== undefined) this.#knowsVersion2 = true;
          // Neither version is taken: what the backend said of the one that is configured counts.
          return doubt?.otherwise ?? outcome;
        case "unsupported":
          if (outcome.isCertain) this.#fallBack(outcome.cause);
          doubt = outcome.isCertain ? undefined : outcome;
          continue;
        case "retry":
          this.#failed(outcome, request.items);
          await this.#pause(backoff.next(outcome.retryAfterMs), signal);
          break;
        case "refused":
          this.#failed(outcome, request.items);
          this.#asking ??= this.#ask(outcome.wasSent, signal).finally(() => {
            this.#asking = undefined;
          });
      }
      attempt += 1;
    }
  }

  /**
   * Waits until the backend no longer refuses who asks. Asks with an empty request, since one that was answered with 401 or
   * 403 must not be sent again as it is; of requests that were never sent, the next one is the question.
   */
  async #ask(wasSent: boolean, signal: AbortSignal): Promise<void> {
    do {
      const pauseMs = Math.min(REFUSED_PAUSE_MS, this.#config.max_backoff * 2 ** Math.min(this.#refusals, 10));
      this.#refusals += 1;
      await this.#pause(pauseMs, signal);
      if (signal.aborted || !wasSent) return;
      const { version } = this;
      const outcome = await this.sendOnce({ body: [emptyRequest(version)], version, items: 0 }, 0, signal).catch(
        () => undefined,
      );
      if (outcome?.kind !== "refused") return;
      this.#status.failed(outcome.obstacle, outcome.cause);
    } while (!signal.aborted);
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return ringOrTime(this.#ctx.clock, this.#reconfigured, ms, signal);
  }

  #failed(outcome: Extract<Outcome, { readonly kind: "retry" | "refused" }>, items: number): void {
    this.#status.failed(outcome.obstacle, outcome.cause);
    this.#metrics.samplesRetried.inc(items);
    this.#onChange();
  }

  #fallBack(cause: string): void {
    const { clock, log } = this.#ctx;
    if (this.version === 2) {
      log.warn("the endpoint does not take remote write 2.0: sending 1.0, without metadata for each series", {
        endpoint: this.#title,
        error: cause,
      });
    }
    this.#fallbackUntil = clock.monotonic() + FALLBACK_MS;
    this.#onChange();
  }

  #newClient(): HttpClient {
    const userAgent = `Invar/${this.#ctx.services.version}`;
    return HttpClient.create(this.#args, {
      userAgent,
      sign: cloudSigner(this.#args),
      ...(this.#args.round_robin_dns && { lookup: roundRobinLookup() }),
    });
  }
}

/** Waits `ms` or until the bell rings or `signal` is aborted; never rejects. */
export async function ringOrTime(
  clock: RemoteWriteContext["clock"],
  bell: Bell,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const timer = new AbortController();
  const stop = () => timer.abort(WAIT_OVER);
  if (signal.aborted) return;
  signal.addEventListener("abort", stop);
  await Promise.race([bell.next(timer.signal), clock.sleep(ms, timer.signal).catch(() => {})]);
  signal.removeEventListener("abort", stop);
  stop();
}

function emptyRequest(version: WriteVersion): Uint8Array {
  // The table of strings is never without the empty one.
  return compress(version === 2 ? new SymbolTable().bytes() : new Uint8Array());
}
