import { formatFile } from "#lang/format";
import { quoteString } from "#lang/literal";
import { parseFile } from "#lang/parser";
import { isIdentifier } from "#lang/token";

/** The body of a block, or of a file, that is being written. Arguments are expressions as text. */
export class Body {
  readonly #comments: string[] = [];
  readonly #attributes: string[] = [];
  readonly #blocks: { readonly head: string; readonly body: Body }[] = [];

  get isEmpty(): boolean {
    return this.#attributes.length === 0 && this.#blocks.length === 0;
  }

  get hasBlocks(): boolean {
    return this.#blocks.length > 0;
  }

  /** Undefined expressions are left out. */
  attribute(name: string, expression: string | undefined): void {
    if (expression !== undefined) this.#attributes.push(`${name} = ${expression}`);
  }

  /** Stands at the top of the body, each line once. */
  comment(text: string): void {
    if (!this.#comments.includes(text)) this.#comments.push(text);
  }

  block(name: string, label?: string): Body {
    const body = new Body();
    this.attach(name, body, label);
    return body;
  }

  attach(name: string, body: Body, label?: string): void {
    this.#blocks.push({ head: label === undefined ? name : `${name} ${quoteString(label)}`, body });
  }

  /** Puts everything that the other body has behind what is here. */
  append(other: Body): void {
    for (const comment of other.#comments) this.comment(comment);
    this.#attributes.push(...other.#attributes);
    this.#blocks.push(...other.#blocks);
  }

  /** In the standard layout. */
  print(): string {
    const text = this.#text();
    const { file, diagnostics } = parseFile({ name: "", text });
    if (diagnostics.length > 0)
      throw new Error(`the converter wrote a faulty configuration: ${diagnostics[0]!.message}`);
    return formatFile(file);
  }

  #text(): string {
    const parts: string[] = [];
    const head = [
      ...this.#comments.flatMap((each) => each.split("\n").map((line) => `// ${line}`)),
      ...this.#attributes,
    ];
    if (head.length > 0) parts.push(head.join("\n"));
    for (const { head: name, body } of this.#blocks) {
      const inner = body.#text();
      parts.push(inner === "" ? `${name} { }` : `${name} {\n${inner}\n}`);
    }
    return parts.join("\n\n");
  }
}

export function listOf(expressions: readonly string[]): string {
  return `[${expressions.join(", ")}]`;
}

/** An object, keys sorted as Alloy's converter writes them. */
export function objectOf(fields: Iterable<readonly [string, string]>): string {
  const sorted = [...fields].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  if (sorted.length === 0) return "{}";
  const lines = sorted.map(([key, expression]) => `${isIdentifier(key) ? key : quoteString(key)} = ${expression},\n`);
  return `{\n${lines.join("")}}`;
}
