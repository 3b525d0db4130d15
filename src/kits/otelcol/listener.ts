/** Keeps the servers of a receiver listening. */
import type { TlsOptions } from "node:tls";
import { errorText } from "#base/log";
import type { ComponentContext } from "#pipeline/component";
import { NO_TLS_FACTS, ownCertificateProblem, type TlsFacts } from "../tls-facts.ts";
import { loadServerTls, type TlsServerArguments } from "./tls.ts";

/** Pause before a server that could not listen tries again. */
const LISTEN_RETRY_MS = 5_000;
/** Time for requests under way when a server is replaced. */
const REPLACE_MS = 5_000;

/** What every kind of server can do. */
export interface OtlpServer {
  listen(): Promise<string>;
  close(deadline: AbortSignal): Promise<void>;
  setTls(options: TlsOptions): void;
}

type ListenerContext = Pick<
  ComponentContext,
  "run" | "signal" | "clock" | "log" | "flow" | "health" | "stack" | "rule"
>;

/** Keeps one server listening: tries again while it cannot, reads its certificates again, replaces it. */
export class Listener {
  readonly #ctx: ListenerContext;
  readonly #protocol: string;
  /** Of all listeners of the component, by protocol. */
  readonly #problems: Map<string, string>;
  #stop: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #problem: string | undefined;
  #tlsFacts: TlsFacts = NO_TLS_FACTS;
  #deadline: AbortSignal = AbortSignal.abort();
  /** Where it listens, while it does. */
  address: string | null = null;

  constructor(ctx: ListenerContext, protocol: string, problems: Map<string, string>) {
    this.#ctx = ctx;
    this.#protocol = protocol;
    this.#problems = problems;
    ctx.stack.defer(() => this.close(AbortSignal.abort()));
    ctx.rule(`${protocol}_listener`, () =>
      this.#problem === undefined ? undefined : { state: "failing", cause: this.#problem },
    );
    ctx.rule(`${protocol}_certificate`, () => {
      const problem = ownCertificateProblem(this.#tlsFacts, ctx.clock.now());
      if (problem === undefined) return undefined;
      return { state: "degraded", cause: `${protocol}: ${problem}; clients refuse it` };
    });
  }

  /** Makes and runs a server in place of the one that runs. */
  on(tls: TlsServerArguments | undefined, make: (tls: TlsOptions | undefined) => OtlpServer): void {
    this.#deadline = AbortSignal.timeout(REPLACE_MS);
    const before = this.#stopServer();
    const stop = new AbortController();
    this.#stop = stop;
    this.#ctx.run(async (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#running = promise;
      const end = () => stop.abort();
      signal.addEventListener("abort", end, { once: true });
      try {
        await before;
        await this.#serve(tls, make, stop.signal);
      } finally {
        signal.removeEventListener("abort", end);
        resolve();
      }
    });
  }

  off(): void {
    this.#tlsFacts = NO_TLS_FACTS;
    void this.#stopServer();
  }

  /** Ends the server; requests under way have until `deadline`. */
  async close(deadline: AbortSignal): Promise<void> {
    this.#deadline = deadline;
    await this.#stopServer();
  }

  #stopServer(): Promise<void> {
    const stop = this.#stop;
    this.#stop = undefined;
    stop?.abort();
    return stop === undefined ? Promise.resolve() : this.#running;
  }

  async #serve(
    tls: TlsServerArguments | undefined,
    make: (tls: TlsOptions | undefined) => OtlpServer,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, log } = this.#ctx;
    let server: OtlpServer | undefined;
    while (server === undefined) {
      if (signal.aborted) return;
      try {
        const made = make(tls === undefined ? undefined : await this.#load(tls));
        this.address = await made.listen();
        server = made;
      } catch (error) {
        this.#report(`${this.#protocol}: ${errorText(error)}`);
        await clock.sleep(LISTEN_RETRY_MS, signal).catch(() => {});
      }
    }
    this.#report(undefined);
    log.info("listening", { protocol: this.#protocol, address: this.address });
    try {
      while (!signal.aborted) {
        const interval = tls !== undefined && tls.reload_interval > 0 ? tls.reload_interval : 2 ** 31 - 1;
        await clock.sleep(interval, signal).catch(() => {});
        if (tls !== undefined && !signal.aborted) await this.#reload(server, tls);
      }
    } finally {
      await server.close(this.#deadline);
      this.address = null;
    }
  }

  async #reload(server: OtlpServer, tls: TlsServerArguments): Promise<void> {
    try {
      server.setTls(await this.#load(tls));
    } catch (error) {
      this.#ctx.log.error("certificates could not be read again; the old ones stay", { error: errorText(error) });
    }
  }

  async #load(tls: TlsServerArguments): Promise<TlsOptions> {
    const { options, facts } = await loadServerTls(tls);
    this.#tlsFacts = facts;
    this.#ctx.flow.judge();
    return options;
  }

  /** The component is unhealthy while either of its servers is. */
  #report(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const problems = this.#problems;
    if (problem === undefined) problems.delete(this.#protocol);
    else {
      problems.set(this.#protocol, problem);
      this.#ctx.log.error("the server does not run", { error: problem });
    }
    this.#ctx.flow.judge();
    this.#ctx.health(problems.size === 0 ? undefined : [...problems.values()].join("; "));
  }
}
