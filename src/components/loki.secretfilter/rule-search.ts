import { parseRegex } from "#base/regex/parser";
import { type Anchor, findAnchors } from "./anchors.ts";
import type { SecretRule } from "./gitleaks-config.ts";
import type { LineText } from "./line-text.ts";
import { RuleMatcher } from "./rule-matcher.ts";
import { TailCheck } from "./tail-check.ts";
import { CLASS_BITS, WordSearch } from "./word-search.ts";

/** Finds the matches of one rule's expression, looking only where its anchors are. */
export class RuleSearch {
  readonly rule: SecretRule;
  readonly anchors: readonly Anchor[] | undefined;
  readonly #checks: (TailCheck | undefined)[] = [];
  readonly #before: number;
  #matcher: RuleMatcher | undefined;
  #words: { readonly search: WordSearch; readonly anchorOf: readonly number[] } | undefined;

  constructor(rule: SecretRule) {
    this.rule = rule;
    this.anchors = findAnchors(parseRegex(rule.regex!.source).root);
    this.#before = Math.max(0, ...(this.anchors ?? []).map((each) => each.before));
  }

  /** Whether the expression may match around a literal of the anchor at `data[at]`; `end` is the line's. */
  check(anchor: number, data: Uint8Array, at: number, end: number): boolean {
    return (this.#checks[anchor] ??= new TailCheck(this.anchors![anchor]!.tail)).test(data, at, end);
  }

  /**
   * All matches that do not overlap, as ranges of the text, as Go's `FindAllStringIndex` gives them. `at` is the place in the
   * data of the first literal that passed its check; without it, the expression is run over the whole text.
   */
  *matches(
    text: LineText,
    data: Uint8Array,
    end: number,
    at: number | undefined,
  ): Generator<readonly [number, number]> {
    if (at === undefined) yield* this.#everywhere(text.text);
    else yield* this.#aroundAnchors(text, data, end, at);
  }

  /** The groups of the expression in a text that is a match of it, as texts. */
  groups(match: string): readonly (string | undefined)[] | undefined {
    const range = this.#match(match, 0, match.length);
    if (range === null) return undefined;
    const groups: (string | undefined)[] = [];
    for (let i = 2; i < range.length; i += 2)
      groups.push(range[i]! < 0 ? undefined : match.slice(range[i]!, range[i + 1]!));
    return groups;
  }

  #match(text: string, from: number, lastStart: number): Int32Array | null {
    return (this.#matcher ??= new RuleMatcher(this.rule.regex!)).matchRange(text, from, lastStart);
  }

  *#everywhere(text: string): Generator<readonly [number, number]> {
    let last = -1;
    for (let from = 0; from <= text.length; ) {
      const range = this.#match(text, from, text.length);
      if (range === null) return;
      const [begin, end] = [range[0]!, range[1]!];
      // An empty match right after another does not count.
      if (end > begin || begin !== last) yield [begin, end];
      last = end;
      from = end > begin ? end : end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
    }
  }

  *#aroundAnchors(text: LineText, data: Uint8Array, end: number, first: number): Generator<readonly [number, number]> {
    const whole = text.text;
    // A character beyond U+FFFF is two code units.
    const units = text.ascii ? 1 : 2;
    let done = 0;
    /** How many further beginnings are tried in one go: windows overlap, and where many fail that costs. */
    let ahead = 0;
    /** How much of the text behind the last beginning is looked at. */
    let reach = MIN_REACH;
    for (let at = first; at >= 0; ) {
      const anchor = text.unitAt(at);
      const from = characterStart(whole, Math.max(done, anchor - this.#before * units));
      const lastStart = Math.max(anchor, from + ahead);
      const begin = Math.max(0, from - 1);
      const window = whole.slice(begin, characterStart(whole, lastStart + reach));
      const all = window.length === whole.length - begin;
      // A match that begins later has an anchor of its own, which is looked at in its turn, unless this shows all there is.
      const range = this.#match(window, from - begin, all ? window.length : lastStart - begin);
      if (!all && this.#matcher!.endMattered) {
        reach *= 4;
        continue;
      }
      reach = MIN_REACH;
      if (range !== null) {
        done = range[1]! + begin;
        yield [range[0]! + begin, done];
        ahead = 0;
      } else {
        if (all) return;
        done = lastStart + 1;
        ahead = Math.min(MAX_AHEAD, Math.max(MIN_AHEAD, ahead * 2));
      }
      at = this.#next(data, text.byteAt(done), end);
    }
  }

  /** The next place at or after `from` where a literal is that passes its check; −1 if there is none. */
  #next(data: Uint8Array, from: number, end: number): number {
    const { search, anchorOf } = (this.#words ??= wordsOf(this.anchors!));
    let next = -1;
    let code = 0;
    for (let i = from; i < end; i++) {
      code = (code >>> CLASS_BITS) | search.classes[data[i]!]!;
      if (search.marks[code] === 0) continue;
      search.check(data, from, end, i, code, (word, at) => {
        if ((next < 0 || at < next) && this.check(anchorOf[word]!, data, at, end)) next = at;
      });
      // A longer word that begins earlier may still be found a few bytes on.
      if (next >= 0 && i - next > LONGEST_LITERAL) break;
    }
    return next;
  }
}

const MIN_REACH = 512;
const MIN_AHEAD = 512;
const MAX_AHEAD = 8_192;

/** Literals of anchors are no longer than this many bytes, with the three that find them. */
const LONGEST_LITERAL = 24;

function wordsOf(anchors: readonly Anchor[]) {
  const words = anchors.flatMap(({ literals }, anchor) => literals.map((literal) => ({ literal, anchor })));
  return {
    search: new WordSearch(words.map(({ literal }) => Buffer.from(literal))),
    anchorOf: words.map(({ anchor }) => anchor),
  };
}

/** The place itself, or one before if it is between the two halves of a character. */
function characterStart(text: string, at: number): number {
  const low = text.charCodeAt(at);
  const high = text.charCodeAt(at - 1);
  return low >= 0xdc00 && low <= 0xdfff && high >= 0xd800 && high <= 0xdbff ? at - 1 : at;
}
