import { EXEMPLAR } from "#formats/otlp/fields";
import type { ProtoWriter } from "#formats/protobuf";
import { writeNanos } from "../otlp/nanos.ts";
import type { MemoryBudget, SeriesColumns } from "./series.ts";

/** Trace id, span id and value. */
const BYTES = 32;
const TRACE_ID_BYTES = 16;
const FIRST_ROOM = 2;
const NONE = Buffer.alloc(0);

/** The first spans that each series counted since the last flush, so many of them at most. */
export class ExemplarColumns implements SeriesColumns {
  readonly bytesPerSeries = 16;
  readonly #most: number;
  readonly #budget: MemoryBudget;
  #count = new Int32Array(0);
  readonly #kept: Buffer[] = [];

  constructor(most: number, budget: MemoryBudget) {
    this.#most = most;
    this.#budget = budget;
  }

  reserve(capacity: number): void {
    const count = new Int32Array(capacity);
    count.set(this.#count);
    this.#count = count;
  }
  begin(id: number): void {
    this.#count[id] = 0;
    this.#kept[id] = NONE;
  }
  end(id: number): void {
    this.#budget.giveBack(this.#kept[id]!.length);
    this.#kept[id] = NONE;
  }

  /** The ids are at these offsets; −1 for no span id. Without room left in the budget the span is no exemplar. */
  add(id: number, bytes: Buffer, traceId: number, spanId: number, value: number): void {
    const count = this.#count[id]!;
    if (count >= this.#most) return;
    let kept = this.#kept[id]!;
    const at = count * BYTES;
    if (at === kept.length) {
      const room = Math.min(this.#most, Math.max(FIRST_ROOM, count * 2));
      if (!this.#budget.take(room * BYTES - kept.length)) return;
      const larger = Buffer.alloc(room * BYTES);
      kept.copy(larger);
      this.#kept[id] = kept = larger;
    }
    bytes.copy(kept, at, traceId, traceId + TRACE_ID_BYTES);
    if (spanId < 0) kept.fill(0, at + TRACE_ID_BYTES, at + 24);
    else bytes.copy(kept, at + TRACE_ID_BYTES, spanId, spanId + 8);
    kept.writeDoubleLE(value, at + 24);
    this.#count[id] = count + 1;
  }

  /** Writes them as occurrences of a data point's field, all with this time (epoch ms). */
  write(writer: ProtoWriter, field: number, id: number, now: number): void {
    const kept = this.#kept[id]!;
    for (let i = 0; i < this.#count[id]!; i++) {
      const at = i * BYTES;
      const mark = writer.begin(field);
      writeNanos(writer, EXEMPLAR.time, now, 0);
      writer.double(EXEMPLAR.asDouble, kept.readDoubleLE(at + 24));
      const spanId = at + TRACE_ID_BYTES;
      if (kept.readBigUInt64LE(spanId) !== 0n) writer.bytes(EXEMPLAR.spanId, kept, spanId, spanId + 8);
      writer.bytes(EXEMPLAR.traceId, kept, at, spanId);
      writer.end(mark);
    }
  }

  /** Forgets all of them; their memory stays with the series. */
  clear(): void {
    this.#count.fill(0);
  }
}
