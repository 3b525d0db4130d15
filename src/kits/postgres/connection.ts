import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { deadline } from "#pipeline/host";
import type { SqlCell, SqlColumn, SqlKind, SqlResult, SqlSource } from "../sql/result.ts";
import type { PostgresDataSource, PostgresHost, SessionKind, SslMode } from "./data-source.ts";
import { explainPostgres, PostgresError } from "./errors.ts";
import { passfilePassword } from "./passfile.ts";
import { type PostgresTls, postgresTls } from "./tls.ts";

/** How long a server may take to accept a connection where the data source name does not say. */
const CONNECT_TIMEOUT_MS = 5_000;
/** The largest answer to one query, as bytes on the wire; memory takes a few times of it. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** How long the request to end a query may take; nobody waits for it. */
const CANCEL_TIMEOUT_MS = 5_000;
/** How long the server has to close a connection that it was told to. */
const CLOSE_TIMEOUT_MS = 1_000;

/** What a connection of `pg` has beyond its type. */
interface Wire {
  connect(portOrPath: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secret: number): void;
}
interface ClientInternals {
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/** The kinds of types by their object ids; everything else is text. */
const KINDS: ReadonlyMap<number, SqlKind> = new Map([
  [16, "boolean"],
  [20, "integer"],
  [21, "integer"],
  [23, "integer"],
  [700, "float"],
  [701, "float"],
  [1082, "time"],
  [1114, "time"],
  [1184, "time"],
]);
const TIMESTAMP_WITH_ZONE = 1184;
/** Leaves every value as the text that the server sent. */
const AS_TEXT = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;

/** One connection to a PostgreSQL server. Its errors are PostgresErrors, which never hold a password. */
export class PostgresConnection implements SqlSource {
  readonly #client: pg.Client;
  readonly #host: PostgresHost;
  readonly #tls: PostgresTls | undefined;
  #dateStyle = "";
  #lost: Error | undefined;

  private constructor(client: pg.Client, host: PostgresHost, tls: PostgresTls | undefined) {
    this.#client = client;
    this.#host = host;
    this.#tls = tls;
    client.connection.on("parameterStatus", (message: { parameterName: string; parameterValue: string }) => {
      if (message.parameterName === "DateStyle") this.#dateStyle = message.parameterValue;
    });
    // Between queries too, as when the server shuts down.
    client.on("error", (error) => {
      this.#lost ??= error;
    });
    client.on("end", () => {
      this.#lost ??= new Error("the server closed the connection");
    });
  }

  /** Connects to the first host that accepts and fits `target_session_attrs`. Rejects with what the last one said. */
  static async open(source: PostgresDataSource, signal: AbortSignal): Promise<PostgresConnection> {
    const hosts = source.randomHost ? shuffled(source.hosts) : source.hosts;
    // A standby is only preferred: the second round takes any server.
    const rounds = source.session === "prefer-standby" ? (["standby", "any"] as const) : [source.session];
    let last: unknown;
    for (const session of rounds) {
      for (const host of hosts) {
        try {
          return await PostgresConnection.#openFitting(source, host, session, signal);
        } catch (error) {
          last = error;
        }
        signal.throwIfAborted();
      }
    }
    throw last;
  }

  /** Connects to one host, and leaves it again if it does not fit. */
  static async #openFitting(
    source: PostgresDataSource,
    host: PostgresHost,
    session: SessionKind,
    signal: AbortSignal,
  ): Promise<PostgresConnection> {
    const connection = await PostgresConnection.#openHost(source, host, signal);
    try {
      const refusal = await connection.#refusal(session, signal);
      if (refusal !== undefined) throw new PostgresError("session", refusal);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Connects to one host by the ways that `sslmode` allows, in their order. */
  static async #openHost(
    source: PostgresDataSource,
    host: PostgresHost,
    signal: AbortSignal,
  ): Promise<PostgresConnection> {
    const { sslMode } = source;
    if (sslMode !== "prefer" && sslMode !== "allow") return PostgresConnection.#attempt(source, host, sslMode, signal);
    const modes: readonly [SslMode, SslMode] = sslMode === "prefer" ? ["require", "disable"] : ["disable", "require"];
    try {
      return await PostgresConnection.#attempt(source, host, modes[0], signal);
    } catch (error) {
      signal.throwIfAborted();
      // Only what the other way could mend is worth a second attempt; a certificate that is refused is no reason for one.
      if (!(error instanceof PostgresError) || !["no_tls", "access"].includes(error.kind)) throw error;
      return PostgresConnection.#attempt(source, host, modes[1], signal);
    }
  }

  /** One attempt by `mode`, which is neither `prefer` nor `allow`. */
  static async #attempt(
    source: PostgresDataSource,
    host: PostgresHost,
    mode: SslMode,
    signal: AbortSignal,
  ): Promise<PostgresConnection> {
    let tls: PostgresTls | undefined;
    try {
      tls = mode === "disable" ? undefined : await postgresTls(source, host.host, mode);
    } catch (error) {
      throw new PostgresError("tls", (error as Error).message, { cause: error });
    }
    const client = new pg.Client({
      host: host.address ?? host.host,
      port: host.port,
      user: source.user,
      database: source.database,
      password: () => passwordOf(source, host),
      ssl: tls?.options ?? false,
      sslnegotiation: source.sslNegotiation,
      keepAlive: true,
      application_name: source.applicationName,
      options: source.options,
    } as pg.ClientConfig);
    const connection = new PostgresConnection(client, host, tls);
    const timeoutMs = source.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    using limit = deadline(timeoutMs, signal);
    const stop = () => client.connection.stream.destroy(new Error("stopped"));
    limit.signal.addEventListener("abort", stop);
    try {
      await client.connect();
      if (!/^(ISO|$)/.test(connection.#dateStyle)) await client.query("SET DateStyle TO ISO");
      return connection;
    } catch (error) {
      client.connection.stream.destroy();
      signal.throwIfAborted();
      if (limit.signal.aborted) throw PostgresError.timeout(host, timeoutMs, error);
      throw explainPostgres(error, source, host, tls);
    } finally {
      limit.signal.removeEventListener("abort", stop);
    }
  }

  /** Whether queries are pointless. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * The first answer with columns of one or more statements. When `signal` is aborted the server is asked to end the
   * query and the connection is given up.
   */
  async query(text: string, signal: AbortSignal): Promise<SqlResult> {
    signal.throwIfAborted();
    if (this.#lost !== undefined) throw new PostgresError("connection", this.#lost.message, { cause: this.#lost });
    const { stream } = this.#client.connection;
    let bytes = 0;
    let isTooLarge = false;
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES || isTooLarge) return;
      isTooLarge = true;
      this.#giveUp();
    };
    const stop = () => this.#giveUp();
    stream.on("data", count);
    signal.addEventListener("abort", stop);
    try {
      const answer = await this.#client.query<SqlCell[]>({ text, rowMode: "array", types: AS_TEXT });
      return toResult(answer);
    } catch (error) {
      signal.throwIfAborted();
      if (isTooLarge) {
        throw new PostgresError(
          "query",
          `the answer is larger than ${MAX_ANSWER_BYTES} bytes: let the query give less`,
        );
      }
      throw PostgresError.ofQuery(error, this.#lost !== undefined);
    } finally {
      stream.off("data", count);
      signal.removeEventListener("abort", stop);
    }
  }

  /** Takes leave of the server without waiting for it. */
  close(): void {
    this.#lost ??= new Error("the connection is closed");
    this.#client.end().catch(() => {}); // it may be gone already
    delay(CLOSE_TIMEOUT_MS, undefined, { ref: false }).then(() => this.#client.connection.stream.destroy());
  }

  #giveUp(): void {
    this.#lost ??= new Error("the query was given up");
    this.#cancel();
    this.#client.connection.stream.destroy(this.#lost);
  }

  /** Asks the server on a connection of its own to end the query, for it would go on with it otherwise. */
  #cancel(): void {
    const { processID, secretKey } = this.#client as unknown as ClientInternals;
    if (processID === null || secretKey === null) return;
    const connection = new pg.Connection({ ssl: this.#tls?.options ?? false } as pg.ConnectionConfig);
    const wire = connection as unknown as Wire;
    const end = () => void connection.stream.destroy();
    connection.on("error", end); // then the query goes on until the server finds nobody to answer
    connection.on("connect", () => (this.#tls === undefined ? wire.cancel(processID, secretKey) : wire.requestSsl()));
    connection.on("sslconnect", () => wire.cancel(processID, secretKey));
    connection.on("end", end);
    const { address, host, port } = this.#host;
    if (host.startsWith("/") && address === undefined) wire.connect(`${host}/.s.PGSQL.${port}`);
    else wire.connect(port, address ?? host);
    delay(CANCEL_TIMEOUT_MS, undefined, { ref: false }).then(end);
  }

  /** Why a server does not fit `target_session_attrs`; undefined if it does. */
  async #refusal(session: SessionKind, signal: AbortSignal): Promise<string | undefined> {
    if (session === "any") return undefined;
    const { rows } = await this.query(
      "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool",
      signal,
    );
    const isStandby = rows[0]![0] === "true";
    const isReadOnly = isStandby || rows[0]![1] === "true";
    const fits = { primary: !isStandby, standby: isStandby, "read-write": !isReadOnly, "read-only": isReadOnly }[
      session as "primary"
    ];
    return fits ? undefined : `${this.#host.host}:${this.#host.port} is not what target_session_attrs=${session} wants`;
  }
}

async function passwordOf(source: PostgresDataSource, host: PostgresHost): Promise<string> {
  if (source.password !== undefined && source.password !== "") return source.password;
  const { passfile, database, user } = source;
  const password = await passfilePassword(passfile, { host: host.host, port: host.port, database, user });
  if (password === undefined || password === "") {
    throw new PostgresError("password", "the server wants a password, and the data source name has none");
  }
  return password;
}

/** Not one of uniform distribution, but good enough to share load. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, item]) => item);
}

/** Several statements give several answers. */
function toResult(answer: pg.QueryArrayResult<SqlCell[]> | readonly pg.QueryArrayResult<SqlCell[]>[]): SqlResult {
  const first = "length" in answer ? answer.find(({ fields }) => fields.length > 0) : answer;
  if (first === undefined) return { columns: [], rows: [] };
  const columns: SqlColumn[] = first.fields.map(({ name, dataTypeID }) => ({
    name,
    kind: KINDS.get(dataTypeID) ?? "text",
  }));
  for (const [index, { kind }] of columns.entries()) {
    if (kind === "boolean") {
      for (const row of first.rows) if (row[index] !== null) row[index] = row[index] === "t" ? "true" : "false";
    } else if (kind === "time") {
      const hasZone = first.fields[index]!.dataTypeID === TIMESTAMP_WITH_ZONE;
      for (const row of first.rows) if (row[index] !== null) row[index] = toSeconds(row[index]!, hasZone);
    }
  }
  return { columns, rows: first.rows };
}

const parseTime = pg.types.getTypeParser(TIMESTAMP_WITH_ZONE) as unknown as (text: string) => Date | number | null;

/** Whole seconds since 1970 as text; a time without a zone counts as UTC. What is none stays as it is. */
function toSeconds(text: string, hasZone: boolean): string {
  const time = parseTime(
    hasZone || text.endsWith("infinity") ? text : `${text.includes(":") ? text : `${text} 00:00:00`}+00`,
  );
  if (typeof time === "number") return String(time); // infinity
  return time === null ? text : String(Math.floor(time.getTime() / 1000));
}
