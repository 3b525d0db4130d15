import { PostgresConnection } from "#kits/postgres/connection";
import type { PostgresDataSource } from "#kits/postgres/data-source";
import { PostgresError } from "#kits/postgres/errors";
import type { SqlResult, SqlSource } from "#kits/sql/result";
import { deadline } from "#pipeline/host";
import { parseServerVersion, type ServerVersion } from "./server-version.ts";

/** A database that is asked now and then: the connection is kept, and made again when it is lost. */
export class DatabaseSession implements SqlSource {
  readonly source: PostgresDataSource;
  #connection: PostgresConnection | undefined;
  /** Why no connection could be made since `begin`. */
  #refused: unknown;

  constructor(source: PostgresDataSource) {
    this.source = source;
  }

  /** What messages call it: `db.example:5432/app`. */
  get name(): string {
    return `${this.source.server}/${this.source.database}`;
  }

  /** Begins a round of queries: connects, and gives the server's version. Rejects if there is no connection. */
  async begin(signal: AbortSignal, limitMs: number): Promise<ServerVersion> {
    this.#refused = undefined;
    const wasConnected = this.#connection !== undefined;
    try {
      return await this.#version(signal, limitMs);
    } catch (error) {
      // What was said to a connection that is from before may be about that connection alone.
      if (!wasConnected || this.#connection?.isLost !== true || signal.aborted) throw error;
      return await this.#version(signal, limitMs);
    }
  }

  async #version(signal: AbortSignal, limitMs: number): Promise<ServerVersion> {
    const { rows } = await this.limited("SELECT version(), current_setting('server_version')", signal, limitMs);
    const [version = "", short = ""] = (rows[0] ?? []).map((cell) => cell ?? "");
    const parsed = parseServerVersion(version, short);
    if (parsed === undefined) throw new PostgresError("query", `the server's version cannot be read: ${version}`);
    return parsed;
  }

  /** Answers a query; connects first where that is needed, but tries that once in a round only. */
  async query(text: string, signal: AbortSignal): Promise<SqlResult> {
    if (this.#refused !== undefined) throw this.#refused;
    if (this.#connection === undefined || this.#connection.isLost) {
      this.close();
      try {
        this.#connection = await PostgresConnection.open(this.source, signal);
      } catch (error) {
        if (!signal.aborted) this.#refused = error;
        throw error;
      }
    }
    return this.#connection.query(text, signal);
  }

  /** Answers a query within `limitMs`. */
  async limited(text: string, signal: AbortSignal, limitMs: number): Promise<SqlResult> {
    using limit = deadline(limitMs, signal);
    try {
      return await this.query(text, limit.signal);
    } catch (error) {
      if (!limit.signal.aborted || signal.aborted) throw error;
      throw new PostgresError("timeout", `the server did not answer within ${limitMs / 1000} s`, { cause: error });
    }
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}
