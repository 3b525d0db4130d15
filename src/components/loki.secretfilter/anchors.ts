import { longestMatch } from "#base/regex/analysis";
import { simplify, withoutCaptures } from "#base/regex/simplify";
import type { Node } from "#base/regex/syntax";

/**
 * Where in a text a rule's expression can match at all. Most expressions hold a word that each match must contain, such as
 * `ghp_` or one of `access`, `auth`, `key` …; the places of these words, found in one pass for all rules, are the only
 * ones worth a closer look.
 */
export interface Anchor {
  /** Each match contains one of these, in lower case (the text may have any case). ASCII, at least two characters. */
  readonly literals: readonly string[];
  /** How many characters of a match may come before the literal; Infinity without a bound. */
  readonly before: number;
  /** The expression from the literal on. */
  readonly tail: readonly Node[];
}

const MAX_LITERALS = 40;
const MAX_LENGTH = 20;
/** More alternatives than these for one character are no literal any more, … */
const MAX_CHOICES = 3;
/** … unless the literal is still so short that it says little. */
const MAX_EARLY_CHOICES = 16;
const SHORT = 3;
const KELVIN = 0x212a;
const LONG_S = 0x17f;

/** Anchors of which each match contains one; undefined if there are none. */
export function findAnchors(root: Node): readonly Anchor[] | undefined {
  const node = simplify(withoutCaptures(root));
  const anchors = (node.kind === "alternate" ? node.parts : [node]).map(bestAnchor);
  return anchors.includes(undefined) ? undefined : (anchors as Anchor[]);
}

function bestAnchor(node: Node): Anchor | undefined {
  const parts = node.kind === "concat" ? node.parts : [node];
  let best: Anchor | undefined;
  let bestScore = 0;
  let before = 0;
  for (const [k, part] of parts.entries()) {
    if (part.kind !== "assert") {
      const tail = parts.slice(k);
      const literals = literalsOf(tail);
      const length = Math.min(...literals.map((each) => each.length));
      // A bounded way before the literal keeps the search near it, which is worth a bit of its length.
      const score = length < 2 ? 0 : Math.min(length, 8) + (before < Infinity ? 1.5 : 0);
      if (score > bestScore) {
        bestScore = score;
        best = { literals, before, tail };
      }
    }
    before += longestMatch(part, 1);
  }
  return best;
}

interface Prefix {
  readonly text: string;
  /** Whether what follows is still known. */
  readonly open: boolean;
}

/** Texts of which each match begins with one, in lower case. */
function literalsOf(tail: readonly Node[]): readonly string[] {
  let prefixes: readonly Prefix[] = [{ text: "", open: true }];
  for (const part of tail) {
    prefixes = extend(prefixes, part);
    if (!prefixes.some((each) => each.open)) break;
  }
  return [...new Set(prefixes.map((each) => each.text))];
}

function extend(prefixes: readonly Prefix[], node: Node): readonly Prefix[] {
  const closed = () => prefixes.map(({ text }) => ({ text, open: false }));
  const grown = extendBy(prefixes, node);
  return grown === undefined || grown.length > MAX_LITERALS ? closed() : grown;
}

function extendBy(prefixes: readonly Prefix[], node: Node): readonly Prefix[] | undefined {
  switch (node.kind) {
    case "empty":
    case "assert":
      return prefixes;
    case "class": {
      const short = prefixes.every((each) => each.text.length < SHORT);
      const choices = choicesOf(node.ranges, short ? MAX_EARLY_CHOICES : MAX_CHOICES);
      if (choices === undefined) return undefined;
      return prefixes.flatMap((prefix) =>
        prefix.open
          ? choices.map((choice) => ({ text: prefix.text + choice, open: prefix.text.length + 1 < MAX_LENGTH }))
          : [prefix],
      );
    }
    case "concat":
      return node.parts.reduce(extend, prefixes);
    case "alternate": {
      const open = prefixes.filter((each) => each.open);
      const done = prefixes.filter((each) => !each.open);
      return [...done, ...node.parts.flatMap((part) => extend(open, part))];
    }
    case "capture":
      return extend(prefixes, node.body);
    case "repeat": {
      if (node.min === 0) return undefined;
      let grown = prefixes;
      for (let i = 0; i < Math.min(node.min, MAX_LENGTH); i++) grown = extend(grown, node.body);
      return node.max === node.min ? grown : grown.map(({ text }) => ({ text, open: false }));
    }
  }
}

/** The characters of a class in lower case, if they are few and ASCII. */
function choicesOf(ranges: readonly number[], most: number): readonly string[] | undefined {
  const choices = new Set<string>();
  for (let i = 0; i < ranges.length; i += 2) {
    const [low, high] = [ranges[i]!, ranges[i + 1]!];
    // Lines with these two, which fold to k and s, are searched in another way.
    if (low === high && (low === KELVIN || low === LONG_S)) continue;
    if (high > 0x7f || high - low > 2 * most) return undefined;
    for (let code = low; code <= high; code++) choices.add(String.fromCharCode(code).toLowerCase());
  }
  return choices.size === 0 || choices.size > most ? undefined : [...choices];
}
