import { type ExpositionCache, hashText } from "./cache.ts";
import { type ExpositionMetadata, familyOf, unitLine } from "./metadata.ts";
import { TYPES, type TypeCode } from "./types.ts";

/** What the last TYPE line of a page says of the series below it. Worked out when a series is new, and not before. */
export class DeclaredFamily {
  readonly #cache: ExpositionCache;
  readonly #metadata: ExpositionMetadata;
  type: TypeCode = "unknown";
  #page = 0;
  #translated = false;
  /** The entry of the line, and the one that `#name` is from. */
  #entry = 0;
  #nameEntry = 0;
  #name = "";

  constructor(cache: ExpositionCache, metadata: ExpositionMetadata) {
    this.#cache = cache;
    this.#metadata = metadata;
  }

  /** A page begins. */
  begin(page: number, translated: boolean): void {
    this.#page = page;
    this.#translated = translated;
    this.type = "unknown";
    this.#entry = 0;
    this.#nameEntry = 0;
    this.#name = "";
  }

  /** A TYPE line, by its entry. */
  declare(entry: number): void {
    this.type = TYPES[this.#cache.type[entry]!]!;
    this.#entry = entry;
  }

  /** Empty without a TYPE line. */
  get name(): string {
    if (this.#nameEntry !== this.#entry) {
      this.#nameEntry = this.#entry;
      this.#name = familyOf(this.#line(), this.#translated) ?? "";
    }
    return this.#name;
  }

  /** The unit, if the page says it: what is known of the family may be from an earlier one. */
  get unit(): string {
    const unit = this.#metadata.get(this.name)?.unit ?? "";
    if (unit === "") return "";
    const line = unitLine(this.#line(), unit);
    const entry = this.#cache.find(line, 0, line.length, hashText(line, 0, line.length));
    return this.#cache.seen[entry] === this.#page ? unit : "";
  }

  #line(): string {
    const { raw, offset, length } = this.#cache;
    const start = offset[this.#entry]!;
    return raw.toString("utf8", start, start + length[this.#entry]!);
  }
}
