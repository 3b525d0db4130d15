import type { Node } from "#base/regex/syntax";

const CLASS = 0;
const SPLIT = 1;
const ASSERT = 2;
const SAVE = 3;
const MATCH = 4;

const ASSERTIONS = ["text-start", "text-end", "line-start", "line-end", "word", "not-word"] as const;

/** Expressions with more steps than these are left to others. */
const MAX_PROGRAM = 20_000;
/** The most marks (a bit each) that a search may need. */
const MAX_MARKS = 1 << 25;

/**
 * Matches an expression by backtracking that never tries the same choice at the same place twice, as RE2 does on short
 * texts (re2/bitstate.cc): RE2's result in bounded time, with memory for choices × length. Gitleaks' expressions have so
 * many counted loops in a row that the engine of JavaScript could take minutes on a bad line, and its linear one refuses
 * them.
 */
export class Backtracker {
  readonly #op: number[] = [];
  /** CLASS: the set; SPLIT: its number; ASSERT: which; SAVE: the slot. */
  readonly #argument: number[] = [];
  readonly #next: number[] = [];
  /** SPLIT: where to go when the first way fails. */
  readonly #other: number[] = [];
  readonly #sets: CharacterSet[] = [];
  readonly #setNumbers = new Map<readonly number[], number>();
  readonly #begin: number;
  readonly #slots: number;
  #splits = 0;
  /** By place and choice: whether it was made there. All zero between searches. */
  #marks = new Uint32Array(0);
  #furthest = 0;
  /** Whether the last search looked at where the text ends. */
  endMattered = false;
  #stack = new Int32Array(1_024);

  /** `groups` includes the whole match. The expression must be one on which JavaScript's and RE2's groups agree. */
  constructor(root: Node, groups: number) {
    this.#slots = groups * 2;
    this.#begin = this.#compile(root, this.#add(MATCH, 0, 0));
  }

  /** Whether a text of this length is within bounds. */
  takes(length: number): boolean {
    return this.#op.length < MAX_PROGRAM && this.#splits * (length + 1) <= MAX_MARKS;
  }

  /**
   * The leftmost match that begins at `from` or later, but no later than `lastStart`, as `begin, end` of the match and of
   * each group, −1 for those that took no part.
   */
  exec(text: string, from: number, lastStart: number): Int32Array | null {
    const words = (this.#splits * (text.length + 1) + 31) >>> 5;
    if (words > this.#marks.length) this.#marks = new Uint32Array(words * 2);
    this.#furthest = from;
    this.endMattered = false;
    try {
      return this.#search(text, from, lastStart);
    } finally {
      this.#marks.fill(0, (from * this.#splits) >>> 5, (((this.#furthest + 1) * this.#splits) >>> 5) + 1);
    }
  }

  #search(text: string, from: number, lastStart: number): Int32Array | null {
    const slots = new Int32Array(this.#slots).fill(-1);
    for (let start = from; start <= lastStart; start++) {
      // Not between the two halves of a character.
      if (start > from && isLow(text.charCodeAt(start)) && isHigh(text.charCodeAt(start - 1))) continue;
      const end = this.#run(text, start, slots);
      if (end >= 0) {
        slots[0] = start;
        slots[1] = end;
        return slots;
      }
    }
    return null;
  }

  /** Marks are kept from one start to the next: what failed fails again. */
  #run(text: string, start: number, slots: Int32Array): number {
    const marks = this.#marks;
    const splits = this.#splits;
    let top = 0;
    let step = this.#begin;
    let at = start;
    for (;;) {
      let failed = false;
      switch (this.#op[step]) {
        case CLASS: {
          if (at === text.length) {
            this.endMattered = true;
            failed = true;
            break;
          }
          const code = codeAt(text, at);
          if (this.#sets[this.#argument[step]!]!.has(code)) {
            at += code > 0xffff ? 2 : 1;
            step = this.#next[step]!;
          } else failed = true;
          break;
        }
        case SPLIT: {
          const mark = at * splits + this.#argument[step]!;
          if (at > this.#furthest) this.#furthest = at;
          if ((marks[mark >>> 5]! & (1 << (mark & 31))) !== 0) failed = true;
          else {
            marks[mark >>> 5]! |= 1 << (mark & 31);
            top = this.#push(top, this.#other[step]!, at);
            step = this.#next[step]!;
          }
          break;
        }
        case ASSERT:
          if (at === text.length) this.endMattered = true;
          if (holds(ASSERTIONS[this.#argument[step]!]!, text, at)) step = this.#next[step]!;
          else failed = true;
          break;
        case SAVE: {
          const slot = this.#argument[step]!;
          // On the way back the slot gets what it had.
          top = this.#push(top, -1 - slot, slots[slot]!);
          slots[slot] = at;
          step = this.#next[step]!;
          break;
        }
        default:
          return at;
      }
      if (!failed) continue;
      for (;;) {
        if (top === 0) return -1;
        top -= 2;
        const back = this.#stack[top]!;
        const value = this.#stack[top + 1]!;
        if (back >= 0) {
          step = back;
          at = value;
          break;
        }
        slots[-1 - back] = value;
      }
    }
  }

  #push(top: number, what: number, value: number): number {
    if (top + 2 > this.#stack.length) {
      const larger = new Int32Array(this.#stack.length * 2);
      larger.set(this.#stack);
      this.#stack = larger;
    }
    this.#stack[top] = what;
    this.#stack[top + 1] = value;
    return top + 2;
  }

  #add(op: number, argument: number, next: number, other = 0): number {
    if (this.#op.length >= MAX_PROGRAM) return 0;
    this.#op.push(op);
    this.#argument.push(argument);
    this.#next.push(next);
    this.#other.push(other);
    return this.#op.length - 1;
  }

  #split(first: number, second: number): number {
    return this.#add(SPLIT, this.#splits++, first, second);
  }

  #compile(node: Node, next: number): number {
    switch (node.kind) {
      case "empty":
        return next;
      case "class": {
        let number = this.#setNumbers.get(node.ranges);
        if (number === undefined) {
          number = this.#sets.push(new CharacterSet(node.ranges)) - 1;
          this.#setNumbers.set(node.ranges, number);
        }
        return this.#add(CLASS, number, next);
      }
      case "assert":
        return this.#add(ASSERT, ASSERTIONS.indexOf(node.what), next);
      case "concat":
        return node.parts.reduceRight((after, part) => this.#compile(part, after), next);
      case "alternate": {
        const ways = node.parts.map((part) => this.#compile(part, next));
        return ways.reduceRight((others, way) => this.#split(way, others));
      }
      case "capture": {
        const end = this.#add(SAVE, node.index * 2 + 1, next);
        return this.#add(SAVE, node.index * 2, this.#compile(node.body, end));
      }
      case "repeat": {
        const { min, max, greedy, body } = node;
        let after = next;
        if (max === Infinity) {
          // The loop's choice comes before its body, which leads back to it.
          const loop = this.#split(0, 0);
          const inside = this.#compile(body, loop);
          this.#next[loop] = greedy ? inside : next;
          this.#other[loop] = greedy ? next : inside;
          after = loop;
        } else {
          for (let i = min; i < max && this.#op.length < MAX_PROGRAM; i++) {
            const inside = this.#compile(body, after);
            after = greedy ? this.#split(inside, next) : this.#split(next, inside);
          }
        }
        for (let i = 0; i < min && this.#op.length < MAX_PROGRAM; i++) after = this.#compile(body, after);
        return after;
      }
    }
  }
}

class CharacterSet {
  readonly #ascii = new Uint8Array(128);
  readonly #beyond: readonly number[];

  constructor(ranges: readonly number[]) {
    const beyond: number[] = [];
    for (let i = 0; i < ranges.length; i += 2) {
      for (let code = ranges[i]!; code <= Math.min(ranges[i + 1]!, 0x7f); code++) this.#ascii[code] = 1;
      if (ranges[i + 1]! > 0x7f) beyond.push(ranges[i]!, ranges[i + 1]!);
    }
    this.#beyond = beyond;
  }

  has(code: number): boolean {
    if (code < 128) return this.#ascii[code] === 1;
    const ranges = this.#beyond;
    for (let i = 0; i < ranges.length; i += 2) if (code <= ranges[i + 1]!) return code >= ranges[i]!;
    return false;
  }
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** The character at a place; halves of characters, which stand for bytes that are no UTF-8, are U+FFFD as in Go. */
function codeAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code < 0xd800 || code > 0xdfff) return code;
  const whole = text.codePointAt(at)!;
  return whole > 0xffff ? whole : 0xfffd;
}

function holds(what: (typeof ASSERTIONS)[number], text: string, at: number): boolean {
  switch (what) {
    case "text-start":
      return at === 0;
    case "text-end":
      return at === text.length;
    case "line-start":
      return at === 0 || text.charCodeAt(at - 1) === 0x0a;
    case "line-end":
      return at === text.length || text.charCodeAt(at) === 0x0a;
    case "word":
      return isWord(text, at - 1) !== isWord(text, at);
    case "not-word":
      return isWord(text, at - 1) === isWord(text, at);
  }
}

function isWord(text: string, at: number): boolean {
  const code = at < 0 || at >= text.length ? 0 : text.charCodeAt(at);
  return (
    (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || (code >= 0x61 && code <= 0x7a)
  );
}
