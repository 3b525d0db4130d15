import { createHash } from "node:crypto";
import { lower, upper } from "#base/go-case";
import { Labels } from "#base/labels";
import { compileRegex, type Regex } from "#base/regex";
import { isLabelName, type LabelNames, type RelabelAction, type RelabelRule } from "./relabel-schema.ts";

interface CompiledRule {
  readonly action: RelabelAction;
  readonly sources: readonly string[];
  readonly separator: string;
  readonly regex: Regex;
  readonly modulus: bigint;
  readonly target: string;
  /** The target has references to groups in it. */
  readonly targetIsTemplate: boolean;
  readonly replacement: string;
  readonly names: LabelNames;
}

/** Relabel rules ready to be applied: prometheus/model/relabel/relabel.go in its semantics. */
export class RelabelRules {
  readonly #rules: readonly CompiledRule[];

  constructor(rules: readonly RelabelRule[], names: LabelNames = "legacy") {
    this.#rules = rules.map((rule) => ({
      action: rule.action,
      sources: rule.source_labels ?? [],
      separator: rule.separator,
      regex: compileRegex(`^(?s:${rule.regex.source})$`),
      modulus: BigInt(rule.modulus),
      target: rule.target_label,
      targetIsTemplate: rule.target_label.includes("$"),
      replacement: rule.replacement,
      names,
    }));
  }

  get size(): number {
    return this.#rules.length;
  }

  /** The labels after all rules, without empty values; undefined if a rule drops them or nothing is left. */
  apply(labels: Labels): Labels | undefined {
    const builder = new LabelsBuilder(labels);
    for (const rule of this.#rules) if (!applyRule(rule, builder)) return undefined;
    const result = builder.labels();
    return result.size === 0 ? undefined : result;
  }

  /** The labels as the rules leave them, without empty values; a rule that drops them ends the rules, and is told of. */
  run(labels: Labels): { readonly labels: Labels; readonly dropped: boolean } {
    const builder = new LabelsBuilder(labels);
    const dropped = !this.#rules.every((rule) => applyRule(rule, builder));
    return { labels: builder.labels(), dropped };
  }
}

function applyRule(rule: CompiledRule, builder: LabelsBuilder): boolean {
  const { action, regex, target } = rule;
  switch (action) {
    case "labelmap":
      for (const [name, value] of builder.entries()) {
        if (regex.test(name)) builder.set(regex.replaceAll(name, rule.replacement), value);
      }
      return true;
    case "labeldrop":
      for (const [name] of builder.entries()) if (regex.test(name)) builder.delete(name);
      return true;
    case "labelkeep":
      for (const [name] of builder.entries()) if (!regex.test(name)) builder.delete(name);
      return true;
    default:
  }
  let text = "";
  for (const [i, name] of rule.sources.entries()) text += (i === 0 ? "" : rule.separator) + builder.get(name);
  switch (action) {
    case "keep":
      return regex.test(text);
    case "drop":
      return !regex.test(text);
    case "keepequal":
      return builder.get(target) === text;
    case "dropequal":
      return builder.get(target) !== text;
    case "lowercase":
      builder.set(target, lower(text));
      return true;
    case "uppercase":
      builder.set(target, upper(text));
      return true;
    case "hashmod": {
      // The last eight of the digest's sixteen bytes.
      const digest = createHash("md5").update(text).digest();
      builder.set(target, String(digest.readBigUInt64BE(8) % rule.modulus));
      return true;
    }
    default: {
      const match = regex.exec(text);
      if (match === null) return true;
      const name = rule.targetIsTemplate ? regex.expand(target, match) : target;
      if (isLabelName(name, rule.names)) builder.set(name, regex.expand(rule.replacement, match));
      return true;
    }
  }
}

/** A label set under change; an empty value is as good as none. */
class LabelsBuilder {
  readonly #original: Labels;
  #values: Map<string, string> | undefined;

  constructor(labels: Labels) {
    this.#original = labels;
  }

  get(name: string): string {
    return (this.#values === undefined ? this.#original.get(name) : this.#values.get(name)) ?? "";
  }

  set(name: string, value: string): void {
    if (value === "") this.delete(name);
    else if (this.get(name) !== value) this.#change().set(name, value);
  }

  delete(name: string): void {
    if (this.get(name) !== "") this.#change().delete(name);
  }

  /** A snapshot: changes while it is walked do not show. */
  entries(): readonly (readonly [string, string])[] {
    return [...(this.#values ?? this.#original)];
  }

  labels(): Labels {
    if (this.#values !== undefined) return Labels.from(this.#values);
    return this.#original.filter((_, value) => value !== "");
  }

  #change(): Map<string, string> {
    if (this.#values === undefined) {
      this.#values = new Map();
      for (const [name, value] of this.#original) if (value !== "") this.#values.set(name, value);
    }
    return this.#values;
  }
}
