/**
 * OTLP's histograms in the form of Prometheus's native ones. Matches internal/component/otelcol/exporter/prometheus/
 * internal/convert/histograms.go of Alloy, but for scales that are made coarser: there counts after empty buckets get into
 * the bucket before theirs.
 */

/** Buckets of one sign: counts as differences, each from the one before. */
export interface SparseBuckets {
  readonly spans: readonly { readonly offset: number; readonly length: number }[];
  readonly deltas: readonly number[];
}

const NOTHING: SparseBuckets = { spans: [], deltas: [] };
/** Empty buckets up to this number are written out; more of them end a span. */
const LONGEST_GAP = 2;

/**
 * Dense buckets from `offset` on, merged by `2^scaleDown` to a coarser scale, as sparse ones; `shift` is what Prometheus's
 * numbers of buckets are beyond OTLP's.
 */
export function sparseBuckets(
  counts: readonly number[],
  offset: number,
  scaleDown: number,
  shift: number,
): SparseBuckets {
  if (counts.length === 0) return NOTHING;
  // A shift by 31 is all that a number of 32 bits has.
  const placeOf = (i: number) => ((i + offset) >> Math.min(scaleDown, 31)) + shift;
  const last = counts.length - 1;
  /** The bucket after the last one that was written. */
  let next = placeOf(0);
  const spans = [{ offset: next, length: 0 }];
  const deltas: number[] = [];
  let previous = 0;
  let count = 0;
  const append = (value: number) => {
    spans.at(-1)!.length += 1;
    deltas.push(value - previous);
    previous = value;
    next += 1;
  };
  for (const [i, each] of counts.entries()) {
    count += each;
    const bucket = placeOf(i);
    if (i < last && (placeOf(i + 1) === bucket || count === 0)) continue;
    const gap = bucket - next;
    if (gap > LONGEST_GAP) {
      spans.push({ offset: gap, length: 0 });
      next = bucket;
    } else for (let k = 0; k < gap; k++) append(0);
    append(count);
    count = 0;
  }
  return { spans, deltas };
}
