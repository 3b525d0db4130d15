import { Labels } from "#base/labels";
import { compileRegex } from "#base/regex";
import { RelabelRules } from "#kits/relabel";
import type { RelabelRule } from "#kits/relabel-schema";

const PREFIX = "__meta_kafka_";
const KEY = `${PREFIX}message_key`;
const OFFSET = `${PREFIX}message_offset`;
/** What Alloy calls the key of a message without one. */
const NO_KEY = "none";
/** Label sets that are kept by key. */
const MAX_KNOWN = 10_000;

export interface PartitionFacts {
  readonly topic: string;
  readonly partition: number;
  readonly memberId: string;
  readonly group: string;
}

/**
 * The labels of entries, as kafkatarget has them: the rules go over what is known of the partition, and a second time over
 * key and offset of the message alone; what the second makes is added to, and wins over, what the first made.
 */
export class MessageLabels {
  readonly #labels: readonly (readonly [string, string])[];
  readonly #rules: RelabelRules;
  readonly #looksAtKey: boolean;
  readonly #looksAtOffset: boolean;

  constructor(labels: ReadonlyMap<string, string>, rules: readonly RelabelRule[]) {
    this.#labels = [...labels];
    this.#rules = new RelabelRules(rules);
    const looksAt = (name: string) =>
      rules.some((rule) => {
        if (rule.source_labels?.includes(name) === true) return true;
        // A rule may take the offset's label out of another one's way, or copy it by its name.
        if (rule.action !== "labelmap") return rule.target_label === name;
        return compileRegex(rule.regex.source, { anchored: true }).test(name);
      });
    this.#looksAtKey = looksAt(KEY);
    this.#looksAtOffset = looksAt(OFFSET);
  }

  /** What a partition's entries have; undefined if a rule drops the partition, and empty if it is left without labels. */
  ofPartition({ topic, partition, memberId, group }: PartitionFacts): Labels | undefined {
    const discovered = Labels.from([
      [`${PREFIX}topic`, topic],
      [`${PREFIX}partition`, String(partition)],
      [`${PREFIX}member_id`, memberId],
      [`${PREFIX}group_id`, group],
      ...this.#labels,
    ]);
    const { labels, dropped } = this.#rules.run(discovered);
    return dropped ? undefined : shown(labels);
  }

  /** The labels of the messages of one partition. */
  forPartition(labels: Labels): PartitionLabels {
    return new PartitionLabels(labels, this.#rules, this.#looksAtKey, this.#looksAtOffset);
  }
}

export class PartitionLabels {
  readonly #labels: Labels;
  readonly #rules: RelabelRules;
  readonly #looksAtKey: boolean;
  readonly #looksAtOffset: boolean;
  readonly #byKey = new Map<string, Labels>();

  constructor(labels: Labels, rules: RelabelRules, looksAtKey: boolean, looksAtOffset: boolean) {
    this.#labels = labels;
    this.#rules = rules;
    this.#looksAtKey = looksAtKey;
    this.#looksAtOffset = looksAtOffset;
  }

  /** Of the message with its key in `data[keyStart, keyEnd)`. The same object for the same key, unless rules look at offsets. */
  of(data: Buffer, keyStart: number, keyEnd: number, offset: number): Labels {
    const key = this.#looksAtKey && keyEnd > keyStart ? data.toString("utf8", keyStart, keyEnd) : NO_KEY;
    if (this.#looksAtOffset) return this.#make(key, offset);
    let labels = this.#byKey.get(key);
    if (labels === undefined) {
      if (this.#byKey.size >= MAX_KNOWN) this.#byKey.clear();
      this.#byKey.set(key, (labels = this.#make(key, 0)));
    }
    return labels;
  }

  #make(key: string, offset: number): Labels {
    if (this.#rules.size === 0) return this.#labels;
    const { labels, dropped } = this.#rules.run(
      Labels.from([
        [KEY, key],
        [OFFSET, String(offset)],
      ]),
    );
    return dropped ? this.#labels : this.#labels.merge(shown(labels));
  }
}

function shown(labels: Labels): Labels {
  return labels.filter((name, value) => !name.startsWith("__") && value !== "");
}
