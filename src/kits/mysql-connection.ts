import { connect, isIP, type Socket } from "node:net";
import type { Connection, ConnectionOptions, QueryError, SslOptions } from "mysql2";
import { trusted } from "./http/client-tls.ts";
import type { MysqlDsn } from "./mysql-dsn.ts";

/** Longest that connecting and logging in may take where the data source name says nothing. */
const CONNECT_MS = 10_000;
/** Rows of an answer that are kept: far more than tables of statistics have, and little enough to hold. */
const MAX_ROWS = 100_000;
/** The server was asked for TLS and has none: mysql2's code. */
const NO_TLS = "HANDSHAKE_NO_SSL_SUPPORT";
/** The answer took longer than it may: mysql2's code. */
export const QUERY_TIMEOUT = "PROTOCOL_SEQUENCE_TIMEOUT";

/** An answer: texts as the server wrote them, null where it has none. */
export interface MysqlRows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** There were more rows than are kept. */
  readonly isCut: boolean;
}

/** One connection for a few queries, one after the other. */
export class MysqlConnection implements Disposable {
  readonly #connection: Connection;
  readonly #signal: AbortSignal;
  readonly #readTimeoutMs: number | undefined;
  /** Ends the query under way: an answer read row by row does not hear of a lost connection otherwise. */
  #fail: ((error: unknown) => void) | undefined;
  #isLost = false;
  readonly #stop: () => void;

  private constructor(connection: Connection, signal: AbortSignal, readTimeoutMs: number | undefined) {
    this.#connection = connection;
    this.#signal = signal;
    this.#readTimeoutMs = readTimeoutMs;
    this.#stop = () => {
      this.#fail?.(signal.reason);
      connection.destroy();
    };
    connection.on("error", (error: Error) => {
      this.#isLost = true;
      this.#fail?.(error);
    });
    signal.addEventListener("abort", this.#stop, { once: true });
  }

  /** Nothing more can be asked, since the server or the time for an answer ended it. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Connects, logs in and sets the session's variables. The driver is loaded when it is first needed. */
  static async open(dsn: MysqlDsn, signal: AbortSignal): Promise<MysqlConnection> {
    const { default: mysql } = await import("mysql2");
    signal.throwIfAborted();
    let connection: Connection;
    try {
      connection = await connected(mysql.createConnection(options(dsn, dsn.tls !== "off")), signal);
    } catch (error) {
      if ((error as QueryError).code !== NO_TLS || !dsn.allowPlaintext) throw error;
      connection = await connected(mysql.createConnection(options(dsn, false)), signal);
    }
    const opened = new MysqlConnection(connection, signal, dsn.readTimeoutMs);
    try {
      const set = [...dsn.variables].map(([name, value]) => `${name} = ${value}`);
      if (set.length > 0) await opened.query(`SET ${set.join(", ")}`);
    } catch (error) {
      opened[Symbol.dispose]();
      throw error;
    }
    return opened;
  }

  /** Rejects with mysql2's error, which has the server's number in `errno`; `values` take the place of question marks. */
  query(sql: string, values: readonly (string | number)[] = []): Promise<MysqlRows> {
    return new Promise((resolve, reject) => {
      this.#signal.throwIfAborted();
      const rows: (string | null)[][] = [];
      let columns: readonly string[] = [];
      let isCut = false;
      this.#fail = reject;
      const query = this.#connection.query({
        sql,
        values: [...values],
        rowsAsArray: true,
        // Numbers beyond 2^53 and times come as the server wrote them.
        typeCast: (field) => field.string("utf8"),
        ...(this.#readTimeoutMs !== undefined && { timeout: this.#readTimeoutMs }),
      });
      query.on("fields", (fields: readonly { readonly name: string }[] | undefined) => {
        columns = (fields ?? []).map(({ name }) => name);
      });
      query.on("result", (row) => {
        if (!Array.isArray(row)) return; // of statements without rows
        if (rows.length < MAX_ROWS) rows.push(row as unknown as (string | null)[]);
        else isCut = true;
      });
      query.on("error", (error: QueryError) => {
        // The answer that took too long would have to be read before any other.
        if (error.fatal || error.code === QUERY_TIMEOUT) this.#isLost = true;
        reject(error);
      });
      query.on("end", () => {
        resolve({ columns, rows, isCut });
      });
    });
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#stop);
    this.#connection.destroy();
  }
}

function connected(connection: Connection, signal: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      connection.destroy();
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
    // Also keeps errors of later, which queries reject with, from being nobody's.
    connection.on("error", reject);
    connection.connect((error) => {
      signal.removeEventListener("abort", stop);
      if (error === null) resolve(connection);
      else {
        connection.destroy();
        reject(error);
      }
    });
  });
}

function options(dsn: MysqlDsn, isTls: boolean): ConnectionOptions {
  const { user, password, network, address, database, compress } = dsn;
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  return {
    ...(network === "unix" ? { socketPath: address } : { host, port, stream: () => open(host, port) }),
    ...{ user, password, database, compress },
    charset: "utf8mb4",
    connectTimeout: dsn.connectTimeoutMs || CONNECT_MS,
    connectAttributes: Object.fromEntries(dsn.connectionAttributes),
    enableCleartextPlugin: dsn.allowCleartextPasswords,
    // Its other way to read rows writes programs at run time.
    disableEval: true,
    ...(isTls && { ssl: dsn.tls === "verify" ? verified() : unverified() }),
  };
}

// The driver keeps what it builds of the certificates as long as it gets the same object.
let verifiedTls: SslOptions | undefined;
let unverifiedTls: SslOptions | undefined;

function verified(): SslOptions {
  const more = { rejectUnauthorized: true, verifyIdentity: true };
  return (verifiedTls ??= { ca: trusted(), minVersion: "TLSv1.2", ...more });
}
function unverified(): SslOptions {
  return (unverifiedTls ??= { minVersion: "TLSv1.2", rejectUnauthorized: false });
}

/**
 * A socket that knows what its server is called. mysql2 gives TLS no name to verify for an IP address, and Node would
 * then verify the certificate for "localhost"; it asks the socket first.
 */
function open(host: string, port: number): Socket {
  const socket = connect({ host, port, noDelay: true });
  return isIP(host) === 0 ? socket : Object.assign(socket, { _host: host });
}
