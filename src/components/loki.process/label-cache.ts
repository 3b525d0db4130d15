import { Labels } from "#base/labels";

type Values = readonly (string | undefined)[];
type Level = Map<string | undefined, Level | Labels>;

const MAX_ENTRIES = 8_192;
/** How many look-ups make a verdict on whether the cache is worth its cost. */
const SAMPLE = 1_024;
const PAUSE = 16 * SAMPLE;

/**
 * The label sets that a stage makes out of (label set, values), kept so that the usual case costs a few look-ups. Bounded:
 * when full it starts anew, and where hardly anything repeats (a label with a sequence number) it steps aside for a while.
 */
export class LabelCache {
  readonly #compute: (parent: Labels, values: Values) => Labels;
  readonly #root = new Map<Labels, Level | Labels>();
  #entries = 0;
  #lookups = 0;
  #hits = 0;
  #paused = 0;

  constructor(compute: (parent: Labels, values: Values) => Labels) {
    this.#compute = compute;
  }

  get(parent: Labels, values: Values): Labels {
    if (this.#paused > 0) {
      this.#paused -= 1;
      return this.#compute(parent, values);
    }
    const count = values.length;
    let level = this.#root.get(parent);
    for (let i = 0; i < count && level !== undefined; i++) {
      level = (level as Level).get(values[i]) as Level | Labels | undefined;
    }
    this.#lookups += 1;
    if (level !== undefined) {
      this.#hits += 1;
      return level as Labels;
    }
    const labels = this.#compute(parent, values);
    this.#keep(parent, values, labels);
    return labels;
  }

  #keep(parent: Labels, values: Values, labels: Labels): void {
    if (this.#lookups >= SAMPLE) {
      if (this.#hits * 16 < this.#lookups) {
        this.#paused = PAUSE;
        this.#clear();
      }
      this.#lookups = this.#hits = 0;
    }
    if (this.#entries >= MAX_ENTRIES) this.#clear();
    this.#entries += 1;
    const { length } = values;
    if (length === 0) {
      this.#root.set(parent, labels);
      return;
    }
    let level = this.#root.get(parent) as Level | undefined;
    if (level === undefined) this.#root.set(parent, (level = new Map()));
    for (let i = 0; i < length - 1; i++) {
      let next = level.get(values[i]) as Level | undefined;
      if (next === undefined) level.set(values[i], (next = new Map()));
      level = next;
    }
    level.set(values[length - 1], labels);
  }

  #clear(): void {
    this.#root.clear();
    this.#entries = 0;
  }
}

/** A cache of what `setLabels` with these names (sorted) makes. */
export function labelSetter(names: readonly string[]): LabelCache {
  return new LabelCache((parent, values) => setLabels(parent, names, values));
}

/** The label set with some labels set; `names` are sorted, undefined values are left alone. */
export function setLabels(parent: Labels, names: readonly string[], values: Values): Labels {
  const { flat } = parent;
  const merged: string[] = [];
  let at = 0;
  for (let i = 0; i < names.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    const name = names[i]!;
    while (at < flat.length && flat[at]! < name) merged.push(flat[at++]!, flat[at++]!);
    if (at < flat.length && flat[at] === name) at += 2;
    merged.push(name, ownCopy(value));
  }
  if (merged.length === 0 && at === 0) return parent;
  while (at < flat.length) merged.push(flat[at++]!);
  return Labels.fromSorted(merged);
}

/** A copy of a long string that keeps no longer one alive: V8 makes slices that point into the line they were cut from. */
function ownCopy(text: string): string {
  return text.length < 13 ? text : Buffer.from(text).toString();
}
