import { clientDefaults } from "#kits/http/client";
import {
  type HttpClientArguments,
  type Oauth2Arguments,
  reservedHeader,
  TLS_VERSIONS,
  type TlsClientConfig,
} from "#kits/http/client-schema";
import { httpUrlProblem } from "#kits/http/url";
import { Secret } from "#lang/value";
import type { YamlFields } from "./yaml-fields.ts";

/** A header of `http_headers`: what is written, and files that hold further values. */
export interface ExtraHeader {
  readonly name: string;
  readonly values: readonly Secret[];
  readonly files: readonly string[];
}

/** The client settings of an http module: those of the shared client, and what only this file format has. */
export interface ModuleClient {
  readonly client: HttpClientArguments;
  /** The user of `basic_auth` is in this file; empty for one that is written. */
  readonly usernameFile: string;
  readonly headers: readonly ExtraHeader[];
}

const NO_MANAGER = "names a secret of a secret manager, and there is none: write the value, or a file that holds it";
const JWT_FIELDS = [
  ...[
    "client_certificate_key_id",
    "client_certificate_key",
    "client_certificate_key_file",
    "client_certificate_key_ref",
  ],
  ...["signature_algorithm", "iss", "audience", "claims"],
];

/**
 * Reads the fields of prometheus/common's `HTTPClientConfig` (config/http_config.go) that stand in `fields`, with its
 * rules. Throws a ModuleFileError.
 */
export function readClient(fields: YamlFields): ModuleClient {
  const basic = fields.section("basic_auth");
  const authorization = fields.section("authorization");
  const oauth2 = fields.section("oauth2");
  const bearer = fields.secret("bearer_token");
  const bearerFile = fields.text("bearer_token_file");
  const given = [basic, authorization, oauth2, bearer.reveal() || undefined, bearerFile || undefined];
  const names = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
  const used = names.filter((_, i) => given[i] !== undefined);
  if (used.length > 1)
    throw fields.error(used[1]!, `and \`${used[0]}\` exclude each other: credentials are given twice`);

  const usernameFile = basic?.text("username_file") ?? "";
  const headers = readHeaders(fields);
  const client: HttpClientArguments = {
    ...clientDefaults(),
    basic_auth: basic && readBasicAuth(basic),
    authorization: authorization && readAuthorization(authorization),
    oauth2: oauth2 && readOauth2(oauth2),
    bearer_token: bearer,
    bearer_token_file: bearerFile,
    ...readProxy(fields),
    tls_config: readTls(fields.section("tls_config")),
    follow_redirects: fields.flag("follow_redirects", true),
    enable_http2: fields.flag("enable_http2", true),
  };
  return { client, usernameFile, headers };
}

function readBasicAuth(fields: YamlFields): NonNullable<HttpClientArguments["basic_auth"]> {
  fields.refuse(["username_ref", "password_ref"], NO_MANAGER);
  atMostOne(fields, "username", "username_file");
  atMostOne(fields, "password", "password_file");
  const read = {
    username: fields.text("username"),
    password: fields.secret("password"),
    password_file: fields.text("password_file"),
  };
  fields.finish();
  return read;
}

function readAuthorization(fields: YamlFields): NonNullable<HttpClientArguments["authorization"]> {
  fields.refuse(["credentials_ref"], NO_MANAGER);
  atMostOne(fields, "credentials", "credentials_file");
  const read = {
    type: fields.text("type"),
    credentials: fields.secret("credentials"),
    credentials_file: fields.text("credentials_file"),
  };
  if (read.type.trim().toLowerCase() === "basic") throw fields.error("type", 'cannot be "basic": use `basic_auth`');
  fields.finish();
  return read;
}

function readOauth2(fields: YamlFields): Oauth2Arguments {
  fields.refuse(["client_secret_ref"], NO_MANAGER);
  const grant = fields.text("grant_type") || "client_credentials";
  if (grant !== "client_credentials") throw fields.error("grant_type", "can only be client_credentials here");
  fields.refuse(JWT_FIELDS, "belongs to a grant type that is not supported; use client_credentials");
  atMostOne(fields, "client_secret", "client_secret_file");
  const read = {
    client_id: fields.text("client_id"),
    client_secret: fields.secret("client_secret"),
    client_secret_file: fields.text("client_secret_file"),
    scopes: fields.texts("scopes"),
    token_url: fields.text("token_url"),
    endpoint_params: fields.textMap("endpoint_params"),
    ...readProxy(fields),
    tls_config: readTls(fields.section("tls_config")),
  };
  if (read.client_id === "") throw fields.error("client_id", "is missing");
  if (read.token_url === "") throw fields.error("token_url", "is missing");
  const problem = httpUrlProblem(read.token_url);
  if (problem !== undefined) throw fields.error("token_url", problem);
  fields.finish();
  return read;
}

/** A `tls_config`; without it that of a client for which nothing is configured. */
export function readTls(fields: YamlFields | undefined): TlsClientConfig {
  if (fields === undefined) return clientDefaults().tls_config;
  fields.refuse(["ca_ref", "cert_ref", "key_ref"], NO_MANAGER);
  fields.refuse(["max_version"], "is not supported: the newest version that both sides know is used");
  for (const name of ["ca", "cert", "key"]) atMostOne(fields, name, `${name}_file`);
  const hasOwn = (name: string) => fields.text(name) !== "" || fields.text(`${name}_file`) !== "";
  if (hasOwn("cert") && !hasOwn("key")) throw fields.error("key_file", "is missing beside the client certificate");
  if (hasOwn("key") && !hasOwn("cert"))
    throw fields.error("cert_file", "is missing beside the client certificate's key");
  const read: TlsClientConfig = {
    ca_pem: fields.text("ca"),
    ca_file: fields.text("ca_file"),
    cert_pem: fields.text("cert"),
    cert_file: fields.text("cert_file"),
    key_pem: fields.secret("key"),
    key_file: fields.text("key_file"),
    server_name: fields.text("server_name"),
    insecure_skip_verify: fields.flag("insecure_skip_verify", false),
    min_version: fields.isGiven("min_version") ? fields.oneOf("min_version", TLS_VERSIONS, "TLS12") : undefined,
  };
  fields.finish();
  return read;
}

function readProxy(fields: YamlFields) {
  const url = fields.text("proxy_url");
  const noProxy = fields.text("no_proxy");
  const fromEnvironment = fields.flag("proxy_from_environment", false);
  const headers = fields.textLists("proxy_connect_header");
  const problem = url === "" ? undefined : httpUrlProblem(url, "http://host:port or https://host:port");
  if (problem !== undefined) throw fields.error("proxy_url", problem);
  if (fromEnvironment && url !== "") {
    throw fields.error("proxy_from_environment", "and `proxy_url` exclude each other");
  }
  if (fromEnvironment && noProxy !== "") {
    throw fields.error("no_proxy", "has no effect with `proxy_from_environment`: set the variable NO_PROXY");
  }
  if (noProxy !== "" && url === "") throw fields.error("no_proxy", "needs `proxy_url`");
  if (headers.size > 0 && url === "" && !fromEnvironment) {
    throw fields.error("proxy_connect_header", "needs `proxy_url` or `proxy_from_environment`");
  }
  return {
    proxy_url: url === "" ? undefined : url,
    no_proxy: noProxy,
    proxy_from_environment: fromEnvironment,
    proxy_connect_header: new Map([...headers].map(([name, values]) => [name, values.map((each) => new Secret(each))])),
  };
}

function readHeaders(fields: YamlFields): readonly ExtraHeader[] {
  const entries = fields.entries("http_headers");
  const reserved = reservedHeader(new Map(entries));
  if (reserved !== undefined) {
    throw fields.error("http_headers", `has ${JSON.stringify(reserved)}, which the agent sets itself; use \`headers\``);
  }
  return entries.map(([name, header]) => {
    const values = [...header.texts("values"), ...header.texts("secrets")].map((each) => new Secret(each));
    const files = header.texts("files");
    header.finish();
    return { name: name.toLowerCase(), values, files };
  });
}

function atMostOne(fields: YamlFields, first: string, second: string): void {
  if (fields.text(first) === "" || fields.text(second) === "") return;
  throw fields.error(second, `and \`${first}\` exclude each other`);
}
