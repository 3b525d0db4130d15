import type { Ranges } from "./ranges.ts";

/** The syntax tree of an RE2 expression, flags already worked in: what folds, what `.` and `^` mean, what is greedy. */
export type Node =
  | { readonly kind: "empty" }
  /** One character of a class; literals are classes of one range. A class without ranges matches nothing. */
  | { readonly kind: "class"; readonly ranges: Ranges }
  | { readonly kind: "assert"; readonly what: Assertion }
  | { readonly kind: "concat"; readonly parts: readonly Node[] }
  | { readonly kind: "alternate"; readonly parts: readonly Node[] }
  /** `max` is Infinity for `*`, `+` and `{n,}`. */
  | {
      readonly kind: "repeat";
      readonly min: number;
      readonly max: number;
      readonly greedy: boolean;
      readonly body: Node;
    }
  | { readonly kind: "capture"; readonly index: number; readonly name: string; readonly body: Node };

export type Assertion = "text-start" | "text-end" | "line-start" | "line-end" | "word" | "not-word";

export const EMPTY: Node = { kind: "empty" };

/** The children of a node, in order. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "concat":
    case "alternate":
      return node.parts;
    case "repeat":
    case "capture":
      return [node.body];
    default:
      return [];
  }
}

/** An expression that RE2 does not accept. The message is that of Go's `regexp.Compile`. */
export class RegexError extends Error {
  override readonly name = "RegexError";
  /** What is wrong, such as `missing closing )`. */
  readonly code: string;
  /** The part of the expression that is at fault. */
  readonly fragment: string;
  constructor(code: string, fragment: string) {
    super(`error parsing regexp: ${code}: \`${fragment}\``);
    this.code = code;
    this.fragment = fragment;
  }
}
