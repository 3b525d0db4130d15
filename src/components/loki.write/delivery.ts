import type { Clock } from "#base/clock";
import { roughDuration } from "#base/duration";
import type { Logger } from "#base/log";
import { ClockSkew } from "#kits/clock-skew";
import { type Answer, judgeAnswer, judgeFailure, type ProblemKind, shownStream, type Verdict } from "./answers.ts";
import { byteLength, countRejected, firstStream, halve, type PushBody, part } from "./push-body.ts";
import type { AlloyReason, DropReason, WriteMetrics } from "./write-metrics.ts";

/** Posts to the endpoint. Rejects for what is no HTTP answer. */
export interface PushTransport {
  post(chunks: readonly Uint8Array[], headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

export interface DeliveryOptions {
  /** `host:port`, the label of metrics. */
  readonly host: string;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  /** 0 for no limit. */
  readonly maxRetries: number;
  readonly retryRateLimited: boolean;
  /** Of entries that name none. */
  readonly tenant: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** Of a request, what the endpoint does not want; undefined when it took nothing for too long. */
export type Rejected = "all" | "some" | undefined;

export interface DeliveryEvents {
  delivered(): void;
  /** The endpoint takes nothing now; the text says why, what to do, and what becomes of the entries. */
  problem(kind: ProblemKind, text: string): void;
  dropped(reason: DropReason, entries: number, rejected: Rejected, text: string): void;
}

/**
 * While an endpoint refuses for a reason that only its owner can mend (credentials, the URL), a request is kept and tried
 * again this long before it is dropped: time enough to rotate a token, and not for ever.
 */
const REFUSED_GRACE_MS = 10 * 60_000;
const FIRST_REFUSED_PAUSE_MS = 10_000;
const LAST_REFUSED_PAUSE_MS = 60_000;

/** Sends requests until they are delivered or may be dropped, by Alloy's rules (common/loki/client/shards.go) and finer ones. */
export class Delivery {
  #options: DeliveryOptions;
  #transport: PushTransport;
  #reconfigured = new AbortController();
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: WriteMetrics;
  readonly #events: DeliveryEvents;
  #skew: ClockSkew;

  constructor(
    options: DeliveryOptions,
    transport: PushTransport,
    environment: { clock: Clock; log: Logger; metrics: WriteMetrics },
    events: DeliveryEvents,
  ) {
    this.#options = options;
    this.#transport = transport;
    this.#skew = new ClockSkew(options.host);
    this.#clock = environment.clock;
    this.#log = environment.log;
    this.#metrics = environment.metrics;
    this.#events = events;
  }

  /** Takes changed options and another way to send; requests that wait for their next attempt are tried again at once. */
  configure(options: DeliveryOptions, transport: PushTransport): void {
    if (options.host !== this.#options.host) this.#skew = new ClockSkew(options.host);
    this.#options = options;
    this.#transport = transport;
    this.#reconfigured.abort();
    this.#reconfigured = new AbortController();
  }

  /** What is wrong with the clocks, by the endpoint's answers. */
  get clockProblem(): string | undefined {
    return this.#skew.problem;
  }

  /** Resolves once the request is delivered or dropped and counted; rejects only when `signal` is aborted. */
  async send(body: PushBody, signal: AbortSignal): Promise<void> {
    const { tenant } = body;
    const bytes = byteLength(body.chunks);
    this.#metrics.requestSize.labels(this.#options.host, tenant).observe(bytes);
    let attempts = 0;
    let backoffMs = this.#options.minBackoffMs;
    let refusedPauseMs = FIRST_REFUSED_PAUSE_MS;
    let refusedSince: { readonly monotonic: number; readonly epoch: number } | undefined;
    for (;;) {
      const reconfigured = this.#reconfigured.signal;
      const verdict = await this.#attempt(body, signal);
      const { host, maxRetries } = this.#options;
      if (verdict.kind === "delivered") {
        this.#metrics.sentBytes.labels(host, tenant).inc(bytes);
        this.#metrics.sentEntries.labels(host, tenant).inc(body.entries);
        this.#events.delivered();
        return;
      }
      if (reconfigured.aborted) {
        // What the old settings led to says nothing about the new ones.
        attempts = 0;
        refusedSince = undefined;
        continue;
      }
      this.#log.debug("could not send entries", { entries: body.entries, tenant, error: verdict.text });
      if (verdict.kind === "drop") return this.#drop(body, bytes, verdict);
      if (verdict.kind === "halve" || verdict.kind === "part") {
        const halves = verdict.kind === "halve" ? halve(body) : part(body);
        if (halves !== undefined) {
          for (const half of halves) await this.send(half, signal);
          return;
        }
        if (verdict.problem === undefined) {
          const stream = verdict.kind === "part" ? ` (stream ${shownStream(firstStream(body))})` : "";
          return this.#drop(body, bytes, { ...verdict, text: verdict.text + stream });
        }
      }
      let pauseMs: number;
      if (verdict.kind === "refused") {
        refusedSince ??= { monotonic: this.#clock.monotonic(), epoch: this.#clock.now() };
        if (this.#clock.monotonic() - refusedSince.monotonic >= REFUSED_GRACE_MS) {
          return this.#drop(body, bytes, verdict);
        }
        const until = new Date(refusedSince.epoch + REFUSED_GRACE_MS).toISOString().replace(/\.\d+/, "");
        this.#problem(verdict, `entries are kept and sent again until ${until}, then dropped`);
        pauseMs = refusedPauseMs;
        refusedPauseMs = Math.min(refusedPauseMs * 2, LAST_REFUSED_PAUSE_MS);
      } else {
        attempts += 1;
        if (maxRetries > 0 && attempts >= maxRetries) return this.#drop(body, bytes, verdict);
        this.#problem(verdict, this.#patience());
        // As in dskit: somewhere between the step and twice the step.
        pauseMs = Math.min(backoffMs * (1 + Math.random()), this.#options.maxBackoffMs);
        backoffMs = Math.min(backoffMs * 2, this.#options.maxBackoffMs);
      }
      this.#metrics.retries.labels(host, tenant).inc();
      await this.#pause(Math.max(pauseMs, verdict.retryAfterMs ?? 0), reconfigured, signal);
      if (reconfigured.aborted) {
        attempts = 0;
        backoffMs = this.#options.minBackoffMs;
        refusedSince = undefined;
      }
    }
  }

  /** Ends early when the settings change; rejects when `signal` is aborted. */
  async #pause(ms: number, reconfigured: AbortSignal, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const end = () => controller.abort();
    for (const each of [reconfigured, signal]) each.addEventListener("abort", end);
    if (reconfigured.aborted || signal.aborted) end();
    await this.#clock.sleep(ms, controller.signal).catch(() => {});
    for (const each of [reconfigured, signal]) each.removeEventListener("abort", end);
    signal.throwIfAborted();
  }

  async #attempt(body: PushBody, signal: AbortSignal): Promise<Verdict> {
    const { host, retryRateLimited, tenant } = this.#options;
    const began = this.#clock.monotonic();
    const sent = this.#clock.now();
    let status = -1;
    try {
      const answer = await this.#transport.post(body.chunks, this.#headers(body.tenant), signal);
      const now = this.#clock.now();
      status = answer.status;
      this.#skew.observe(answer.date, sent, now);
      return judgeAnswer(host, answer, { now, retryRateLimited, isOwnTenant: body.tenant === tenant });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return judgeFailure(host, error);
    } finally {
      const seconds = (this.#clock.monotonic() - began) / 1000;
      this.#metrics.requestDuration.labels(String(status), host, body.tenant).observe(seconds);
    }
  }

  #headers(tenant: string): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const [name, value] of this.#options.headers) headers[name.toLowerCase()] = value;
    headers["content-type"] = "application/x-protobuf";
    headers["content-encoding"] = "snappy";
    if (tenant !== "") headers["x-scope-orgid"] = tenant;
    return headers;
  }

  #problem({ problem, text }: Verdict, then: string): void {
    if (problem !== undefined) this.#events.problem(problem, `${text}; ${then}`);
  }

  /** How long a request is tried again, in words. */
  #patience(): string {
    const { maxRetries, minBackoffMs, maxBackoffMs } = this.#options;
    if (maxRetries === 0) return "entries are kept until it takes them";
    let total = 0;
    for (let i = 0; i < maxRetries - 1; i++) total += Math.min(minBackoffMs * 1.5 * 2 ** i, maxBackoffMs);
    return `a request is tried ${maxRetries} times, for ${roughDuration(total)} or so, then its entries are dropped (max_backoff_retries)`;
  }

  #drop(body: PushBody, bytes: number, verdict: Verdict): void {
    const { kind, problem, status, rejections } = verdict;
    const { host } = this.#options;
    const isRejected = kind === "drop" || ((kind === "halve" || kind === "part") && problem === undefined);
    const drops = rejections === undefined ? [{ ...verdict, entries: body.entries }] : countRejected(body, rejections);
    const dropped = drops.reduce((sum, { entries }) => sum + entries, 0);
    const droppedBytes = Math.round((bytes * dropped) / body.entries);
    const alloyReason: AlloyReason = status === 429 ? "rate_limited" : "ingester_error";
    this.#metrics.droppedBytes.labels(host, body.tenant, alloyReason).inc(droppedBytes);
    this.#metrics.droppedEntries.labels(host, body.tenant, alloyReason).inc(dropped);
    if (dropped < body.entries) {
      this.#metrics.sentBytes.labels(host, body.tenant).inc(bytes - droppedBytes);
      this.#metrics.sentEntries.labels(host, body.tenant).inc(body.entries - dropped);
      this.#events.delivered();
    }
    const rejected = isRejected ? (dropped < body.entries ? "some" : "all") : undefined;
    for (const { reason, entries, text } of drops) {
      if (entries > 0) this.#events.dropped(reason, entries, rejected, text);
    }
  }
}
