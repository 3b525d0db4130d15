import { quoteString } from "#lang/literal";

/** A reference to the environment in a source, such as `${HOST:-loki}`, or to something else that is an expression. */
export type Reference =
  | { readonly variable: string; readonly fallback: string | undefined }
  | { readonly expression: string };

/** Replaces the references of a source's text by what `mark` gives for each. */
export type Expand = (source: string, mark: (reference: Reference) => string) => string;

/** A text of the source: fixed, or with parts that come from the environment when the output is loaded. */
export class Text {
  readonly #parts: readonly (string | Reference)[];

  constructor(parts: readonly (string | Reference)[]) {
    this.#parts = parts;
  }

  /** The whole text, if nothing of it comes from the environment. */
  get fixed(): string | undefined {
    if (this.#parts.some((each) => typeof each !== "string")) return undefined;
    return this.#parts.join("");
  }

  get expression(): string {
    const parts = this.#parts.filter((each) => each !== "");
    if (parts.length === 0) return '""';
    return parts.map((each) => (typeof each === "string" ? literal(each) : lookUp(each))).join(" + ");
  }

  /** The text with its fixed parts changed. */
  map(change: (part: string) => string): Text {
    return new Text(this.#parts.map((each) => (typeof each === "string" ? change(each) : each)));
  }
}

/** Regular expressions and selectors are written as they are, where that cannot be misread. */
function literal(text: string): string {
  return /["\\]/.test(text) && /^[ -_a-~]*[!-_a-~]$/.test(text) ? `\`${text}\`` : quoteString(text);
}

function lookUp(reference: Reference): string {
  if ("expression" in reference) return reference.expression;
  const { variable, fallback } = reference;
  const value = `sys.env(${quoteString(variable)})`;
  return fallback === undefined || fallback === "" ? value : `coalesce(${value}, ${quoteString(fallback)})`;
}

/** `${NAME}` with the forms of a default that Promtail's versions took: `:-`, `:=` and, in old ones, `:`. */
const REFERENCE = /(\$?)\$\{([A-Za-z0-9_]+)(?:(:[-=]?|-|=)([^}\n]*))?\}/g;

/**
 * Takes the references out of a YAML text before it is parsed, and puts them back into its scalars afterwards: what
 * stands for a reference is a character of the private use areas that the text does not have, and a number.
 */
export class Environment {
  readonly text: string;
  readonly #mark: string;
  readonly #references: Reference[] = [];

  /** `expand` true is `expandPromtail`; false leaves the text as it is. */
  constructor(source: string, expand: boolean | Expand) {
    this.#mark = expand === false ? "" : unusedCharacter(source);
    if (expand === false) this.text = source;
    else this.text = (expand === true ? expandPromtail : expand)(source, (reference) => this.#add(reference));
  }

  #add(reference: Reference): string {
    this.#references.push(reference);
    return `${this.#mark}${this.#references.length - 1}${this.#mark}`;
  }

  get variables(): readonly string[] {
    return [...new Set(this.#references.flatMap((each) => ("variable" in each ? [each.variable] : [])))];
  }

  /** The text of a scalar of the parsed document. */
  restore(scalar: string): Text {
    if (this.#references.length === 0 || !scalar.includes(this.#mark)) return new Text([scalar]);
    const pieces = scalar.split(this.#mark);
    return new Text(pieces.map((piece, i) => (i % 2 === 0 ? piece : this.#references[Number(piece)]!)));
  }
}

/** As Promtail with `-config.expand-env`: `$${` is a plain `${`, and two backslashes become one. */
function expandPromtail(source: string, mark: (reference: Reference) => string): string {
  const text = source.replaceAll("\\\\", "\\");
  return text.replace(REFERENCE, (whole, dollar: string, variable: string, _, fallback?: string) =>
    dollar === "" ? mark({ variable, fallback }) : whole.slice(1),
  );
}

/** Of the private use areas, of which YAML takes every character. */
function unusedCharacter(text: string): string {
  for (let code = 0xe000; code < 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!text.includes(character)) return character;
  }
  return "\u{10fffd}";
}
