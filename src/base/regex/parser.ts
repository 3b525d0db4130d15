import { DIGIT, POSIX_CLASSES, SPACE, WORD } from "./named-classes.ts";
import { clip, MAX_CODE_POINT, negate, normalize, type Ranges } from "./ranges.ts";
import { children, EMPTY, type Node, RegexError } from "./syntax.ts";
import { fold, unicodeClass } from "./unicode.ts";

/**
 * Parses RE2 syntax exactly as Go's regexp/syntax does in Perl mode (parse.go): what it accepts, what it rejects, and with
 * which words. Iterative, so that nesting cannot exhaust the stack before the limits strike.
 */

const MAX_REPEAT = 1000;
const MAX_HEIGHT = 1000;
/** 128 MB of Go's instructions of 40 bytes. */
const MAX_SIZE = Math.floor((128 << 20) / 40);

const NOT_NEWLINE: Ranges = negate([0x0a, 0x0a]);
const ANYTHING: Ranges = [0, MAX_CODE_POINT];

interface Flags {
  readonly foldCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly swapGreed: boolean;
}

/** An open parenthesis, or the whole expression: the alternatives before the last `|` and the parts after it. */
interface Level {
  readonly capture: { readonly index: number; readonly name: string } | undefined;
  /** The flags to go back to at the closing parenthesis. */
  readonly outerFlags: Flags;
  readonly alternatives: Node[];
  parts: Node[];
}

export interface Parsed {
  readonly root: Node;
  /** Names of the groups by index, empty for unnamed ones; [0] is the whole match. */
  readonly groupNames: readonly string[];
}

export function parseRegex(source: string): Parsed {
  return new Parser(source).parse();
}

class Parser {
  readonly #source: string;
  #position = 0;
  #flags: Flags = { foldCase: false, multiline: false, dotAll: false, swapGreed: false };
  readonly #levels: Level[];
  readonly #groupNames = [""];
  readonly #heights = new Map<Node, number>();
  readonly #sizes = new Map<Node, number>();

  constructor(source: string) {
    this.#source = source;
    this.#levels = [{ capture: undefined, outerFlags: this.#flags, alternatives: [], parts: [] }];
  }

  parse(): Parsed {
    const source = this.#source;
    /** Where the repetition that was just read begins, since `a**` is an error that quotes both. */
    let lastRepeat = -1;
    while (this.#position < source.length) {
      const begin = this.#position;
      let repeat = -1;
      switch (source[begin]) {
        case "(":
          this.#openParenthesis();
          break;
        case "|":
          this.#level.alternatives.push(this.#endAlternative());
          this.#level.parts = [];
          this.#position += 1;
          break;
        case ")":
          this.#closeParenthesis();
          break;
        case "^":
          this.#position += 1;
          this.#push({ kind: "assert", what: this.#flags.multiline ? "line-start" : "text-start" });
          break;
        case "$":
          this.#position += 1;
          this.#push({ kind: "assert", what: this.#flags.multiline ? "line-end" : "text-end" });
          break;
        case ".":
          this.#position += 1;
          this.#push({ kind: "class", ranges: this.#flags.dotAll ? ANYTHING : NOT_NEWLINE });
          break;
        case "[":
          this.#bracket();
          break;
        case "*":
        case "+":
        case "?":
        case "{": {
          const bounds = this.#bounds();
          if (bounds === undefined) {
            this.#literal(this.#next());
          } else {
            repeat = begin;
            this.#repeat(bounds.min, bounds.max, begin, lastRepeat, source[begin] === "{");
          }
          break;
        }
        case "\\":
          this.#escape();
          break;
        default:
          this.#literal(this.#next());
      }
      lastRepeat = repeat;
    }
    if (this.#levels.length > 1) throw new RegexError("missing closing )", source);
    return { root: this.#endLevel(this.#level), groupNames: this.#groupNames };
  }

  get #level(): Level {
    return this.#levels[this.#levels.length - 1]!;
  }

  /** Reads one code point. */
  #next(): number {
    const code = this.#source.codePointAt(this.#position)!;
    if (code >= 0xd800 && code < 0xe000) throw new RegexError("invalid UTF-8", this.#source.slice(this.#position));
    this.#position += code > 0xffff ? 2 : 1;
    return code;
  }

  #slice(begin: number): string {
    return this.#source.slice(begin, this.#position);
  }

  #push(node: Node): void {
    this.#check(node);
    this.#level.parts.push(node);
  }

  #literal(code: number): void {
    const single: Ranges = [code, code];
    this.#push({ kind: "class", ranges: this.#flags.foldCase ? fold(single) : single });
  }

  #endAlternative(): Node {
    const { parts } = this.#level;
    return this.#made(parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : { kind: "concat", parts });
  }

  #endLevel(level: Level): Node {
    const last = this.#endAlternative();
    if (level.alternatives.length === 0) return last;
    return this.#made({ kind: "alternate", parts: [...level.alternatives, last] });
  }

  #closeParenthesis(): void {
    const level = this.#level;
    if (this.#levels.length === 1) throw new RegexError("unexpected )", this.#source);
    const body = this.#endLevel(level);
    this.#levels.pop();
    this.#flags = level.outerFlags;
    this.#push(level.capture === undefined ? body : { kind: "capture", ...level.capture, body });
    this.#position += 1;
  }

  /** `*`, `+`, `?` or `{…}`; undefined when a brace is just a brace. */
  #bounds(): { min: number; max: number } | undefined {
    const char = this.#source[this.#position];
    if (char !== "{") {
      this.#position += 1;
      return { min: char === "+" ? 1 : 0, max: char === "?" ? 1 : Infinity };
    }
    const match = /\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*)?)?\}/y;
    match.lastIndex = this.#position;
    const found = match.exec(this.#source);
    if (found === null) return undefined;
    const begin = this.#position;
    this.#position += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === undefined ? Infinity : Number(found[3]);
    if (min > MAX_REPEAT || (max !== Infinity && (max > MAX_REPEAT || min > max))) {
      throw new RegexError("invalid repeat count", this.#slice(begin));
    }
    return { min, max };
  }

  #repeat(min: number, max: number, begin: number, lastRepeat: number, counted: boolean): void {
    const lazy = this.#source[this.#position] === "?";
    if (lazy) this.#position += 1;
    if (lastRepeat >= 0) throw new RegexError("invalid nested repetition operator", this.#slice(lastRepeat));
    const { parts } = this.#level;
    const body = parts.pop();
    if (body === undefined) throw new RegexError("missing argument to repetition operator", this.#slice(begin));
    const node: Node = { kind: "repeat", min, max, greedy: lazy === this.#flags.swapGreed, body };
    this.#push(node);
    if (counted && (min >= 2 || (max >= 2 && max !== Infinity)) && !this.#repeatsWithin(node, MAX_REPEAT)) {
      throw new RegexError("invalid repeat count", this.#slice(begin));
    }
  }

  /** Whether the counts of nested counted repetitions multiply to at most `limit`. */
  #repeatsWithin(node: Node, limit: number): boolean {
    let left = limit;
    if (node.kind === "repeat" && !isPlain(node)) {
      const count = node.max === Infinity ? node.min : node.max;
      if (node.max === 0) return true;
      if (count > left) return false;
      if (count > 0) left = Math.floor(left / count);
    }
    return children(node).every((child) => this.#repeatsWithin(child, left));
  }

  #made<T extends Node>(node: T): T {
    this.#check(node);
    return node;
  }

  /** Go's limits on nesting and on the size of the program. */
  #check(node: Node): void {
    let height = 1;
    for (const part of children(node)) height = Math.max(height, 1 + (this.#heights.get(part) ?? 1));
    this.#heights.set(node, height);
    if (height > MAX_HEIGHT) throw new RegexError("expression nests too deeply", this.#source);
    const size = this.#programSize(node);
    this.#sizes.set(node, size);
    if (size > MAX_SIZE) throw new RegexError("expression too large", this.#source);
  }

  /** `calcSize` of parse.go. */
  #programSize(node: Node): number {
    const sizeOf = (part: Node) => this.#sizes.get(part) ?? 1;
    switch (node.kind) {
      case "capture":
        return 2 + sizeOf(node.body);
      case "concat":
        return node.parts.reduce((sum, part) => sum + sizeOf(part), 0);
      case "alternate":
        return node.parts.reduce((sum, part) => sum + sizeOf(part), node.parts.length - 1);
      case "repeat": {
        const body = sizeOf(node.body);
        if (node.max === Infinity) return node.min === 0 ? 2 + body : 1 + node.min * body;
        return Math.max(1, node.max * body + node.max - node.min);
      }
      default:
        return 1;
    }
  }

  #openParenthesis(): void {
    const source = this.#source;
    const begin = this.#position;
    let capture: Level["capture"];
    const outerFlags = this.#flags;
    if (source[begin + 1] !== "?") {
      this.#position += 1;
      capture = this.#newGroup("");
    } else {
      const left = source.length - begin;
      const prefix = left > 4 && source.startsWith("P<", begin + 2) ? 4 : left > 3 && source[begin + 2] === "<" ? 3 : 0;
      if (prefix > 0) capture = this.#groupName(begin, prefix);
      else if (!this.#perlFlags(begin)) return;
    }
    this.#levels.push({ capture, outerFlags, alternatives: [], parts: [] });
  }

  #newGroup(name: string): { index: number; name: string } {
    this.#groupNames.push(name);
    return { index: this.#groupNames.length - 1, name };
  }

  #groupName(begin: number, prefix: number): { index: number; name: string } {
    const end = this.#source.indexOf(">", begin);
    if (end < 0) {
      this.#checkWellFormed(begin, this.#source.length);
      throw new RegexError("invalid named capture", this.#source.slice(begin));
    }
    const name = this.#source.slice(begin + prefix, end);
    this.#checkWellFormed(begin + prefix, end);
    if (!/^\w+$/.test(name)) throw new RegexError("invalid named capture", this.#source.slice(begin, end + 1));
    this.#position = end + 1;
    return this.#newGroup(name);
  }

  /** `(?i)`, `(?i:`, `(?:`: sets the flags. Returns whether a group was opened. */
  #perlFlags(begin: number): boolean {
    this.#position += 2;
    let { foldCase, multiline, dotAll, swapGreed } = this.#flags;
    let on = true;
    let sawFlag = false;
    while (this.#position < this.#source.length) {
      const char = String.fromCodePoint(this.#next());
      if (char === ":" || char === ")") {
        if (!on && !sawFlag) break;
        this.#flags = { foldCase, multiline, dotAll, swapGreed };
        return char === ":";
      }
      if (char === "-") {
        if (!on) break;
        on = false;
        sawFlag = false;
        continue;
      }
      if (char === "i") foldCase = on;
      else if (char === "m") multiline = on;
      else if (char === "s") dotAll = on;
      else if (char === "U") swapGreed = on;
      else break;
      sawFlag = true;
    }
    throw new RegexError("invalid or unsupported Perl syntax", this.#slice(begin));
  }

  #escape(): void {
    const source = this.#source;
    const char = source[this.#position + 1];
    const assertions = { A: "text-start", b: "word", B: "not-word", z: "text-end" } as const;
    switch (char) {
      case "A":
      case "b":
      case "B":
      case "z":
        this.#position += 2;
        this.#push({ kind: "assert", what: assertions[char] });
        return;
      case "C":
        throw new RegexError("invalid escape sequence", "\\C");
      case "Q": {
        const close = source.indexOf("\\E", this.#position + 2);
        const end = close < 0 ? source.length : close;
        this.#position += 2;
        while (this.#position < end) this.#literal(this.#next());
        this.#position = close < 0 ? end : end + 2;
        return;
      }
    }
    const ranges = this.#unicodeEscape() ?? this.#perlClass();
    if (ranges !== undefined) this.#push({ kind: "class", ranges });
    else this.#literal(this.#charEscape());
  }

  /** `\d`, `\S` and the like; undefined for anything else. */
  #perlClass(): Ranges | undefined {
    const char = this.#source[this.#position] === "\\" ? this.#source[this.#position + 1] : undefined;
    const lower = char?.toLowerCase();
    const ranges = lower === "d" ? DIGIT : lower === "s" ? SPACE : lower === "w" ? WORD : undefined;
    if (ranges === undefined) return undefined;
    this.#position += 2;
    return this.#signed(ranges, char === lower);
  }

  #signed(ranges: Ranges, positive: boolean): Ranges {
    const folded = this.#flags.foldCase ? fold(ranges) : ranges;
    return positive ? folded : negate(folded);
  }

  /** `\pL`, `\P{Greek}`, `\p{^Greek}`; undefined for anything else. */
  #unicodeEscape(): Ranges | undefined {
    const source = this.#source;
    const begin = this.#position;
    if (source[begin] !== "\\" || (source[begin + 1] !== "p" && source[begin + 1] !== "P")) return undefined;
    let positive = source[begin + 1] === "p";
    this.#position += 2;
    // Go decodes the first code point of nothing and reports it as it would any other name.
    if (this.#position >= source.length) throw new RegexError("invalid character class range", this.#slice(begin));
    let name: string;
    if (this.#next() !== 0x7b) {
      name = source.slice(begin + 2, this.#position);
    } else {
      const end = source.indexOf("}", begin);
      if (end < 0) {
        this.#checkWellFormed(begin, source.length);
        throw new RegexError("invalid character class range", source.slice(begin));
      }
      this.#checkWellFormed(begin + 3, end);
      name = source.slice(begin + 3, end);
      this.#position = end + 1;
    }
    if (name.startsWith("^")) {
      positive = !positive;
      name = name.slice(1);
    }
    const ranges = unicodeClass(name, this.#flags.foldCase);
    if (ranges === undefined) throw new RegexError("invalid character class range", this.#slice(begin));
    return positive ? ranges : negate(ranges);
  }

  /** An escape that stands for one code point. */
  #charEscape(): number {
    const source = this.#source;
    const begin = this.#position;
    this.#position += 1;
    if (this.#position >= source.length) throw new RegexError("trailing backslash at end of expression", "");
    const code = this.#next();
    const char = String.fromCodePoint(code);
    const octal = /[0-7]/.test(source[this.#position] ?? "");
    if (char === "0" || (/[1-7]/.test(char) && octal)) {
      const digits = /[0-7]{1,3}/y;
      digits.lastIndex = begin + 1;
      const text = digits.exec(source)![0];
      this.#position = begin + 1 + text.length;
      return Number.parseInt(text, 8);
    }
    if (char === "x") return this.#hexEscape(begin);
    const control = "afnrtv".indexOf(char);
    if (control >= 0) return [0x07, 0x0c, 0x0a, 0x0d, 0x09, 0x0b][control]!;
    if (code < 0x80 && !/[A-Za-z0-9]/.test(char)) return code;
    throw new RegexError("invalid escape sequence", this.#slice(begin));
  }

  #hexEscape(begin: number): number {
    const source = this.#source;
    const invalid = () => new RegexError("invalid escape sequence", this.#slice(begin));
    const isHex = (code: number) => /[0-9A-Fa-f]/.test(String.fromCodePoint(code));
    if (this.#position >= source.length) throw invalid();
    const first = this.#next();
    if (first === 0x7b) {
      let value = 0;
      for (let digits = 0; ; digits++) {
        if (this.#position >= source.length) throw invalid();
        const code = this.#next();
        if (code === 0x7d && digits > 0) return value;
        if (!isHex(code)) throw invalid();
        value = value * 16 + Number.parseInt(String.fromCodePoint(code), 16);
        if (value > MAX_CODE_POINT) throw invalid();
      }
    }
    if (this.#position >= source.length) throw invalid();
    const second = this.#next();
    if (!isHex(first) || !isHex(second)) throw invalid();
    return Number.parseInt(String.fromCodePoint(first, second), 16);
  }

  #bracket(): void {
    const source = this.#source;
    const begin = this.#position;
    this.#position += 1;
    const negated = source[this.#position] === "^";
    if (negated) this.#position += 1;
    const pairs: number[] = [];
    for (let first = true; first || source[this.#position] !== "]"; first = false) {
      const ranges = this.#posixClass() ?? this.#unicodeEscape() ?? this.#perlClass();
      if (ranges !== undefined) {
        pairs.push(...ranges);
        continue;
      }
      const from = this.#position;
      const low = this.#classChar(begin);
      let high = low;
      if (source[this.#position] === "-" && this.#position + 1 < source.length && source[this.#position + 1] !== "]") {
        this.#position += 1;
        high = this.#classChar(begin);
        if (high < low) throw new RegexError("invalid character class range", this.#slice(from));
      }
      pairs.push(...(this.#flags.foldCase ? fold([low, high]) : [low, high]));
    }
    this.#position += 1;
    const ranges = normalize(pairs);
    this.#push({ kind: "class", ranges: negated ? negate(ranges) : clip(ranges, 0, MAX_CODE_POINT) });
  }

  #classChar(begin: number): number {
    if (this.#position >= this.#source.length) throw new RegexError("missing closing ]", this.#source.slice(begin));
    return this.#source[this.#position] === "\\" ? this.#charEscape() : this.#next();
  }

  /** `[:alpha:]`, `[:^alpha:]`; undefined for anything else. */
  #posixClass(): Ranges | undefined {
    const source = this.#source;
    const begin = this.#position;
    if (!source.startsWith("[:", begin)) return undefined;
    const end = source.indexOf(":]", begin + 2);
    if (end < 0) return undefined;
    this.#position = end + 2;
    const name = source.slice(begin + 2, end);
    const ranges = POSIX_CLASSES.get(name.replace(/^\^/, ""));
    if (ranges === undefined) throw new RegexError("invalid character class range", this.#slice(begin));
    return this.#signed(ranges, !name.startsWith("^"));
  }

  /** Go reports the first byte that is not UTF-8 wherever it takes a name; here that is a lone surrogate. */
  #checkWellFormed(begin: number, end: number): void {
    const text = this.#source.slice(begin, end);
    const lone = text.search(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/);
    if (lone >= 0) throw new RegexError("invalid UTF-8", text);
  }
}

/** `*`, `+`, `?`, which Go does not count as counted repetitions. `{0,}`, `{1,}` and `{0,1}` count the same. */
function isPlain(node: { min: number; max: number }): boolean {
  return (node.max === Infinity && node.min <= 1) || (node.min === 0 && node.max === 1);
}
