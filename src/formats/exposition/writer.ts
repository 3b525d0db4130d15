import type { MetricFamily, MetricSample } from "#base/metrics";
import { formatFloat } from "#base/metrics";

/** The text formats that a metrics page can be written in. */
export type ExpositionFormat = "text" | "openmetrics-0.0.1" | "openmetrics-1.0.0";

const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  "openmetrics-0.0.1": "application/openmetrics-text; version=0.0.1; charset=utf-8",
  "openmetrics-1.0.0": "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** The `Content-Type` of a page in `format`. */
export function expositionContentType(format: ExpositionFormat): string {
  return CONTENT_TYPES[format];
}

/**
 * The format for an `Accept` header: the first of its clauses, by quality, that can be written; text 0.0.4 if none can.
 * Matches `expfmt.NegotiateIncludingOpenMetrics` of prometheus/common without the protobuf formats.
 */
export function negotiateExposition(accept: string | undefined): ExpositionFormat {
  if (accept === undefined) return "text";
  const clauses = accept
    .split(",")
    .map(parseClause)
    .sort((a, b) => b.quality - a.quality);
  for (const { type, version, quality } of clauses) {
    if (quality === 0) continue;
    if (type === "application/openmetrics-text") {
      if (version === undefined || version === "1.0.0") return "openmetrics-1.0.0";
      if (version === "0.0.1") return "openmetrics-0.0.1";
    }
    if (type === "text/plain" && (version === undefined || version === "0.0.4")) return "text";
  }
  return "text";
}

function parseClause(clause: string): { type: string; version: string | undefined; quality: number } {
  const [type = "", ...parameters] = clause.split(";").map((part) => part.trim());
  let version: string | undefined;
  let quality = 1;
  for (const parameter of parameters) {
    const equals = parameter.indexOf("=");
    if (equals < 0) continue;
    const name = parameter.slice(0, equals).trim().toLowerCase();
    const value = parameter
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, "$1");
    if (name === "version") version = value;
    else if (name === "q") quality = Number(value) || 0;
  }
  return { type: type.toLowerCase(), version, quality };
}

/** Text gathered before it is encoded; longer and the flattening of the string costs more than the call it saves. */
const CHUNK_CHARS = 16_384;

/** Plain digits are quicker to read, for programs and for people. */
const EXPONENT_FROM = 1e21;

/**
 * A page as bytes. Families are written in the order given; each must hold all samples of its name.
 * Matches `expfmt.MetricFamilyToText` and `MetricFamilyToOpenMetrics`: in OpenMetrics a counter whose name lacks
 * `_total` is of type `unknown`, so that no format changes the name of a series. Whole numbers are written in plain
 * digits, not with an exponent.
 */
export function writeExposition(families: Iterable<MetricFamily>, format: ExpositionFormat = "text"): Buffer {
  const out = new ByteWriter();
  let text = "";
  const openMetrics = format !== "text";
  for (const family of families) {
    text += openMetrics ? openMetricsHeader(family) : textHeader(family);
    const bound = openMetrics ? boundLabel(family) : undefined;
    for (const sample of family.samples) {
      text += sample.name;
      if (sample.labels.length > 0) text += labelsText(sample, bound);
      const { value } = sample;
      // Small integers are the common case, and plain concatenation is the fastest way to write them.
      text +=
        value === (value | 0) && (value !== 0 || 1 / value > 0) ? ` ${value}` : ` ${formatFloat(value, EXPONENT_FROM)}`;
      text += sample.timestamp === undefined ? "\n" : timeText(sample.timestamp, openMetrics);
      if (text.length > CHUNK_CHARS) {
        out.write(text);
        text = "";
      }
    }
  }
  if (openMetrics) text += "# EOF\n";
  out.write(text);
  return out.finish();
}

/** Milliseconds in the text format, seconds in OpenMetrics. */
function timeText(timestamp: number, openMetrics: boolean): string {
  return ` ${openMetrics ? formatFloat(timestamp / 1000, EXPONENT_FROM) : timestamp}\n`;
}

function textHeader(family: MetricFamily): string {
  const help = family.help === "" ? "" : `# HELP ${family.name} ${escapeHelp(family.help)}\n`;
  return `${help}# TYPE ${family.name} ${family.type}\n`;
}

function openMetricsHeader(family: MetricFamily): string {
  let { name } = family;
  let type: string = family.type;
  if (type === "untyped") type = "unknown";
  else if (type === "counter") {
    if (name.endsWith("_total")) name = name.slice(0, -"_total".length);
    else type = "unknown";
  }
  const help = family.help === "" ? "" : `# HELP ${name} ${escapeValue(family.help)}\n`;
  return `${help}# TYPE ${name} ${type}\n`;
}

/** OpenMetrics wants the numbers in these labels as floats: `le="1.0"`. */
function boundLabel(family: MetricFamily): string | undefined {
  if (family.type === "histogram") return "le";
  return family.type === "summary" ? "quantile" : undefined;
}

function labelsText({ labels }: MetricSample, bound: string | undefined): string {
  let text = "";
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i]!;
    let value = labels[i + 1]!;
    if (name === bound && /^-?\d+$/.test(value)) value += ".0";
    text += `${i === 0 ? "{" : ","}${name}="${escapeValue(value)}"`;
  }
  return `${text}}`;
}

function escapeHelp(text: string): string {
  return /[\\\n]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n") : text;
}

function escapeValue(text: string): string {
  if (!/[\\\n"]/.test(text)) return text;
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

class ByteWriter {
  #buffer = Buffer.allocUnsafe(65_536);
  #length = 0;

  write(text: string): void {
    const needed = this.#length + text.length * 3;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#length += this.#buffer.write(text, this.#length, "utf8");
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}
