import type { Node } from "#base/regex/syntax";

/** Repetitions are counted up to here; beyond, any number will do. */
const MAX_COPIES = 300;
const MAX_NFA_STATES = 4_000;
/** States that are worked out and kept; then the table begins anew. */
const MAX_DFA_STATES = 4_096;
/** Who is not refuted after so many bytes passes. Bounds what one place may cost. */
const MAX_BYTES = 256;

const DEAD = 0;
const ACCEPT = 1;
const UNKNOWN = -1;

/** A state of the automaton with choices: what it consumes or where it may go without. */
type State =
  | { readonly kind: "consume"; readonly set: Uint8Array; readonly next: number }
  | { readonly kind: "split"; readonly next: number[] }
  | { readonly kind: "text-end"; readonly next: number }
  | { readonly kind: "accept" };

/**
 * Tells quickly, on bytes, whether an expression can match at a place. It never says no to what does match, and sometimes
 * yes to what does not: assertions other than the text's end are taken to hold, bytes beyond ASCII may be any character
 * beyond ASCII, and what is far away is not looked at. A deterministic automaton that is worked out as it is needed.
 */
export class TailCheck {
  readonly #states: State[] = [];
  readonly #begin: number;
  readonly #classes = new Uint8Array(256);
  readonly #width: number;
  /** `state * width + class` → state. */
  #table: Int32Array;
  readonly #ids = new Map<string, number>();
  readonly #members: number[][] = [];
  #atEnd: Uint8Array = new Uint8Array(MAX_DFA_STATES);
  #first = DEAD;
  readonly #tooLarge: boolean;

  constructor(tail: readonly Node[]) {
    this.#states.push({ kind: "accept" });
    let next = 0;
    for (let i = tail.length - 1; i >= 0; i--) next = this.#compile(tail[i]!, next);
    this.#begin = next;
    this.#tooLarge = this.#states.length > MAX_NFA_STATES;
    this.#width = this.#tooLarge ? 1 : this.#classify();
    this.#table = new Int32Array(0);
    if (!this.#tooLarge) this.#reset();
  }

  /** Whether there may be a match that begins at `data[at]` and ends before `end`, where the text ends. */
  test(data: Uint8Array, at: number, end: number): boolean {
    if (this.#tooLarge) return true;
    const until = Math.min(end, at + MAX_BYTES);
    const classes = this.#classes;
    const width = this.#width;
    let state = this.#first;
    for (let i = at; i < until; i++) {
      if (state <= ACCEPT) return state === ACCEPT;
      const symbol = classes[data[i]!]!;
      const next = this.#table[state * width + symbol]!;
      state = next !== UNKNOWN ? next : this.#step(state, symbol);
    }
    if (state <= ACCEPT) return state === ACCEPT;
    return until < end || this.#atEnd[state] === 1;
  }

  #add(state: State): number {
    // Beyond the limit the automaton is not used: any number will do.
    if (this.#states.length > MAX_NFA_STATES) return 0;
    this.#states.push(state);
    return this.#states.length - 1;
  }

  #compile(node: Node, next: number): number {
    switch (node.kind) {
      case "empty":
        return next;
      case "assert":
        return node.what === "text-end" ? this.#add({ kind: "text-end", next }) : next;
      case "class":
        return this.#compileClass(node.ranges, next);
      case "concat":
        return node.parts.reduceRight((after, part) => this.#compile(part, after), next);
      case "alternate":
        return this.#add({ kind: "split", next: node.parts.map((part) => this.#compile(part, next)) });
      case "capture":
        return this.#compile(node.body, next);
      case "repeat": {
        let after = next;
        if (node.max > MAX_COPIES) {
          const loop: State & { kind: "split" } = { kind: "split", next: [next] };
          after = this.#add(loop);
          loop.next.push(this.#compile(node.body, after));
        } else {
          for (let i = node.min; i < node.max; i++) {
            after = this.#add({ kind: "split", next: [next, this.#compile(node.body, after)] });
          }
        }
        for (let i = 0; i < Math.min(node.min, MAX_COPIES); i++) after = this.#compile(node.body, after);
        return after;
      }
    }
  }

  #compileClass(ranges: readonly number[], next: number): number {
    const set = new Uint8Array(256);
    let beyond = false;
    for (let i = 0; i < ranges.length; i += 2) {
      for (let code = ranges[i]!; code <= Math.min(ranges[i + 1]!, 0x7f); code++) set[code] = 1;
      if (ranges[i + 1]! > 0x7f) beyond = true;
    }
    if (!beyond) return this.#add({ kind: "consume", set, next });
    // One character beyond ASCII is one or more bytes beyond it.
    const more: State & { kind: "split" } = { kind: "split", next: [next] };
    const after = this.#add(more);
    more.next.push(this.#add({ kind: "consume", set: BEYOND_ASCII, next: after }));
    const rest = this.#add({ kind: "consume", set: BEYOND_ASCII, next: after });
    return this.#add({ kind: "split", next: [this.#add({ kind: "consume", set, next }), rest] });
  }

  /** Gives bytes that all states treat alike one number; returns how many there are. */
  #classify(): number {
    const sets = new Set<Uint8Array>();
    for (const state of this.#states) if (state.kind === "consume") sets.add(state.set);
    let count = 1;
    for (const set of sets) {
      const split = new Map<number, number>();
      for (let byte = 0; byte < 256; byte++) {
        if (set[byte] === 0) continue;
        const old = this.#classes[byte]!;
        // Numbers are only ever split; those that are left without bytes do no harm.
        let fresh = split.get(old);
        if (fresh === undefined) {
          const others = this.#classes.some((each, other) => each === old && set[other] === 0);
          split.set(old, (fresh = others ? count++ : old));
        }
        this.#classes[byte] = fresh;
      }
    }
    return count;
  }

  #reset(): void {
    this.#ids.clear();
    this.#members.length = 0;
    this.#members.push([], []);
    this.#table = new Int32Array(64 * this.#width).fill(UNKNOWN);
    this.#first = this.#intern([this.#begin]);
  }

  #step(state: number, symbol: number): number {
    const byte = this.#classes.indexOf(symbol);
    const reached: number[] = [];
    for (const member of this.#members[state]!) {
      const each = this.#states[member]!;
      if (each.kind === "consume" && each.set[byte] === 1) reached.push(each.next);
    }
    if (this.#members.length >= MAX_DFA_STATES) {
      this.#reset();
      return this.#intern(reached);
    }
    const next = this.#intern(reached);
    this.#table[state * this.#width + symbol] = next;
    return next;
  }

  /** The number of the state that is in all of these at once, and wherever they lead without a byte. */
  #intern(from: readonly number[]): number {
    const { members, atEnd } = this.#closure(from);
    if (members === "accept") return ACCEPT;
    if (members.length === 0 && !atEnd) return DEAD;
    const key = `${members.join(",")}${atEnd ? "$" : ""}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#members.length;
      this.#members.push(members);
      this.#ids.set(key, id);
      this.#atEnd[id] = atEnd ? 1 : 0;
      if ((id + 1) * this.#width > this.#table.length) {
        const larger = new Int32Array(this.#table.length * 2).fill(UNKNOWN);
        larger.set(this.#table);
        this.#table = larger;
      }
    }
    return id;
  }

  #closure(from: readonly number[]): { readonly members: number[] | "accept"; readonly atEnd: boolean } {
    const seen = new Set<number>();
    const members: number[] = [];
    const ends: number[] = [];
    const open = [...from];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      const state = this.#states[id]!;
      if (state.kind === "accept") return { members: "accept", atEnd: true };
      if (state.kind === "consume") members.push(id);
      else if (state.kind === "text-end") ends.push(state.next);
      else open.push(...state.next);
    }
    members.sort((a, b) => a - b);
    return { members, atEnd: ends.length > 0 && this.#acceptsEmpty(ends) };
  }

  /** Whether the end is reached from these when the text is over. */
  #acceptsEmpty(from: readonly number[]): boolean {
    const seen = new Set<number>();
    const open = [...from];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      const state = this.#states[id]!;
      if (state.kind === "accept") return true;
      if (state.kind === "text-end") open.push(state.next);
      else if (state.kind === "split") open.push(...state.next);
    }
    return false;
  }
}

const BEYOND_ASCII = new Uint8Array(256).fill(1, 0x80);
