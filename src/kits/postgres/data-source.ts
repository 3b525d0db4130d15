import { homedir, userInfo } from "node:os";
import { join } from "node:path";

/**
 * Data source names of PostgreSQL: `postgresql://user:password@host/database?sslmode=…` and `host=… user=…`, with the
 * parameters and environment variables that Go's `lib/pq` knows, which Alloy connects with. Messages of errors never
 * repeat what stands in a data source name, for any part of it may belong to a password.
 */

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

const SESSION_KINDS = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] as const;
export type SessionKind = (typeof SESSION_KINDS)[number];

export interface PostgresHost {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  /** The address to connect to in place of looking up `host`. */
  readonly address: string | undefined;
  readonly port: number;
}

export interface PostgresDataSource {
  readonly hosts: readonly PostgresHost[];
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly passfile: string;
  readonly sslMode: SslMode;
  readonly sslNegotiation: "postgres" | "direct";
  /** Files, or with `sslInline` the PEM texts themselves; empty for those that are not given. */
  readonly sslCert: string;
  readonly sslKey: string;
  readonly sslRootCert: string;
  readonly sslInline: boolean;
  readonly sslMinVersion: string;
  readonly sslMaxVersion: string;
  readonly connectTimeoutMs: number | undefined;
  readonly session: SessionKind;
  readonly randomHost: boolean;
  readonly applicationName: string;
  /** Options for the server's command line, `-c name=value`. */
  readonly options: string;
  /** `host:port` as given, for messages and for the label `server`. */
  readonly server: string;
  /** `postgresql://host:port/database`, for the label `instance`; the port only where one is given. */
  readonly instance: string;
}

/** A data source name that cannot be used. Its message is fit to be shown. */
export class DataSourceError extends Error {
  override readonly name = "DataSourceError";
}

/** Environment variables that stand for parameters. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  PGHOST: "host",
  PGHOSTADDR: "hostaddr",
  PGPORT: "port",
  PGDATABASE: "dbname",
  PGUSER: "user",
  PGPASSWORD: "password",
  PGPASSFILE: "passfile",
  PGOPTIONS: "options",
  PGAPPNAME: "application_name",
  PGSSLMODE: "sslmode",
  PGSSLNEGOTIATION: "sslnegotiation",
  PGSSLCERT: "sslcert",
  PGSSLKEY: "sslkey",
  PGSSLROOTCERT: "sslrootcert",
  PGSSLSNI: "sslsni",
  PGCONNECT_TIMEOUT: "connect_timeout",
  PGTARGETSESSIONATTRS: "target_session_attrs",
  PGLOADBALANCEHOSTS: "load_balance_hosts",
  PGMINPROTOCOLVERSION: "min_protocol_version",
  PGMAXPROTOCOLVERSION: "max_protocol_version",
  PGSERVICE: "service",
  PGKRBSRVNAME: "krbsrvname",
  PGGSSENCMODE: "gssencmode",
  PGREQUIREPEER: "requirepeer",
  PGSSLCRL: "sslcrl",
  PGSSLCRLDIR: "sslcrldir",
  PGCHANNELBINDING: "channel_binding",
  PGREQUIREAUTH: "require_auth",
  PGTZ: "timezone",
  PGGEQO: "geqo",
};

/** Parameters of libpq and `lib/pq` that cannot be honoured here, each with what to do; safety must not be lost unnoticed. */
const REFUSED: Readonly<Record<string, string>> = {
  service: "service files are not read here: write the parameters into the data source name",
  krbsrvname: "Kerberos is not supported: use a password or a client certificate",
  krbspn: "Kerberos is not supported: use a password or a client certificate",
  gssencmode: "Kerberos is not supported: use sslmode",
  requirepeer: "the owner of a Unix socket cannot be checked here: remove it",
  sslcrl: "revocation lists are not supported: remove it",
  sslcrldir: "revocation lists are not supported: remove it",
  sslpassword: "keys with a passphrase are not supported: store the key without one",
  channel_binding: "it cannot be demanded here: remove it, and use sslmode=verify-full",
  require_auth: "it cannot be demanded here: remove it, and use sslmode=verify-full",
};

/** Parameters of `lib/pq` that change nothing here. */
const WITHOUT_EFFECT = new Set(["binary_parameters", "disable_prepared_binary_result", "max_protocol_version"]);

/** Reads a data source name. Throws a DataSourceError for one that cannot be used. */
export function parsePostgresDataSource(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): PostgresDataSource {
  const given = /^postgres(?:ql)?:\/\//.test(text) ? parseUrl(text) : parsePairs(text);
  const parameters = new Map<string, string>();
  for (const [variable, name] of Object.entries(ENVIRONMENT)) {
    const value = environment[variable];
    if (value !== undefined) parameters.set(name, value);
  }
  for (const [name, value] of given) parameters.set(name, value);
  return new Reader(parameters, given).read();
}

/** The same server with another database. */
export function withDatabase(source: PostgresDataSource, database: string): PostgresDataSource {
  return { ...source, database };
}

class Reader {
  readonly #parameters: Map<string, string>;
  readonly #given: ReadonlyMap<string, string>;

  constructor(parameters: Map<string, string>, given: ReadonlyMap<string, string>) {
    this.#parameters = parameters;
    this.#given = given;
  }

  /** Takes every known parameter out; what is left is for the server. */
  read(): PostgresDataSource {
    for (const [name, reason] of Object.entries(REFUSED)) {
      if (this.#take(name) !== undefined) throw new DataSourceError(`the parameter ${name} cannot be used: ${reason}`);
    }
    for (const name of WITHOUT_EFFECT) this.#take(name);
    if (!/^(1.*)?$/.test(this.#take("sslsni") ?? "")) {
      throw new DataSourceError("sslsni=0 is not supported: the server's name is always sent; remove it");
    }
    if ((this.#take("min_protocol_version") ?? "3.0") !== "3.0") {
      throw new DataSourceError("min_protocol_version must be 3.0, the version that is spoken here; remove it");
    }
    const encoding = this.#take("client_encoding") ?? "";
    if (!/^(utf-?8)?$/i.test(encoding)) throw new DataSourceError("client_encoding must be UTF8; remove it");
    const dateStyle = this.#take("datestyle") ?? "ISO, MDY";
    if (dateStyle !== "ISO, MDY") throw new DataSourceError('datestyle must be "ISO, MDY"; remove it');

    const hosts = this.#hosts();
    const isSocket = hosts.every(({ host, address }) => address === undefined && host.startsWith("/"));
    const sslRootCert = this.#take("sslrootcert") ?? "";
    const sslMode = this.#sslMode(sslRootCert);
    const sslNegotiation = this.#oneOf("sslnegotiation", ["postgres", "direct"] as const, "postgres");
    if (sslNegotiation === "direct" && !["require", "verify-ca", "verify-full"].includes(sslMode)) {
      throw new DataSourceError("sslnegotiation=direct needs an sslmode of require, verify-ca or verify-full");
    }
    const user = this.#take("user") || userInfo().username;
    const fallbackName = this.#take("fallback_application_name") ?? "";
    const database = this.#take("dbname") || user;
    return {
      hosts,
      database,
      user,
      password: this.#take("password"),
      passfile: this.#take("passfile") || join(homedir(), ".pgpass"),
      sslMode: isSocket ? "disable" : sslMode,
      sslNegotiation,
      sslCert: this.#take("sslcert") ?? "",
      sslKey: this.#take("sslkey") ?? "",
      sslRootCert,
      sslInline: ["true", "1", "yes", "on"].includes((this.#take("sslinline") ?? "").toLowerCase()),
      sslMinVersion: this.#tlsVersion("ssl_min_protocol_version"),
      sslMaxVersion: this.#tlsVersion("ssl_max_protocol_version"),
      connectTimeoutMs: this.#timeout(),
      session: this.#oneOf("target_session_attrs", SESSION_KINDS, "any"),
      randomHost: this.#oneOf("load_balance_hosts", ["disable", "random"] as const, "disable") === "random",
      applicationName: this.#take("application_name") ?? fallbackName,
      options: this.#options(),
      server: `${this.#given.get("host") ?? "localhost"}:${this.#given.get("port") ?? "5432"}`,
      instance: this.#instance(),
    };
  }

  #take(name: string): string | undefined {
    const value = this.#parameters.get(name);
    this.#parameters.delete(name);
    return value;
  }

  #oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    const value = this.#take(name);
    if (value === undefined || value === "") return otherwise;
    const found = values.find((each) => each === value);
    if (found === undefined) throw new DataSourceError(`${name} must be one of ${values.join(", ")}`);
    return found;
  }

  #sslMode(rootCertificate: string): SslMode {
    const isGiven = (this.#parameters.get("sslmode") ?? "") !== "";
    const mode = this.#oneOf("sslmode", SSL_MODES, "require");
    if (rootCertificate !== "system") return mode;
    if (isGiven && mode !== "verify-full") {
      throw new DataSourceError("sslrootcert=system needs sslmode=verify-full: anybody can have such a certificate");
    }
    return "verify-full";
  }

  #tlsVersion(name: string): string {
    const value = this.#take(name) ?? "";
    if (!/^(TLSv1(\.[123])?|TLSv1\.0|)$/.test(value)) throw new DataSourceError(`${name} must be TLSv1.2 or TLSv1.3`);
    return value === "TLSv1.0" ? "TLSv1" : value;
  }

  #timeout(): number | undefined {
    const text = this.#take("connect_timeout") ?? "";
    if (text === "") return undefined;
    if (!/^-?\d+$/.test(text)) throw new DataSourceError("connect_timeout must be a whole number of seconds");
    const seconds = Number(text);
    return seconds > 0 ? seconds * 1000 : undefined;
  }

  #hosts(): PostgresHost[] {
    const names = (this.#take("host") ?? "").split(",");
    const addressText = this.#take("hostaddr") ?? "";
    const addresses = addressText === "" ? [] : addressText.split(",");
    const ports = (this.#take("port") ?? "").split(",");
    const count = Math.max(names.length, addresses.length);
    if (names.length > 1 && addresses.length > 0 && names.length !== addresses.length) {
      throw new DataSourceError("host and hostaddr must name the same number of servers");
    }
    if (ports.length > 1 && ports.length !== count) {
      throw new DataSourceError("port must have one number for all hosts, or as many as there are hosts");
    }
    return Array.from({ length: count }, (_, i) => {
      const port = ports.length === 1 ? ports[0]! : ports[i]!;
      if (port !== "" && !(/^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536)) {
        throw new DataSourceError("the port must be a number between 1 and 65535");
      }
      return {
        host: (names.length === 1 ? names[0] : names[i]) || "localhost",
        address: addresses[i] || undefined,
        port: port === "" ? 5432 : Number(port),
      };
    });
  }

  /** What is left are run-time parameters of the server, such as `search_path`. */
  #options(): string {
    const words = [this.#take("options") ?? ""];
    for (const [name, value] of this.#parameters) {
      if (!/^[a-z_][\w.]*$/i.test(name)) throw new DataSourceError("it has a parameter whose name cannot be one");
      words.push(`-c ${name}=${value.replace(/[\s\\]/g, "\\$&")}`);
    }
    return words.filter((word) => word !== "").join(" ");
  }

  /** Matches `InstanceKey` of Alloy's `internal/static/integrations/postgres_exporter/postgres_exporter.go`. */
  #instance(): string {
    const host = this.#given.get("host");
    const port = this.#given.get("port");
    const place = host === undefined ? "localhost:5432" : port === undefined ? host : `${host}:${port}`;
    return `postgresql://${place}/${this.#given.get("dbname") ?? ""}`;
  }
}

const ESCAPE = "escape special characters of user and password with encoding.url_encode";

function parseUrl(text: string): Map<string, string> {
  const rest = text.slice(text.indexOf("//") + 2);
  const [beforeQuery, query = ""] = splitOnce(splitOnce(rest, "#")[0], "?");
  const [authority, path = ""] = splitOnce(beforeQuery, "/");
  if (path.includes("@") || query.split("&").some((pair) => splitOnce(pair, "=")[0].includes("@"))) {
    throw new DataSourceError(`it has an @ behind the first / or ?: ${ESCAPE}`);
  }
  const found = new Map<string, string>();
  const set = (name: string, value: string) => {
    if (value !== "") found.set(name, value);
  };
  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    const [user, password = ""] = splitOnce(authority.slice(0, at), ":");
    set("user", decode(user));
    set("password", decode(password));
  }
  const place = /^(\[[^\]]*\]|[^:]*)(?::([\d,]*))?$/.exec(authority.slice(at + 1));
  if (place === null) throw new DataSourceError(`its host and port cannot be read: ${ESCAPE}`);
  set("host", decode(place[1]!.replace(/^\[|\]$/g, "")));
  set("port", place[2] ?? "");
  set("dbname", decode(path));
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const [name, value = ""] = splitOnce(pair, "=");
    set(decode(name.replaceAll("+", " ")), decode(value.replaceAll("+", " ")));
  }
  return found;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new DataSourceError(`it has a % that no two hexadecimal digits follow: ${ESCAPE}`, { cause: error });
  }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

/** `name = value name='value with \' and spaces'`, as libpq's `conninfo_parse` reads it. */
function parsePairs(text: string): Map<string, string> {
  const pair =
    /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\[\s\S])*)'|((?:[^\s'\\]|\\[\s\S])(?:[^\s\\]|\\[\s\S])*)|(?=\s|$))\s*/y;
  const found = new Map<string, string>();
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (match === null) {
      throw new DataSourceError(
        "it is neither a URL that begins with postgresql:// nor a list of name=value; put values with spaces in single quotes",
      );
    }
    const value = match[2] ?? match[3] ?? "";
    found.set(match[1]!, value.replace(/\\([\s\S])/g, "$1"));
  }
  if (found.size === 0) throw new DataSourceError("it is empty");
  return found;
}
