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
export function configureRegexEngine(options: { readonly linear: boolean }): void {
  linearFallback = options.linear;
}

const SURROGATE = /[\ud800-\udfff]/;

/**
 * Chooses for one syntax tree the JavaScript expression that finds RE2's result in bounded time:
 * - the plain translation on texts so short that even the worst backtracking is cheap (often: on all texts);
 * - one with counted loops on longer texts, if V8 has its linear-time engine to change to and that one takes it;
 * - none otherwise: then the reference engine has to do it, which is linear and some 20 times slower.
 */
export class Engine {
  readonly #node: Node;
  readonly #exact: boolean;
  readonly #seesSurrogates: boolean;
  readonly #notWord: boolean;
  /** The length of texts, in code units, up to which the plain translation is safe. */
  readonly limit: number;
  #plain: RegExp | undefined;
  #counted: RegExp | null | undefined;
  #astral: RegExp | undefined;
  #astralCounted: RegExp | null | undefined;
  #reference: RE2JS | undefined;

  /** `exact`: JavaScript's result is RE2's. */
  constructor(node: Node, exact: boolean) {
    this.#node = node;
    this.#exact = exact;
    this.limit = backtrackingLimit(node);
    this.#seesSurrogates = seesSurrogates(node);
    this.#notWord = usesNotWord(node);
  }

  /** The expression to run on this text, with the flag `g`, or undefined if only the reference engine will do. */
  choose(text: string): RegExp | undefined {
    if ((this.#seesSurrogates || this.#notWord) && SURROGATE.test(text)) return this.#chooseAstral(text.length);
    return this.chooseUnits(text.length);
  }

  /** The same for a text known to hold no characters beyond U+FFFF. */
  chooseUnits(length: number): RegExp | undefined {
    if (!this.#exact) return undefined;
    if (length <= this.limit) return (this.#plain ??= this.#compile(false, false));
    if (this.#counted === undefined) this.#counted = this.#compileCounted(false);
    return this.#counted ?? undefined;
  }

  #chooseAstral(length: number): RegExp | undefined {
    // `\B` holds between the two halves of a character.
    if (!this.#exact || this.#notWord) return undefined;
    if (length <= this.limit) return (this.#astral ??= this.#compile(true, false));
    if (this.#astralCounted === undefined) this.#astralCounted = this.#compileCounted(true);
    return this.#astralCounted ?? undefined;
  }

  #compile(astral: boolean, counted: boolean): RegExp {
    return new RegExp(toJavaScript(this.#node, { astral, counted }), "g");
  }

  #compileCounted(astral: boolean): RegExp | null {
    if (!linearFallback) return null;
    try {
      new RegExp(toJavaScript(this.#node, { astral, counted: true }), "l");
    } catch {
      return null;
    }
    return this.#compile(astral, true);
  }

  get reference(): RE2JS {
    return (this.#reference ??= RE2JS.compile(toRe2(this.#node)));
  }
}
