import { DATA, EXPONENTIAL, GROUP, HISTOGRAM, METRIC, POINT, SCOPE, SUM, TEMPORALITY } from "#formats/otlp/fields";
import { ProtoWriter, varintLength } from "#formats/protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { writeNanos } from "../otlp/nanos.ts";
import type { SeriesTable } from "./series.ts";

const pairs = new ProtoWriter();

/** Attributes of points in the form in which series keep them: lengths and KeyValues in turn. Values are AnyValues. */
export function packAttributes(
  attributes: Iterable<{ readonly name: Uint8Array; readonly value: Uint8Array }>,
): Uint8Array {
  pairs.reset();
  for (const { name, value } of attributes) {
    pairs.rawVarint(2 + varintLength(name.length) + name.length + varintLength(value.length) + value.length);
    pairs.bytes(1, name);
    pairs.bytes(2, value);
  }
  return pairs.finish();
}

/** Requests of this size are whole: receivers of gRPC take 4 MiB at most as a rule. */
const REQUEST_BYTES = 1 << 20;

/** What the points of a metric are, which says in which fields everything is. */
export type PointForm = "number" | "histogram" | "exponential";
const DATA_FIELDS = { number: SUM, histogram: HISTOGRAM, exponential: EXPONENTIAL } as const;

/**
 * Writes metrics as requests of OTLP, point after point. A request that follows another one begins with the same resource,
 * scope and metric. Groups without points are left out.
 */
export class MetricRequests {
  readonly writer = new ProtoWriter();
  readonly #scope: string;
  readonly #isDelta: boolean;
  #resource: Uint8Array = Buffer.alloc(0);
  #name = "";
  #unit = "";
  #form: PointForm = "number";
  #points = 0;
  /** Marks of what is open; −1 for what is not. */
  #resourceMark = -1;
  #scopeMark = -1;
  #metricMark = -1;
  #dataMark = -1;

  constructor(scope: string, isDelta: boolean) {
    this.#scope = scope;
    this.#isDelta = isDelta;
  }

  /** What follows is of this resource, given as the fields of a Resource. */
  resource(fields: Uint8Array): void {
    this.#closeResource();
    this.#resource = fields;
  }
  /** What follows are points of this metric; those of numbers make a monotonic sum. */
  metric(name: string, unit: string, form: PointForm): void {
    this.#closeMetric();
    this.#name = name;
    this.#unit = unit;
    this.#form = form;
  }

  /**
   * Begins a point with its times (epoch ms) and a series' attributes, which `packAttributes` gave. More of its fields may
   * be written to `writer` before `endPoint` gets what this returned.
   */
  beginPoint(table: SeriesTable, id: number, start: number, time: number): number {
    this.#open();
    const { writer } = this;
    const mark = writer.begin(DATA.points);
    const tag = (POINT.attributes[this.#form] << 3) | 2;
    const attributes = table.arena;
    const last = table.attributesTo(id);
    for (let at = table.attributesFrom(id); at < last; ) {
      let end = at;
      let length = 0;
      for (let shift = 0, byte = 0x80; byte >= 0x80; shift += 7) {
        byte = attributes[end++]!;
        length |= (byte & 0x7f) << shift;
      }
      end += length;
      writer.rawVarint(tag);
      writer.raw(attributes, at, end);
      at = end;
    }
    writeNanos(writer, POINT.start, start, 0);
    writeNanos(writer, POINT.time, time, 0);
    return mark;
  }
  /** Returns whether the request has its size: `take` it then. */
  endPoint(mark: number): boolean {
    this.writer.end(mark);
    this.#points += 1;
    return this.writer.length >= REQUEST_BYTES;
  }

  /** The request as far as it was written; undefined for one without points. What follows is another one. */
  take(): OtlpBatch | undefined {
    if (this.#points === 0) return undefined;
    this.#closeResource();
    const bytes = this.writer.finish();
    const items = this.#points;
    this.reset();
    return {
      signal: "otlp",
      kind: "metrics",
      parts: [bytes],
      items,
      bytes: bytes.length,
      clientMetadata: undefined,
      acknowledgement: Acknowledgement.none,
    };
  }
  /** Forgets what nobody took. */
  reset(): void {
    this.writer.reset();
    this.#points = 0;
    this.#resourceMark = this.#metricMark = -1;
  }

  #open(): void {
    const { writer } = this;
    if (this.#resourceMark < 0) {
      this.#resourceMark = writer.begin(1);
      if (this.#resource.length > 0) writer.bytes(GROUP.resource, this.#resource);
      this.#scopeMark = writer.begin(GROUP.members);
      const scope = writer.begin(GROUP.scope);
      writer.string(SCOPE.name, this.#scope);
      writer.end(scope);
    }
    if (this.#metricMark >= 0) return;
    this.#metricMark = writer.begin(GROUP.members);
    writer.string(METRIC.name, this.#name);
    if (this.#unit !== "") writer.string(METRIC.unit, this.#unit);
    this.#dataMark = writer.begin(DATA_FIELDS[this.#form]);
  }

  #closeMetric(): void {
    if (this.#metricMark < 0) return;
    const { writer } = this;
    writer.int32(DATA.temporality, this.#isDelta ? TEMPORALITY.delta : TEMPORALITY.cumulative);
    if (this.#form === "number") writer.bool(DATA.isMonotonic, true);
    writer.end(this.#dataMark);
    writer.end(this.#metricMark);
    this.#metricMark = -1;
  }
  #closeResource(): void {
    this.#closeMetric();
    if (this.#resourceMark < 0) return;
    this.writer.end(this.#scopeMark);
    this.writer.end(this.#resourceMark);
    this.#resourceMark = -1;
  }
}
