import type { Searchable } from "#base/filter";
import type { LiveItem, Pairs } from "../api/json.ts";

/** Labels and attributes that say how bad it is, where there is none called `level`. */
const LEVEL_FIELDS = ["detected_level", "severity", "severity_text", "lvl"];
/** What a line says of itself: `level=info`, `"level": "info"`. */
const LEVEL_IN_LINE = /\b(?:level|lvl|severity)["']?\s*[=:]\s*["']?([A-Za-z]+)/;

/** The level of something without a field `level`; undefined if nothing tells. */
export function levelOf(field: (name: string) => string | undefined, line: string): string | undefined {
  for (const name of LEVEL_FIELDS) {
    const value = field(name);
    if (value !== undefined) return value;
  }
  return LEVEL_IN_LINE.exec(line)?.[1];
}

/**
 * An item for a filter. Fields are looked for in labels, then in metadata or attributes, then in the resource; what the
 * item itself has (`line`, `name`, `value`, `level`, `type`, `kind`, `status`, `scope`, `trace_id`, `span_id`,
 * `parent_id`) is found where none of these has the name.
 */
export class ItemText implements Searchable {
  readonly #item: LiveItem;
  readonly #pairs: readonly Pairs[];
  readonly #own: ReadonlyMap<string, string>;

  constructor(item: LiveItem) {
    this.#item = item;
    this.#pairs = pairsIn(item);
    this.#own = ownFields(item);
  }

  field(name: string): string | undefined {
    const given = this.#given(name);
    if (given !== undefined) return given;
    const own = this.#own.get(name);
    if (own !== undefined || name !== "level") return own;
    return levelOf((other) => this.#given(other), this.#own.get("line") ?? "");
  }

  contains(pattern: RegExp): boolean {
    for (const [name, text] of this.#own) if (name !== "type" && pattern.test(text)) return true;
    for (const pairs of this.#pairs) for (const name in pairs) if (pattern.test(pairs[name]!)) return true;
    return false;
  }

  #given(name: string): string | undefined {
    for (const pairs of this.#pairs) {
      const value = pairs[name];
      if (value !== undefined) return value;
    }
    return name === "__name__" && this.#item.type === "datapoint" ? this.#item.name : undefined;
  }
}

function pairsIn(item: LiveItem): readonly Pairs[] {
  switch (item.type) {
    case "log":
      return [item.labels, item.metadata];
    case "sample":
    case "profile":
      return [item.labels];
    case "exports":
      return [];
    default:
      return [item.attributes, item.resource];
  }
}

function ownFields(item: LiveItem): ReadonlyMap<string, string> {
  const own = new Map<string, string>([["type", item.type]]);
  switch (item.type) {
    case "log":
      own.set("line", item.line);
      break;
    case "sample":
      own.set("name", item.labels.__name__ ?? "").set("value", item.value);
      break;
    case "span":
      own.set("name", item.name).set("kind", item.kind).set("status", item.status).set("scope", item.scope);
      own.set("trace_id", item.traceId).set("span_id", item.spanId).set("parent_id", item.parentId);
      break;
    case "datapoint":
      own.set("name", item.name).set("kind", item.kind).set("value", item.value).set("scope", item.scope);
      break;
    case "logrecord":
      own.set("line", item.body).set("scope", item.scope).set("trace_id", item.traceId).set("span_id", item.spanId);
      if (item.severity !== "") own.set("level", item.severity);
      break;
    case "profile":
    case "exports":
  }
  return own;
}
