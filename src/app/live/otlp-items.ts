import { decodeRange, type OtlpObject, type OtlpValue } from "#formats/otlp/decode";
import { countPoints } from "#formats/otlp/otlp";
import { ENTRY_MESSAGES, type OtlpMessage, REQUESTS } from "#formats/otlp/schema";
import { anyText, attributePairs, list, nanos, object, text } from "#formats/otlp/text";
import { ProtoReader } from "#formats/protobuf";
import type { OtlpBatch, OtlpKind } from "#pipeline/batch";
import type { LiveItem, Pairs } from "../api/json.ts";
import { isoNanos, numberText, pairsOf } from "./shown.ts";

const RESOURCE: OtlpMessage = REQUESTS.traces.byNumber[1]!.message!.byNumber[1]!.message!;
const SCOPE: OtlpMessage = REQUESTS.traces.byNumber[1]!.message!.byNumber[2]!.message!.byNumber[1]!.message!;
/** Field 1 and field 2 of requests and of both kinds of groups: resource or scope, and the members. */
const FIRST = 10;
const MEMBER = 18;
const NO_RECORDED_VALUE = 1;

const SPAN_KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES = ["unset", "ok", "error"];
const SEVERITIES = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

type Range = readonly [start: number, end: number] | undefined;

/**
 * Walks over the spans, metrics or log records of a batch and decodes those that are asked for; passing over the others
 * costs the reading of a tag and a length. The bytes have been validated when they came in.
 */
export class OtlpCursor {
  readonly #kind: OtlpKind;
  readonly #parts: readonly Uint8Array[];
  /** The entry's first item among all of the batch, … */
  ordinal = 0;
  /** … and how many it has: 1, or the data points of a metric. */
  items = 0;
  #bytes!: Uint8Array;
  #start = 0;
  #end = 0;
  #entry: OtlpObject | undefined;
  #points: readonly OtlpObject[] = [];
  #resourceRange: Range;
  #resource: Pairs | undefined;
  #scopeRange: Range;
  #scope: string | undefined;

  constructor({ kind, parts }: OtlpBatch) {
    this.#kind = kind;
    this.#parts = parts;
  }

  /** Stands on one entry after the other, as long as `visit` returns true. */
  walk(visit: () => boolean): void {
    this.ordinal = 0;
    this.items = 0;
    for (const bytes of this.#parts) {
      this.#bytes = bytes;
      const reader = new ProtoReader(bytes);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag !== FIRST) reader.skip(tag);
        else {
          const length = reader.length();
          if (!this.#walkResource(reader.position, reader.position + length, visit)) return;
          reader.position += length;
        }
      }
    }
  }

  /** Item `index` of the entry that it stands on. */
  item(index: number): LiveItem {
    if (this.#entry === undefined) {
      this.#entry = decodeRange(ENTRY_MESSAGES[this.#kind], this.#bytes, this.#start, this.#end);
      if (this.#kind === "metrics") this.#points = list(dataOf(this.#entry).data.dataPoints);
    }
    const around = { resource: this.#resourcePairs(), scope: this.#scopeText() };
    if (this.#kind === "traces") return { ...spanItem(this.#entry), ...around };
    if (this.#kind === "logs") return { ...recordItem(this.#entry), ...around };
    return { ...pointItem(this.#entry, this.#points[index]!), ...around };
  }

  #walkResource(start: number, end: number, visit: () => boolean): boolean {
    this.#resourceRange = headerRange(this.#bytes, start, end);
    this.#resource = undefined;
    const reader = new ProtoReader(this.#bytes, start, end);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== MEMBER) reader.skip(tag);
      else {
        const length = reader.length();
        if (!this.#walkScope(reader.position, reader.position + length, visit)) return false;
        reader.position += length;
      }
    }
    return true;
  }

  #walkScope(start: number, end: number, visit: () => boolean): boolean {
    this.#scopeRange = headerRange(this.#bytes, start, end);
    this.#scope = undefined;
    const reader = new ProtoReader(this.#bytes, start, end);
    const counter = new ProtoReader(this.#bytes);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== MEMBER) {
        reader.skip(tag);
        continue;
      }
      const length = reader.length();
      this.#start = reader.position;
      this.#end = reader.position + length;
      this.#entry = undefined;
      this.ordinal += this.items;
      this.items = this.#kind === "metrics" ? countPoints(counter, this.#start, this.#end) : 1;
      if (!visit()) return false;
      reader.position = this.#end;
    }
    return true;
  }

  #resourcePairs(): Pairs {
    this.#resource ??= pairsOf(attributePairs(this.#header(RESOURCE, this.#resourceRange).attributes));
    return this.#resource;
  }

  #scopeText(): string {
    if (this.#scope === undefined) {
      const { name, version } = this.#header(SCOPE, this.#scopeRange);
      this.#scope = `${text(name)} ${text(version)}`.trim();
    }
    return this.#scope;
  }

  #header(message: OtlpMessage, range: Range): OtlpObject {
    return range === undefined ? {} : decodeRange(message, this.#bytes, range[0], range[1]);
  }
}

/** Where the resource or scope of a group is. */
function headerRange(bytes: Uint8Array, start: number, end: number): Range {
  const reader = new ProtoReader(bytes, start, end);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === FIRST) {
      const length = reader.length();
      return [reader.position, reader.position + length];
    }
    reader.skip(tag);
  }
  return undefined;
}

function spanItem(span: OtlpObject) {
  const start = nanos(span.startTimeUnixNano);
  const status = object(span.status);
  const message = text(status.message);
  return {
    type: "span" as const,
    timestamp: isoNanos(start),
    name: text(span.name),
    traceId: text(span.traceId),
    spanId: text(span.spanId),
    parentId: text(span.parentSpanId),
    kind: SPAN_KINDS[Number(span.kind ?? 0)] ?? String(span.kind),
    durationMs: Number(nanos(span.endTimeUnixNano) - start) / 1e6,
    status: `${STATUSES[Number(status.code ?? 0)] ?? status.code}${message === "" ? "" : `: ${message}`}`,
    attributes: pairsOf(attributePairs(span.attributes)),
  };
}

function recordItem(record: OtlpObject) {
  const severity = text(record.severityText);
  return {
    type: "logrecord" as const,
    timestamp: isoNanos(nanos(record.timeUnixNano) || nanos(record.observedTimeUnixNano)),
    severity: severity === "" ? severityName(Number(record.severityNumber ?? 0)) : severity,
    body: anyText(record.body),
    traceId: text(record.traceId),
    spanId: text(record.spanId),
    attributes: pairsOf(attributePairs(record.attributes)),
  };
}

/** 9 is INFO, 10 INFO2; empty for 0 and what the specification does not know. */
function severityName(severity: number): string {
  const name = SEVERITIES[Math.floor((severity - 1) / 4)];
  const step = (severity - 1) % 4;
  return name === undefined ? "" : step === 0 ? name : `${name}${step + 1}`;
}

function pointItem(metric: OtlpObject, point: OtlpObject) {
  const { kind } = dataOf(metric);
  return {
    type: "datapoint" as const,
    timestamp: isoNanos(nanos(point.timeUnixNano)),
    name: text(metric.name),
    kind,
    value: pointValue(kind, point),
    attributes: pairsOf(attributePairs(point.attributes)),
  };
}

/** The kind of a metric as it is shown, and what holds its data points. */
function dataOf(metric: OtlpObject): { readonly kind: string; readonly data: OtlpObject } {
  if (metric.gauge !== undefined) return { kind: "gauge", data: object(metric.gauge) };
  if (metric.sum !== undefined) return { kind: "sum", data: object(metric.sum) };
  if (metric.histogram !== undefined) return { kind: "histogram", data: object(metric.histogram) };
  if (metric.exponentialHistogram !== undefined)
    return { kind: "exponential histogram", data: object(metric.exponentialHistogram) };
  return { kind: "summary", data: object(metric.summary) };
}

function pointValue(kind: string, point: OtlpObject): string {
  if ((Number(point.flags ?? 0) & NO_RECORDED_VALUE) !== 0) return "stale";
  if (kind === "gauge" || kind === "sum") return scalarText(point.asDouble ?? point.asInt);
  const sum = point.sum === undefined ? "" : ` sum=${scalarText(point.sum)}`;
  return `count=${scalarText(point.count ?? "0")}${sum}`;
}

function scalarText(value: OtlpValue | undefined): string {
  return typeof value === "number" ? numberText(value) : text(value);
}
