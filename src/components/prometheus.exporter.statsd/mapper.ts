import { fillIn, Globs } from "./glob.ts";
import type { EventKind } from "./line.ts";
import type { Mapping, MappingConfig } from "./mapping-config.ts";

export interface Mapped {
  readonly mapping: Mapping;
  /** The metric's name; empty if the mapping makes none. */
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
}

export type CacheType = "lru" | "random";

/** What mappings make of names of StatsD, with a memory of the names that were seen. */
export class Mapper {
  readonly #globs: ReadonlyMap<EventKind, Globs<Mapping>>;
  readonly #regexes: readonly Mapping[];
  readonly #cache: MappingCache | undefined;

  constructor(config: MappingConfig, cacheSize: number, cacheType: CacheType) {
    const globs = new Map<EventKind, Globs<Mapping>>();
    for (const kind of ["counter", "gauge", "observer"] as const) {
      const own = config.mappings.filter((each) => each.regex === undefined && (each.kind ?? kind) === kind);
      globs.set(
        kind,
        new Globs(
          own.map((each) => [each.match, each] as const),
          config.unordered,
        ),
      );
    }
    this.#globs = globs;
    this.#regexes = config.mappings.filter(({ regex }) => regex !== undefined);
    this.#cache = cacheSize > 0 ? new MappingCache(cacheSize, cacheType) : undefined;
  }

  get cache(): { readonly length: number; readonly gets: number; readonly hits: number } | undefined {
    return this.#cache;
  }

  /** Undefined for names that no mapping matches. Globs come before regular expressions. */
  find(name: string, kind: EventKind): Mapped | undefined {
    const key = `${kind}.${name}`;
    const known = this.#cache?.get(key);
    if (known !== undefined) return known ?? undefined;
    const found = this.#findGlob(name, kind) ?? this.#findRegex(name, kind);
    this.#cache?.add(key, found);
    return found;
  }

  #findGlob(name: string, kind: EventKind): Mapped | undefined {
    const match = this.#globs.get(kind)!.find(name);
    if (match === undefined) return undefined;
    const { value: mapping, captures } = match;
    return mapped(mapping, (template) => fillIn(template, captures));
  }

  #findRegex(name: string, kind: EventKind): Mapped | undefined {
    for (const mapping of this.#regexes) {
      if (mapping.kind !== undefined && mapping.kind !== kind) continue;
      const regex = mapping.regex!;
      const match = regex.exec(name);
      if (match !== null) return mapped(mapping, (template) => regex.expand(template, match));
    }
    return undefined;
  }
}

function mapped(mapping: Mapping, fill: (template: string) => string): Mapped {
  const labels = new Map<string, string>();
  for (const [label, template] of mapping.labels) labels.set(label, fill(template));
  return { mapping, name: fill(mapping.name), labels };
}

/** Marks names that no mapping matches. */
const NONE = Symbol("none");

/** A bounded memory that forgets what was not used for longest, or anything. */
class MappingCache {
  readonly #limit: number;
  readonly #type: CacheType;
  readonly #entries = new Map<string, Mapped | typeof NONE>();
  /** All keys, for a random choice among them. */
  readonly #keys: string[] = [];
  gets = 0;
  hits = 0;

  constructor(limit: number, type: CacheType) {
    this.#limit = limit;
    this.#type = type;
  }

  get length(): number {
    return this.#entries.size;
  }

  /** Undefined for what is not known, null for names without a mapping. */
  get(key: string): Mapped | null | undefined {
    this.gets += 1;
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.hits += 1;
    if (this.#type === "lru") {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry === NONE ? null : entry;
  }

  add(key: string, found: Mapped | undefined): void {
    if (this.#entries.size >= this.#limit) this.#evict();
    this.#entries.set(key, found ?? NONE);
    if (this.#type === "random") this.#keys.push(key);
  }

  #evict(): void {
    if (this.#type === "lru") {
      this.#entries.delete(this.#entries.keys().next().value!);
      return;
    }
    const at = Math.floor(Math.random() * this.#keys.length);
    this.#entries.delete(this.#keys[at]!);
    const last = this.#keys.pop()!;
    if (at < this.#keys.length) this.#keys[at] = last;
  }
}
