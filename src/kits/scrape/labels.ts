import { isUtf8 } from "node:buffer";
import { Labels, quote } from "#base/labels";
import { ExpositionError } from "#formats/exposition/error";
import { compareName, EncodedLabels, type LabelBytes } from "#formats/exposition/labels";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";

export interface LabelRules {
  /** Exposed labels win over those of the target. */
  readonly honorLabels: boolean;
  /** Names must fit the syntax from before UTF-8 names. */
  readonly legacyNames: boolean;
  /** 0 stands for no limit. */
  readonly labelLimit: number;
  readonly nameLengthLimit: number;
  readonly valueLengthLimit: number;
}

/** A series breaks a limit of the configuration. */
export class LabelLimitError extends ExpositionError {}

const LEGACY_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LEGACY_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Characters of texts shown in messages about limits. */
const SHOWN = 50;

/**
 * Makes series out of what a target exposes: adds the target's labels (or sets exposed ones aside as `exported_…`), checks
 * names and limits. Matches mutateSampleLabels and verifyLabelLimits of prometheus/scrape/scrape.go.
 */
export class ScrapeLabels {
  readonly #registry: SeriesRegistry;
  readonly #target: EncodedLabels;
  readonly #rules: LabelRules;
  #scratch = Buffer.allocUnsafe(1024);

  constructor(registry: SeriesRegistry, target: Labels, rules: LabelRules) {
    this.#registry = registry;
    this.#target = new EncodedLabels(target.filter((_, value) => value !== ""));
    this.#rules = rules;
  }

  /** The series of exposed labels, with one owner. Throws an ExpositionError. */
  resolve(labels: LabelBytes, quotedNames: boolean): SeriesRef {
    const emptied = this.#rules.honorLabels && hasEmpty(labels) ? names(labels) : undefined;
    const repeated = labels.sort();
    if (repeated !== undefined)
      throw new ExpositionError(`label name ${quote(repeated)} is not unique: invalid sample`);
    if (quotedNames) checkNames(labels);
    if (emptied !== undefined) return this.#resolveEmptied(labels, emptied, quotedNames);
    const target = this.#target;
    let length = target.bytes.length;
    for (let i = 0; i < labels.count; i++) length += labels.encodedLength(i);
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(length * 2);
    const scratch = this.#scratch;
    let at = 0;
    let k = 0;
    let count = 0;
    for (let i = 0; i < labels.count; ) {
      const order = k < target.count ? compareName(labels, i, target, k) : -1;
      if (order === 0 && !this.#rules.honorLabels) return this.#resolveConflicts(labels, quotedNames);
      if (order <= 0) {
        at = labels.encode(i, scratch, at);
        i += 1;
        if (order === 0) k += 1;
      } else {
        target.bytes.copy(scratch, at, target.starts[k]!, target.starts[k + 1]!);
        at += target.starts[k + 1]! - target.starts[k]!;
        k += 1;
      }
      count += 1;
    }
    if (k < target.count) {
      target.bytes.copy(scratch, at, target.starts[k]!);
      at += target.bytes.length - target.starts[k]!;
      count += target.count - k;
    }
    const { labelLimit, nameLengthLimit, valueLengthLimit } = this.#rules;
    const ref = this.#registry.internEncoded(scratch, 0, at);
    const checksNames = quotedNames || nameLengthLimit > 0 || valueLengthLimit > 0;
    if (checksNames || (labelLimit > 0 && count > labelLimit)) this.#check(ref, quotedNames);
    return ref;
  }

  /** With `honorLabels`, a label that is exposed without a value takes that of the target away. */
  #resolveEmptied(labels: LabelBytes, exposed: ReadonlySet<string>, quotedNames: boolean): SeriesRef {
    const values = new Map([...this.#target.labels].filter(([name]) => !exposed.has(name)));
    for (let i = 0; i < labels.count; i++) values.set(labels.name(i), labels.value(i));
    const ref = this.#registry.intern(Labels.from(values));
    this.#check(ref, quotedNames);
    return ref;
  }

  #resolveConflicts(labels: LabelBytes, quotedNames: boolean): SeriesRef {
    const values = new Map<string, string>();
    for (let i = 0; i < labels.count; i++) values.set(labels.name(i), labels.value(i));
    const conflicting: [string, string][] = [];
    for (const [name, value] of this.#target.labels) {
      const exposed = values.get(name);
      if (exposed !== undefined) conflicting.push([name, exposed]);
      values.set(name, value);
    }
    conflicting.sort(([a], [b]) => a.length - b.length);
    for (const [name, value] of conflicting) {
      let renamed = `exported_${name}`;
      while (values.has(renamed)) renamed = `exported_${renamed}`;
      values.set(renamed, value);
    }
    const ref = this.#registry.intern(Labels.from(values));
    this.#check(ref, quotedNames);
    return ref;
  }

  /** Throws, and gives the series back, if it breaks a rule. */
  #check(ref: SeriesRef, quotedNames: boolean): void {
    const labels = this.#registry.labels(ref);
    try {
      checkLabels(labels, this.#rules, quotedNames);
    } catch (error) {
      this.#registry.release(ref);
      throw error;
    }
  }
}

function hasEmpty(labels: LabelBytes): boolean {
  for (let i = 0; i < labels.count; i++) if (labels.valueStart(i) === labels.valueEnd(i)) return true;
  return false;
}

function names(labels: LabelBytes): Set<string> {
  const all = new Set<string>();
  for (let i = 0; i < labels.count; i++) all.add(labels.name(i));
  return all;
}

/** Quoted names hold any text but none, and UTF-8 only. */
function checkNames(labels: LabelBytes): void {
  const { text } = labels;
  for (let i = 0; i < labels.count; i++) {
    const name = text.subarray(labels.nameStart(i), labels.nameEnd(i));
    const value = text.subarray(labels.valueStart(i), labels.valueEnd(i));
    if (name.length > 0 && isUtf8(name) && isUtf8(value)) continue;
    throw new ExpositionError(`invalid metric name or label names: ${quote(name.toString())}`);
  }
  if (labels.find("__name__") < 0) throw new ExpositionError("missing metric name (__name__ label)");
}

function checkLabels(labels: Labels, rules: LabelRules, quotedNames: boolean): void {
  const metric = labels.get("__name__") ?? "";
  if (quotedNames && rules.legacyNames) {
    for (const [name] of labels) {
      if (LEGACY_LABEL.test(name) && (name !== "__name__" || LEGACY_METRIC.test(metric))) continue;
      throw new ExpositionError(`invalid metric name or label names: ${labels}`);
    }
  }
  const { labelLimit, nameLengthLimit, valueLengthLimit } = rules;
  const shown = `metric: ${metric.slice(0, SHOWN)}`;
  if (labelLimit > 0 && labels.size > labelLimit) {
    throw new LabelLimitError(
      `label_limit exceeded (${shown}, number of labels: ${labels.size}, limit: ${labelLimit})`,
    );
  }
  for (const [name, value] of labels) {
    const nameLength = Buffer.byteLength(name);
    const label = `${shown}, label name: ${name.slice(0, SHOWN)}`;
    if (nameLengthLimit > 0 && nameLength > nameLengthLimit) {
      throw new LabelLimitError(
        `label_name_length_limit exceeded (${label}, length: ${nameLength}, limit: ${nameLengthLimit})`,
      );
    }
    const valueLength = Buffer.byteLength(value);
    if (valueLengthLimit > 0 && valueLength > valueLengthLimit) {
      const text = quote(value.slice(0, SHOWN));
      throw new LabelLimitError(
        `label_value_length_limit exceeded (${label}, value: ${text}, length: ${valueLength}, limit: ${valueLengthLimit})`,
      );
    }
  }
}
