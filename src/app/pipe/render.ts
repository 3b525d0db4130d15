import { Labels, quote } from "#base/labels";
import type { EntryStateJson, Pairs, PipedSampleJson, PipeEntryJson, PipeSampleJson } from "../api/json.ts";
import { pairsText } from "../live/print-logfmt.ts";
import { type Color, type OutputStyle, paint } from "../terminal/table.ts";
import type { PipeResult } from "./results.ts";

export type PipeFormat = "pretty" | "json" | "logfmt";

/** Results as text, one or more whole lines each. */
export class PipeRenderer {
  readonly #format: PipeFormat;
  readonly #style: OutputStyle;
  #number = 0;

  constructor(format: PipeFormat, style: OutputStyle) {
    this.#format = format;
    this.#style = style;
  }

  /** What came out, one line; empty for what did not. */
  output(result: PipeResult): string {
    if (result.kind === "entry") {
      const { after } = result.entry;
      return after === null ? "" : `${this.#entry(after)}\n`;
    }
    const { after } = result.sample;
    return after === null ? "" : `${this.#sample(after)}\n`;
  }

  /** What each stage did. */
  trace(result: PipeResult): string {
    this.#number += 1;
    if (this.#format === "json") return `${JSON.stringify(result.kind === "entry" ? result.entry : result.sample)}\n`;
    const way = result.kind === "entry" ? entryWay(result.entry) : sampleWay(result.sample);
    return this.#format === "logfmt" ? this.#stepLines(result.kind, way) : this.#stepDiffs(result.kind, way);
  }

  #entry({ timestamp, line, labels, metadata }: EntryStateJson): string {
    if (this.#format === "json") return JSON.stringify({ type: "log", timestamp, line, labels, metadata });
    if (this.#format === "logfmt") {
      const own = [field("type", "log"), field("timestamp", timestamp), field("line", line)];
      return pairsText([...own, ...group("label", labels), ...group("metadata", metadata)]);
    }
    return entryText({ timestamp, line, labels, metadata }, (text) => this.#paint("quiet", text));
  }

  #sample({ timestamp, labels, value }: PipedSampleJson): string {
    if (this.#format === "json") return JSON.stringify({ type: "sample", timestamp, labels, value });
    if (this.#format === "logfmt") {
      const own = [field("type", "sample"), field("timestamp", timestamp), field("value", value)];
      return pairsText([...own, ...group("label", labels)]);
    }
    return `${this.#paint("quiet", timestamp)} ${seriesText(labels)} ${value}`;
  }

  /** A line for each stage with what is new after it. */
  #stepLines(kind: string, { steps }: Way): string {
    return steps
      .map(({ stage, outcome, reason, changes }) => {
        const own = [field("type", "trace"), field(kind, String(this.#number)), field("stage", stage)];
        const news = changes
          .filter(({ after }) => after !== undefined)
          .map(({ what, name, after }) => field(name === "" ? what : `${what}.${name}`, String(after)));
        return `${pairsText([...own, field("outcome", outcome), field("reason", reason), ...news])}\n`;
      })
      .join("");
  }

  #stepDiffs(kind: string, { before, outcome, steps }: Way): string {
    const last = steps.at(-1);
    const how = outcome === "passed" || !last?.stage ? outcome : `${outcome} by ${last.stage}`;
    const lines = [`${this.#paint("strong", `${kind} ${this.#number}`)}: ${this.#paint(OUTCOMES[outcome], how)}`];
    if (before !== undefined) lines.push(`  ${before}`);
    const width = Math.max(...steps.map(({ stage }) => stage.length));
    for (const step of steps) {
      const rows = this.#rows(step);
      for (const [i, row] of rows.entries()) {
        const stage = (i === 0 ? step.stage : "").padEnd(width);
        lines.push(width === 0 ? `  ${row}` : `  ${this.#paint("strong", stage)}  ${row}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }

  #rows({ outcome, reason, changes }: Step): string[] {
    const rows = changes.flatMap((change) => this.#change(change));
    if (outcome !== "passed")
      rows.push(this.#paint(OUTCOMES[outcome], `${outcome}${reason === "" ? "" : `: ${visible(reason)}`}`));
    else if (reason !== "") rows.push(this.#paint("quiet", visible(reason)));
    return rows.length === 0 ? [this.#paint("quiet", "no change")] : rows;
  }

  /** Texts of several lines take a row for each. */
  #change({ what, name, before, after }: FieldChange): string[] {
    if (what === "line") return [...this.#lineRows("red", "-", before), ...this.#lineRows("green", "+", after)];
    if (what === "timestamp" || what === "value") {
      return [`${what} ${this.#paint("red", String(before))} → ${this.#paint("green", String(after))}`];
    }
    const place = what === "extracted" ? "" : `${what} `;
    const is = `${visible(name)}${what === "label" ? "=" : " = "}`;
    if (before === undefined) return [`${place}${this.#paint("green", `+ ${is}${valueText(after)}`)}`];
    if (after === undefined) return [`${place}${this.#paint("red", `- ${is}${valueText(before)}`)}`];
    return [`${place}${this.#paint("yellow", `~ ${is}${valueText(before)} → ${valueText(after)}`)}`];
  }

  #paint(color: Color, text: string): string {
    return paint(this.#style, color, text);
  }

  #lineRows(color: Color, sign: string, text: Scalar | undefined): string[] {
    return visible(String(text), "\n")
      .split("\n")
      .map((row) => `line ${this.#paint(color, `${sign} ${row}`)}`);
  }
}

const OUTCOMES = { passed: "green", dropped: "red", kept: "yellow" } as const;

/** An item's way as it is shown. */
interface Way {
  /** Missing where the item's beginning is not known. */
  readonly before: string | undefined;
  readonly outcome: PipeEntryJson["outcome"];
  readonly steps: readonly Step[];
}
interface Step {
  readonly stage: string;
  readonly outcome: PipeEntryJson["outcome"];
  readonly reason: string;
  readonly changes: readonly FieldChange[];
}
/** A line or a time that is another one now; a value that came (no `before`), went (no `after`) or changed. */
interface FieldChange {
  readonly what: "extracted" | "label" | "metadata" | "timestamp" | "line" | "value";
  readonly name: string;
  readonly before: Scalar | undefined;
  readonly after: Scalar | undefined;
}
type Scalar = string | number | boolean | null;

function entryWay({ before, steps, outcome, after }: PipeEntryJson): Way {
  const shown: Step[] = [];
  let last = before ?? after;
  for (const { stage, outcome: result, reason, after: next } of steps) {
    shown.push({
      stage,
      outcome: result,
      reason,
      changes: next === null || last === null ? [] : changesOf(last, next),
    });
    last = next ?? last;
  }
  const start = before ?? after;
  return { before: start === null ? undefined : entryText(start, (text) => text), outcome, steps: shown };
}

function sampleWay({ before, outcome, reason, after }: PipeSampleJson): Way {
  const start = before ?? after;
  const text = start === null ? undefined : `${start.timestamp} ${seriesText(start.labels)} ${start.value}`;
  const changes: FieldChange[] = [];
  if (before !== null && after !== null) {
    changes.push(...pairChanges("label", before.labels, after.labels));
    if (before.value !== after.value)
      changes.push({ what: "value", name: "", before: before.value, after: after.value });
  }
  return { before: text, outcome, steps: [{ stage: "", outcome, reason, changes }] };
}

function changesOf(before: EntryStateJson, after: EntryStateJson): FieldChange[] {
  const changes = [
    ...pairChanges("extracted", before.extracted, after.extracted),
    ...pairChanges("label", before.labels, after.labels),
    ...pairChanges("metadata", before.metadata, after.metadata),
  ];
  if (before.timestamp !== after.timestamp) {
    changes.push({ what: "timestamp", name: "", before: before.timestamp, after: after.timestamp });
  }
  if (before.line !== after.line) changes.push({ what: "line", name: "", before: before.line, after: after.line });
  return changes;
}

type Values = Readonly<Record<string, Scalar>>;

function pairChanges(what: FieldChange["what"], before: Values, after: Values): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const name of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const old = Object.hasOwn(before, name) ? before[name] : undefined;
    const now = Object.hasOwn(after, name) ? after[name] : undefined;
    if (old !== now) changes.push({ what, name, before: old, after: now });
  }
  return changes;
}

function valueText(value: Scalar | undefined): string {
  return typeof value === "string" ? visible(quote(value)) : String(value);
}

type ShownEntry = Pick<EntryStateJson, "timestamp" | "line" | "labels" | "metadata">;

function entryText({ timestamp, line, labels, metadata }: ShownEntry, quiet: (text: string) => string): string {
  const more = Object.keys(metadata).length === 0 ? "" : ` ${quiet(`metadata ${setText(metadata)}`)}`;
  return `${quiet(timestamp)} ${setText(labels)} ${visible(line)}${more}`;
}

function setText(pairs: Pairs): string {
  return visible(Labels.from(Object.entries(pairs)).toString());
}

/** `name{a="b"}` */
function seriesText(labels: Pairs): string {
  const name = labels.__name__ ?? "";
  const rest = Labels.from(Object.entries(labels).filter(([each]) => each !== "__name__"));
  return visible(rest.size === 0 && name !== "" ? name : `${name}${rest}`);
}

function field(name: string, value: string): readonly [string, string] {
  return [name, value];
}
function group(name: string, values: Pairs): readonly (readonly [string, string])[] {
  return Object.entries(values).map(([key, value]) => field(`${name}.${key}`, value));
}

/** What a terminal would act on: control characters, and those that change the direction of what follows. */
const UNSAFE = /(?!\t)[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text that shows such characters instead of carrying them out; those in `kept` stay. */
function visible(text: string, kept = ""): string {
  return text.replace(UNSAFE, (char) => {
    if (kept.includes(char)) return char;
    const shown = quote(char).slice(1, -1);
    return shown === char ? `\\u${char.charCodeAt(0).toString(16)}` : shown;
  });
}
