import type { Labels } from "#base/labels";

/** Index of a series in its registry. Small and dense, so caches keyed by it are typed arrays. */
export type SeriesRef = number;

/**
 * API sketch: the implementation follows. Every known series once, off the heap: its labels in remote-write form.
 */
export declare class SeriesRegistry {
  /** The ref of a label set, with one more owner. `release` it when it is no longer needed. */
  intern(labels: Labels): SeriesRef;
  /** The same from bytes: repeated `Label` messages (field 1 of TimeSeries) sorted by name, each name once. */
  internEncoded(bytes: Uint8Array, start: number, end: number): SeriesRef;
  retain(ref: SeriesRef): void;
  release(ref: SeriesRef): void;
  /** The labels, decoded anew on each call: for misses of caches, not for each sample. */
  labels(ref: SeriesRef): Labels;
  /** Length of the encoded labels in bytes. */
  encodedLength(ref: SeriesRef): number;
  /** Copies the encoded labels to `target` at `offset`; returns the offset after them. */
  copyEncoded(ref: SeriesRef, target: Uint8Array, offset: number): number;
  /** 32 bits over the labels; equal for equal labels in any process (shards are chosen by it). */
  hash(ref: SeriesRef): number;
  /** Changes when a freed ref is given to another series, so that caches keyed by ref notice. */
  generation(ref: SeriesRef): number;
  /** Holds back the reuse of refs freed from now on until `unpin`: for batches that outlive their series. */
  pin(): number;
  unpin(pin: number): void;
  /** Series with an owner. */
  readonly size: number;
  /** Bytes held off the heap. */
  readonly memoryBytes: number;
}
