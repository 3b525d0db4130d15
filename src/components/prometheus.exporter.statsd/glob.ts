interface State<T> {
  readonly next: Map<string, State<T>>;
  result: { readonly value: T; readonly priority: number } | undefined;
  /** How many fields may follow. */
  least: number;
  most: number;
}

export interface GlobMatch<T> {
  readonly value: T;
  /** What the asterisks stand for. */
  readonly captures: readonly string[];
}

/** Fields of a name that are looked at; a longer one matches nothing. */
const MAX_FIELDS = 1_000;

/**
 * Finds the pattern for a dotted name, in which `*` stands for one field: statsd_exporter's pkg/mapper/fsm. In order, the
 * first pattern that matches is found. Without order it is the one with the earliest fields spelt out; as in the original,
 * other ways through the patterns are only tried if a look at them says that this is needed, so that some names find none.
 */
export class Globs<T> {
  readonly #root: State<T> = newState(0);
  readonly #unordered: boolean;
  readonly #goesBack: boolean;

  constructor(patterns: readonly (readonly [pattern: string, value: T])[], unordered: boolean) {
    this.#unordered = unordered;
    this.#goesBack = !unordered || needsToGoBack(patterns.map(([pattern]) => pattern.split(".")));
    for (const [priority, [pattern, value]] of patterns.entries()) {
      const fields = pattern.split(".");
      let state = this.#root;
      for (const [i, field] of fields.entries()) {
        const left = fields.length - i - 1;
        let next = state.next.get(field);
        if (next === undefined) state.next.set(field, (next = newState(left)));
        next.least = Math.min(next.least, left);
        next.most = Math.max(next.most, left);
        state = next;
      }
      state.result ??= { value, priority };
    }
  }

  find(name: string): GlobMatch<T> | undefined {
    const fields = name.split(".");
    if (fields.length > MAX_FIELDS) return undefined;
    let best: (GlobMatch<T> & { readonly priority: number }) | undefined;
    const captures: string[] = [];
    /** Whether the search is over. */
    const visit = (state: State<T>, at: number): boolean => {
      if (at === fields.length) {
        const { result } = state;
        if (result !== undefined && (best === undefined || result.priority < best.priority)) {
          best = { ...result, captures: [...captures] };
        }
        return best !== undefined && this.#unordered;
      }
      const field = fields[at]!;
      const left = fields.length - at - 1;
      const literal = state.next.get(field);
      if (literal !== undefined && field !== "*" && left >= literal.least && left <= literal.most) {
        if (visit(literal, at + 1) || !this.#goesBack) return true;
      }
      const any = state.next.get("*");
      if (any === undefined || left < any.least || left > any.most) return false;
      captures.push(field);
      const isOver = visit(any, at + 1);
      captures.pop();
      return isOver;
    };
    visit(this.#root, 0);
    return best;
  }
}

function newState<T>(left: number): State<T> {
  return { next: new Map(), result: undefined, least: left, most: left };
}

/** Whether a pattern could be missed for another one that begins alike: TestIfNeedBacktracking of the original. */
function needsToGoBack(patterns: readonly (readonly string[])[]): boolean {
  return patterns.some((own, i) => {
    const others = patterns.filter((other, k) => k !== i && other.length === own.length);
    if (others.some((other) => covers(own, other) || covers(other, own))) return false;
    const text = own.join(".");
    return others.some((other) => {
      const otherText = other.join(".");
      for (let at = text.indexOf("*"); at >= 0; at = text.indexOf("*", at + 1)) {
        if (otherText.startsWith(text.slice(0, at))) return true;
      }
      return false;
    });
  });
}

function covers(general: readonly string[], special: readonly string[]): boolean {
  return general.every((field, i) => field === "*" || field === special[i]);
}

const REFERENCE = /\$\{?([a-zA-Z0-9_$]+)\}?/g;

/** A text with `$1` or `${1}` for captures; other references stand for nothing. */
export function fillIn(template: string, captures: readonly string[]): string {
  return template.replace(REFERENCE, (_, reference: string) =>
    /^\d+$/.test(reference) ? (captures[Number(reference) - 1] ?? "") : "",
  );
}
