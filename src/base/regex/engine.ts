import { RE2JS } from "re2js";
import { backtrackingLimit, seesSurrogates, usesNotWord } from "./analysis.ts";
import type { Node } from "./syntax.ts";
import { toJavaScript, toRe2 } from "./translate.ts";

/** Whether V8 changes to its linear-time engine when a search backtracks too often. */
let linearFallback = false;

/**
 * Tells whether V8 runs with `--enable-experimental-regexp-engine` (its linear-time engine, asked for with the flag `l`)
 * and `--enable-experimental-regexp-engine-on-excessive-backtracks`. Set both, then call this, before the first
 * expression is compiled. Without them expressions are as safe, but some run on the slower reference engine.
 */
export function configureRegexEngine(options: { linear: boolean }): void {
  linearFallback = options.linear;
}

const SURROGATE = /[\ud800-\udfff]/;

/** No search reads more at once than V8 can in bounded time, whatever the expression. */
const FLAGS = { search: "g", offsets: "dg" } as const;

/**
 * Runs one syntax tree, on V8 wherever that is bounded in time and gives RE2's result:
 * - as it is, on texts so short that even the worst backtracking is cheap (often: on all texts);
 * - with counted loops on longer texts, if V8 has its linear-time engine to change to and that one takes the expression;
 * - else on the reference engine, which is linear, and some 20 times slower.
 */
export class Engine {
  readonly #node: Node;
  readonly #onlyReference: boolean;
  readonly #flags: string;
  readonly #limit: number;
  readonly #seesSurrogates: boolean;
  readonly #notWord: boolean;
  #plain: RegExp | undefined;
  #counted: RegExp | null | undefined;
  #astral: RegExp | undefined;
  #astralCounted: RegExp | null | undefined;
  #reference: RE2JS | undefined;

  /** `mode` "offsets" also finds where groups begin and end. `exact`: JavaScript's result is RE2's. */
  constructor(node: Node, mode: "search" | "offsets", exact: boolean) {
    this.#node = node;
    this.#flags = FLAGS[mode];
    this.#limit = backtrackingLimit(node);
    this.#onlyReference = !exact;
    this.#seesSurrogates = seesSurrogates(node);
    this.#notWord = usesNotWord(node);
  }

  /** The expression to run on this text, `lastIndex` unset, or undefined if only the reference engine will do. */
  choose(text: string): RegExp | undefined {
    if (this.#seesSurrogates || this.#notWord) {
      if (SURROGATE.test(text)) return this.#chooseAstral(text);
    }
    return this.chooseUnits(text.length);
  }

  /** The same for a text known to hold no characters beyond U+FFFF. */
  chooseUnits(length: number): RegExp | undefined {
    if (this.#onlyReference) return undefined;
    if (length <= this.#limit) return (this.#plain ??= this.#compile(false, false));
    if (this.#counted === undefined) this.#counted = this.#compileCounted(false);
    return this.#counted ?? undefined;
  }

  #chooseAstral(text: string): RegExp | undefined {
    if (this.#onlyReference || this.#notWord) return undefined;
    if (text.length <= this.#limit) return (this.#astral ??= this.#compile(true, false));
    if (this.#astralCounted === undefined) this.#astralCounted = this.#compileCounted(true);
    return this.#astralCounted ?? undefined;
  }

  #compile(astral: boolean, counted: boolean): RegExp {
    return new RegExp(toJavaScript(this.#node, { astral, counted }), this.#flags);
  }

  #compileCounted(astral: boolean): RegExp | null {
    // The engine does not change over while it records offsets.
    if (!linearFallback || this.#flags === FLAGS.offsets) return null;
    const source = toJavaScript(this.#node, { astral, counted: true });
    try {
      new RegExp(source, "l");
    } catch {
      return null;
    }
    return new RegExp(source, this.#flags);
  }

  get reference(): RE2JS {
    return (this.#reference ??= RE2JS.compile(toRe2(this.#node)));
  }
}
