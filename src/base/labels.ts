/**
 * An immutable set of labels, sorted by name: the identity of a log stream, a series or a target.
 *
 * Names and values lie flat in one array (`name, value, name, value, …`), because that is what encoders, hashes and
 * relabel rules walk over. Never a plain object: names come from outside and may be `__proto__`.
 */
export class Labels implements Iterable<readonly [name: string, value: string]> {
  static readonly empty = new Labels([]);

  /** `name, value, …` in ascending order of names, each name once. */
  readonly flat: readonly string[];
  #text: string | undefined;

  private constructor(flat: readonly string[]) {
    this.flat = flat;
  }

  /** From pairs in any order; of a repeated name the last value wins. Empty values are kept. */
  static from(pairs: Iterable<readonly [string, string]>): Labels {
    const byName = pairs instanceof Map ? (pairs as Map<string, string>) : new Map(pairs);
    if (byName.size === 0) return Labels.empty;
    const flat: string[] = [];
    for (const name of [...byName.keys()].sort()) flat.push(name, byName.get(name)!);
    return new Labels(flat);
  }

  /** From a flat array that is already sorted and free of repeated names. Takes over the array. */
  static fromSorted(flat: readonly string[]): Labels {
    return flat.length === 0 ? Labels.empty : new Labels(flat);
  }

  /** The number of labels. */
  get size(): number {
    return this.flat.length / 2;
  }

  get(name: string): string | undefined {
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return flat[i + 1];
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** A copy with one label set. */
  with(name: string, value: string): Labels {
    return Labels.from([...this, [name, value]]);
  }

  /** A copy with the labels of `others` added; theirs win. */
  merge(others: Labels): Labels {
    if (others.size === 0) return this;
    return this.size === 0 ? others : Labels.from([...this, ...others]);
  }

  /** A copy that holds just the labels that `keep` accepts. */
  filter(keep: (name: string, value: string) => boolean): Labels {
    const kept: string[] = [];
    for (let i = 0; i < this.flat.length; i += 2) {
      if (keep(this.flat[i]!, this.flat[i + 1]!)) kept.push(this.flat[i]!, this.flat[i + 1]!);
    }
    return kept.length === this.flat.length ? this : Labels.fromSorted(kept);
  }

  equals(other: Labels): boolean {
    return this === other || this.toString() === other.toString();
  }

  *[Symbol.iterator](): Iterator<readonly [name: string, value: string]> {
    for (let i = 0; i < this.flat.length; i += 2) yield [this.flat[i]!, this.flat[i + 1]!];
  }

  /** `{a="b", c="d"}`, as Loki and Prometheus write it; also the key of maps. Computed once. */
  toString(): string {
    if (this.#text === undefined) {
      const parts: string[] = [];
      for (let i = 0; i < this.flat.length; i += 2) parts.push(`${this.flat[i]}=${quote(this.flat[i + 1]!)}`);
      this.#text = `{${parts.join(", ")}}`;
    }
    return this.#text;
  }
}

const NEEDS_ESCAPE = /["\\\p{Cc}\p{Cs}]/u;

/** A string in double quotes with Go's escapes (`strconv.Quote`, for the characters that matter in labels). */
export function quote(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  let out = '"';
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (char === '"' || char === "\\") out += `\\${char}`;
    else if (char === "\n") out += "\\n";
    else if (char === "\t") out += "\\t";
    else if (char === "\r") out += "\\r";
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (code >= 0x80 && code < 0xa0) out += `\\u${code.toString(16).padStart(4, "0")}`;
    else if (code >= 0xd800 && code < 0xe000) out += "\ufffd";
    else out += char;
  }
  return `${out}"`;
}
