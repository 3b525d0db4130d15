import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { splitPush } from "#formats/loki-push";
import { compress, uncompress } from "#formats/snappy";
import { HttpClientError } from "#kits/http-client";
import { type AlloyReason, type DropReason, MAX_REQUEST_BYTES, type WriteMetrics } from "./write-metrics.ts";

/** A finished push request. */
export interface PushBody {
  readonly tenant: string;
  /** A snappy block, in chunks. */
  readonly chunks: readonly Uint8Array[];
  readonly entries: number;
}

/** Posts to the endpoint. Rejects for what is no HTTP answer. */
export interface PushTransport {
  post(
    chunks: readonly Uint8Array[],
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly retryAfter: string | undefined; readonly text: string }>;
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
  readonly headers: ReadonlyMap<string, string>;
}

export interface DeliveryEvents {
  delivered(): void;
  /** Something is wrong now; the text says what and what to do. */
  problem(text: string): void;
  dropped(reason: DropReason, entries: number): void;
}

/**
 * While an endpoint refuses for a reason that only its owner can mend (credentials, the URL), a request is kept and tried
 * again this long before it is dropped: time enough to rotate a token, and not for ever.
 */
export const REFUSED_GRACE_MS = 10 * 60_000;
const FIRST_REFUSED_PAUSE_MS = 10_000;
const LAST_REFUSED_PAUSE_MS = 60_000;
/** A server may ask for a longer pause than `max_backoff_period`, up to this. */
const LONGEST_RETRY_AFTER_MS = 5 * 60_000;
const SHOWN_TEXT = 300;

interface Verdict {
  readonly kind: "delivered" | "retry" | "refused" | "drop" | "split";
  readonly reason: DropReason;
  readonly problem: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
}

/** Sends requests until they are delivered or may be dropped, by Alloy's rules (common/loki/client/shards.go) and finer ones. */
export class Delivery {
  #options: DeliveryOptions;
  #transport: PushTransport;
  #reconfigured = new AbortController();
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: WriteMetrics;
  readonly #events: DeliveryEvents;

  constructor(
    options: DeliveryOptions,
    transport: PushTransport,
    environment: { clock: Clock; log: Logger; metrics: WriteMetrics },
    events: DeliveryEvents,
  ) {
    this.#options = options;
    this.#transport = transport;
    this.#clock = environment.clock;
    this.#log = environment.log;
    this.#metrics = environment.metrics;
    this.#events = events;
  }

  /** Takes changed options and another way to send; requests that wait for their next attempt are tried again at once. */
  configure(options: DeliveryOptions, transport: PushTransport): void {
    this.#options = options;
    this.#transport = transport;
    this.#reconfigured.abort();
    this.#reconfigured = new AbortController();
  }

  /** Resolves once the request is delivered or dropped and counted; rejects only when `signal` is aborted. */
  async send(body: PushBody, signal: AbortSignal): Promise<void> {
    const { tenant } = body;
    const bytes = byteLength(body.chunks);
    this.#metrics.requestSize.labels(this.#options.host, tenant).observe(bytes);
    let attempts = 0;
    let backoffMs = this.#options.minBackoffMs;
    let refusedPauseMs = FIRST_REFUSED_PAUSE_MS;
    let refusedSince: number | undefined;
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
      this.#events.problem(verdict.problem);
      if (verdict.kind === "drop") return this.#drop(body, bytes, verdict);
      if (verdict.kind === "split") {
        const halves = split(body);
        if (halves === undefined) return this.#drop(body, bytes, verdict);
        for (const half of halves) await this.send(half, signal);
        return;
      }
      let pauseMs: number;
      if (verdict.kind === "refused") {
        refusedSince ??= this.#clock.monotonic();
        if (this.#clock.monotonic() - refusedSince >= REFUSED_GRACE_MS) return this.#drop(body, bytes, verdict);
        pauseMs = refusedPauseMs;
        refusedPauseMs = Math.min(refusedPauseMs * 2, LAST_REFUSED_PAUSE_MS);
      } else {
        attempts += 1;
        if (maxRetries > 0 && attempts >= maxRetries) return this.#drop(body, bytes, verdict);
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
    const { host } = this.#options;
    const began = this.#clock.monotonic();
    let status = -1;
    try {
      const answer = await this.#transport.post(body.chunks, this.#headers(body.tenant), signal);
      status = answer.status;
      return this.#judge(answer.status, answer.text, answer.retryAfter);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return this.#judgeFailure(error);
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

  #judgeFailure(error: unknown): Verdict {
    const { host } = this.#options;
    const kind = error instanceof HttpClientError ? error.kind : "connection";
    const failure = `cannot send to ${host}: ${errorText(error)}`;
    switch (kind) {
      case "timeout":
        return verdict("retry", "timeout", `${failure}; check that it is up, or raise remote_timeout`, -1);
      case "authentication":
        return verdict("refused", "unauthorized", `${failure}; check the endpoint's credentials`, -1);
      case "configuration":
      case "redirect":
        return verdict("refused", "not_found", `${failure}; check the url`, -1);
      default:
        return verdict("retry", "unreachable", `${failure}; check the url, the network and the TLS settings`, -1);
    }
  }

  #judge(status: number, text: string, retryAfter: string | undefined): Verdict {
    const { host } = this.#options;
    if (status >= 200 && status < 300) return verdict("delivered", "bad_request", "", status);
    const said = text.trim().split("\n", 1)[0]!.slice(0, SHOWN_TEXT);
    const answer = `${host} answered ${status}${said === "" ? "" : `: ${said}`}`;
    const pause = retryAfterMs(retryAfter, this.#clock.now());
    switch (status) {
      case 401:
      case 403:
      case 407: {
        const remedy =
          "check the endpoint's credentials (basic_auth, authorization, oauth2, bearer_token) and tenant_id";
        return verdict("refused", "unauthorized", `${answer}; ${remedy}`, status, pause);
      }
      case 404:
      case 405:
        return verdict(
          "refused",
          "not_found",
          `${answer}; check the url, it usually ends in /loki/api/v1/push`,
          status,
          pause,
        );
      case 413:
        return verdict("split", "payload_too_large", `${answer}; lower batch_size or raise the server's limit`, status);
      case 429: {
        const reason =
          /stream/i.test(said) && /limit/i.test(said) && !/rate/i.test(said) ? "stream_limit" : "rate_limited";
        const kind = this.#options.retryRateLimited ? "retry" : "drop";
        return verdict(kind, reason, `${answer}; raise the tenant's limits or send less`, status, pause);
      }
    }
    if (status >= 500 || status === 408) {
      return verdict(
        "retry",
        status === 408 || status === 504 ? "timeout" : "server_error",
        `${answer}; it is tried again`,
        status,
        pause,
      );
    }
    if (status < 400)
      return verdict("refused", "not_found", `${answer}; check the url and follow_redirects`, status, pause);
    return verdict(
      "drop",
      rejectionReason(said),
      `${answer}; the entries were dropped, since sending them again cannot help`,
      status,
    );
  }

  #drop(body: PushBody, bytes: number, { reason, problem, status }: Verdict): void {
    const { host } = this.#options;
    const alloyReason: AlloyReason = status === 429 ? "rate_limited" : "ingester_error";
    this.#metrics.droppedBytes.labels(host, body.tenant, alloyReason).inc(bytes);
    this.#metrics.droppedEntries.labels(host, body.tenant, alloyReason).inc(body.entries);
    this.#events.dropped(reason, body.entries);
    this.#log.error("dropped a batch of entries", {
      entries: body.entries,
      reason,
      tenant: body.tenant,
      cause: problem,
    });
  }
}

function verdict(
  kind: Verdict["kind"],
  reason: DropReason,
  problem: string,
  status: number,
  retryAfterMs?: number,
): Verdict {
  return { kind, reason, problem, status, retryAfterMs };
}

/** Why Loki rejects entries with a 400, from its words (pkg/validation/validate.go). */
function rejectionReason(text: string): DropReason {
  if (/too old|too far behind|out of order|greater_than_max_sample_age|reject_old_samples/i.test(text))
    return "too_old";
  if (/line (?:size|too long)|max entry size|line_too_long/i.test(text)) return "line_too_long";
  if (/stream limit|maximum active stream/i.test(text)) return "stream_limit";
  return "bad_request";
}

/** The Retry-After header, seconds or a date, in milliseconds from now. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, LONGEST_RETRY_AFTER_MS) : undefined;
}

export function byteLength(chunks: readonly Uint8Array[]): number {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

function split(body: PushBody): PushBody[] | undefined {
  const content = uncompress(Buffer.concat(body.chunks), MAX_REQUEST_BYTES);
  const halves = splitPush(content);
  if (halves === undefined) return undefined;
  const first = body.entries >> 1;
  return halves.map((half, i) => ({
    tenant: body.tenant,
    chunks: [compress(half)],
    entries: i === 0 ? first : body.entries - first,
  }));
}
