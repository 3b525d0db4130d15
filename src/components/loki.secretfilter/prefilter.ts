import type { RuleSearch } from "./rule-search.ts";
import { CLASS_BITS, WordSearch } from "./word-search.ts";

/** A rule that may match in a line. */
export interface Candidate {
  readonly search: RuleSearch;
  /** Where in the data it may match first; undefined if that is not known. */
  readonly at: number | undefined;
}

const NONE: readonly Candidate[] = [];

/**
 * Letters beyond ASCII that a case-insensitive expression, or the lower case of a keyword, takes for k, s and i: K, ſ, İ.
 * Lines with them are not searched for words.
 */
const FOLDING = ["\u212a", "\u017f", "\u0130"];

/**
 * Tells in one pass over a line's bytes which rules may match in it: those of which a keyword is there and, where the
 * expression has an anchor, a literal of it behind which the bytes fit. Nothing is allocated for a line with none.
 */
export class Prefilter {
  readonly #searches: readonly RuleSearch[];
  readonly #words: WordSearch;
  /** By word: whether it makes the line one that is not searched for words. */
  readonly #folding: readonly boolean[];
  /** By word: the rules that it is an anchor of, with the anchor. */
  readonly #anchored: readonly (readonly { readonly rule: number; readonly anchor: number }[])[];
  /** By word: the rules that may match anywhere in a line with it. */
  readonly #anywhere: readonly (readonly number[])[];
  /** By rule: the words of which one has to be in the line; undefined where that is sure by then. */
  readonly #keywords: readonly (readonly number[] | undefined)[];
  /** Rules that may match in any line. */
  readonly #always: readonly number[];
  /** The line, by number, in which the word was last seen, … */
  readonly #wordSeen: Int32Array;
  /** … and in which the rule was last found possible, … */
  readonly #ruleSeen: Int32Array;
  /** … and where. */
  readonly #ruleAt: Int32Array;
  #line = 0;
  #possible = 0;
  #foldingSeen = false;
  // What `#found` needs to know of the line.
  #data: Uint8Array = new Uint8Array(0);
  #end = 0;
  readonly #found = (word: number, at: number) => this.#foundWord(word, at);

  constructor(searches: readonly RuleSearch[]) {
    this.#searches = searches;
    const words = new Map<string, number>();
    const number = (word: string) => {
      const known = words.get(word) ?? words.size;
      words.set(word, known);
      return known;
    };
    const folding = FOLDING.map(number);
    const anchored: { rule: number; anchor: number }[][] = [];
    const anywhere: number[][] = [];
    const keywords: (number[] | undefined)[] = [];
    const always: number[] = [];
    for (const [rule, search] of searches.entries()) {
      const { anchors } = search;
      const wanted = search.rule.keywords.filter((each) => each !== "");
      if (!wanted.every(isSearchable)) {
        always.push(rule);
        continue;
      }
      for (const [anchor, { literals }] of (anchors ?? []).entries()) {
        for (const literal of literals) (anchored[number(literal)] ??= []).push({ rule, anchor });
      }
      const literals = anchors?.flatMap((each) => each.literals);
      if (search.rule.keywords.length === 0) {
        if (anchors === undefined) always.push(rule);
      } else if (literals === undefined) for (const each of wanted) (anywhere[number(each)] ??= []).push(rule);
      else if (!literals.every((literal) => wanted.some((each) => literal.includes(each)))) {
        keywords[rule] = wanted.map(number);
      }
    }
    this.#words = new WordSearch([...words.keys()].map((each) => Buffer.from(each)));
    const list = [...words.keys()];
    this.#folding = list.map((_, word) => folding.includes(word));
    this.#anchored = list.map((_, word) => anchored[word] ?? []);
    this.#anywhere = list.map((_, word) => anywhere[word] ?? []);
    this.#keywords = searches.map((_, rule) => keywords[rule]);
    this.#always = always;
    this.#wordSeen = new Int32Array(words.size);
    this.#ruleSeen = new Int32Array(searches.length);
    this.#ruleAt = new Int32Array(searches.length);
  }

  /** The rules that may match in `data[start, end)`, in order. */
  scan(data: Uint8Array, start: number, end: number): readonly Candidate[] {
    if (this.#line === 0x7fffffff) {
      this.#line = 0;
      this.#wordSeen.fill(0);
      this.#ruleSeen.fill(0);
    }
    this.#line += 1;
    this.#possible = this.#always.length;
    this.#foldingSeen = false;
    this.#data = data;
    this.#end = end;
    const { classes, marks } = this.#words;
    let code = 0;
    let i = start;
    // Four bytes at a time: of most, none is of interest.
    for (; i + 3 < end; i += 4) {
      const first = (code >>> CLASS_BITS) | classes[data[i]!]!;
      const second = (first >>> CLASS_BITS) | classes[data[i + 1]!]!;
      const third = (second >>> CLASS_BITS) | classes[data[i + 2]!]!;
      code = (third >>> CLASS_BITS) | classes[data[i + 3]!]!;
      if ((marks[first]! | marks[second]! | marks[third]! | marks[code]!) === 0) continue;
      if (marks[first] === 1) this.#words.check(data, start, end, i, first, this.#found);
      if (marks[second] === 1) this.#words.check(data, start, end, i + 1, second, this.#found);
      if (marks[third] === 1) this.#words.check(data, start, end, i + 2, third, this.#found);
      if (marks[code] === 1) this.#words.check(data, start, end, i + 3, code, this.#found);
    }
    for (; i < end; i++) {
      code = (code >>> CLASS_BITS) | classes[data[i]!]!;
      if (marks[code] === 1) this.#words.check(data, start, end, i, code, this.#found);
    }
    if (this.#foldingSeen) return this.#byText(data, start, end);
    return this.#possible === 0 ? NONE : this.#candidates(data, start, end);
  }

  #foundWord(word: number, at: number): void {
    const line = this.#line;
    this.#wordSeen[word] = line;
    if (this.#folding[word]) this.#foldingSeen = true;
    const anchored = this.#anchored[word]!;
    for (let i = 0; i < anchored.length; i++) {
      const { rule, anchor } = anchored[i]!;
      const earlier = this.#ruleSeen[rule] === line;
      // Words are not found in the order of their beginnings.
      if (earlier && this.#ruleAt[rule]! <= at) continue;
      if (!this.#searches[rule]!.check(anchor, this.#data, at, this.#end)) continue;
      this.#possible += 1;
      this.#ruleSeen[rule] = line;
      this.#ruleAt[rule] = at;
    }
    const anywhere = this.#anywhere[word]!;
    for (let i = 0; i < anywhere.length; i++) {
      const rule = anywhere[i]!;
      this.#possible += 1;
      this.#ruleSeen[rule] = line;
      this.#ruleAt[rule] = -1;
    }
  }

  #candidates(data: Uint8Array, start: number, end: number): readonly Candidate[] {
    const line = this.#line;
    const candidates: Candidate[] = [];
    let lower: string | undefined;
    for (const [rule, search] of this.#searches.entries()) {
      if (this.#ruleSeen[rule] === line) {
        const keywords = this.#keywords[rule];
        if (keywords !== undefined && !keywords.some((word) => this.#wordSeen[word] === line)) continue;
        const at = this.#ruleAt[rule]!;
        candidates.push({ search, at: at < 0 ? undefined : at });
      } else if (this.#always.includes(rule)) {
        lower ??= lowerText(data, start, end);
        if (hasKeyword(search, lower)) candidates.push({ search, at: undefined });
      }
    }
    return candidates;
  }

  /** The same for a line with letters that fold to ASCII. */
  #byText(data: Uint8Array, start: number, end: number): readonly Candidate[] {
    const lower = lowerText(data, start, end);
    return this.#searches.filter((search) => hasKeyword(search, lower)).map((search) => ({ search, at: undefined }));
  }
}

/** Words of one byte or beyond ASCII are not looked for in bytes. */
function isSearchable(word: string): boolean {
  return /^[\x00-\x7f]{2,}$/.test(word);
}

function hasKeyword(search: RuleSearch, lower: string): boolean {
  const { keywords } = search.rule;
  return keywords.length === 0 || keywords.some((each) => each !== "" && lower.includes(each));
}

/** The text in lower case as Go has it, where İ is i. */
function lowerText(data: Uint8Array, start: number, end: number): string {
  return Buffer.from(data.buffer, data.byteOffset + start, end - start)
    .toString("utf8")
    .replaceAll("\u0130", "i")
    .toLowerCase();
}
