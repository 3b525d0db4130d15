import * as tls from "node:tls";
import type { WatchedFiles } from "./http-client-files.ts";
import type { TlsClientConfig } from "./http-client-schema.ts";

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
    if (config === undefined || isDefault(config)) return (this.#state ??= { options: { secureContext: defaults() } });
    const ca = config.ca_file === "" ? config.ca_pem : await this.#files.read(config.ca_file, "ca_file");
    const cert = config.cert_file === "" ? config.cert_pem : await this.#files.read(config.cert_file, "cert_file");
    const key = config.key_file === "" ? config.key_pem.reveal() : await this.#files.read(config.key_file, "key_file");
    const parts = [ca, cert, key];
    if (this.#state === undefined || parts.some((part, i) => part !== this.#parts[i])) {
      this.#state = { options: build(config, ca, cert, key) };
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
  if (ca.length > 0) checkPem(ca, "CERTIFICATE", config.ca_file === "" ? "ca_pem" : `ca_file ${config.ca_file}`);
  context.ca = ca.length > 0 ? ca : trusted();
  if (cert.length > 0) {
    checkPem(cert, "CERTIFICATE", config.cert_file === "" ? "cert_pem" : `cert_file ${config.cert_file}`);
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

function checkPem(pem: string | Buffer, kind: string, where: string): void {
  if (!pem.includes(`-----BEGIN ${kind}-----`)) throw new Error(`${where} holds no PEM block of the type ${kind}`);
}

let shared: tls.SecureContext | undefined;

/** One context for all clients without TLS settings: it holds some hundred certificates. */
function defaults(): tls.SecureContext {
  shared ??= tls.createSecureContext({ ca: trusted(), minVersion: "TLSv1.2" });
  return shared;
}

let roots: string[] | undefined;

/** The system's certificates, as Go has it, and Node's own where the system has none. */
function trusted(): string[] {
  if (roots === undefined) {
    try {
      roots = [...new Set([...tls.getCACertificates("system"), ...tls.getCACertificates("default")])];
    } catch {
      roots = tls.getCACertificates("default");
    }
  }
  return roots;
}
