import type { MetricSample, MetricType } from "#base/metrics";

export interface TextFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string | undefined;
  readonly samples: readonly MetricSample[];
}

const TYPES: ReadonlySet<string> = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);
const SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: [],
  gauge: [],
  untyped: [],
  summary: ["_sum", "_count"],
  histogram: ["_bucket", "_sum", "_count"],
};

/**
 * A whole file in the text format 0.0.4, for the textfile collector. Throws with the number of the line when the file
 * is not in that format or has timestamps: cron jobs write these files, and half of one is worse than none.
 */
export function parseTextFile(text: string): TextFamily[] {
  return parse(text, false);
}

/** The same for a page whose samples may have timestamps. */
export function parseTextPage(text: string): TextFamily[] {
  return parse(text, true);
}

function parse(text: string, timestamps: boolean): TextFamily[] {
  const families = new Map<string, { type: MetricType; help: string | undefined; samples: MetricSample[] }>();
  const family = (name: string) => {
    let known = families.get(name);
    if (known === undefined) families.set(name, (known = { type: "untyped", help: undefined, samples: [] }));
    return known;
  };

  const lines = text.split("\n");
  for (const [i, line] of lines.entries()) {
    const fail = (problem: string): never => {
      throw new Error(`line ${i + 1}: ${problem}: ${line.slice(0, 100)}`);
    };
    const trimmed = line.trim();
    if (trimmed === "") continue;
    if (trimmed.startsWith("#")) {
      const comment = /^#\s*(HELP|TYPE)\s+([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]+(.*))?$/.exec(trimmed);
      if (comment === null) continue;
      const [, kind, name = "", rest = ""] = comment;
      const known = family(name);
      if (kind === "HELP") {
        if (known.help !== undefined) fail("a second HELP line for the same name");
        known.help = rest.replace(/\\([\\n])/g, (_, char) => (char === "n" ? "\n" : "\\"));
      } else {
        if (known.samples.length > 0) fail("the TYPE line stands behind samples of its name");
        if (!TYPES.has(rest.trim())) fail("unknown type");
        known.type = rest.trim() as MetricType;
      }
      continue;
    }
    const sample = parseSample(line, timestamps, fail);
    family(familyOf(sample.name, families)).samples.push(sample);
  }
  return [...families].filter(([, { samples }]) => samples.length > 0).map(([name, rest]) => ({ name, ...rest }));
}

/** `x_bucket` belongs to `x` if that was declared to be a histogram. */
function familyOf(name: string, families: ReadonlyMap<string, { type: MetricType }>): string {
  for (const suffix of ["_bucket", "_sum", "_count"]) {
    if (!name.endsWith(suffix)) continue;
    const base = name.slice(0, -suffix.length);
    const type = families.get(base)?.type;
    if (type !== undefined && SUFFIXES[type].includes(suffix)) return base;
  }
  return name;
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))/y;
const NUMBER = /^[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|0x[0-9a-f]+)$/i;

function parseSample(line: string, timestamps: boolean, fail: (problem: string) => never): MetricSample {
  let at = line.length - line.trimStart().length;
  NAME.lastIndex = at;
  const name = NAME.exec(line)?.[0] ?? fail("expected the name of a metric");
  at += name.length;
  while (line[at] === " " || line[at] === "\t") at++;
  const labels: string[] = [];
  if (line[at] === "{") {
    at++;
    while (!/^\s*\}/.test(line.slice(at))) {
      LABEL.lastIndex = at;
      const match = LABEL.exec(line) ?? fail('expected a label, as in name="value"');
      if (labels.some((known, i) => i % 2 === 0 && known === match[1])) fail(`the label ${match[1]} is there twice`);
      labels.push(match[1]!, unescapeValue(match[2]!));
      at = LABEL.lastIndex;
    }
    at = line.indexOf("}", at) + 1;
  }
  const [value = "", timestamp, ...rest] = line.slice(at).trim().split(/\s+/);
  if (rest.length > 0) fail("unexpected text behind the value");
  if (timestamp !== undefined) {
    if (!timestamps) fail("timestamps are not supported in text files");
    if (!/^[+-]?\d{1,16}$/.test(timestamp)) fail("expected whole milliseconds as the timestamp");
  }
  const parsed = { name, labels, value: parseValue(value) ?? fail("expected a number as the value") };
  return timestamp === undefined ? parsed : { ...parsed, timestamp: Number(timestamp) };
}

function unescapeValue(text: string): string {
  return text.includes("\\") ? text.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char)) : text;
}

function parseValue(text: string): number | undefined {
  if (NUMBER.test(text)) return Number(text);
  if (/^\+?inf(inity)?$/i.test(text)) return Infinity;
  if (/^-inf(inity)?$/i.test(text)) return -Infinity;
  return /^nan$/i.test(text) ? Number.NaN : undefined;
}
