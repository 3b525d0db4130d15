import { bytewise, sameSubmatches } from "./regex/analysis.ts";
import { Engine } from "./regex/engine.ts";
import { type OffsetPlan, place, planOffsets } from "./regex/offsets.ts";
import { parseRegex } from "./regex/parser.ts";
import { nullable, simplify, trimForTest, withoutCaptures } from "./regex/simplify.ts";
import type { Node } from "./regex/syntax.ts";

export { configureRegexEngine } from "./regex/engine.ts";
export { RegexError } from "./regex/syntax.ts";

export interface RegexOptions {
  /** Match whole texts only, newlines included, as Prometheus's relabelling does: `^(?s:…)$`. */
  readonly anchored?: boolean;
}

/**
 * Compiles an expression with RE2's syntax and semantics: it accepts, rejects and matches what Go's package regexp does
 * (leftmost match, first alternative first). Throws a RegexError with Go's words. No expression takes more than linear
 * time on any text. Unicode classes are those of the JavaScript engine, which is newer than Go's.
 */
export function compileRegex(source: string, options: RegexOptions = {}): Regex {
  return new Regex(source, options.anchored ? `^(?s:${source})$` : source);
}

const BEYOND_ASCII = /[\x80-\xff]/;

/** A compiled expression. Holds no state between calls. */
export class Regex {
  /** As written. */
  readonly source: string;
  /** Names of the groups by index, "" for unnamed ones; [0] is the whole match. */
  readonly groupNames: readonly string[];
  readonly #exact: boolean;
  readonly #bytewise: boolean;
  /** It may match the empty text: then there may be a match at the end of a text. */
  readonly #mayBeEmpty: boolean;
  readonly #root: Node;
  readonly #tester: Engine;
  #finder: Engine | undefined;
  #placer: (OffsetPlan & { readonly engine: Engine }) | undefined;

  constructor(source: string, expression: string) {
    const { root, groupNames } = parseRegex(expression);
    this.source = source;
    this.groupNames = groupNames;
    this.#root = simplify(root);
    this.#exact = sameSubmatches(this.#root);
    this.#bytewise = bytewise(this.#root);
    this.#mayBeEmpty = nullable(this.#root);
    this.#tester = new Engine(trimForTest(simplify(withoutCaptures(root))), true);
  }

  /** Whether the text contains a match. */
  test(text: string): boolean {
    const regex = this.#tester.choose(text);
    if (regex === undefined) return this.#tester.reference.test(text);
    regex.lastIndex = 0;
    return regex.test(text);
  }

  /** The first match: its text and those of the groups, undefined for groups that took no part. */
  exec(text: string): readonly (string | undefined)[] | null {
    const engine = (this.#finder ??= new Engine(this.#root, this.#exact));
    if (text.length > engine.limit && !this.test(text)) return null;
    const regex = engine.choose(text);
    if (regex !== undefined) {
      regex.lastIndex = 0;
      return regex.exec(text);
    }
    const range = this.#referenceRange(text, 0);
    return range === null ? null : this.#texts(text, range);
  }

  /**
   * Where the first match at or after `from` and its groups begin and end, as indices of code units: `begin, end` for the
   * match, then for each group, −1 for those that took no part. What lies before `from` counts for `^` and `\b`.
   */
  matchRange(text: string, from = 0): Int32Array | null {
    if (this.#placer === undefined) {
      const planned = planOffsets(this.#root);
      this.#placer = { ...planned, engine: new Engine(planned.node, this.#exact) };
    }
    const { engine, plan } = this.#placer;
    if (from === 0 && text.length > engine.limit && !this.test(text)) return null;
    const regex = engine.choose(text);
    if (regex === undefined) return this.#referenceRange(text, from);
    regex.lastIndex = from;
    const found = regex.exec(text);
    if (found === null) return null;
    const range = new Int32Array(this.groupNames.length * 2).fill(-1);
    range[0] = found.index;
    range[1] = found.index + found[0].length;
    if (plan !== undefined) place(plan, found.index, found, range);
    return range;
  }

  /** `test` on the UTF-8 bytes `data[start, end)`, without decoding them if the expression allows it. */
  testBytes(data: Uint8Array, start: number, end: number): boolean {
    const units = latin1(data, start, end);
    if (this.#bytewise || !BEYOND_ASCII.test(units)) {
      const regex = this.#tester.chooseUnits(units.length);
      if (regex !== undefined) {
        regex.lastIndex = 0;
        return regex.test(units);
      }
    }
    return this.test(utf8(data, start, end));
  }

  /** `exec` on the UTF-8 bytes `data[start, end)`. What is not UTF-8 comes out as U+FFFD. */
  execBytes(data: Uint8Array, start: number, end: number): readonly (string | undefined)[] | null {
    const engine = (this.#finder ??= new Engine(this.#root, this.#exact));
    const regex = engine.chooseUnits(end - start);
    if (regex === undefined || end - start > engine.limit) return this.exec(utf8(data, start, end));
    const units = latin1(data, start, end);
    if (!this.#bytewise && BEYOND_ASCII.test(units)) return this.exec(utf8(data, start, end));
    regex.lastIndex = 0;
    const found = regex.exec(units);
    if (found === null || !BEYOND_ASCII.test(found[0])) return found;
    return found.map((text) => (text === undefined || !BEYOND_ASCII.test(text) ? text : fromLatin1(text)));
  }

  /**
   * Fills a template from a match, as Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$` for a dollar; a name is
   * as long as possible, and unknown ones are empty.
   */
  expand(template: string, match: readonly (string | undefined)[]): string {
    if (!template.includes("$")) return template;
    return template.replace(/\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu, (whole, braced, bare) => {
      const name: string | undefined = braced ?? bare;
      if (name === undefined) return whole === "$$" ? "$" : whole;
      if (/^(?:0|[1-9][0-9]{0,8})$/.test(name)) return match[Number(name)] ?? "";
      // Of several groups with one name, the first that took part.
      const index = this.groupNames.findIndex((each, i) => i > 0 && each === name && match[i] !== undefined);
      return index < 0 ? "" : match[index]!;
    });
  }

  /** Replaces all matches that do not overlap with the filled template, as Go's `Regexp.ReplaceAllString`. */
  replaceAll(text: string, template: string): string {
    const engine = (this.#finder ??= new Engine(this.#root, this.#exact));
    const regex = template.includes("$") || text.length > engine.limit ? undefined : engine.choose(text);
    if (regex === undefined) return this.replaceAllFunction(text, (match) => this.expand(template, match));
    // Nobody needs to know where groups are.
    let out = "";
    let copied = 0;
    const last = this.#mayBeEmpty ? text.length : text.length - 1;
    for (let from = 0; from <= last; ) {
      regex.lastIndex = from;
      const found = regex.exec(text);
      if (found === null) break;
      const begin = found.index;
      const end = begin + found[0].length;
      out += text.slice(copied, begin);
      if (end > copied || begin === 0) out += template;
      copied = end;
      from = nextFrom(text, from, end);
    }
    return copied === 0 && out === "" ? text : out + text.slice(copied);
  }

  /** The same with a function that is handed the match and its groups, and where they lie. */
  replaceAllFunction(
    text: string,
    replace: (match: readonly (string | undefined)[], range: Int32Array) => string,
  ): string {
    let out = "";
    let copied = 0;
    for (let from = 0; from <= text.length; ) {
      const range = this.matchRange(text, from);
      if (range === null) break;
      const begin = range[0]!;
      const end = range[1]!;
      out += text.slice(copied, begin);
      // An empty match right after another match does not count.
      if (end > copied || begin === 0) out += replace(this.#texts(text, range), range);
      copied = end;
      from = nextFrom(text, from, end);
    }
    return out + text.slice(copied);
  }

  toString(): string {
    return this.source;
  }

  #texts(text: string, range: Int32Array): (string | undefined)[] {
    return this.groupNames.map((_, i) =>
      range[2 * i]! < 0 ? undefined : text.slice(range[2 * i]!, range[2 * i + 1]!),
    );
  }

  #referenceRange(text: string, from: number): Int32Array | null {
    // Without a match the test is enough, and it is the quicker by far.
    if (from === 0 && !this.test(text)) return null;
    const engine = (this.#finder ??= new Engine(this.#root, this.#exact));
    const matcher = engine.reference.matcher(text);
    if (!matcher.find(from)) return null;
    const range = new Int32Array(this.groupNames.length * 2);
    for (let i = 0; i < this.groupNames.length; i++) {
      range[2 * i] = matcher.start(i);
      range[2 * i + 1] = matcher.end(i);
    }
    return range;
  }
}

/** Where the search goes on after a match that ends at `end`: never again at the same place. */
function nextFrom(text: string, from: number, end: number): number {
  if (end > from) return end;
  return from + ((text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1);
}

/** Each byte as the character of that number. Uses Node's own decoder where there is one. */
function latin1(data: Uint8Array, start: number, end: number): string {
  if (nodeBuffer !== undefined) return nodeBuffer.prototype.latin1Slice.call(data, start, end);
  let text = "";
  for (let i = start; i < end; i += 8192) text += String.fromCharCode(...data.subarray(i, Math.min(end, i + 8192)));
  return text;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function utf8(data: Uint8Array, start: number, end: number): string {
  if (nodeBuffer !== undefined) return nodeBuffer.prototype.utf8Slice.call(data, start, end);
  return decoder.decode(data.subarray(start, end));
}

function fromLatin1(text: string): string {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return utf8(bytes, 0, bytes.length);
}

interface ByteSlices {
  readonly prototype: {
    latin1Slice(this: Uint8Array, start: number, end: number): string;
    utf8Slice(this: Uint8Array, start: number, end: number): string;
  };
}
const nodeBuffer = (globalThis as { Buffer?: unknown }).Buffer as ByteSlices | undefined;
