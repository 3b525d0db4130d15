import { ProtoReader } from "#formats/protobuf";
import type { SequenceCounter } from "./sink.ts";

/** Counts what is in a request with as little work as can be, so that the sink does not slow down what it measures. */

const FIELD_1 = (1 << 3) | 2;
const FIELD_2 = (2 << 3) | 2;
const FIELD_5 = (5 << 3) | 2;
const TIMESTAMP = 2 << 3;

/** Every number that stands behind `marker` is counted as one entry's sequence number. Returns how many there were. */
export function countSequences(body: Uint8Array, marker: string, counter: SequenceCounter): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const needle = Buffer.from(marker);
  let entries = 0;
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at)) {
    at += needle.length;
    let sequence = 0;
    for (let digit = bytes[at]! - 48; digit >= 0 && digit <= 9; digit = bytes[++at]! - 48)
      sequence = sequence * 10 + digit;
    counter.add(sequence);
    entries += 1;
  }
  return entries;
}

/** Samples of a remote-write 1.0 request, counted by timestamp in milliseconds. */
export function countSamples(body: Uint8Array, byTimestamp: Map<number, number>): number {
  return countSamplesOf(body, byTimestamp, FIELD_1);
}

/** The same for a request of remote write 2.0, whose series are field 5. */
export function countSamples2(body: Uint8Array, byTimestamp: Map<number, number>): number {
  return countSamplesOf(body, byTimestamp, FIELD_5);
}

function countSamplesOf(body: Uint8Array, byTimestamp: Map<number, number>, seriesTag: number): number {
  let samples = 0;
  const reader = new ProtoReader(body);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== seriesTag) {
      reader.skip(tag);
      continue;
    }
    const afterSeries = reader.enter();
    while (!reader.done) {
      const inner = reader.tag();
      if (inner !== FIELD_2) {
        reader.skip(inner);
        continue;
      }
      const afterSample = reader.enter();
      let timestamp = 0;
      while (!reader.done) {
        const field = reader.tag();
        if (field === TIMESTAMP) timestamp = reader.int64Number();
        else reader.skip(field);
      }
      reader.leave(afterSample);
      byTimestamp.set(timestamp, (byTimestamp.get(timestamp) ?? 0) + 1);
      samples += 1;
    }
    reader.leave(afterSeries);
  }
  return samples;
}

/** Spans of an OTLP trace export: `resource_spans` (1) → `scope_spans` (2) → `spans` (2). */
export function countSpans(body: Uint8Array): number {
  const path = [FIELD_1, FIELD_2, FIELD_2];
  const reader = new ProtoReader(body);
  const count = (depth: number): number => {
    let found = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== path[depth] || depth === path.length - 1) {
        if (tag === path[depth]) found += 1;
        reader.skip(tag);
        continue;
      }
      const outer = reader.enter();
      found += count(depth + 1);
      reader.leave(outer);
    }
    return found;
  };
  return count(0);
}
