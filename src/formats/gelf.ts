/** Messages of the Graylog Extended Log Format, as Alloy reads and writes them (github.com/grafana/go-gelf v2). */

export interface GelfMessage {
  readonly version: string;
  readonly host: string;
  readonly level: number;
  readonly facility: string;
  /** Seconds since 1970; 0 for none. */
  readonly timestamp: number;
  /** The message as JSON: known fields, then those that begin with `_`; all others are left out. */
  readonly line: string;
}

/** Why a text is no message. */
export class GelfError extends Error {
  override readonly name = "GelfError";
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const LEVELS = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"] as const;

/** Empty for a level that syslog does not have. */
export function gelfLevelName(level: number): string {
  return LEVELS[level] ?? "";
}

/** Reads one message. Throws a GelfError. */
export function parseGelf(text: string): GelfMessage {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new GelfError(`it is no JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new GelfError("it is no JSON object");
  const fields = new Map(Object.entries(value as { readonly [key: string]: Json }));
  const string = (name: string) => field(fields, name, "string", "");
  const number = (name: string) => field(fields, name, "number", 0);
  const version = string("version");
  const host = string("host");
  const short = string("short_message");
  const full = string("full_message");
  const facility = string("facility");
  const timestamp = number("timestamp");
  const level = Math.trunc(number("level"));

  const parts = [
    `"version":${encode(version)}`,
    `"host":${encode(host)}`,
    `"short_message":${encode(short)}`,
    ...(full === "" ? [] : [`"full_message":${encode(full)}`]),
    `"timestamp":${encode(timestamp)}`,
    ...(level === 0 ? [] : [`"level":${encode(level)}`]),
    ...(facility === "" ? [] : [`"facility":${encode(facility)}`]),
    ...members([...fields].filter(([name]) => name.startsWith("_"))),
  ];
  return { version, host, level, facility, timestamp, line: `{${parts.join(",")}}` };
}

function field<T extends "string" | "number", V extends string | number>(
  fields: ReadonlyMap<string, Json>,
  name: string,
  type: T,
  missing: V,
): V {
  const value = fields.get(name);
  if (value === undefined) return missing;
  if (typeof value !== type) throw new GelfError(`invalid type for field ${name}: it must be a ${type}`);
  return value as V;
}

/** JSON as Go writes it: keys sorted, and no characters that HTML gives a meaning. */
function encode(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(encode).join(",")}]`;
  if (typeof value === "object" && value !== null) return `{${members(Object.entries(value)).join(",")}}`;
  const text = JSON.stringify(value);
  if (typeof value !== "string") return text;
  return text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function members(entries: readonly (readonly [string, Json])[]): string[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${encode(name)}:${encode(value)}`);
}
