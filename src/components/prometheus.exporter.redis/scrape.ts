import type { RedisConnection } from "#kits/redis-connection";
import { RedisError, type RedisReply } from "#kits/redis-protocol";
import type { RedisArguments } from "./arguments.ts";
import type { RedisPage } from "./redis-page.ts";

/** What one scrape goes through. */
export interface Scrape {
  readonly args: RedisArguments;
  readonly page: RedisPage;
  readonly server: RedisConnection;
  /** Unix time in seconds. */
  now(): number;
  /** A command of one part failed, the rest goes on. `part` is from a small set. */
  note(part: string, problem: string): void;
}

/**
 * The answer to a command, or undefined if the server refuses it. A command that the server does not have at all is no
 * problem: old ones and Sentinels lack some. Rejects when the connection fails.
 */
export async function ask(scrape: Scrape, part: string, words: readonly (string | number)[], hint = "") {
  const [reply] = await scrape.server.pipeline([words]);
  return accepted(scrape, part, reply!, hint);
}

/** The reply if it is no error; notes the error otherwise. */
export function accepted(scrape: Scrape, part: string, reply: RedisReply, hint = ""): RedisReply | undefined {
  if (!(reply instanceof RedisError)) return reply;
  if (!reply.isUnknownCommand) scrape.note(part, `the server refuses it: ${reply.message}${hint}`);
  return undefined;
}

/** The reply if it is a list, else an empty one. */
export function list(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : [];
}

/** Text of strings and numbers; empty for anything else. */
export function text(reply: RedisReply | undefined): string {
  return typeof reply === "string" ? reply : typeof reply === "number" ? String(reply) : "";
}

/** Number of an integer or of its text; undefined for anything else. */
export function integer(reply: RedisReply | undefined): number | undefined {
  if (typeof reply === "number") return reply;
  return typeof reply === "string" && /^[+-]?\d+$/.test(reply) ? Number(reply) : undefined;
}

/** A list of names and values as a map. */
export function fields(reply: RedisReply | undefined): ReadonlyMap<string, RedisReply> {
  const items = list(reply);
  const found = new Map<string, RedisReply>();
  for (let i = 0; i + 1 < items.length; i += 2) found.set(text(items[i]), items[i + 1]!);
  return found;
}
