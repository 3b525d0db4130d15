import { Labels } from "#base/labels";
import { RelabelRules } from "./relabel.ts";
import type { RelabelRule } from "./relabel-schema.ts";

/** Tells loki.write the tenant of an entry. */
export const TENANT_LABEL = "__tenant_id__";
const MAX_KNOWN = 10_000;

export interface MadeLabels {
  readonly labels: Labels;
  /** A rule would have dropped the entry, which Alloy forwards all the same, without what rules made. */
  readonly ruledOut: boolean;
  /** There is no label that Loki would store. */
  readonly unlabelled: boolean;
}

export interface InternalLabelsOptions {
  readonly rules: readonly RelabelRule[] | undefined;
  /** Labels for all entries, which rules do not see and may replace. */
  readonly fixed?: ReadonlyMap<string, string>;
  /** What rules do to the tenant counts; otherwise they only see it. */
  readonly rulesOwnTenant: boolean;
}

/** Makes the labels of entries about which a protocol tells in internal labels (`__…`), of which rules make others. */
export class InternalLabels {
  readonly #rules: RelabelRules;
  readonly #fixed: Labels;
  readonly #rulesOwnTenant: boolean;
  readonly #known = new Map<string, MadeLabels>();
  /** One object for equal label sets, by which others recognize them. */
  readonly #interned = new Map<string, Labels>();

  constructor({ rules, fixed, rulesOwnTenant }: InternalLabelsOptions) {
    this.#rules = new RelabelRules(rules ?? []);
    this.#fixed = Labels.from(fixed ?? []);
    this.#rulesOwnTenant = rulesOwnTenant;
  }

  /** `given` is flat: name, value, …; of a repeated name the last value counts. */
  make(given: readonly string[]): MadeLabels {
    const key = given.join("\0");
    let made = this.#known.get(key);
    if (made === undefined) {
      made = this.#make(given);
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(key, made);
    }
    return made;
  }

  #make(given: readonly string[]): MadeLabels {
    const pairs = new Map<string, string>();
    for (let i = 0; i < given.length; i += 2) pairs.set(given[i]!, given[i + 1]!);
    const { labels: ruled, dropped } = this.#rules.run(Labels.from(pairs));
    const left = dropped ? Labels.empty : ruled;
    const shown = left.filter((name) => !name.startsWith("__"));
    let labels = this.#fixed.merge(shown);
    const unlabelled = labels.size === 0;
    const tenant = this.#rulesOwnTenant ? left.get(TENANT_LABEL) : pairs.get(TENANT_LABEL);
    if (tenant !== undefined && tenant !== "") labels = labels.with(TENANT_LABEL, tenant);
    return { labels: this.#intern(labels), ruledOut: dropped, unlabelled };
  }

  #intern(labels: Labels): Labels {
    const text = labels.toString();
    const known = this.#interned.get(text);
    if (known !== undefined) return known;
    if (this.#interned.size >= MAX_KNOWN) this.#interned.clear();
    this.#interned.set(text, labels);
    return labels;
  }
}
