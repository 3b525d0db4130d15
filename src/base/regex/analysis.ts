import { disjoint, includes, type Ranges, union } from "./ranges.ts";
import { nullable } from "./simplify.ts";
import type { Node } from "./syntax.ts";

/**
 * How much a backtracking engine may have to do for an expression, and where JavaScript means something else by it.
 *
 * Backtracking costs where the engine has a choice that the next character does not decide: `\S+ ` leaves its loop at the
 * first space and only there, `.* ` may leave it at each. A choice is decided when what may begin the loop's body and
 * what may follow the loop have no character in common.
 */

/** What may come next: characters, or "anything and it is a success" at the end of the expression. */
type Follow = Next | "success";

interface Next {
  /** What the next character may be. */
  readonly first: Ranges;
  /** The fixed characters that must come, as far as they are known. */
  readonly literal: readonly number[];
}

const UNKNOWN: Next = { first: [0, 0x10ffff], literal: [] };
const MAX_LITERAL = 16;

/** The least distance between two places where the literal occurs: within it, its first character must not come again. */
function spacing(follow: Follow): number {
  if (follow === "success") return 1;
  const again = follow.literal.indexOf(follow.literal[0]!, 1);
  return Math.max(1, again < 0 ? follow.literal.length : again);
}

/** The number of ways through a part: at most `factor · n^degree` for n characters; infinite for exponentially many. */
interface Ways {
  readonly factor: number;
  readonly degree: number;
}

const ONE: Ways = { factor: 1, degree: 0 };

/** Characters with which a match of the node may begin; for a node that may be empty, those of the non-empty matches. */
function firstOf(node: Node): Ranges {
  switch (node.kind) {
    case "class":
      return node.ranges;
    case "concat": {
      let first: Ranges = [];
      for (const part of node.parts) {
        first = union(first, firstOf(part));
        if (!nullable(part)) break;
      }
      return first;
    }
    case "alternate":
      return node.parts.map(firstOf).reduce(union, []);
    case "repeat":
    case "capture":
      return node.kind === "repeat" && node.max === 0 ? [] : firstOf(node.body);
    default:
      return [];
  }
}

/** What may come when `node` is followed by `after`. */
function precede(node: Node, after: Follow): Follow {
  switch (node.kind) {
    case "class": {
      const single = node.ranges.length === 2 && node.ranges[0] === node.ranges[1];
      const rest = after === "success" ? [] : after.literal;
      return { first: node.ranges, literal: single ? [node.ranges[0]!, ...rest].slice(0, MAX_LITERAL) : [] };
    }
    case "assert":
      // Reaching the end decides `$`; the others look without deciding, and may fail, so nothing is a sure success.
      if (node.what === "text-end") return { first: [], literal: [] };
      if (node.what === "line-end") return { first: [0x0a, 0x0a], literal: [] };
      return after === "success" ? UNKNOWN : after;
    case "empty":
      return after;
    case "concat":
      return node.parts.reduceRight<Follow>((follow, part) => precede(part, follow), after);
    case "capture":
      return precede(node.body, after);
    default:
      if (!nullable(node)) return { first: firstOf(node), literal: [] };
      if (containsAssertion(node)) return UNKNOWN;
      return after === "success" ? "success" : either(firstOf(node), after);
  }
}

function either(first: Ranges, follow: Follow): Next {
  return { first: union(first, follow === "success" ? [] : follow.first), literal: [] };
}

function containsAssertion(node: Node): boolean {
  if (node.kind === "assert") return true;
  if (node.kind === "concat" || node.kind === "alternate") return node.parts.some(containsAssertion);
  return (node.kind === "repeat" || node.kind === "capture") && containsAssertion(node.body);
}

function decided(first: Ranges, follow: Follow): boolean {
  return follow === "success" || disjoint(first, follow.first);
}

function times(a: Ways, b: Ways): Ways {
  return { factor: a.factor * b.factor, degree: a.degree + b.degree };
}

function plus(a: Ways, b: Ways): Ways {
  return { factor: a.factor + b.factor, degree: Math.max(a.degree, b.degree) };
}

function waysThrough(node: Node, follow: Follow): Ways {
  switch (node.kind) {
    case "concat": {
      let ways = ONE;
      let after = follow;
      for (let i = node.parts.length - 1; i >= 0; i--) {
        ways = times(ways, waysThrough(node.parts[i]!, after));
        after = precede(node.parts[i]!, after);
      }
      return ways;
    }
    case "alternate": {
      let ways: Ways = { factor: 0, degree: 0 };
      let seen: Ranges = [];
      let overlap = false;
      for (const part of node.parts) {
        const starts = precede(part, follow);
        if (starts === "success" || !disjoint(seen, starts.first)) overlap = true;
        if (starts !== "success") seen = union(seen, starts.first);
        ways = plus(ways, waysThrough(part, follow));
      }
      // With disjoint beginnings only one alternative is ever entered.
      return overlap || ways.degree > 0 || ways.factor > node.parts.length ? ways : ONE;
    }
    case "capture":
      return waysThrough(node.body, follow);
    case "repeat": {
      const first = firstOf(node.body);
      const again: Follow = follow === "success" ? "success" : node.max > 1 ? either(first, follow) : follow;
      const inside = waysThrough(node.body, nullable(node.body) && again !== "success" ? UNKNOWN : again);
      const ambiguousInside = inside.factor > 1 || inside.degree > 0;
      const exit = decided(first, follow);
      if (node.max === 1) return exit ? inside : plus(inside, ONE);
      if (ambiguousInside || (nullable(node.body) && !exit)) {
        if (node.max === Infinity) return { factor: Infinity, degree: 0 };
        return { factor: (inside.factor + 1) ** node.max, degree: inside.degree * node.max };
      }
      if (exit) return ONE;
      if (node.max < Infinity) return { factor: node.max - node.min + 1, degree: 0 };
      return { factor: 1 / spacing(follow), degree: 1 };
    }
    default:
      return ONE;
  }
}

/** The longest match, with this length for a character; Infinity without a bound. */
export function longestMatch(node: Node, ofCharacter: number): number {
  switch (node.kind) {
    case "class":
      return ofCharacter;
    case "concat":
      return node.parts.reduce((sum, part) => sum + longestMatch(part, ofCharacter), 0);
    case "alternate":
      return Math.max(...node.parts.map((part) => longestMatch(part, ofCharacter)));
    case "capture":
      return longestMatch(node.body, ofCharacter);
    case "repeat": {
      const body = longestMatch(node.body, ofCharacter);
      return body === 0 || node.max === 0 ? 0 : node.max * body;
    }
    default:
      return 0;
  }
}

function beginsAtTextStart(node: Node): boolean {
  if (node.kind === "assert") return node.what === "text-start";
  if (node.kind === "concat") {
    for (const part of node.parts) {
      if (beginsAtTextStart(part)) return true;
      if (part.kind !== "assert") return false;
    }
    return false;
  }
  if (node.kind === "alternate") return node.parts.every(beginsAtTextStart);
  if (node.kind === "capture") return beginsAtTextStart(node.body);
  return node.kind === "repeat" && node.min > 0 && beginsAtTextStart(node.body);
}

/** The most code units that a character has. */
const CHARACTER_UNITS = 2;
/** Steps that one search may take; a step is below a nanosecond, so this is under 10 ms. */
const STEP_BUDGET = 1e7;

/**
 * The longest text, in code units, on which a backtracking search for the expression stays within the budget whatever the
 * text is. 0 for expressions with exponentially many ways.
 */
export function backtrackingLimit(root: Node): number {
  let ways = waysThrough(root, "success");
  const length = longestMatch(root, CHARACTER_UNITS);
  // Even an attempt that cannot branch reads on, and there is one for each place where a match may begin.
  ways = times(ways, Number.isFinite(length) ? { factor: Math.max(length, 1), degree: 0 } : { factor: 1, degree: 1 });
  if (!beginsAtTextStart(root)) ways = times(ways, { factor: 1 / spacing(precede(root, "success")), degree: 1 });
  if (!(ways.factor <= STEP_BUDGET)) return 0;
  if (ways.degree === 0) return Infinity;
  let factorial = 1;
  for (let i = 2; i <= ways.degree; i++) factorial *= i;
  return Math.floor(((STEP_BUDGET * factorial) / ways.factor) ** (1 / ways.degree));
}

/**
 * Whether a JavaScript engine finds the same range and the same groups. It does not where an iteration may be empty (it
 * rejects such iterations, RE2 accepts the first) and where a group inside a loop may be left out (it forgets what the
 * group matched in earlier iterations, RE2 keeps it).
 */
export function sameSubmatches(node: Node): boolean {
  switch (node.kind) {
    case "repeat":
      if (node.min !== node.max && nullable(node.body)) return false;
      if (node.max > 1 && captureCount(node.body) !== surelySet(node.body)) return false;
      return sameSubmatches(node.body);
    case "concat":
    case "alternate":
      return node.parts.every(sameSubmatches);
    case "capture":
      return sameSubmatches(node.body);
    default:
      return true;
  }
}

function captureCount(node: Node): number {
  if (node.kind === "concat" || node.kind === "alternate")
    return node.parts.reduce((sum, part) => sum + captureCount(part), 0);
  if (node.kind === "repeat") return captureCount(node.body);
  return node.kind === "capture" ? 1 + captureCount(node.body) : 0;
}

/** The number of groups that take part in each match of the node. */
function surelySet(node: Node): number {
  if (node.kind === "concat") return node.parts.reduce((sum, part) => sum + surelySet(part), 0);
  if (node.kind === "repeat") return node.min > 0 ? surelySet(node.body) : 0;
  return node.kind === "capture" ? 1 + surelySet(node.body) : 0;
}

/** Whether a match could begin, end or look inside a character beyond U+FFFF when these are seen as two code units. */
export function seesSurrogates(node: Node): boolean {
  switch (node.kind) {
    case "class":
      return node.ranges.length > 0 && node.ranges.at(-1)! >= 0xd800;
    case "concat":
    case "alternate":
      return node.parts.some(seesSurrogates);
    case "repeat":
    case "capture":
      return seesSurrogates(node.body);
    default:
      return false;
  }
}

/** Whether the expression uses `\B`, which holds between the two halves of a character. */
export function usesNotWord(node: Node): boolean {
  if (node.kind === "assert") return node.what === "not-word";
  if (node.kind === "concat" || node.kind === "alternate") return node.parts.some(usesNotWord);
  return (node.kind === "repeat" || node.kind === "capture") && usesNotWord(node.body);
}

/**
 * Whether the expression gives the same answer when each byte of UTF-8 text is taken for a character. It does if its
 * classes are within ASCII, or hold everything beyond ASCII and stand in a loop that only ASCII can end.
 */
export function bytewise(root: Node): boolean {
  return !usesNotWord(root) && bytewisePart(root, "success");
}

const BEYOND_ASCII: Ranges = [0x80, 0x10ffff];

function bytewisePart(node: Node, follow: Follow): boolean {
  switch (node.kind) {
    case "class":
      return disjoint(node.ranges, BEYOND_ASCII);
    case "concat": {
      let after = follow;
      for (let i = node.parts.length - 1; i >= 0; i--) {
        if (!bytewisePart(node.parts[i]!, after)) return false;
        after = precede(node.parts[i]!, after);
      }
      return true;
    }
    case "alternate":
      return node.parts.every((part) => bytewisePart(part, follow));
    case "capture":
      return bytewisePart(node.body, follow);
    case "repeat": {
      const { body } = node;
      if (body.kind === "class" && !disjoint(body.ranges, BEYOND_ASCII)) {
        const whole = includes(body.ranges, 0x80, 0x10ffff);
        const ended = follow === "success" ? node.greedy : disjoint(follow.first, BEYOND_ASCII);
        return whole && node.min <= 1 && node.max === Infinity && ended;
      }
      return bytewisePart(body, node.max > 1 ? either(firstOf(body), follow) : follow);
    }
    default:
      return true;
  }
}
