/**
 * The `tls` blocks of otelcol components, for servers and for clients, and what Node makes of them.
 * Matches config/configtls of the OpenTelemetry Collector and config_tls.go of Alloy.
 */
import { readFile } from "node:fs/promises";
import * as tls from "node:tls";
import { type BodySchema, type Infer, type InferFields, type Suspicion, s } from "#lang/schema";
import { skipsVerification } from "../http/client-schema.ts";
import { inspectTls, type TlsFacts } from "../tls-facts.ts";

const VERSIONS: ReadonlyMap<string, tls.SecureVersion> = new Map([
  ["1.0", "TLSv1"],
  ["1.1", "TLSv1.1"],
  ["1.2", "TLSv1.2"],
  ["1.3", "TLSv1.3"],
]);
/** The default is shown as the reference has it; configurations write the number alone. */
const VERSION_NAMES = ["", "1.0", "1.1", "1.2", "1.3", "TLS 1.2", "TLS 1.3"] as const;

const CURVES: ReadonlyMap<string, string> = new Map([
  ["X25519", "X25519"],
  ["P256", "P-256"],
  ["P384", "P-384"],
  ["P521", "P-521"],
  ["X25519MLKEM768", "X25519MLKEM768"],
]);

const tpmSchema = s.object({
  enabled: s.bool().default(false).doc("Load the key from a trusted platform module."),
  path: s.string().default("").doc("Path of the TPM device or Unix domain socket."),
  owner_auth: s.string().default("").doc("Owner authorization of the TPM."),
  auth: s.string().default("").doc("Authorization of the key."),
});

const common = {
  ca_pem: s.string().default("").doc("CA certificates in PEM that the other side's certificate is checked against."),
  ca_file: s.string().default("").doc("File of CA certificates that the other side's certificate is checked against."),
  cert_pem: s.string().default("").doc("Own certificate in PEM."),
  cert_file: s.string().default("").doc("File of the own certificate."),
  key_pem: s.secret().default("").doc("Private key in PEM."),
  key_file: s.string().default("").doc("File of the private key."),
  min_version: s.oneOf(VERSION_NAMES).default("TLS 1.2").doc("Lowest TLS version that is accepted."),
  max_version: s.oneOf(VERSION_NAMES).default("TLS 1.3").doc("Highest TLS version that is accepted."),
  reload_interval: s.duration().default("0s").doc("Time after which certificates are read again; 0 for never."),
  cipher_suites: s.list(s.string()).default([]).doc("Cipher suites for TLS 1.2 and below, by their IANA names."),
  include_insecure_cipher_suites: s
    .bool()
    .default(false)
    .doc("Also allow cipher suites that Go counts as insecure.")
    .withoutEffect("all suites in `cipher_suites` are allowed"),
  include_system_ca_certs_pool: s
    .bool()
    .default(false)
    .doc("Trust the system's CA certificates beside the given ones."),
  curve_preferences: s.list(s.string()).default([]).doc("Key exchange groups in order of preference."),
  tpm: s.block(tpmSchema).unsupported("keys in a TPM are not supported; use `key_file`"),
};

/** The `tls` block of servers. */
export const tlsServerSchema = withRules(
  s.object({
    ...common,
    client_ca_file: s
      .string()
      .default("")
      .doc("CA certificates that client certificates are required to be signed by."),
  }),
).suspect((a) => {
  const field = a.ca_file !== "" ? "ca_file" : a.ca_pem !== "" ? "ca_pem" : undefined;
  if (field === undefined) return [];
  const message = "does not have the certificates of clients checked, as in Alloy";
  return [{ field, message, hint: "name the file in `client_ca_file`, or leave it out" }];
});

/** The `tls` block of clients. */
export const tlsClientSchema = withRules(
  s.object({
    ...common,
    insecure: s.bool().default(false).doc("Use no TLS for gRPC. For HTTP the URL decides: `http://` or `https://`."),
    insecure_skip_verify: s.bool().default(false).doc("Accept any certificate of the server."),
    server_name: s.string().default("").doc("Name that the server's certificate must have, instead of the host's."),
  }),
).suspect(skipsVerification);

/** For clients of HTTP: `field` is where their block is. */
export function uselessInsecure(field: string, { insecure }: TlsClientArguments, url: string): readonly Suspicion[] {
  if (!insecure || !/^https:/i.test(url)) return [];
  const message = "has `insecure`, which has no effect: https:// in the URL says that TLS is used";
  return [{ field, message, hint: "write http://, or set `insecure_skip_verify` to take any certificate" }];
}

export type TlsServerArguments = Infer<typeof tlsServerSchema>;
export type TlsClientArguments = Infer<typeof tlsClientSchema>;
type TlsArguments = InferFields<typeof common>;

function withRules<T extends TlsArguments>(schema: BodySchema<T>): BodySchema<T> {
  const given = (text: string) => text !== "";
  const hasCert = (a: TlsArguments) => given(a.cert_pem) || given(a.cert_file);
  const hasKey = (a: TlsArguments) => given(a.key_pem.reveal()) || given(a.key_file);
  return schema
    .rule("ca_pem", (a) => !(given(a.ca_pem) && given(a.ca_file)), "and `ca_file` exclude each other")
    .rule("cert_pem", (a) => !(given(a.cert_pem) && given(a.cert_file)), "and `cert_file` exclude each other")
    .rule("key_pem", (a) => !(given(a.key_pem.reveal()) && given(a.key_file)), "and `key_file` exclude each other")
    .rule("key_file", (a) => !hasCert(a) || hasKey(a), "or `key_pem` is required with a certificate")
    .rule("cert_file", (a) => !hasKey(a) || hasCert(a), "or `cert_pem` is required with a key")
    .rule(
      "curve_preferences",
      (a) => a.curve_preferences.every((name) => CURVES.has(name)),
      `knows ${[...CURVES.keys()].join(", ")}`,
    )
    .rule("min_version", (a) => version(a.min_version, 0) <= version(a.max_version, 9), "is above `max_version`");
}

function version(name: string, otherwise: number): number {
  const digits = name.replace("TLS ", "");
  return digits === "" ? otherwise : Number(digits);
}

function versionOf(name: string): tls.SecureVersion | undefined {
  return VERSIONS.get(name.replace("TLS ", ""));
}

/** What a `tls` block comes to. */
export interface LoadedTls<T> {
  readonly options: T;
  readonly facts: TlsFacts;
}

/** Reads the files that a server's block names. Rejects with an error that names the file. */
export async function loadServerTls(args: TlsServerArguments): Promise<LoadedTls<tls.TlsOptions>> {
  const { options, facts } = await loadCommon(args);
  if (options.cert === undefined) {
    throw new Error("the tls block of a server needs a certificate: set `cert_file` and `key_file`");
  }
  if (args.client_ca_file === "") return { options, facts };
  const ca = await read(args.client_ca_file, "client_ca_file");
  return { options: { ...options, ca, requestCert: true, rejectUnauthorized: true }, facts };
}

/** Reads the files that a client's block names. Rejects with an error that names the file. */
export async function loadClientTls(args: TlsClientArguments): Promise<LoadedTls<tls.ConnectionOptions>> {
  const loaded = await loadCommon(args);
  const options: tls.ConnectionOptions = loaded.options;
  if (args.server_name !== "") options.servername = args.server_name;
  if (args.insecure_skip_verify) options.rejectUnauthorized = false;
  return { options, facts: loaded.facts };
}

async function loadCommon(args: TlsArguments): Promise<LoadedTls<tls.SecureContextOptions>> {
  const ca = args.ca_pem !== "" ? args.ca_pem : await readOptional(args.ca_file, "ca_file");
  const cert = args.cert_pem !== "" ? args.cert_pem : await readOptional(args.cert_file, "cert_file");
  const pem = args.key_pem.reveal();
  const key = pem !== "" ? pem : await readOptional(args.key_file, "key_file");
  const minVersion = versionOf(args.min_version);
  const maxVersion = versionOf(args.max_version);
  const options: tls.SecureContextOptions = {};
  // As in Go: whatever is given as an authority is trusted, also a server's own certificate or an intermediate one.
  if (ca !== undefined) options.allowPartialTrustChain = true;
  if (ca !== undefined) options.ca = args.include_system_ca_certs_pool ? [ca, ...tls.getCACertificates("system")] : ca;
  if (cert !== undefined) options.cert = cert;
  if (key !== undefined) options.key = key;
  if (minVersion !== undefined) options.minVersion = minVersion;
  if (maxVersion !== undefined) options.maxVersion = maxVersion;
  if (args.cipher_suites.length > 0) options.ciphers = ciphers(args.cipher_suites);
  if (args.curve_preferences.length > 0) {
    options.ecdhCurve = args.curve_preferences.map((name) => CURVES.get(name)!).join(":");
  }
  const name = (field: string, file: string) => (file === "" ? `${field}_pem` : `${field}_file ${file}`);
  const names = { ca: name("ca", args.ca_file), cert: name("cert", args.cert_file), key: name("key", args.key_file) };
  return { options, facts: inspectTls({ ca: ca ?? "", cert: cert ?? "", key: key ?? "", names }) };
}

/** OpenSSL's names for IANA's; those of TLS 1.3 are always on, as in Go. */
function ciphers(names: readonly string[]): string {
  const known = new Set(tls.getCiphers().map((name) => name.toUpperCase()));
  const translated = names.map((name) => {
    const openssl = name
      .replace(/^TLS_/, "")
      .replace("_WITH_", "_")
      .replace(/^RSA_/, "")
      .replace(/AES_(\d+)/, "AES$1")
      .replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
      .replace(/_CBC_SHA/, "_SHA")
      .replaceAll("_", "-");
    if (!known.has(openssl)) throw new Error(`cipher_suites: ${name} is not supported here`);
    return openssl;
  });
  return ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", ...translated].join(":");
}

async function readOptional(path: string, field: string): Promise<Buffer | undefined> {
  return path === "" ? undefined : read(path, field);
}

async function read(path: string, field: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`${field}: cannot read ${path}`, { cause: error });
  }
}
