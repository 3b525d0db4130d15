import { hash } from "node:crypto";
import { POINT } from "#formats/otlp/fields";
import { writeAny } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";
import { ExemplarColumns } from "./exemplars.ts";
import { ExplicitHistograms, ExponentialHistograms, type HistogramColumns, writeCount } from "./histogram.ts";
import { packAttributes } from "./requests.ts";
import { grownDoubles, type MemoryBudget, type SeriesColumns, SeriesTable } from "./series.ts";

/** The series of one metric of one resource, or of two metrics with the same labels. */

/** The label of the series that takes what has no room of its own, as in the OpenTelemetry SDKs. */
export const overflowAttributes = packAttributes([
  { name: Buffer.from("otel.metric.overflow"), value: anyValue(true) },
]);

function anyValue(value: boolean): Uint8Array {
  const writer = new ProtoWriter();
  writeAny(writer, value);
  return writer.finish();
}

/** Sums that only rise. */
export class SumColumns implements SeriesColumns {
  readonly bytesPerSeries = 9;
  #count = new Float64Array(0);
  #isNew = new Uint8Array(0);

  reserve(capacity: number): void {
    this.#count = grownDoubles(this.#count, capacity);
    const isNew = new Uint8Array(capacity);
    isNew.set(this.#isNew);
    this.#isNew = isNew;
  }
  begin(id: number): void {
    this.#count[id] = 0;
    this.#isNew[id] = 1;
  }
  end(): void {}

  add(id: number, times: number): void {
    this.#count[id]! += times;
  }
  /** Whether nobody asked before. */
  takeNew(id: number): boolean {
    const isNew = this.#isNew[id] === 1;
    this.#isNew[id] = 0;
    return isNew;
  }
  /** Writes a data point's value, or 0 in its place. */
  write(writer: ProtoWriter, id: number, isZero = false): void {
    writeCount(writer, POINT.asInt, isZero ? 0 : this.#count[id]!);
  }
}

export class MetricSeries {
  readonly table: SeriesTable;
  readonly sums: SumColumns | undefined;
  readonly histogram: HistogramColumns | undefined;
  readonly exemplars: ExemplarColumns | undefined;
  /** The series that takes what has no room of its own; −1 while there is none. */
  overflow = -1;

  constructor(
    budget: MemoryBudget,
    hasSums: boolean,
    histogram: { readonly bounds: readonly number[] | undefined; readonly maxSize: number } | undefined,
    maxExemplars: number,
  ) {
    this.sums = hasSums ? new SumColumns() : undefined;
    if (histogram !== undefined) {
      const { bounds, maxSize } = histogram;
      this.histogram =
        bounds === undefined ? new ExponentialHistograms(maxSize, budget) : new ExplicitHistograms(bounds);
    }
    this.exemplars = maxExemplars > 0 ? new ExemplarColumns(maxExemplars, budget) : undefined;
    const columns = [this.sums, this.histogram, this.exemplars].filter((each) => each !== undefined);
    this.table = new SeriesTable(budget, columns);
  }

  /** Forgets the series that counted nothing after `then` (epoch ms). */
  expire(then: number): void {
    this.table.removeIf((id) => this.table.lastSeen[id]! <= then);
    if (this.overflow >= 0 && !this.table.has(this.overflow)) this.overflow = -1;
  }
}

/** Longer keys are hashed. */
const LONGEST_KEY = 256;

/**
 * When the last delta of each series ended, for the series that were flushed last, so many of them: there the next one
 * starts.
 */
export class DeltaStarts {
  readonly #size: number;
  readonly #ends = new Map<string, number>();
  #pending: string[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Where the delta of a series starts that is flushed now; `otherwise` if its last end is not known. */
  next(resource: string, group: string, key: Buffer, otherwise: number): number {
    const name = resource + group + (key.length > LONGEST_KEY ? hash("sha256", key, "base64") : key.toString("latin1"));
    this.#pending.push(name);
    return this.#ends.get(name) ?? otherwise;
  }
  /** The series asked for since the last time end at `now` (epoch ms). */
  commit(now: number): void {
    for (const name of this.#pending) {
      this.#ends.delete(name);
      this.#ends.set(name, now);
      if (this.#ends.size <= this.#size) continue;
      for (const oldest of this.#ends.keys()) {
        this.#ends.delete(oldest);
        break;
      }
    }
    this.#pending = [];
  }
}
