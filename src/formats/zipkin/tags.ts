import { compareUtf8 } from "../otlp/value-text.ts";

/** A tag that all spans of a scope have. */
export interface SharedTag {
  readonly key: string;
  readonly value: string;
  /** What a writer keeps of it: its text, or its message. */
  kept: string | Uint8Array | undefined;
}

/** Takes tags in the order of their keys. */
export interface TagWriter {
  shared(tag: SharedTag): void;
  own(key: string, value: string): void;
}

/**
 * The tags of spans: those that all spans of a scope have, which are sorted and written only once, and on top of them
 * those of a span.
 */
export class ZipkinTags {
  readonly #shared = new Map<string, SharedTag>();
  #sorted: readonly SharedTag[] = [];
  /** Null for a shared one that was taken out. */
  readonly #own = new Map<string, string | null>();

  /** Sets the tags of the spans that follow. */
  share(tags: ReadonlyMap<string, string>): void {
    this.#shared.clear();
    for (const [key, value] of tags) this.#shared.set(key, { key, value, kept: undefined });
    this.#sorted = [...this.#shared.values()].sort((a, b) => compareUtf8(a.key, b.key));
  }
  /** Begins another span. */
  begin(): void {
    this.#own.clear();
  }

  get(key: string): string | undefined {
    const own = this.#own.get(key);
    if (own !== undefined) return own ?? undefined;
    return this.#shared.get(key)?.value;
  }
  set(key: string, value: string): void {
    this.#own.set(key, value);
  }
  delete(key: string): void {
    if (this.#shared.has(key)) this.#own.set(key, null);
    else this.#own.delete(key);
  }

  /** Writes all tags. */
  write(writer: TagWriter): void {
    const own = [...this.#own].sort(([a], [b]) => compareUtf8(a, b));
    let next = 0;
    for (const tag of this.#sorted) {
      for (; next < own.length && compareUtf8(own[next]![0], tag.key) < 0; next++) writeOwn(writer, own[next]!);
      // The span's own takes its place.
      if (next === own.length || own[next]![0] !== tag.key) writer.shared(tag);
    }
    for (; next < own.length; next++) writeOwn(writer, own[next]!);
  }
}

function writeOwn(writer: TagWriter, [key, value]: readonly [string, string | null]): void {
  if (value !== null) writer.own(key, value);
}
