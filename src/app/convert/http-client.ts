import { quoteString } from "#lang/literal";
import { copyFields, field, texts } from "./fields.ts";
import type { Body } from "./output.ts";
import { objectOf } from "./output.ts";
import type { Section } from "./settings.ts";

/** The names of settings that `httpClient` takes, for those who have other settings in the same map. */
export const TLS_FIELDS = [
  ...texts("ca>ca_pem", "ca_file", "cert>cert_pem", "cert_file", "key>key_pem", "key_file", "server_name"),
  field("insecure_skip_verify", "flag", false),
];

const PROXY_FIELDS = [...texts("proxy_url", "no_proxy"), field("proxy_from_environment", "flag", false)];

/**
 * Prometheus's `HTTPClientConfig` (prometheus/common config/http_config.go) as arguments and blocks. `usesHttp2` is the
 * default of `enable_http2`, for both.
 */
export function httpClient(section: Section, body: Body, usesHttp2 = true): void {
  copyFields(section, body, [
    ...texts("bearer_token", "bearer_token_file"),
    ...PROXY_FIELDS,
    field("follow_redirects", "flag", true),
    field("enable_http2", "flag", usesHttp2),
  ]);
  textLists(section, "proxy_connect_header", body);
  httpHeaders(section, body);
  const basic = section.section("basic_auth");
  if (basic !== undefined) {
    copyFields(basic, body.block("basic_auth"), texts("username", "password", "password_file"));
    for (const name of ["username_file", "username_ref", "password_ref"]) {
      basic.tell(name, "Error", "there is no such argument; use username, and password or password_file");
    }
    basic.rest();
  }
  const authorization = section.section("authorization");
  if (authorization !== undefined) {
    const rules = [field("type", "text", "", '"Bearer"'), ...texts("credentials", "credentials_file")];
    copyFields(authorization, body.block("authorization"), rules);
    authorization.tell("credentials_ref", "Error", "there is no such argument; use credentials or credentials_file");
    authorization.rest();
  }
  oauth2(section, body);
  tlsConfig(section, body);
}

function oauth2(section: Section, body: Body): void {
  const oauth = section.section("oauth2");
  if (oauth === undefined) return;
  const block = body.block("oauth2");
  copyFields(oauth, block, [
    ...texts("client_id", "client_secret", "client_secret_file"),
    field("scopes", "texts"),
    ...texts("token_url"),
    field("endpoint_params", "textMap"),
    ...PROXY_FIELDS,
  ]);
  textLists(oauth, "proxy_connect_header", block);
  tlsConfig(oauth, block);
  oauth.tell("client_secret_ref", "Error", "there is no such argument; use client_secret or client_secret_file");
  oauth.rest();
}

/** The client of components that have credentials of their own, without those of `httpClient`. */
export function plainHttpClient(section: Section, body: Body): void {
  copyFields(section, body, [
    ...PROXY_FIELDS,
    field("follow_redirects", "flag", true),
    field("enable_http2", "flag", true),
  ]);
  textLists(section, "proxy_connect_header", body);
  httpHeaders(section, body);
  for (const name of ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"]) {
    section.tell(name, "Error", "there is no such argument, since the service has credentials of its own");
  }
  tlsConfig(section, body);
}

export function tlsConfig(section: Section, body: Body): void {
  const tls = section.section("tls_config");
  if (tls === undefined) return;
  const block = body.block("tls_config");
  tlsFields(tls, block);
  tls.rest();
}

/** The fields of a TLS configuration that is not in a map of its own. */
export function tlsFields(tls: Section, block: Body): void {
  copyFields(tls, block, TLS_FIELDS);
  const least = tls.text("min_version");
  block.attribute("min_version", least?.expression);
  tls.tell(
    "max_version",
    "Warning",
    "there is no argument for the newest TLS version that may be used; it is left out, and the newest is used",
  );
  for (const name of ["ca_ref", "cert_ref", "key_ref"]) {
    tls.tell(name, "Error", `there is no such argument; use ${name.replace("_ref", "_file")}`);
  }
}

/** A map whose values are lists of texts. */
export function textLists(section: Section, name: string, body: Body): void {
  const lists = section.section(name);
  if (lists === undefined) return;
  const fields = lists.names.map((key): [string, string] => [key, lists.texts(key, true)?.expression ?? "[]"]);
  body.attribute(name, objectOf(fields));
}

/** `http_headers: {NAME: {values: […], secrets: […], files: […]}}`. */
function httpHeaders(section: Section, body: Body): void {
  const headers = section.section("http_headers");
  if (headers === undefined) return;
  const fields: [string, string][] = [];
  for (const name of headers.names) {
    const header = headers.section(name);
    if (header === undefined) continue;
    const parts = [header.texts("values"), header.texts("secrets")].flatMap((each) => (each ? [each.expression] : []));
    header.tell(
      "files",
      "Error",
      `use a local.file whose content is in http_headers: ${quoteString(name)} = [local.file.NAME.content]`,
    );
    header.rest();
    if (parts.length > 0) fields.push([name, parts.length === 1 ? parts[0]! : `array.concat(${parts.join(", ")})`]);
  }
  body.attribute("http_headers", fields.length === 0 ? undefined : objectOf(fields));
}
