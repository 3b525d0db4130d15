import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import { setLabels } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";

const ruleBody = s
  .object({
    limit: s.byteSize().doc("Longest value in bytes, the suffix included."),
    suffix: s.string().default("").doc("Put at the end of what was cut."),
    sources: s.list(s.string()).optional().doc("Names of labels, metadata or extracted values; all if left out."),
    source_type: s.oneOf(["line", "label", "structured_metadata", "extracted"]).default("line").doc("What to look at."),
  })
  .rule("limit", (args) => args.limit > 0, "must be greater than 0")
  .rule(
    "sources",
    (args) => args.source_type !== "line" || !args.sources?.length,
    'cannot be set when `source_type` is "line"',
  )
  .rule("suffix", (args) => Buffer.byteLength(args.suffix) < args.limit, "must be shorter than `limit`");

export const truncateBody = s
  .object({ rule: s.blocks(ruleBody).required().doc("Rules, applied in order.") })
  .doc("Cuts lines, labels, structured metadata or extracted values that are too long.");

type Rule = Infer<typeof ruleBody>;

/** Alloy's stages/truncate.go; what was cut is named in the extracted value `truncated`. Cuts fall between characters. */
export function buildTruncate(args: Infer<typeof truncateBody>, context: StageContext): Stage {
  const { slots, metrics } = context;
  const mark = slots.of("truncated");
  const rules = args.rule.map((rule) => ({
    rule,
    limit: rule.limit - Buffer.byteLength(rule.suffix),
    slots: (rule.sources ?? []).map((name) => slots.of(name)),
  }));
  if (rules.some(({ rule }) => rule.source_type === "extracted" && !rule.sources?.length)) slots.keepsAll = true;

  function cut(text: string, limit: number, suffix: string): string | undefined {
    if (text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return undefined;
    return (
      Buffer.from(text)
        .subarray(0, characterBorder(Buffer.from(text), 0, limit))
        .toString() + suffix
    );
  }

  function truncateLine(entry: Entry, limit: number, suffix: string): boolean {
    if (entry.lineBytes <= limit) return false;
    const end = characterBorder(entry.store.data, entry.start, entry.start + limit);
    if (suffix === "") entry.setLineRange(entry.start, end);
    else entry.setLineBytes(Buffer.concat([entry.store.data.subarray(entry.start, end), Buffer.from(suffix)]));
    return true;
  }

  function truncateLabels(entry: Entry, rule: Rule, limit: number): number {
    const names: string[] = [];
    const values: string[] = [];
    for (const [name, value] of entry.labels) {
      if (rule.sources?.length && !rule.sources.includes(name)) continue;
      const shorter = cut(value, limit, rule.suffix);
      if (shorter === undefined) continue;
      names.push(name);
      values.push(shorter);
    }
    if (names.length > 0) entry.labels = setLabels(entry.labels, names, values);
    return names.length;
  }

  function truncateMetadata(entry: Entry, rule: Rule, limit: number): number {
    if (entry.metadata === undefined) return 0;
    const metadata = [...entry.metadata];
    let count = 0;
    for (let i = 0; i < metadata.length; i += 2) {
      if (rule.sources?.length && !rule.sources.includes(metadata[i]!)) continue;
      const shorter = cut(metadata[i + 1]!, limit, rule.suffix);
      if (shorter === undefined) continue;
      metadata[i + 1] = shorter;
      count += 1;
    }
    if (count > 0) entry.metadata = metadata;
    return count;
  }

  function truncateExtracted(entry: Entry, rule: Rule, sources: readonly number[], limit: number): number {
    let count = 0;
    if (rule.sources?.length) {
      for (const slot of sources) {
        const shorter = entry.isText(slot) ? cut(entry.text(slot)!, limit, rule.suffix) : undefined;
        if (shorter === undefined) continue;
        entry.setText(slot, shorter);
        count += 1;
      }
      return count;
    }
    for (const [name, value] of [...entry.extracted()]) {
      const shorter = typeof value === "string" ? cut(value, limit, rule.suffix) : undefined;
      if (shorter === undefined) continue;
      entry.setNamed(name, shorter);
      count += 1;
    }
    return count;
  }

  return {
    process(entry) {
      const done = new Set<string>();
      for (const { rule, limit, slots: sources } of rules) {
        let count: number;
        if (rule.source_type === "line") count = truncateLine(entry, limit, rule.suffix) ? 1 : 0;
        else if (rule.source_type === "label") count = truncateLabels(entry, rule, limit);
        else if (rule.source_type === "structured_metadata") count = truncateMetadata(entry, rule, limit);
        else count = truncateExtracted(entry, rule, sources, limit);
        if (count > 0) {
          metrics.truncated.labels(rule.source_type).inc(count);
          done.add(rule.source_type);
        }
        if (done.size === 0) continue;
        if (entry.isText(mark)) for (const earlier of entry.text(mark)!.split(",")) done.add(earlier);
        entry.setText(mark, [...done].sort().join(","));
      }
      return true;
    },
  };
}

/** The last border between characters at or before `end`, so that no character is cut in two. */
function characterBorder(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  // At most three continuation bytes belong to a character; more are no UTF-8, and then any place is as good.
  while (at > start && end - at < 3 && (bytes[at]! & 0xc0) === 0x80) at -= 1;
  return (bytes[at]! & 0xc0) === 0x80 ? end : at;
}
