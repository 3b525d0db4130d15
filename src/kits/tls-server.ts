import { readFile, stat } from "node:fs/promises";
import { getCiphers, type SecureContextOptions, type SecureVersion, type TLSSocket, type TlsOptions } from "node:tls";
import type { ClientAuthType, ServerTlsArguments } from "./http/server-schema.ts";
import { inspectTls, type TlsFacts } from "./tls-facts.ts";

/** What a server needs for TLS, from whatever block it was configured in. Files and texts exclude each other. */
export interface ServerTls {
  readonly cert: string;
  readonly certFile: string;
  readonly key: string;
  readonly keyFile: string;
  readonly clientCa: string;
  readonly clientCaFile: string;
  readonly clientAuth: ClientAuthType;
  /** IANA names; empty for the default. */
  readonly cipherSuites: readonly string[];
  readonly minVersion: SecureVersion | undefined;
  readonly maxVersion?: SecureVersion | undefined;
}

const VERSIONS: Readonly<Record<string, SecureVersion>> = {
  VersionTLS10: "TLSv1",
  VersionTLS11: "TLSv1.1",
  VersionTLS12: "TLSv1.2",
  VersionTLS13: "TLSv1.3",
};

/** From the `tls` block of a component's own server. */
export function serverTlsFrom(args: ServerTlsArguments): ServerTls {
  return {
    cert: args.cert_pem,
    certFile: args.cert_file,
    key: args.key_pem.reveal(),
    keyFile: args.key_file,
    clientCa: args.client_ca,
    clientCaFile: args.client_ca_file,
    clientAuth: args.client_auth_type,
    cipherSuites: args.cipher_suites.split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()])),
    minVersion: VERSIONS[args.min_version],
  };
}

/** The options of a TLS server. Rejects with an error that names the file or cipher at fault. */
export async function loadServerTls(
  tls: ServerTls,
): Promise<{ readonly options: TlsOptions; readonly facts: TlsFacts }> {
  const cert = tls.certFile === "" ? tls.cert : await read(tls.certFile, "cert_file");
  const key = tls.keyFile === "" ? tls.key : await read(tls.keyFile, "key_file");
  const context: SecureContextOptions = { cert, key, minVersion: tls.minVersion ?? "TLSv1.2" };
  if (tls.maxVersion !== undefined) context.maxVersion = tls.maxVersion;
  if (tls.cipherSuites.length > 0) context.ciphers = opensslCiphers(tls.cipherSuites);
  const ca = tls.clientCaFile === "" ? tls.clientCa : await read(tls.clientCaFile, "client_ca_file");
  if (ca.length > 0) context.ca = ca;
  const name = (field: string, file: string) => (file === "" ? `${field}_pem` : `${field}_file ${file}`);
  const names = { ca: "client_ca", cert: name("cert", tls.certFile), key: name("key", tls.keyFile) };
  return {
    options: {
      ...context,
      requestCert: tls.clientAuth !== "NoClientCert",
      rejectUnauthorized: tls.clientAuth === "RequireAndVerifyClientCert",
    },
    facts: inspectTls({ ca: "", cert, key, names }),
  };
}

/** Whether a client with this connection may come in; what OpenSSL itself does not decide. */
export function admitsClient(clientAuth: ClientAuthType, socket: TLSSocket): boolean {
  const given = Object.keys(socket.getPeerCertificate() ?? {}).length > 0;
  if (clientAuth === "RequireAnyClientCert") return given;
  if (clientAuth === "VerifyClientCertIfGiven") return !given || socket.authorized;
  return true;
}

/** A text that changes when one of the files does; empty when there are none. */
export async function fileVersions(tls: ServerTls): Promise<string> {
  const files = [tls.certFile, tls.keyFile, tls.clientCaFile].filter((file) => file !== "");
  const versions = await Promise.all(
    files.map(async (file) => {
      const { mtimeMs, size, ino } = await stat(file);
      return `${mtimeMs} ${size} ${ino}`;
    }),
  );
  return versions.join("\n");
}

/** OpenSSL's names for IANA's. Those of TLS 1.3 are always on, as in Go. Throws for one that is unknown. */
export function opensslCiphers(names: readonly string[]): string {
  const known = new Set(getCiphers().map((name) => name.toUpperCase()));
  const modern: string[] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
  const older = names.flatMap((name) => {
    if (modern.includes(name)) return [];
    const openssl = name
      .replace(/^TLS_/, "")
      .replace("_WITH_", "_")
      .replace(/^RSA_/, "")
      .replace(/AES_(\d+)/, "AES$1")
      .replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
      .replace("_CBC_SHA", "_SHA")
      .replaceAll("_", "-");
    if (!known.has(openssl)) throw new Error(`cipher_suites: ${name} is not supported by this build of OpenSSL`);
    return [openssl];
  });
  return [...modern, ...older].join(":");
}

async function read(path: string, argument: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`cannot read ${argument} ${path}`, { cause: error });
  }
}
