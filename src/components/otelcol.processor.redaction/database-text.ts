import { withoutRedisValues } from "./redis-text.ts";
import { trimSpace, withoutLiterals } from "./sql-text.ts";

/** Takes the values out of a query. `system` is what the span says of the database, in lower case. */
type Clean = (query: string, system: string) => string;

interface Database {
  readonly clean: Clean;
  /** Attributes with queries. */
  readonly attributes: ReadonlySet<string>;
  /** Values of `db.system.name` and `db.system`. */
  readonly systems: readonly string[];
}

/** The databases in the order in which their cleaners run on texts of unknown origin. */
export const DATABASES = ["sql", "redis", "valkey", "memcached", "mongo", "opensearch", "es"] as const;
export type DatabaseName = (typeof DATABASES)[number];

const KINDS: Readonly<Record<DatabaseName, Pick<Database, "clean" | "systems">>> = {
  sql: { clean: withoutLiterals, systems: ["other_sql", "mysql", "postgresql", "mariadb", "sqlite"] },
  redis: { clean: withoutRedisValues, systems: ["redis"] },
  valkey: { clean: withoutRedisValues, systems: ["valkey"] },
  memcached: { clean: firstLine, systems: ["memcached"] },
  mongo: { clean: withoutJsonValues, systems: ["mongodb"] },
  opensearch: { clean: withoutJsonValues, systems: ["opensearch"] },
  es: { clean: withoutJsonValues, systems: ["elasticsearch"] },
};

export interface DatabaseSettings {
  readonly enabled: boolean;
  readonly attributes: readonly string[];
}

/**
 * Takes values out of queries. Matches processor/redactionprocessor/internal/db, but for two things: `attributes` of
 * `opensearch` and `es` count, which upstream does not look at, and SQL in attributes is read as that of the database that
 * the span names, where upstream goes by the last span name that it cleaned.
 */
export class DatabaseCleaner {
  readonly #databases: readonly Database[];
  readonly #needsSystem: boolean;

  /** Log records need not say which database their attributes are about. */
  constructor(settings: Readonly<Record<DatabaseName, DatabaseSettings>>, needsSystem: boolean) {
    this.#databases = DATABASES.filter((name) => settings[name].enabled).map((name) => ({
      ...KINDS[name],
      attributes: new Set(settings[name].attributes),
    }));
    this.#needsSystem = needsSystem;
  }

  get isEmpty(): boolean {
    return this.#databases.length === 0;
  }

  /** A text that may be of any of the databases. */
  text(text: string): string {
    let cleaned = text;
    for (const { clean } of this.#databases) cleaned = clean(cleaned, "");
    return cleaned;
  }
  /** The value of an attribute beside which the database is named; "" for none. */
  attribute(text: string, key: string, system: string): string {
    if (system !== "") {
      const found = this.#databases.find((each) => each.systems.includes(system) && each.attributes.has(key));
      return found === undefined ? text : found.clean(text, system);
    }
    if (this.#needsSystem) return text;
    let cleaned = text;
    for (const { clean, attributes } of this.#databases) if (attributes.has(key)) cleaned = clean(cleaned, "");
    return cleaned;
  }
  spanName(name: string, system: string): string {
    return this.#databases.find((each) => each.systems.includes(system))?.clean(name, system) ?? name;
  }
}

/** Commands of memcached have their values on lines of their own. */
function firstLine(command: string): string {
  return trimSpace(command.split("\r\n", 1)[0]!);
}

/** JSON without space, with "?" for each text, number, bool and null; keys stay. What is no JSON stays. */
function withoutJsonValues(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = "";
  let at = 0;
  /** For each object or array that is open: whether it is an object. */
  const open: boolean[] = [];
  let isKey = false;
  for (;;) {
    while (at < text.length && " \t\r\n".includes(text[at]!)) at += 1;
    const char = text[at];
    if (char === undefined) return out;
    if ("{}[]:,".includes(char)) {
      out += char;
      at += 1;
      if (char === "{" || char === "[") open.push(char === "{");
      else if (char === "}" || char === "]") open.pop();
      isKey = char !== ":" && open.at(-1) === true;
    } else {
      const end = scalarEnd(text, at);
      out += isKey ? text.slice(at, end) : '"?"';
      at = end;
    }
    // Space after the end stays, as upstream leaves it.
    if (open.length === 0) return out + text.slice(at);
  }
}
function scalarEnd(text: string, from: number): number {
  let at = from + 1;
  if (text[from] === '"') {
    for (; text[at] !== '"'; at++) if (text[at] === "\\") at += 1;
    return at + 1;
  }
  while (at < text.length && /[a-z0-9.+-]/i.test(text[at]!)) at += 1;
  return at;
}
