import { errorText } from "#base/log";
import { explainFailure } from "../http/client-errors.ts";
import type { PostgresDataSource, PostgresHost } from "./data-source.ts";
import type { PostgresTls } from "./tls.ts";

/** What kind of failure it was. */
export type PostgresFailure =
  | "connection"
  | "timeout"
  | "tls"
  /** The server does not do TLS. */
  | "no_tls"
  | "password"
  /** The server admits nobody like this: by `pg_hba.conf`, or for a role that is not there. */
  | "access"
  | "database"
  | "session"
  | "busy"
  | "privilege"
  | "query";

/** What the server sends with an error. */
interface ServerError extends Error {
  readonly code?: string;
  readonly hint?: string;
}

/** A failed connection or query. The message says what, why, and what to do where that is known. */
export class PostgresError extends Error {
  override readonly name = "PostgresError";
  readonly kind: PostgresFailure;
  /** The server's code, of five characters. */
  readonly code: string;

  constructor(kind: PostgresFailure, message: string, options?: ErrorOptions, code = "") {
    super(message, options);
    this.kind = kind;
    this.code = code;
  }

  static timeout({ host, port }: PostgresHost, ms: number, cause: unknown): PostgresError {
    return new PostgresError(
      "timeout",
      `${host}:${port} did not accept the connection within ${ms / 1000} s: check the address and the firewall, or set connect_timeout`,
      { cause },
    );
  }

  /** What the server said about a query, or how the connection ended before it did. */
  static ofQuery(error: unknown, isLost: boolean): PostgresError {
    if (error instanceof PostgresError) return error;
    const { code = "", message } = error as ServerError;
    if (isLost && !isServerCode(code)) {
      return new PostgresError("connection", `the connection was lost: ${message}`, { cause: error });
    }
    const kind = code === "42501" ? "privilege" : code.startsWith("57P") ? "connection" : "query";
    const hint = QUERY_HINTS[code];
    return new PostgresError(kind, hint === undefined ? message : `${message}: ${hint}`, { cause: error }, code);
  }
}

const MONITOR = "GRANT pg_monitor to the role of the data source name, or what the message names";

/** What to do, by the server's code. */
const QUERY_HINTS: Readonly<Record<string, string>> = {
  "42501": MONITOR,
  "42P01": "create it, or CREATE EXTENSION if it belongs to one, in the database of the data source name",
  "42883": "CREATE EXTENSION in the database of the data source name if it belongs to one",
  "57014": "the server ended the query; see its statement_timeout",
};

function isServerCode(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
}

/** Why a connection could not be made, in words. */
export function explainPostgres(
  error: unknown,
  source: PostgresDataSource,
  host: PostgresHost,
  tls: PostgresTls | undefined,
): PostgresError {
  if (error instanceof PostgresError) return error;
  const { code = "", message, hint } = error as ServerError;
  const { user, database } = source;
  const place = host.host.startsWith("/") ? `${host.host}/.s.PGSQL.${host.port}` : `${host.host}:${host.port}`;
  const fail = (kind: PostgresFailure, text: string) => new PostgresError(kind, text, { cause: error }, code);
  switch (code) {
    case "28P01":
      return fail("password", `${place} refuses the password of the role "${user}": check both`);
    case "28000":
      return fail("access", refusedAccess(place, message, tls !== undefined));
    case "3D000":
      return fail("database", `${place} has no database "${database}": create it, or name another one`);
    case "42501":
      return fail("privilege", `${place}: ${message}: GRANT CONNECT on the database "${database}" to "${user}"`);
    case "53300":
      return fail(
        "busy",
        `${place} has no connection left (${message}): raise max_connections or its CONNECTION LIMIT`,
      );
    case "57P03":
      return fail("busy", `${place} does not accept connections yet: ${message}`);
    case "ENOENT":
    case "EACCES":
      if (host.host.startsWith("/")) {
        return fail(
          "connection",
          `the socket ${place} ${code === "ENOENT" ? "is not there: is the server running" : "may not be opened: check its permissions"}`,
        );
      }
  }
  if (isServerCode(code)) return fail("connection", `${place}: ${message}${hint === undefined ? "" : ` (${hint})`}`);
  if (message === "The server does not support SSL connections") {
    return fail("no_tls", `${place} does not do TLS: set sslmode=disable, or ssl=on at the server`);
  }
  if (/^SASL/.test(message)) return fail("password", `${place}: the login failed: ${message}`);
  if (host.host.startsWith("/")) return fail("connection", `${place}: ${errorText(error)}`);
  const url = new URL(
    `${tls === undefined ? "http" : "https"}://${/:/.test(host.host) ? `[${host.host}]` : host.host}:${host.port}`,
  );
  const failure = explainFailure(error, url, {
    ...(tls === undefined ? {} : { tls: tls.facts }),
    usePlain: "set sslmode=disable",
    useTls: "set sslmode=require",
  });
  return fail(failure.kind === "tls" ? "tls" : failure.kind === "timeout" ? "timeout" : "connection", failure.message);
}

function refusedAccess(place: string, message: string, isSecure: boolean): string {
  if (/no pg_hba\.conf entry/.test(message)) {
    const advice = isSecure ? "add one there" : "add one there, or set sslmode=require if the server wants TLS";
    return `${place} admits nobody like this: ${message}: ${advice}`;
  }
  return `${place} refuses the login: ${message}`;
}
