import type { Labels } from "#base/labels";
import { type LabelMatcher, LogqlError, parseLogSelector } from "#formats/logql";
import { EXIT, outputStyle, type Terminal } from "../cli.ts";
import { type ParsedCommandLine, UsageError } from "../command-line.ts";
import { layOutTable } from "../terminal/table.ts";
import { type QueueContent, readQueues } from "./tools-queue.ts";

/** The tools of `prometheus.remote_write`, by name: what Alloy's do with its write-ahead log, for the queues on disk. */
export const REMOTE_WRITE_TOOLS: ReadonlyMap<
  string,
  (line: ParsedCommandLine, directory: string, terminal: Terminal) => Promise<number>
> = new Map([
  ["sample-stats", sampleStats],
  ["target-stats", targetStats],
  ["wal-stats", walStats],
]);

async function sampleStats(line: ParsedCommandLine, directory: string, terminal: Terminal): Promise<number> {
  const selects = selector(line.flags.get("selector") as string);
  await forEachQueue(directory, terminal, ({ registry, samples }) => {
    const found = [...samples].map(([ref, stats]) => ({ labels: registry.labels(ref), ...stats }));
    const texts = found
      .filter(({ labels }) => selects(labels))
      .map(({ labels, count, from, to }) => ({ name: labels.toString(), count, from, to }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, count, from, to } of texts) {
      terminal.out(
        `${name}\n  Oldest Sample:      ${shownTime(from)}\n  Newest Sample:      ${shownTime(to)}\n  Total Samples:      ${count}\n`,
      );
    }
  });
  return EXIT.ok;
}

async function targetStats(line: ParsedCommandLine, directory: string, terminal: Terminal): Promise<number> {
  const missing = ["instance", "job"].filter((name) => !line.given.has(name));
  if (missing.length > 0) {
    throw new UsageError(`required flag(s) ${missing.map((name) => `"${name}"`).join(", ")} not set`);
  }
  const job = line.flags.get("job");
  const instance = line.flags.get("instance");
  await forEachQueue(directory, terminal, ({ registry, samples }) => {
    const metrics = new Map<string, number>();
    for (const ref of samples.keys()) {
      const labels = registry.labels(ref);
      if ((labels.get("job") ?? "") !== job || (labels.get("instance") ?? "") !== instance) continue;
      const name = labels.get("__name__") ?? "";
      metrics.set(name, (metrics.get(name) ?? 0) + 1);
    }
    const sorted = [...metrics].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    terminal.out(`Metric cardinality:\n\n${sorted.map(([name, count]) => `${name}: ${count}\n`).join("")}`);
  });
  return EXIT.ok;
}

async function walStats(_line: ParsedCommandLine, directory: string, terminal: Terminal): Promise<number> {
  await forEachQueue(directory, terminal, (content) => {
    const { samples, total, waiting, damagedBytes, segments } = content;
    let from = Infinity;
    let to = -Infinity;
    for (const each of samples.values()) {
      from = Math.min(from, each.from);
      to = Math.max(to, each.to);
    }
    terminal.out(
      `Oldest Sample:      ${shownTime(from)}
Newest Sample:      ${shownTime(to)}
Total Series:       ${samples.size}
Total Samples:      ${total}
Waiting Samples:    ${waiting}
Damaged Bytes:      ${damagedBytes}
First Segment:      ${segments[0] ?? "none"}
Latest Segment:     ${segments.at(-1) ?? "none"}

Per-target stats:
${layOutTable(TARGET_COLUMNS, targetRows(content), outputStyle()).join("\n")}
`,
    );
  });
  return EXIT.ok;
}

const TARGET_COLUMNS = [
  { title: "JOB", align: "left" },
  { title: "INSTANCE", align: "left" },
  { title: "SERIES", align: "right" },
  { title: "SAMPLES", align: "right" },
] as const;

function targetRows({ registry, samples }: QueueContent) {
  const targets = new Map<string, { job: string; instance: string; series: number; samples: number }>();
  for (const [ref, { count }] of samples) {
    const labels = registry.labels(ref);
    const job = labels.get("job") ?? "";
    const instance = labels.get("instance") ?? "";
    const key = JSON.stringify([job, instance]);
    const known = targets.get(key) ?? { job, instance, series: 0, samples: 0 };
    known.series += 1;
    known.samples += count;
    targets.set(key, known);
  }
  return [...targets.values()]
    .sort((a, b) => b.series - a.series)
    .map((each) => [each.job, each.instance, String(each.series), String(each.samples)].map((text) => ({ text })));
}

async function forEachQueue(
  directory: string,
  terminal: Terminal,
  show: (content: QueueContent) => void,
): Promise<void> {
  const queues = await readQueues(directory);
  for (const [index, content] of queues.entries()) {
    // Each endpoint has a queue of its own.
    if (queues.length > 1) terminal.out(`${index === 0 ? "" : "\n"}${content.name}:\n`);
    show(content);
  }
}

/** Whether labels match a PromQL selector such as `up` or `up{job="a"}`. */
function selector(text: string): (labels: Labels) => boolean {
  const [, name = "", braces = ""] = /^\s*([a-zA-Z_:][\w:]*)?\s*(\{.*\})?\s*$/s.exec(text) ?? [];
  if (name === "" && braces === "") throw new UsageError(`"${text}" is no selector: write it as up{job="a"}`);
  const isEmpty = /^\{\s*\}$/.test(braces) || braces === "";
  let matchers: readonly LabelMatcher[] = [];
  try {
    matchers = isEmpty ? [] : parseLogSelector(braces.replace(/,\s*\}$/, "}")).matchers;
  } catch (error) {
    if (error instanceof LogqlError) throw new UsageError(`"${text}" is no selector: ${error.message}`);
    throw error;
  }
  return (labels) =>
    (name === "" || labels.get("__name__") === name) &&
    matchers.every((each) => each.matches(labels.get(each.name) ?? ""));
}

/** As Go shows a time. */
function shownTime(ms: number): string {
  if (!Number.isFinite(ms)) return "none";
  const [seconds, fraction] = new Date(ms).toISOString().replace("T", " ").replace("Z", "").split(".");
  const shown = fraction!.replace(/0+$/, "");
  return `${seconds}${shown === "" ? "" : `.${shown}`} +0000 UTC`;
}
