import * as net from "node:net";
import * as tls from "node:tls";
import { watchCertificate } from "#kits/http/client-connect";
import { type CertificateFacts, type ConnectionFacts, explainFailure } from "#kits/http/client-errors";
import type { WatchedFiles } from "#kits/http/client-files";
import type { TlsClientConfig } from "#kits/http/client-schema";
import { TlsSource, type TlsState } from "#kits/http/client-tls";
import { type Probe, ProbeFailure } from "./probe.ts";

/** Connections of probes: each is its own, so that its phases can be told apart. */

const USE = { usePlain: "set `tls: false`", useTls: "set `tls: true`" };
const FILE_ARGUMENTS = { ca: "`ca_file` of tls_config", cert: "`cert_file` of tls_config" };

/** An error of a connection in words. `shown` is what the user calls the server: `host:port`. */
export function explain(error: unknown, shown: string, isSecure: boolean, facts: ConnectionFacts = {}): ProbeFailure {
  if (error instanceof ProbeFailure) return error;
  const url = URL.parse(`${isSecure ? "https" : "http"}://${shown}`);
  if (url === null) return new ProbeFailure((error as Error).message, { cause: error });
  const explained = explainFailure(error, url, { ...USE, fileArguments: FILE_ARGUMENTS, ...facts });
  return new ProbeFailure(explained.message, { cause: error });
}

/** Connects by TCP, or to a Unix socket. Rejects with the socket's error, or with the signal's reason. */
export function connect(options: net.NetConnectOpts, signal: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = net.connect({ ...options, noDelay: true } as net.NetConnectOpts);
    const abort = () => socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    // It stays, so that later errors end nothing else: whoever reads or writes hears of them.
    socket.on("error", (error) => {
      signal.removeEventListener("abort", abort);
      reject(error);
    });
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      resolve(socket);
    });
  });
}

export interface TlsOptions {
  readonly state: TlsState;
  /** The host that the certificate has to be for, unless `server_name` says otherwise. */
  readonly name: string;
  readonly protocols?: readonly string[] | undefined;
  /** What messages call the server. */
  readonly shown: string;
  /** What to do about a server without TLS, where that is not `tls`. */
  readonly hints?: Hints | undefined;
}
export type Hints = Pick<ConnectionFacts, "usePlain" | "useTls">;

/** The TLS state of a `tls_config`. Rejects with a ProbeFailure that names the file at fault. */
export async function tlsState(config: TlsClientConfig, files: WatchedFiles): Promise<TlsState> {
  let source = sources.get(config);
  if (source === undefined) sources.set(config, (source = new TlsSource(config, files)));
  try {
    return await source.current();
  } catch (error) {
    throw new ProbeFailure((error as Error).message, { cause: error });
  }
}

const sources = new WeakMap<TlsClientConfig, TlsSource>();

/** Makes a connection secure. Rejects with a ProbeFailure that says what is wrong with the certificate. */
export function secure(socket: net.Socket, options: TlsOptions, probe: Probe): Promise<tls.TLSSocket> {
  const { state, shown, protocols, hints } = options;
  const { signal } = probe;
  const name = state.options.servername ?? options.name;
  let certificate: CertificateFacts | undefined;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const { servername: _, ...settings } = state.options;
    const secured = tls.connect({
      ...settings,
      socket,
      ...(net.isIP(name) === 0 && { servername: name }),
      ...(protocols !== undefined && { ALPNProtocols: [...protocols] }),
      checkServerIdentity: (_host, peer) => checkName(name, peer),
    });
    const abort = () => secured.destroy(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    watchCertificate(secured, (seen) => {
      certificate = seen;
    });
    let isSettled = false;
    const settle = (action: () => void) => {
      if (isSettled) return;
      isSettled = true;
      signal.removeEventListener("abort", abort);
      action();
    };
    const fail = (error: Error) =>
      settle(() => {
        secured.destroy();
        socket.destroy();
        reject(
          signal.aborted
            ? (signal.reason as Error)
            : explain(error, shown, true, { certificate, tls: state.facts, ...hints }),
        );
      });
    secured.on("error", fail);
    secured.once("close", () => fail(Object.assign(new Error("closed in the handshake"), { code: "ECONNRESET" })));
    secured.once("secureConnect", () => settle(() => resolve(secured)));
  });
}

/** As Go: what has no alternative names is for no host, whatever its common name. */
function checkName(name: string, certificate: tls.PeerCertificate): Error | undefined {
  if (certificate.subjectaltname !== undefined) return tls.checkServerIdentity(name, certificate);
  return new ProbeFailure(
    `the certificate names its host only as its common name (${certificate.subject?.CN ?? ""}), which does not count: it needs subject alternative names`,
  );
}
