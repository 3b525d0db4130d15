/**
 * The arguments and blocks that components with an HTTP client share, and their rules.
 * Matches internal/component/common/config/types.go of Alloy and config/http_config.go of prometheus/common.
 *
 *     args: httpClientRules(s.object({ url: s.string(), ...httpClientFields }))
 */
import { type BodySchema, type InferFields, type Suspicion, s } from "#lang/schema";
import { httpUrlProblem } from "./url.ts";

export const TLS_VERSIONS = ["TLS10", "TLS11", "TLS12", "TLS13"] as const;

export const basicAuthSchema = s
  .object({
    username: s.string().default("").doc("User name."),
    password: s.secret().default("").doc("Password."),
    password_file: s.string().default("").doc("File with the password, read for each request."),
  })
  .rule(
    "password_file",
    (a) => a.password.reveal() === "" || a.password_file === "",
    "and `password` exclude each other: at most one of basic_auth password & password_file must be configured",
  )
  .suspect((a) =>
    a.username !== "" && a.password.reveal() === "" && a.password_file === ""
      ? [{ field: "password", message: "is empty", hint: "set `password` or `password_file`" }]
      : [],
  );

const authorizationSchema = s
  .object({
    type: s.string().default("").doc("Scheme of the `Authorization` header; `Bearer` when empty."),
    credentials: s.secret().default("").doc("What follows the scheme."),
    credentials_file: s.string().default("").doc("File with the credentials, read for each request."),
  })
  .rule(
    "credentials_file",
    (a) => a.credentials.reveal() === "" || a.credentials_file === "",
    "and `credentials` exclude each other: at most one of authorization credentials & credentials_file must be configured",
  )
  .rule(
    "type",
    (a) => a.type.trim().toLowerCase() !== "basic",
    'cannot be "basic": use the `basic_auth` block instead',
  );

export const tlsClientConfigSchema = s
  .object({
    ca_pem: s.string().default("").doc("CA certificates in PEM to check the server's certificate against."),
    ca_file: s.string().default("").doc("File of CA certificates to check the server's certificate against."),
    cert_pem: s.string().default("").doc("Client certificate in PEM."),
    cert_file: s.string().default("").doc("File of the client certificate."),
    key_pem: s.secret().default("").doc("Key of the client certificate in PEM."),
    key_file: s.string().default("").doc("File of the client certificate's key."),
    server_name: s.string().default("").doc("Name to ask for and to expect in the server's certificate."),
    insecure_skip_verify: s.bool().default(false).doc("Accept any certificate."),
    min_version: s.oneOf(TLS_VERSIONS).optional().doc("Lowest TLS version to use; TLS 1.2 when left out."),
  })
  .rule(
    "ca_file",
    (a) => a.ca_pem === "" || a.ca_file === "",
    "and `ca_pem` exclude each other: at most one of ca_pem and ca_file must be configured",
  )
  .rule(
    "cert_file",
    (a) => a.cert_pem === "" || a.cert_file === "",
    "and `cert_pem` exclude each other: at most one of cert_pem and cert_file must be configured",
  )
  .rule(
    "key_file",
    (a) => a.key_pem.reveal() === "" || a.key_file === "",
    "and `key_pem` exclude each other: at most one of key_pem and key_file must be configured",
  )
  .rule(
    "key_file",
    (a) => (a.cert_pem === "" && a.cert_file === "") || a.key_pem.reveal() !== "" || a.key_file !== "",
    "or `key_pem` is missing: exactly one of key_pem or key_file must be configured when a client certificate is configured",
  )
  .rule(
    "cert_file",
    (a) => (a.key_pem.reveal() === "" && a.key_file === "") || a.cert_pem !== "" || a.cert_file !== "",
    "or `cert_pem` is missing: exactly one of cert_pem or cert_file must be configured when a client key is configured",
  )
  .suspect(skipsVerification);

/** The warning about `insecure_skip_verify`. */
export function skipsVerification(a: { readonly insecure_skip_verify: boolean }): readonly Suspicion[] {
  if (!a.insecure_skip_verify) return [];
  const message = "has any certificate accepted, also that of somebody in between who reads along";
  return [{ field: "insecure_skip_verify", message, hint: "set `ca_file` to the authority's certificate instead" }];
}

const proxyFields = {
  proxy_url: s.string().optional().doc("HTTP proxy for requests."),
  no_proxy: s
    .string()
    .default("")
    .doc("Comma-separated hosts, domains, addresses and networks that are reached without the proxy."),
  proxy_from_environment: s
    .bool()
    .default(false)
    .doc("Take the proxy from the environment variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY."),
  proxy_connect_header: s.map(s.list(s.secret())).optional().doc("Headers for the proxy, sent with CONNECT requests."),
};

const oauth2Schema = proxyRules(
  s
    .object({
      client_id: s.string().default("").doc("Client id."),
      client_secret: s.secret().default("").doc("Client secret."),
      client_secret_file: s.string().default("").doc("File with the client secret."),
      scopes: s.list(s.string()).optional().doc("Scopes to ask for."),
      token_url: s.string().default("").doc("URL that gives tokens."),
      endpoint_params: s.map(s.string()).optional().doc("Further parameters for the token URL."),
      ...proxyFields,
      tls_config: s.block(tlsClientConfigSchema).doc("TLS towards the token URL."),
    })
    .rule("client_id", (a) => a.client_id !== "", "is missing: oauth2 client_id must be configured")
    .rule(
      "client_secret",
      (a) => a.client_secret.reveal() !== "" || a.client_secret_file !== "",
      "is missing: either oauth2 client_secret or client_secret_file must be configured",
    )
    .rule("token_url", (a) => a.token_url !== "", "is missing: oauth2 token_url must be configured")
    .rule(
      "client_secret_file",
      (a) => a.client_secret.reveal() === "" || a.client_secret_file === "",
      "and `client_secret` exclude each other: at most one of oauth2 client_secret & client_secret_file must be configured",
    ),
);

/** Spread these into the schema of a component or an endpoint. Where Alloy's default of `enable_http2` differs, override it. */
export const httpClientFields = {
  basic_auth: s.block(basicAuthSchema).doc("User name and password for each request."),
  authorization: s.block(authorizationSchema).doc("`Authorization` header for each request."),
  oauth2: s.block(oauth2Schema).doc("Token from an OAuth 2.0 server for each request."),
  bearer_token: s.secret().default("").doc("Bearer token for each request."),
  bearer_token_file: s.string().default("").doc("File with the bearer token, read for each request."),
  ...proxyFields,
  tls_config: s.block(tlsClientConfigSchema).presentByDefault().doc("TLS towards the server."),
  follow_redirects: s.bool().default(true).doc("Follow redirects, up to ten."),
  enable_http2: s.bool().default(true).doc("Use HTTP/2 where the server offers it."),
  http_headers: s.map(s.list(s.secret())).optional().doc("Further headers for each request."),
};

export type HttpClientArguments = InferFields<typeof httpClientFields>;
export type TlsClientConfig = typeof tlsClientConfigSchema.typeOf;
export type ProxyArguments = InferFields<typeof proxyFields>;
export type Oauth2Arguments = typeof oauth2Schema.typeOf;

/** Headers that the client or the protocols set themselves. */
const RESERVED_HEADERS = new Set([
  "authorization",
  "host",
  "content-encoding",
  "content-length",
  "content-type",
  "user-agent",
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "www-authenticate",
  "accept-encoding",
  "x-prometheus-remote-write-version",
  "x-prometheus-remote-read-version",
  "x-prometheus-scrape-timeout-seconds",
  "x-amz-date",
  "x-amz-security-token",
  "x-amz-content-sha256",
]);

/** Adds the rules over the shared fields to a schema that has them. */
export function httpClientRules<T extends HttpClientArguments>(schema: BodySchema<T>): BodySchema<T> {
  const field = (name: keyof HttpClientArguments) => name as keyof T & keyof HttpClientArguments & string;
  return proxyRules(schema)
    .rule(
      field("basic_auth"),
      (a) => authentications(a) <= 1,
      "is one authentication of several: at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file must be configured",
    )
    .rule(
      field("http_headers"),
      (a) => reservedHeader(a.http_headers) === undefined,
      (a) =>
        `has a header that the agent sets itself: setting header "${reservedHeader(a.http_headers)}" is not allowed`,
    );
}

/** How many ways to authenticate are set. */
export function authentications(a: HttpClientArguments): number {
  const given = [
    a.basic_auth !== undefined,
    a.authorization !== undefined,
    a.oauth2 !== undefined,
    a.bearer_token.reveal() !== "",
    a.bearer_token_file !== "",
  ];
  return given.filter(Boolean).length;
}

/** The first header that the agent or the protocols set themselves: Prometheus refuses them too. */
export function reservedHeader(headers: ReadonlyMap<string, unknown> | undefined): string | undefined {
  return [...(headers?.keys() ?? [])].find((name) => RESERVED_HEADERS.has(name.toLowerCase()));
}

function proxyRules<T extends ProxyArguments>(schema: BodySchema<T>): BodySchema<T> {
  const field = (name: keyof ProxyArguments) => name as keyof T & keyof ProxyArguments & string;
  const hasUrl = (a: ProxyArguments) => a.proxy_url !== undefined && a.proxy_url !== "";
  return schema
    .rule(
      field("proxy_url"),
      (a) => !hasUrl(a) || httpUrlProblem(a.proxy_url!) === undefined,
      (a) => httpUrlProblem(a.proxy_url!, "http://host:port or https://host:port")!,
    )
    .rule(
      field("proxy_connect_header"),
      (a) => (a.proxy_connect_header?.size ?? 0) === 0 || a.proxy_from_environment || hasUrl(a),
      "needs a proxy: if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
    )
    .rule(
      field("proxy_from_environment"),
      (a) => !a.proxy_from_environment || !hasUrl(a),
      "and `proxy_url` exclude each other: if proxy_from_environment is configured, proxy_url must not be configured",
    )
    .rule(
      field("no_proxy"),
      (a) => !a.proxy_from_environment || a.no_proxy === "",
      "and `proxy_from_environment` exclude each other: if proxy_from_environment is configured, no_proxy must not be configured",
    )
    .rule(
      field("no_proxy"),
      (a) => a.no_proxy === "" || a.proxy_from_environment || hasUrl(a),
      "needs `proxy_url`: if no_proxy is configured, proxy_url must also be configured",
    );
}
