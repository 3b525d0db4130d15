import { hashText, SEEN, TYPE } from "./cache.ts";
import type { KnownPage } from "./known-page.ts";
import { familyOf, unitLine } from "./metadata.ts";
import { TYPES, type TypeCode } from "./types.ts";

/** What the last TYPE line of a page says of the series below it. Worked out when a series is new, and not before. */
export class DeclaredFamily {
  readonly #known: KnownPage;
  type: TypeCode = "unknown";
  readonly #translated: boolean;
  /** The entry of the line, and the one that `#name` is from. */
  #entry = 0;
  #nameEntry = 0;
  #name = "";

  constructor(known: KnownPage, translated: boolean) {
    this.#known = known;
    this.#translated = translated;
  }

  /** A TYPE line, by its entry. */
  declare(entry: number): void {
    this.type = TYPES[this.#known.cache.rows[entry + TYPE]!]!;
    this.#entry = entry;
  }

  /** Empty without a TYPE line. */
  get name(): string {
    if (this.#nameEntry !== this.#entry) {
      this.#nameEntry = this.#entry;
      this.#name = familyOf(this.#known.cache.text(this.#entry), this.#translated) ?? "";
    }
    return this.#name;
  }

  /** The unit, if the page says it: what is known of the family may be from an earlier one. */
  get unit(): string {
    const { cache, metadata, number } = this.#known;
    const unit = metadata.get(this.name)?.unit ?? "";
    if (unit === "") return "";
    const line = unitLine(cache.text(this.#entry), unit);
    const entry = cache.find(line, 0, line.length, hashText(line, 0, line.length));
    return cache.rows[entry + SEEN] === number ? unit : "";
  }
}
