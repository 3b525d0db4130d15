import { isUtf8 } from "node:buffer";
import { parseGoFloat } from "#formats/go-number";
import { escapeName } from "./names.ts";
import type { Statistics } from "./statistics.ts";

export type EventKind = "counter" | "gauge" | "observer";

/** One measurement of a line. */
export interface StatsdEvent {
  readonly kind: EventKind;
  readonly name: string;
  readonly value: number;
  /** Gauges: added to the present value. */
  readonly relative: boolean;
  /** How often it counts: observations of which a client sent a share. */
  readonly times: number;
  readonly labels: ReadonlyMap<string, string>;
}

export interface LineOptions {
  readonly parse_dogstatsd_tags: boolean;
  readonly parse_influxdb_tags: boolean;
  readonly parse_librato_tags: boolean;
  readonly parse_signalfx_tags: boolean;
}

/** Go's `int` on the machines that matter; a sampling factor may be as small as it likes. */
const MAX_TIMES = 2 ** 53;
const KINDS: ReadonlyMap<string, EventKind> = new Map([
  ["c", "counter"],
  ["g", "gauge"],
  ["ms", "observer"],
  ["h", "observer"],
  ["d", "observer"],
]);

/** Reads lines of StatsD in its dialects, and counts what is wrong: statsd_exporter's pkg/line/line.go. */
export class LineParser {
  readonly #options: LineOptions;
  readonly #statistics: Statistics;

  constructor(options: LineOptions, statistics: Statistics) {
    this.#options = options;
    this.#statistics = statistics;
  }

  /** The events of the line in `bytes[start, end)`, which has no line end. */
  parse(bytes: Buffer, start: number, end: number): readonly StatsdEvent[] {
    if (start === end) return [];
    const isText = isUtf8(bytes.subarray(start, end));
    const line = bytes.toString("utf8", start, end);
    const colon = line.indexOf(":");
    if (colon <= 0 || !isText) return this.#wrong("malformed_line", line);
    const labels = new Map<string, string>();
    const name = this.#nameAndTags(line.slice(0, colon), labels);
    const rest = line.slice(colon + 1);
    const isTagged = rest.includes("|#");
    if (isTagged && labels.size > 0) return this.#wrong("mixed_tagging_styles", line);
    const samples = this.#samples(rest, isTagged, line);
    const events: StatsdEvent[] = [];
    for (const sample of samples) this.#sample(sample, name, labels, line, events);
    return events;
  }

  /** A line may hold several samples; DogStatsD aggregates values in front of one type. */
  #samples(rest: string, isTagged: boolean, line: string): readonly string[] {
    const bar = rest.indexOf("|");
    if (bar < 0) return this.#wrong("not_enough_parts_after_colon", line);
    const values = rest.slice(0, bar);
    if (values.includes(":")) {
      const suffix = rest.slice(bar + 1);
      const type = suffix.split("|", 1)[0]!;
      if (KINDS.get(type) !== "observer") return this.#wrong("invalid_extended_aggregate_type", line);
      return values.split(":").map((value) => `${value}|${suffix}`);
    }
    return isTagged ? [rest] : rest.split(":");
  }

  #sample(sample: string, name: string, labels: Map<string, string>, line: string, events: StatsdEvent[]): void {
    const statistics = this.#statistics;
    statistics.samples += 1;
    const parts = sample.split("|");
    if (parts.length < 2 || parts.length > 4) return void this.#wrong("malformed_component", line);
    const [text, type] = parts as [string, string];
    let value = parseGoFloat(text);
    if (value === undefined) return void this.#wrong("malformed_value", line);
    const kind = KINDS.get(type);
    let times = 1;
    const more = parts.slice(2);
    if (more.includes("")) return void this.#wrong("malformed_component", line);
    for (const part of more) {
      if (part[0] === "@") {
        const factor = this.#factor(part.slice(1), line);
        if (kind === "counter") value /= factor;
        else if (kind === "observer") times = Math.min(MAX_TIMES, Math.max(0, Math.trunc(1 / factor) || 0));
      } else if (part[0] === "#") this.#dogstatsdTags(part.slice(1), labels);
      else this.#wrong("invalid_sample_factor", line);
    }
    if (labels.size > 0) statistics.tags += 1;
    if (kind === undefined) return void this.#wrong("illegal_event", line);
    if (times === 0) return;
    const isRelative = text[0] === "+" || text[0] === "-";
    // A StatsD timer is in milliseconds, a metric in seconds.
    if (type === "ms") value /= 1000;
    events.push({ kind, name, value, relative: isRelative, times, labels });
  }

  #factor(text: string, line: string): number {
    const factor = parseGoFloat(text);
    if (factor === undefined) this.#wrong("invalid_sample_factor", line);
    return factor || 1;
  }

  #nameAndTags(name: string, labels: Map<string, string>): string {
    const { parse_signalfx_tags, parse_librato_tags, parse_influxdb_tags } = this.#options;
    if (parse_signalfx_tags) {
      const open = name.indexOf("[");
      const close = name.indexOf("]");
      if (open >= 0 && close > open) {
        this.#tags(name.slice(open + 1, close), "=", labels);
        return name.slice(0, open) + name.slice(close + 1);
      }
      if (open >= 0 || close >= 0) {
        this.#statistics.tagErrors += 1;
        return name;
      }
    }
    for (let i = 0; i < name.length; i++) {
      if ((name[i] === "#" && parse_librato_tags) || (name[i] === "," && parse_influxdb_tags)) {
        this.#tags(name.slice(i + 1), "=", labels);
        return name.slice(0, i);
      }
    }
    return name;
  }

  #dogstatsdTags(text: string, labels: Map<string, string>): void {
    if (this.#options.parse_dogstatsd_tags) this.#tags(text, ":", labels);
  }

  #tags(text: string, separator: "=" | ":", labels: Map<string, string>): void {
    const tags = text.split(",");
    if (tags.at(-1) === "") tags.pop(); // a comma at the end begins no tag
    for (const each of tags) {
      const tag = separator === ":" && each[0] === "#" ? each.slice(1) : each;
      const at = tag.indexOf(separator);
      if (at <= 0 || at === tag.length - 1) this.#statistics.tagErrors += 1;
      else labels.set(escapeName(tag.slice(0, at)), tag.slice(at + 1));
    }
  }

  #wrong(reason: string, line: string): readonly [] {
    this.#statistics.sampleError(reason, line);
    return [];
  }
}
