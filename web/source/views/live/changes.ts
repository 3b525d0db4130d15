import type { EntryStateJson } from "#app/api/json";

export interface Change {
  readonly kind: "added" | "removed" | "changed";
  /** `line`, `timestamp`, `label level`, `extracted took`, `metadata trace_id`. */
  readonly what: string;
  readonly before: string;
  readonly after: string;
}

/** What a stage did to an entry, value by value. */
export function changesOf(before: EntryStateJson, after: EntryStateJson): readonly Change[] {
  const changes: Change[] = [];
  if (before.line !== after.line) {
    changes.push({ kind: "changed", what: "line", before: before.line, after: after.line });
  }
  if (before.timestamp !== after.timestamp) {
    changes.push({ kind: "changed", what: "timestamp", before: before.timestamp, after: after.timestamp });
  }
  compare("label", before.labels, after.labels, changes);
  compare("metadata", before.metadata, after.metadata, changes);
  compare("extracted", before.extracted, after.extracted, changes);
  return changes;
}

type Values = Readonly<Record<string, string | number | boolean | null>>;

function compare(group: string, before: Values, after: Values, changes: Change[]): void {
  for (const [name, value] of Object.entries(after)) {
    const what = `${group} ${name}`;
    if (!Object.hasOwn(before, name)) changes.push({ kind: "added", what, before: "", after: String(value) });
    else if (before[name] !== value) {
      changes.push({ kind: "changed", what, before: String(before[name]), after: String(value) });
    }
  }
  for (const [name, value] of Object.entries(before)) {
    if (!Object.hasOwn(after, name)) {
      changes.push({ kind: "removed", what: `${group} ${name}`, before: String(value), after: "" });
    }
  }
}
