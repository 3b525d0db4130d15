import * as tls from "node:tls";
import { inspectTls, NO_TLS_FACTS, type TlsFacts } from "../tls-facts.ts";
import type { WatchedFiles } from "./client-files.ts";
import type { TlsClientConfig } from "./client-schema.ts";

const VERSIONS: Readonly<Record<string, tls.SecureVersion>> = {
  TLS10: "TLSv1",
  TLS11: "TLSv1.1",
  TLS12: "TLSv1.2",
  TLS13: "TLSv1.3",
};

/** What `tls.connect` needs, and whether it is the same as before. */
export interface TlsState {
  /** Changes when any file that the configuration names has changed. */
  readonly options: tls.ConnectionOptions;
  readonly facts: TlsFacts;
}

/** Builds the TLS options of a `tls_config` block, again whenever one of its files changed. */
export class TlsSource {
  readonly #config: TlsClientConfig | undefined;
  readonly #files: WatchedFiles;
  #parts: readonly (string | Buffer | undefined)[] = [];
  #state: TlsState | undefined;

  constructor(config: TlsClientConfig | undefined, files: WatchedFiles) {
    this.#config = config;
    this.#files = files;
  }

  /** The current state; the same object until a file changes. Rejects with an error that names the file at fault. */
  async current(): Promise<TlsState> {
    const config = this.#config;
    if (config === undefined || isDefault(config)) {
      return (this.#state ??= { options: { secureContext: defaults() }, facts: NO_TLS_FACTS });
    }
    const ca = config.ca_file === "" ? config.ca_pem : await this.#files.read(config.ca_file, "ca_file");
    const cert = config.cert_file === "" ? config.cert_pem : await this.#files.read(config.cert_file, "cert_file");
    const key = config.key_file === "" ? config.key_pem.reveal() : await this.#files.read(config.key_file, "key_file");
    const parts = [ca, cert, key];
    if (this.#state === undefined || parts.some((part, i) => part !== this.#parts[i])) {
      const facts = inspectTls({ ca, cert, key, names: names(config) });
      this.#state = { options: build(config, ca, cert, key), facts };
      this.#parts = parts;
    }
    return this.#state;
  }
}

function isDefault(config: TlsClientConfig): boolean {
  const { ca_pem, ca_file, cert_pem, cert_file, server_name, insecure_skip_verify, min_version } = config;
  return (
    !insecure_skip_verify && min_version === undefined && !(ca_pem || ca_file || cert_pem || cert_file || server_name)
  );
}

function names({ ca_file, cert_file, key_file }: TlsClientConfig) {
  const name = (field: string, file: string) => (file === "" ? `${field}_pem` : `${field}_file ${file}`);
  return { ca: name("ca", ca_file), cert: name("cert", cert_file), key: name("key", key_file) };
}

function build(
  config: TlsClientConfig,
  ca: string | Buffer,
  cert: string | Buffer,
  key: string | Buffer,
): tls.ConnectionOptions {
  const minVersion = VERSIONS[config.min_version ?? "TLS12"]!;
  const context: tls.SecureContextOptions = { minVersion };
  // OpenSSL refuses what the old versions need unless its security level is lowered.
  if (minVersion === "TLSv1" || minVersion === "TLSv1.1") context.ciphers = "DEFAULT:@SECLEVEL=0";
  context.ca = ca.length > 0 ? ca : trusted();
  // As in Go: whatever is given as an authority is trusted, also a server's own certificate or an intermediate one.
  if (ca.length > 0) context.allowPartialTrustChain = true;
  if (cert.length > 0) {
    context.cert = cert;
    context.key = key;
  }
  let secureContext: tls.SecureContext;
  try {
    secureContext = tls.createSecureContext(context);
  } catch (error) {
    throw new Error(`the certificate or key in tls_config cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const options: tls.ConnectionOptions = { secureContext };
  if (config.server_name !== "") options.servername = config.server_name;
  if (config.insecure_skip_verify) options.rejectUnauthorized = false;
  return options;
}

let shared: tls.SecureContext | undefined;

/** One context for all clients without TLS settings: it holds some hundred certificates. */
function defaults(): tls.SecureContext {
  shared ??= tls.createSecureContext({ ca: trusted(), minVersion: "TLSv1.2" });
  return shared;
}

let roots: string[] | undefined;

/** The system's certificates, as Go has it, and Node's own where the system has none. */
export function trusted(): string[] {
  if (roots === undefined) {
    try {
      roots = [...new Set([...tls.getCACertificates("system"), ...tls.getCACertificates("default")])];
    } catch {
      roots = tls.getCACertificates("default");
    }
  }
  return roots;
}
