import { Labels } from "#base/labels";
import { compileRegex, type Regex } from "#base/regex";
import { RelabelRules } from "#kits/relabel";
import type { RelabelRule } from "#kits/relabel-schema";
import type { JournalEntry } from "./export-format.ts";

const PREFIX = "__journal_";
const KEYWORDS = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
const MAX_KNOWN = 10_000;

/**
 * The labels of entries: those of the component and what rules make of `__journal_*`. Only fields that a rule looks at
 * count, so that most entries find their labels by a look-up.
 */
export class EntryLabels {
  readonly #base: Labels;
  readonly #constant: Labels | undefined;
  readonly #rules: RelabelRules;
  readonly #named = new Set<string>();
  readonly #patterns: Regex[] = [];
  /** Field name → label name, or an empty text for fields that no rule looks at. */
  readonly #labelNames = new Map<string, string>();
  readonly #known = new Map<string, Labels | undefined>();

  constructor(labels: ReadonlyMap<string, string>, job: string, rules: readonly RelabelRule[]) {
    this.#base = Labels.from([...labels, ["job", job]]);
    this.#rules = new RelabelRules(rules);
    this.#constant = rules.length === 0 ? shown(this.#base) : undefined;
    for (const rule of rules) {
      for (const name of rule.source_labels ?? []) this.#named.add(name);
      this.#named.add(rule.target_label);
      if (rule.action === "labelmap") this.#patterns.push(compileRegex(`^(?s:${rule.regex.source})$`));
    }
  }

  /** Undefined if a rule drops the entry or leaves no label. */
  of(entry: JournalEntry): Labels | undefined {
    if (this.#constant !== undefined) return this.#constant;
    let key = "";
    for (let i = 0; i < entry.count; i++) {
      const name = this.#labelName(entry.name(i));
      if (name !== "") key += `${name}\0${entry.value(i)}\0`;
    }
    const known = this.#known.get(key);
    if (known !== undefined || this.#known.has(key)) return known;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const result = this.#relabel(entry);
    this.#known.set(key, result);
    return result;
  }

  #relabel(entry: JournalEntry): Labels | undefined {
    const values = new Map<string, string>(this.#base);
    for (let i = 0; i < entry.count; i++) {
      const name = this.#labelName(entry.name(i));
      if (name === "") continue;
      values.set(name, entry.value(i));
      if (name === `${PREFIX}priority`) values.set(`${name}_keyword`, keyword(entry.value(i)));
    }
    const relabelled = this.#rules.apply(Labels.from(values));
    return relabelled === undefined ? undefined : shown(relabelled);
  }

  #labelName(field: string): string {
    let name = this.#labelNames.get(field);
    if (name !== undefined) return name;
    name = PREFIX + field.toLowerCase();
    const names = field === "PRIORITY" ? [name, `${name}_keyword`] : [name];
    const wanted = names.some((each) => this.#named.has(each) || this.#patterns.some((pattern) => pattern.test(each)));
    // What journalctl tells of the entry beside its fields, such as the cursor, is no label.
    if (!wanted || field.startsWith("__")) name = "";
    if (this.#labelNames.size >= MAX_KNOWN) this.#labelNames.clear();
    this.#labelNames.set(field, name);
    return name;
  }
}

function keyword(priority: string): string {
  return (/^[0-7]$/.test(priority) ? KEYWORDS[Number(priority)] : undefined) ?? priority;
}

/** Undefined if no label is left. */
function shown(labels: Labels): Labels | undefined {
  const kept = labels.filter((name, value) => !name.startsWith("__") && value !== "");
  return kept.size === 0 ? undefined : kept;
}

/** All fields as Go writes a map of them: sorted by name, of a repeated one the last. */
export function entryJson(entry: JournalEntry): string {
  const fields = new Map<string, string>();
  for (let i = 0; i < entry.count; i++) {
    const name = entry.name(i);
    if (!name.startsWith("__")) fields.set(name, entry.value(i));
  }
  const parts: string[] = [];
  for (const name of [...fields.keys()].sort()) parts.push(`${text(name)}:${text(fields.get(name)!)}`);
  return `{${parts.join(",")}}`;
}

/** Go escapes what would mean something in HTML, and line separators. */
function text(value: string): string {
  return JSON.stringify(value)
    .replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/\\./g, (pair) => (pair === "\\b" ? "\\u0008" : pair === "\\f" ? "\\u000c" : pair));
}
