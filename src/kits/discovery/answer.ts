/** The way to a value: names of fields and numbers of elements. */
export type AnswerPath = readonly (string | number)[];

/** An answer that does not have the form that was expected. The message says where. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  readonly path: AnswerPath;
  constructor(path: AnswerPath, problem: string) {
    super(`${path.length === 0 ? "it" : placeOf(path)} ${problem}`);
    this.path = path;
  }
}

type Kind = "text" | "whole number" | "bool" | "list" | "map";

/**
 * A JSON answer of a source of targets, read as Go reads it into a struct: what is missing or null is zero, what is of
 * another type is an error that names the place, such as `[2].Node.Address`.
 */
export class Answer {
  readonly #value: unknown;
  readonly path: AnswerPath;

  constructor(value: unknown, path: AnswerPath = []) {
    this.#value = value ?? undefined;
    this.path = path;
  }

  /** It is missing or null. */
  get isNothing(): boolean {
    return this.#value === undefined;
  }

  /** A field; of what is missing, too. */
  at(name: string): Answer {
    const map = this.#map();
    const value = Object.hasOwn(map, name) ? map[name] : undefined;
    return new Answer(value, [...this.path, name]);
  }

  text(name: string): string {
    return this.at(name).asText();
  }
  /** A whole number. */
  number(name: string): number {
    const field = this.at(name);
    return field.#is("number", "whole number", Number.isSafeInteger) ? (field.#value as number) : 0;
  }
  bool(name: string): boolean {
    const field = this.at(name);
    return field.#is("boolean", "bool") ? (field.#value as boolean) : false;
  }

  asText(): string {
    return this.#is("string", "text") ? (this.#value as string) : "";
  }

  /** The elements of a list. */
  items(): readonly Answer[] {
    if (!this.#is("object", "list", Array.isArray)) return [];
    return (this.#value as unknown[]).map((each, i) => new Answer(each, [...this.path, i]));
  }
  texts(): readonly string[] {
    return this.items().map((each) => each.asText());
  }

  /** The fields of a map whose keys anybody may have chosen. */
  entries(): readonly (readonly [key: string, value: Answer])[] {
    return Object.entries(this.#map()).map(([key, value]) => [key, new Answer(value, [...this.path, key])]);
  }
  textMap(): ReadonlyMap<string, string> {
    return new Map(this.entries().map(([key, value]) => [key, value.asText()]));
  }

  #map(): Record<string, unknown> {
    return this.#is("object", "map", (value) => !Array.isArray(value)) ? (this.#value as Record<string, unknown>) : {};
  }

  #is(type: string, kind: Kind, isRight: (value: unknown) => boolean = () => true): boolean {
    if (this.#value === undefined) return false;
    if (typeof this.#value === type && isRight(this.#value)) return true;
    throw new AnswerError(this.path, `must be a ${kind}`);
  }
}

/** `[2].Node.Address`; keys that are no names in quotes. */
function placeOf(path: AnswerPath): string {
  const parts = path.map((each) => {
    if (typeof each === "number") return `[${each}]`;
    return /^\w+$/.test(each) ? `.${each}` : `[${JSON.stringify(each)}]`;
  });
  return parts.join("").replace(/^\./, "");
}
