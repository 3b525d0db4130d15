import type { LogBatch } from "#pipeline/batch";
import { allocate, type SliceableBuffer, sliceable } from "#pipeline/log-batch";
import type { Replacement } from "./redaction.ts";

/** A line that changes. */
export interface ChangedLine {
  readonly entry: number;
  readonly replacements: readonly Replacement[];
}

/** Memory of larger batches is left to the garbage collector. */
const LARGEST_SPARE = 8 * 1024 * 1024;
/** Lines that lie so close behind one another are copied in one go. */
const SMALL_GAP = 16;

/**
 * Gives a batch bytes of its own in which some lines are changed. Only what lines hold is copied: the secrets are nowhere in
 * the new bytes.
 */
export class Rewriter {
  #spare: SliceableBuffer | undefined;

  /** Changes the batch's `data`, `start` and `end`. `changed` is in the order of entries. */
  rewrite(batch: LogBatch, changed: readonly ChangedLine[]): void {
    const { count, start, end } = batch;
    const source = sliceable(batch.data);
    const target = this.#take(sizeOf(batch, changed));
    let length = 0;
    let next = 0;
    for (let i = 0; i < count; ) {
      const change = changed[next];
      if (change?.entry === i) {
        next += 1;
        const begin = length;
        length = writeLine(source, start[i]!, end[i]!, change.replacements, target, length);
        start[i] = begin;
        end[i] = length;
        i += 1;
        continue;
      }
      // A run of lines that lie one behind the other.
      const until = change?.entry ?? count;
      const first = start[i]!;
      const shift = length - first;
      let last = end[i]!;
      let j = i + 1;
      while (j < until && start[j]! >= last && start[j]! - last <= SMALL_GAP) last = end[j++]!;
      source.copy(target, length, first, last);
      length += last - first;
      for (; i < j; i++) {
        start[i]! += shift;
        end[i]! += shift;
      }
    }
    batch.data = target.subarray(0, length);
  }

  /** Takes back bytes that nobody uses any more. */
  recycle(data: Uint8Array): void {
    const whole = Buffer.from(data.buffer) as unknown as SliceableBuffer;
    if (whole.length <= LARGEST_SPARE) this.#spare = whole;
  }

  #take(size: number): SliceableBuffer {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare !== undefined && spare.length >= size ? spare : allocate(size);
  }
}

/** Enough room for the new bytes. */
function sizeOf({ count, start, end }: LogBatch, changed: readonly ChangedLine[]): number {
  let size = 0;
  for (let i = 0; i < count; i++) size += end[i]! - start[i]! + SMALL_GAP;
  for (const { replacements } of changed) for (const { text } of replacements) size += text.length * 3;
  return size;
}

function writeLine(
  source: SliceableBuffer,
  start: number,
  end: number,
  replacements: readonly Replacement[],
  target: SliceableBuffer,
  at: number,
): number {
  let length = at;
  let copied = start;
  for (const replacement of replacements) {
    const until = replacement.start + replacement.kept;
    source.copy(target, length, copied, until);
    length += until - copied;
    length += target.utf8Write(replacement.text, length);
    copied = replacement.end;
  }
  source.copy(target, length, copied, end);
  return length + end - copied;
}
