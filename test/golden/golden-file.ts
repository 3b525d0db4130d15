import { readFileSync } from "node:fs";
import path from "node:path";
import { parseFile } from "#lang/parser";
import { type CaseEntry, parseEntry } from "../differential/case-file.ts";
import type { Outcome } from "../differential/run-case.ts";

/** A log of a real program, and the stages of the pipeline that reads it. */
export interface Golden {
  /** The stages of the pipeline's only `loki.process`, as written. */
  readonly config: string;
  /** When the log is read; years that a log leaves out are worked out from it. */
  readonly clock: bigint;
  readonly steps: readonly CaseEntry[];
}

/** After the last line of every log, and in the same year, so that only a timestamp stage can explain a time before it. */
const CLOCK = BigInt(Date.UTC(2026, 10, 22, 6)) * 1_000_000n;

/** Throws if the pipeline is no configuration, or does not read this log. */
export function readGolden(folder: string, name: string): Golden {
  const file = path.join(folder, "pipelines", `${name}.alloy`);
  const text = readFileSync(file, "utf8");
  const { file: parsed, diagnostics } = parseFile({ name: file, text });
  if (diagnostics.length > 0) throw new Error(`${file}: ${diagnostics[0]!.message}`);
  const blocks = parsed.body.filter((statement) => statement.kind === "block");
  const [process, ...more] = blocks.filter((block) => block.name.map((part) => part.name).join(".") === "loki.process");
  if (process === undefined || more.length > 0) throw new Error(`${file} has not exactly one loki.process`);
  const stages = process.body.filter((statement) => statement.kind === "block");

  const filename = `/var/log/${name}.log`;
  for (const setting of [`__path__ = "${filename}"`, `job      = "${name}"`])
    if (!text.includes(setting)) throw new Error(`${file} does not say ${setting}`);
  const labels = new Map([
    ["filename", filename],
    ["job", name],
  ]);
  return {
    config: stages.map(({ span }) => text.slice(span.start, span.end)).join("\n"),
    clock: CLOCK,
    steps: linesOf(readFileSync(path.join(folder, "logs", `${name}.log`))).map((line, i) => ({
      labels,
      time: CLOCK + BigInt(i) * 1_000_000n, // one millisecond after the other, so that each line has a time of its own
      metadata: [],
      line,
    })),
  };
}

/** As loki.source.file has them, without the newlines; the last may lack its own. */
function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.length : newline;
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

/**
 * The text of an expected file: an entry per line with sorted labels and metadata, then the counts of the stages. A line
 * that is no UTF-8 is written as base64.
 */
export function expectedText({ entries, counts }: Outcome, clock: bigint): string {
  const lines = entries.map((text) => {
    const { labels, time, metadata, line } = parseEntry(text, clock);
    const plain = line.toString();
    return JSON.stringify({
      labels: Object.fromEntries([...labels].sort(byName)),
      timestamp: rfc3339(time),
      ...(Buffer.from(plain).equals(line) ? { line: plain } : { base64: line.toString("base64") }),
      ...(metadata.length > 0 && { structured_metadata: [...metadata].sort(byName) }),
    });
  });
  return [...lines, ...counts.map((count) => JSON.stringify({ count })), ""].join("\n");
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rfc3339(time: bigint): string {
  const ns = time % 1_000_000_000n;
  const seconds = new Date(Number((time - ns) / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(ns).padStart(9, "0")}Z`;
}
