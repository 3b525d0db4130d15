import type { Regex } from "#base/regex";
import { sameSubmatches } from "#base/regex/analysis";
import { parseRegex } from "#base/regex/parser";
import { simplify } from "#base/regex/simplify";
import { Backtracker } from "./backtracker.ts";

/**
 * A rule's expression on the engine that does it in bounded time: the backtracker with its memory where the text is not too
 * long for it, else that of `Regex`, which is slower.
 */
export class RuleMatcher {
  readonly #regex: Regex;
  readonly #backtracker: Backtracker | undefined;
  /** Whether the last result might be another if the text went on. */
  endMattered = true;

  constructor(regex: Regex) {
    this.#regex = regex;
    const root = simplify(parseRegex(regex.source).root);
    if (sameSubmatches(root)) this.#backtracker = new Backtracker(root, regex.groupNames.length);
  }

  /** As `Regex.matchRange`, but of the matches that begin at `lastStart` or earlier. */
  matchRange(text: string, from: number, lastStart: number): Int32Array | null {
    const backtracker = this.#backtracker;
    if (backtracker?.takes(text.length)) {
      const range = backtracker.exec(text, from, Math.min(lastStart, text.length));
      this.endMattered = backtracker.endMattered;
      return range;
    }
    this.endMattered = true;
    const range = this.#regex.matchRange(text, from);
    return range === null || range[0]! > lastStart ? null : range;
  }
}
