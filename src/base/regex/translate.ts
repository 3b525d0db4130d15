import { clip, includes, negate, normalize, type Ranges, union } from "./ranges.ts";
import type { Assertion, Node } from "./syntax.ts";

/**
 * Writes a syntax tree as a JavaScript expression without flags: V8's linear-time engine takes none, and the flags `i`
 * and `m` mean other things there than in RE2.
 */
export interface TranslateOptions {
  /** For text with characters beyond U+FFFF, which are two code units. Without it classes need only be right for the others. */
  readonly astral: boolean;
  /**
   * Makes the engine count each step of a loop over single characters as a backtrack. Otherwise it runs such loops without
   * counting, and quadratic searches never reach the limit at which it changes to the linear-time engine.
   */
  readonly counted: boolean;
}

const SURROGATES: Ranges = [0xd800, 0xdfff];
const ASSERTIONS: Readonly<Record<Assertion, string>> = {
  "text-start": "^",
  "text-end": "$",
  "line-start": "(?<![^\\n])",
  "line-end": "(?![^\\n])",
  word: "\\b",
  "not-word": "\\B",
};

export function toJavaScript(node: Node, options: TranslateOptions): string {
  switch (node.kind) {
    case "empty":
      return "(?:)";
    case "class":
      return options.astral ? astralClass(node.ranges) : classText(node.ranges);
    case "assert":
      return ASSERTIONS[node.what];
    case "concat":
      return node.parts
        .map((part) => (part.kind === "alternate" ? `(?:${toJavaScript(part, options)})` : toJavaScript(part, options)))
        .join("");
    case "alternate":
      return node.parts.map((part) => toJavaScript(part, options)).join("|");
    case "capture":
      return `(${toJavaScript(node.body, options)})`;
    case "repeat": {
      const body = toJavaScript(node.body, options);
      let atom = `(?:${body})`;
      // An alternative that never matches, which the engine does not find out.
      if (node.body.kind === "class" && options.counted && node.max > 1) atom = `(?:${body}|\\b\\B)`;
      else if (node.body.kind === "class" && !body.startsWith("(")) atom = body;
      return atom + quantifier(node.min, node.max) + (node.greedy ? "" : "?");
    }
  }
}

function quantifier(min: number, max: number): string {
  if (max === Infinity) return min === 0 ? "*" : min === 1 ? "+" : `{${min},}`;
  if (min === 0 && max === 1) return "?";
  return min === max ? `{${min}}` : `{${min},${max}}`;
}

/** A class over code units; right for text without surrogates. */
function classText(ranges: Ranges): string {
  if (ranges.length === 0) return "[]";
  if (ranges.length === 2 && ranges[0] === ranges[1] && ranges[0]! <= 0xffff) return unit(ranges[0]!);
  if (includes(ranges, 0xffff)) {
    const missing = clip(negate(union(ranges, SURROGATES)), 0, 0xffff);
    return missing.length === 0 ? "[^]" : `[^${members(missing)}]`;
  }
  const present = clip(ranges, 0, 0xffff);
  return present.length === 0 ? "[]" : `[${members(present)}]`;
}

/** A class over code points, written over code units; right for well-formed text. */
function astralClass(ranges: Ranges): string {
  const plain = normalize([...clip(ranges, 0, 0xd7ff), ...clip(ranges, 0xe000, 0xffff)]);
  const pairs = surrogatePairs(clip(ranges, 0x10000, 0x10ffff));
  if (pairs.length === 0) return plain.length === 2 && plain[0] === plain[1] ? unit(plain[0]!) : `[${members(plain)}]`;
  return `(?:${[...(plain.length === 0 ? [] : [`[${members(plain)}]`]), ...pairs].join("|")})`;
}

/** Pairs of classes for ranges beyond U+FFFF. */
function surrogatePairs(ranges: Ranges): string[] {
  const out: string[] = [];
  const pair = (highFrom: number, highTo: number, lowFrom: number, lowTo: number) =>
    out.push(`${classText([highFrom, highTo])}${classText([lowFrom, lowTo])}`);
  for (let i = 0; i < ranges.length; i += 2) {
    let from = ranges[i]! - 0x10000;
    const to = ranges[i + 1]! - 0x10000;
    while (from <= to) {
      const high = from >> 10;
      if ((from & 0x3ff) === 0 && to - from >= 0x3ff) {
        // Whole blocks of low surrogates.
        const last = (to & 0x3ff) === 0x3ff ? to >> 10 : (to >> 10) - 1;
        pair(0xd800 + high, 0xd800 + last, 0xdc00, 0xdfff);
        from = (last + 1) << 10;
      } else {
        const end = Math.min(to, from | 0x3ff);
        pair(0xd800 + high, 0xd800 + high, 0xdc00 + (from & 0x3ff), 0xdc00 + (end & 0x3ff));
        from = end + 1;
      }
    }
  }
  return out;
}

function members(ranges: Ranges): string {
  let out = "";
  for (let i = 0; i < ranges.length; i += 2) {
    out += unit(ranges[i]!);
    if (ranges[i + 1]! > ranges[i]! + 1) out += "-";
    if (ranges[i + 1]! > ranges[i]!) out += unit(ranges[i + 1]!);
  }
  return out;
}

/** One code unit, escaped so that it is itself inside and outside of classes. */
function unit(code: number): string {
  const char = String.fromCharCode(code);
  if (/[A-Za-z0-9_ ]/.test(char)) return char;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** The tree as an RE2 expression with groups by number only, for the reference engine. */
export function toRe2(node: Node): string {
  switch (node.kind) {
    case "empty":
      return "(?:)";
    case "class":
      return re2Class(node.ranges);
    case "assert":
      return RE2_ASSERTIONS[node.what];
    case "concat":
      return node.parts.map((part) => (part.kind === "alternate" ? `(?:${toRe2(part)})` : toRe2(part))).join("");
    case "alternate":
      return node.parts.map(toRe2).join("|");
    case "capture":
      return `(${toRe2(node.body)})`;
    case "repeat":
      return `(?:${toRe2(node.body)})${quantifier(node.min, node.max)}${node.greedy ? "" : "?"}`;
  }
}

const RE2_ASSERTIONS: Readonly<Record<Assertion, string>> = {
  "text-start": "\\A",
  "text-end": "\\z",
  "line-start": "(?m:^)",
  "line-end": "(?m:$)",
  word: "\\b",
  "not-word": "\\B",
};

function re2Class(ranges: Ranges): string {
  const code = (value: number) => `\\x{${value.toString(16)}}`;
  if (ranges.length === 0) return "[^\\x{0}-\\x{10FFFF}]";
  if (ranges.length === 2 && ranges[0] === ranges[1]) return code(ranges[0]!);
  let out = "";
  for (let i = 0; i < ranges.length; i += 2) out += `${code(ranges[i]!)}-${code(ranges[i + 1]!)}`;
  return `[${out}]`;
}
