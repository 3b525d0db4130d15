import { type Infer, s } from "#lang/schema";

const basicSchema = s.object({
  username: s.string().doc("The user's name."),
  password: s.secret().doc("The user's password."),
});

const filterSchema = s.object({
  paths: s.list(s.string()).default([]).doc("Path prefixes that the filter is about; all paths if empty."),
  authenticate_matching_paths: s
    .bool()
    .default(true)
    .doc("Whether matching paths need authentication, or all but them."),
});

const authSchema = s.object({
  basic: s.block(basicSchema).doc("HTTP basic authentication."),
  filter: s.block(filterSchema).presentByDefault().doc("Which paths need authentication."),
});

/** Go's names of cipher suites. */
const CIPHER_SUITES = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
  "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
  "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
] as const;

const CLIENT_AUTH_TYPES = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;

const TLS_VERSIONS = ["", "TLS10", "TLS11", "TLS12", "TLS13"] as const;

const windowsServerSchema = s.object({
  store: s.string().default("").doc("The certificate store."),
  system_store: s.string().default("").doc("The system store."),
  issuer_common_names: s.list(s.string()).optional().doc("Common names of the issuer."),
  template_id: s.string().default("").doc("The template of the certificate."),
  refresh_interval: s.duration().default("5m").doc("Time between two look-ups."),
});

const windowsClientSchema = s.object({
  issuer_common_names: s.list(s.string()).optional().doc("Common names of the issuer."),
  subject_regex: s.string().default("").doc("What the subject has to match."),
  template_id: s.string().default("").doc("The template of the certificate."),
});

const windowsFilterSchema = s.object({
  server: s.block(windowsServerSchema).required().doc("The server's certificate."),
  client: s.block(windowsClientSchema).required().doc("The clients' certificates."),
});

const hasSecret = (secret: { reveal(): string } | undefined) => secret !== undefined && secret.reveal() !== "";

const tlsSchema = s
  .object({
    cert_pem: s.string().default("").doc("The server's certificate."),
    cert_file: s.string().default("").doc("File with the server's certificate."),
    key_pem: s.secret().default("").doc("The server's private key."),
    key_file: s.string().default("").doc("File with the server's private key."),
    client_ca_pem: s.string().default("").doc("The authority that signs clients' certificates."),
    client_ca_file: s.string().default("").doc("File with the authority that signs clients' certificates."),
    client_auth_type: s.oneOf(CLIENT_AUTH_TYPES).default("NoClientCert").doc("What is asked of clients."),
    cipher_suites: s.list(s.oneOf(CIPHER_SUITES)).default([]).doc("Cipher suites up to TLS 1.2, in Go's names."),
    curve_preferences: s
      .list(s.string())
      .default([])
      .doc("Elliptic curves, by Go's names.")
      .unsupported("OpenSSL's choice of curves is used; leave it out"),
    min_version: s.oneOf(TLS_VERSIONS).default("").doc("Oldest TLS version that clients may use; TLS12 when empty."),
    max_version: s.oneOf(TLS_VERSIONS).default("").doc("Newest TLS version that clients may use."),
    windows_certificate_filter: s
      .block(windowsFilterSchema)
      .doc("Certificates from the Windows store.")
      .unsupported("the Windows certificate store cannot be read"),
  })
  .rule("cert_file", (tls) => tls.cert_pem === "" || tls.cert_file === "", "cannot be given beside `cert_pem`")
  .rule("key_file", (tls) => !hasSecret(tls.key_pem) || tls.key_file === "", "cannot be given beside `key_pem`")
  .rule(
    "client_ca_file",
    (tls) => tls.client_ca_pem === "" || tls.client_ca_file === "",
    "cannot be given beside `client_ca_pem`",
  )
  .rule("cert_file", (tls) => tls.cert_pem !== "" || tls.cert_file !== "", "or `cert_pem` must be given")
  .rule("key_file", (tls) => hasSecret(tls.key_pem) || tls.key_file !== "", "or `key_pem` must be given")
  .rule(
    "client_auth_type",
    (tls) => (tls.client_ca_pem === "" && tls.client_ca_file === "") || tls.client_auth_type !== "NoClientCert",
    "must ask for certificates if `client_ca_pem` or `client_ca_file` is given",
  );

/** `http { … }`: TLS and authentication of the agent's HTTP server. */
export const httpSchema = s.object({
  auth: s.block(authSchema).doc("Who may use the server."),
  tls: s.block(tlsSchema).doc("TLS of the server."),
});

export type HttpArguments = Infer<typeof httpSchema>;
