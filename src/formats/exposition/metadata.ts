import type { MetricMetadata } from "#pipeline/batch";
import { ExpositionError, unexpected } from "./error.ts";
import { unescapeText } from "./series.ts";
import { TYPES, typeCode } from "./types.ts";

const NAME = /^(?:[a-zA-Z_:][a-zA-Z0-9_:]*|"(?:\\.|[^\\"])*")/;
const KEYWORD = /^#[ \t]+(?:HELP|TYPE|UNIT)[ \t]+/;

/**
 * The family that a HELP, TYPE or UNIT line is about. Prometheus leaves the escapes in quoted names as they are; they
 * count in pages that were `translated`.
 */
export function familyOf(line: string, translated: boolean): string | undefined {
  const keyword = KEYWORD.exec(line)?.[0];
  const name = keyword === undefined ? undefined : NAME.exec(line.slice(keyword.length))?.[0];
  return name === undefined ? undefined : unquoted(name, translated);
}

/** The UNIT line for the family of a TYPE line, as OpenMetrics writes it. */
export function unitLine(typeLine: string, unit: string): Buffer {
  const name = NAME.exec(typeLine.replace(KEYWORD, ""))?.[0] ?? "";
  return Buffer.from(`# UNIT ${name} ${unit}`);
}

function unquoted(name: string, translated: boolean): string {
  if (!name.startsWith('"')) return name;
  const text = name.slice(1, -1);
  return translated && text.includes("\\") ? unescapeText(Buffer.from(text), true).toString() : text;
}

/** Records that are kept for all targets together; beyond that the collection begins anew. */
const MAX_SHARED = 20_000;
const UNKNOWN = { type: "unknown", help: "", unit: "" } as const;

/** Equal records of many targets as one: targets of a kind say the same of their families. */
export class SharedMetadata {
  readonly #known = new Map<string, MetricMetadata>();

  /** The record with this content. */
  of(record: MetricMetadata): MetricMetadata {
    const { family, type, unit, help } = record;
    const key = `${family.length} ${unit.length} ${type} ${family}${unit}${help}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_SHARED) this.#known.clear();
    this.#known.set(key, record);
    return record;
  }
}

/** What a target's pages say about their families (HELP, TYPE, UNIT), and what has changed since somebody asked. */
export class ExpositionMetadata {
  readonly #shared: SharedMetadata;
  /** Undefined for none, here and below: there is one of this for each target. */
  #families: Map<string, MetricMetadata> | undefined;
  #changed: Set<string> | undefined;
  /** Of the page that is read. */
  #declared: Set<string> | undefined;

  constructor(shared: SharedMetadata) {
    this.#shared = shared;
  }

  /** A page begins. */
  begin(): void {
    this.#declared = undefined;
  }

  /**
   * Takes in one comment line, `bytes[start, end)` without its newline. Returns the type that it declares, if it does.
   * Throws an ExpositionError for one that starts like metadata and is none.
   */
  declare(bytes: Buffer, start: number, end: number, openMetrics: boolean, translated = false): string | undefined {
    const line = bytes.toString("utf8", start, end);
    const keyword = (openMetrics ? /^# (HELP|TYPE|UNIT) / : /^#[ \t]+(HELP|TYPE)[ \t]+/).exec(line);
    if (keyword === null) {
      if (openMetrics) throw unexpected("expected a valid start token", bytes, start, start);
      return undefined;
    }
    const kind = keyword[1]!;
    const rest = line.slice(keyword[0].length);
    const name = NAME.exec(rest)?.[0];
    if (name === undefined) {
      throw unexpected(`expected metric name after ${kind}`, bytes, start, start + keyword[0].length);
    }
    const family = unquoted(name, translated);
    if (openMetrics && rest[name.length] !== " ") throw new ExpositionError(`expected text in ${kind}`);
    const text = rest.slice(name.length + 1);
    (this.#declared ??= new Set()).add(family);
    switch (kind) {
      case "TYPE": {
        const code = typeCode(text, openMetrics);
        if (code === 0) throw new ExpositionError(`invalid metric type ${JSON.stringify(text)}`);
        this.#set(family, { type: TYPES[code]! });
        return text;
      }
      case "UNIT":
        if (text !== "" && !translated && !family.endsWith(`_${text}`)) {
          throw new ExpositionError(`unit ${JSON.stringify(text)} not a suffix of metric ${JSON.stringify(family)}`);
        }
        this.#set(family, { unit: text });
        return undefined;
      default:
        this.#set(family, {
          help: text.includes("\\") ? unescapeText(Buffer.from(text), false).toString() : text,
        });
        return undefined;
    }
  }

  /** A comment line has vanished from the page: what it said of its family holds no longer, unless another line says so. */
  forget(line: string): void {
    // The line does not say which format it is of; where that matters, both readings of the name are forgotten.
    for (const translated of [false, true]) {
      const family = familyOf(line, translated);
      if (family === undefined || this.#declared?.has(family)) continue;
      this.#families?.delete(family);
      this.#changed?.delete(family);
    }
  }

  /** The families that changed since the last call. */
  takeChanged(): MetricMetadata[] {
    const changed: MetricMetadata[] = [];
    for (const name of this.#changed ?? []) {
      const family = this.#families?.get(name);
      if (family !== undefined) changed.push(family);
    }
    this.#changed = undefined;
    return changed;
  }

  get(family: string): MetricMetadata | undefined {
    return this.#families?.get(family);
  }

  get size(): number {
    return this.#families?.size ?? 0;
  }

  /** Of all that is known. */
  get characters(): number {
    let sum = 0;
    for (const { type, help, unit } of this.#families?.values() ?? []) sum += type.length + help.length + unit.length;
    return sum;
  }

  #set(family: string, said: Partial<MetricMetadata>): void {
    this.#families ??= new Map();
    const record = this.#shared.of({ ...UNKNOWN, ...this.#families.get(family), family, ...said });
    this.#families.set(record.family, record);
    (this.#changed ??= new Set()).add(record.family);
  }
}
