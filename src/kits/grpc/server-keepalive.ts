import * as http2 from "node:http2";

/** grpc-go's ServerParameters and EnforcementPolicy, in milliseconds; undefined for no limit. */
export interface GrpcKeepaliveOptions {
  readonly maxConnectionIdleMs: number | undefined;
  readonly maxConnectionAgeMs: number | undefined;
  readonly maxConnectionAgeGraceMs: number | undefined;
  /** Idle time after which the client is pinged. */
  readonly pingAfterMs: number;
  /** Time for its answer. */
  readonly pingTimeoutMs: number;
  /** Least time between two pings of a client. */
  readonly minPingIntervalMs: number;
  readonly permitWithoutStream: boolean;
}

/** Pings that come too early before the connection is closed. */
const MAX_STRIKES = 2;
/** Between pings of a client without calls that may not ping. */
const IDLE_PING_INTERVAL_MS = 2 * 3_600_000;

interface Watched {
  readonly session: http2.ServerHttp2Session;
  readonly ageMs: number;
  readonly since: number;
  /** Calls under way. */
  calls: number;
  lastActive: number;
  lastPing: number;
  strikes: number;
  pinging: boolean;
  closingSince: number | undefined;
}

/** Closes connections that are idle, old, dead or rude. One timer for all of them. */
export class GrpcKeepalive {
  readonly #options: GrpcKeepaliveOptions;
  readonly #watched = new Map<http2.ServerHttp2Session, Watched>();
  readonly #stepMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GrpcKeepaliveOptions) {
    this.#options = options;
    const limits = [
      options.maxConnectionIdleMs,
      options.maxConnectionAgeMs,
      options.maxConnectionAgeGraceMs,
      options.pingAfterMs,
    ];
    const least = Math.min(...limits.map((limit) => limit ?? Infinity));
    this.#stepMs = Math.min(60_000, Math.max(20, least / 5));
  }

  watch(session: http2.ServerHttp2Session): void {
    const now = performance.now();
    // Ages differ by up to a tenth, so that clients do not all come back at once.
    const ageMs = (this.#options.maxConnectionAgeMs ?? Infinity) * (0.9 + Math.random() * 0.2);
    const watched: Watched = {
      session,
      ageMs,
      since: now,
      calls: 0,
      lastActive: now,
      lastPing: -Infinity,
      strikes: 0,
      pinging: false,
      closingSince: undefined,
    };
    this.#watched.set(session, watched);
    session.on("ping", () => this.#pinged(watched));
    this.#timer ??= setInterval(() => this.check(), this.#stepMs).unref();
  }

  forget(session: http2.ServerHttp2Session): void {
    this.#watched.delete(session);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A call came: the client is alive and may ping again. */
  began(session: http2.ServerHttp2Session): void {
    const watched = this.#watched.get(session);
    if (watched === undefined) return;
    watched.calls += 1;
    watched.strikes = 0;
    watched.lastPing = -Infinity;
  }

  ended(session: http2.ServerHttp2Session): void {
    const watched = this.#watched.get(session);
    if (watched === undefined) return;
    watched.calls -= 1;
    watched.lastActive = performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  check(): void {
    const { maxConnectionIdleMs = Infinity, maxConnectionAgeGraceMs = Infinity, pingAfterMs } = this.#options;
    const now = performance.now();
    for (const watched of this.#watched.values()) {
      const { session } = watched;
      if (watched.closingSince !== undefined) {
        if (now - watched.closingSince >= maxConnectionAgeGraceMs) session.destroy();
        continue;
      }
      const idleMs = watched.calls > 0 ? 0 : now - watched.lastActive;
      if (now - watched.since >= watched.ageMs || idleMs >= maxConnectionIdleMs) {
        watched.closingSince = now;
        session.close();
      } else if (now - watched.lastActive >= pingAfterMs && !watched.pinging) this.#ping(watched);
    }
  }

  #ping(watched: Watched): void {
    watched.pinging = true;
    const { session } = watched;
    const timer = setTimeout(() => session.destroy(), this.#options.pingTimeoutMs).unref();
    session.ping((error) => {
      clearTimeout(timer);
      watched.pinging = false;
      if (error === null) watched.lastActive = performance.now();
    });
  }

  #pinged(watched: Watched): void {
    const { minPingIntervalMs, permitWithoutStream } = this.#options;
    const now = performance.now();
    const idle = watched.calls === 0 && !permitWithoutStream;
    const interval = idle ? IDLE_PING_INTERVAL_MS : minPingIntervalMs;
    if (now - watched.lastPing < interval) watched.strikes += 1;
    watched.lastPing = now;
    if (watched.strikes <= MAX_STRIKES) return;
    watched.session.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from("too_many_pings"));
    watched.session.destroy();
  }
}
