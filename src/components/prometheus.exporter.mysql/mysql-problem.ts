import { type CertificateFacts, explainFailure } from "#kits/http/client-errors";
import { QUERY_TIMEOUT } from "#kits/mysql-connection";
import type { MysqlDsn } from "#kits/mysql-dsn";

/** An error of mysql2: `errno` is the server's number, or that of the operating system with `syscall`. */
interface DriverError extends Error {
  readonly code?: string;
  readonly errno?: number;
  readonly sqlMessage?: string;
  readonly cert?: CertificateFacts;
}

const ACCESS_DENIED = 1045;

/** What the server has against the login, by its number; `{user}` is the user. */
const LOGIN: ReadonlyMap<number, string> = new Map([
  [1044, "does not let {user} use the database: leave the database out of data_source_name, or grant a right on it"],
  [ACCESS_DENIED, "refuses the login of {user}: user and password do not fit, or the account is for other hosts"],
  [1698, "refuses the login of {user}: the account logs in by the operating system's user; give it a password"],
  [1049, "has no such database: leave it out of data_source_name, which needs none"],
  [1040, "has as many connections as it takes (max_connections)"],
  [1203, "has as many connections of {user} as it takes (max_user_connections)"],
  [1226, "has as many connections of {user} as the account may have: raise MAX_USER_CONNECTIONS"],
  [1129, "has blocked this host after failed connections: run FLUSH HOSTS on it"],
  [1130, "does not let this host connect: create the user for it"],
  [1820, "wants a new password for {user} first"],
  [1862, "says that the password of {user} has expired"],
  [3118, "has locked the account of {user}"],
  [4151, "has locked the account of {user}"],
  [3159, "wants TLS: add tls=true to data_source_name"],
  [4095, "wants TLS: add tls=true to data_source_name"],
]);

/** mysql2 writes a code of its own over that of a failed TLS handshake; OpenSSL's text stays. */
const TLS_CODES: ReadonlyMap<string, string> = new Map([
  ["self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"],
  ["self-signed certificate in certificate chain", "SELF_SIGNED_CERT_IN_CHAIN"],
  ["unable to get local issuer certificate", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
  ["unable to verify the first certificate", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["certificate has expired", "CERT_HAS_EXPIRED"],
  ["certificate is not yet valid", "CERT_NOT_YET_VALID"],
]);

function withTlsCode(error: DriverError): Error {
  if (error.code !== "HANDSHAKE_SSL_ERROR") return error;
  const code = error.cert === undefined ? TLS_CODES.get(error.message) : "ERR_TLS_CERT_ALTNAME_INVALID";
  return Object.assign(new Error(error.message, { cause: error }), { code: code ?? "ERR_TLS" });
}

/** What a refused connection means for the user; nothing of the password is in it. */
export function explainConnection(error: unknown, dsn: MysqlDsn): string {
  const { code = "", errno, message, sqlMessage, cert } = error as DriverError;
  const { address, network, user } = dsn;
  const login = sqlMessage === undefined ? undefined : LOGIN.get(errno ?? 0);
  if (login !== undefined) {
    const hint = errno === ACCESS_DENIED && dsn.tls === "off" ? ", or the server wants TLS (tls=true)" : "";
    return `${address} ${login.replaceAll("{user}", user || "the anonymous user")}${hint}`;
  }
  if (errno === 1193) {
    const hint = "; log_slow_filter needs MariaDB or Percona, and parameters of data_source_name must be its variables";
    return `${address} does not know a variable that is set for the session: ${sqlMessage}${hint}`;
  }
  if (sqlMessage !== undefined) return `${address} answers with an error: ${sqlMessage}`;
  switch (code) {
    case "HANDSHAKE_NO_SSL_SUPPORT":
      return `${address} has no TLS: remove tls=true from data_source_name, or write tls=preferred`;
    case "PROTOCOL_CONNECTION_LOST":
      return `${address} closed the connection: it may not be MySQL, or it is being stopped`;
    case "AUTH_SWITCH_PLUGIN_ERROR":
      return `the login at ${address} failed: ${message}`;
  }
  if (message.includes("mysql_clear_password")) {
    return `${address} wants the password in clear text: add allowCleartextPasswords=true and TLS to data_source_name`;
  }
  if (network === "unix") {
    const why = { ENOENT: "it does not exist", EACCES: "the agent's user may not use it" }[code];
    return `the socket ${address} cannot be used: ${why ?? message}`;
  }
  const url = new URL(`${dsn.tls === "off" ? "http" : "https"}://${address}`);
  return explainFailure(withTlsCode(error as DriverError), url, {
    certificate: cert,
    usePlain: "remove tls from data_source_name",
    useTls: "add tls=true to data_source_name",
    fileArguments: { ca: "its authority among the system's certificates", cert: "another login" },
  }).message;
}

/** What it means that the scrape ended before the server had answered, to the login or to everything. */
export function explainGivenUp({ address }: MysqlDsn, isConnected: boolean): string {
  if (!isConnected) {
    return `${address} had not answered at all when the scrape was given up: see whether it is MySQL, and how busy it is`;
  }
  return `${address} had not answered everything when the scrape was given up: see its scrape_timeout`;
}

/** What a refused query means, as a clause. */
export function explainQuery(error: unknown): string {
  const { errno, code, message, sqlMessage } = error as DriverError;
  if (code === QUERY_TIMEOUT) return "the answer took longer than the readTimeout of data_source_name";
  if (sqlMessage === undefined) return message;
  switch (errno) {
    case 1044:
    case 1142:
    case 1143:
    case 1227:
      return `the user may not ask for it: ${sqlMessage}; grant the right, or disable the collector`;
    case 1054:
    case 1064:
    case 1109:
    case 1146:
    case 1286:
      return `the server does not have it: ${sqlMessage}; disable the collector`;
    case 1205:
      return `it waited for a lock longer than lock_wait_timeout: ${sqlMessage}`;
    default:
      return `the server refuses it: ${sqlMessage}`;
  }
}
