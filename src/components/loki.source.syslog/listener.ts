import type { TlsOptions } from "node:tls";
import { errorText } from "#base/log";
import { NO_TLS_FACTS, ownCertificateProblem, type TlsFacts } from "#kits/tls-facts";
import { fileVersions, loadServerTls, type ServerTls } from "#kits/tls-server";
import type { ComponentContext } from "#pipeline/component";
import { type ListenerArguments, wantsTls } from "./arguments.ts";
import { Hostnames } from "./hostnames.ts";
import type { ListenerShared } from "./intake.ts";
import { TcpListener } from "./tcp.ts";
import { UdpListener } from "./udp.ts";

/** Pause before a listener that could not listen tries again. */
const RETRY_MS = 5_000;
/** How often files of certificates are looked at. */
const RELOAD_MS = 60_000;
const DEFAULT_LENGTH = 8_192;
const DEFAULT_IDLE_MS = 120_000;

const VERSIONS = { TLS10: "TLSv1", TLS11: "TLSv1.1", TLS12: "TLSv1.2", TLS13: "TLSv1.3" } as const;

type ListenerContext = Pick<ComponentContext, "clock" | "signal" | "run">;

/** Keeps one `listener` block listening until it is closed. */
export class Listener {
  readonly #ctx: ListenerContext;
  readonly #args: ListenerArguments;
  readonly #shared: ListenerShared;
  readonly #hostnames: Hostnames;
  readonly #tls: ServerTls | undefined;
  readonly #stop = new AbortController();
  #facts: TlsFacts = NO_TLS_FACTS;
  #running: Promise<void> = Promise.resolve();
  #open: TcpListener | UdpListener | undefined;
  /** Where it listens, while it does. */
  address: string | undefined;

  constructor(ctx: ListenerContext, args: ListenerArguments, shared: ListenerShared) {
    this.#ctx = ctx;
    this.#args = args;
    this.#shared = shared;
    this.#hostnames = new Hostnames(args.udp_host_cache_size || 128);
    this.#tls = args.protocol === "tcp" && wantsTls(args.tls_config) ? serverTls(args.tls_config) : undefined;
  }

  /** `tcp 127.0.0.1:601`, as far as is known. */
  get name(): string {
    return `${this.#args.protocol} ${this.address ?? this.#args.address}`;
  }
  get reader(): ListenerShared["reader"] {
    return this.#shared.reader;
  }
  /** What is wrong with the certificate. */
  certificateProblem(now: number): string | undefined {
    return ownCertificateProblem(this.#facts, now);
  }

  /** Counts the datagrams that the system has thrown away. */
  async countLosses(): Promise<void> {
    if (this.#open instanceof UdpListener) await this.#open.countLosses();
  }

  start(before: Promise<unknown> = Promise.resolve()): void {
    this.#ctx.run(async (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#running = promise;
      const end = () => this.#stop.abort();
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
      try {
        await before;
        await this.#keepListening(this.#stop.signal);
      } finally {
        signal.removeEventListener("abort", end);
        this.#hostnames.close();
        resolve();
      }
    });
  }

  /** Takes no more; resolves once what had come is delivered. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #keepListening(stop: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    const { status } = this.#shared;
    while (!stop.aborted) {
      let open: TcpListener | UdpListener;
      let versions = "";
      try {
        if (this.#tls !== undefined) versions = await fileVersions(this.#tls);
        open = await this.#create();
        this.address = await open.listen();
      } catch (error) {
        status.listener(this.#args.address, errorText(error));
        await clock.sleep(RETRY_MS, stop).catch(() => {});
        continue;
      }
      this.#open = open;
      status.listener(this.#args.address, undefined);
      status.log.info("syslog listening on address", {
        address: this.address,
        protocol: this.#args.protocol,
        tls: this.#tls !== undefined,
      });
      while (!stop.aborted) {
        await clock.sleep(RELOAD_MS, stop).catch(() => {});
        if (!stop.aborted && open instanceof TcpListener) versions = await this.#reload(open, versions);
      }
      this.#open = undefined;
      await open.close();
      this.address = undefined;
    }
    status.listener(this.#args.address, undefined);
  }

  async #create(): Promise<TcpListener | UdpListener> {
    const { address, protocol, syslog_format, raw_format_options, idle_timeout, udp_queue_size } = this.#args;
    const framing = {
      raw: syslog_format === "raw",
      delimiter: raw_format_options?.use_null_terminator_delimiter ? 0 : 10,
      maxLength: this.#args.max_message_length > 0 ? this.#args.max_message_length : DEFAULT_LENGTH,
    };
    const common = { ...this.#shared, address, framing, hostnames: this.#hostnames };
    if (protocol === "udp") return new UdpListener({ ...common, queueSize: udp_queue_size });
    const tls = this.#tls === undefined ? undefined : await this.#load(this.#tls);
    return new TcpListener({ ...common, tls, idleMs: idle_timeout > 0 ? idle_timeout : DEFAULT_IDLE_MS });
  }

  async #load(tls: ServerTls): Promise<TlsOptions> {
    const { options, facts } = await loadServerTls(tls);
    this.#facts = facts;
    return options;
  }

  /** Reads certificates again that have changed. */
  async #reload(open: TcpListener, before: string): Promise<string> {
    if (this.#tls === undefined) return before;
    try {
      const versions = await fileVersions(this.#tls);
      if (versions !== before) open.setTls(await this.#load(this.#tls));
      return versions;
    } catch (error) {
      this.#shared.status.log.error("certificates could not be read again; the old ones stay", {
        error: errorText(error),
      });
      return before;
    }
  }
}

function serverTls(tls: ListenerArguments["tls_config"]): ServerTls {
  const hasAuthority = tls.ca_file !== "" || tls.ca_pem !== "";
  return {
    cert: tls.cert_pem,
    certFile: tls.cert_file,
    key: tls.key_pem.reveal(),
    keyFile: tls.key_file,
    clientCa: tls.ca_pem,
    clientCaFile: tls.ca_file,
    clientAuth: hasAuthority ? "RequireAndVerifyClientCert" : "NoClientCert",
    cipherSuites: [],
    minVersion: tls.min_version === undefined ? undefined : VERSIONS[tls.min_version],
  };
}
