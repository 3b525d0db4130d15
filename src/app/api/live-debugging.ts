import type { Batch } from "#pipeline/batch";
import { SAMPLE_STALE } from "#pipeline/batch";
import type { Tap } from "#pipeline/tap";

/** What ends each piece of a streamed answer of Alloy's web API. */
export const STREAM_SEPARATOR = "|;|";
/** Pieces wait at most this long before they are sent. */
const FLUSH_MS = 1_000;
/** Pieces that wait; more are left out, so that a slow reader costs no memory. */
const WAITING_PIECES = 1_000;
/** Entries of one batch that are shown. */
const SHOWN_PER_BATCH = 20;

/** What passes a component, as text pieces until `signal` is aborted; each item with the given probability. */
export async function* liveDebugging(tap: Tap, probability: number, signal: AbortSignal): AsyncIterable<string> {
  let waiting: string[] = [];
  const unwatch = tap.watch((direction, peer, batch) => {
    const arrow = direction === "in" ? "[IN]" : `[OUT] ${peer}`;
    for (const text of renderBatch(batch, probability)) {
      if (waiting.length < WAITING_PIECES) waiting.push(`${arrow}: ${text}`);
    }
  });
  try {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, FLUSH_MS);
        signal.addEventListener("abort", done, { once: true });
      });
      const pieces = waiting;
      waiting = [];
      if (pieces.length > 0) yield pieces.map((piece) => piece + STREAM_SEPARATOR).join("");
    }
  } finally {
    unwatch();
  }
}

/** A few items of a batch, one text each. Copies what it shows, since batches are lent. */
export function renderBatch(batch: Batch, probability: number, random = Math.random): string[] {
  const shown: string[] = [];
  const pick = () => shown.length < SHOWN_PER_BATCH && (probability >= 1 || random() < probability);
  switch (batch.signal) {
    case "logs":
      for (let i = 0; i < batch.count && shown.length < SHOWN_PER_BATCH; i++) {
        if (!pick()) continue;
        const line = Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString("utf8");
        const time = new Date(batch.ms[i]!).toISOString();
        shown.push(`entry: ${line}, labels: ${batch.streams[batch.stream[i]!]}, timestamp: ${time}`);
      }
      break;
    case "metrics":
      for (let i = 0; i < batch.count && shown.length < SHOWN_PER_BATCH; i++) {
        if (!pick()) continue;
        const value = batch.flags[i]! & SAMPLE_STALE ? "stale" : String(batch.value[i]);
        shown.push(`sample: ts=${batch.timestamp[i]}, labels=${batch.registry.labels(batch.ref[i]!)}, value=${value}`);
      }
      break;
    case "otlp":
      if (pick()) shown.push(`${batch.kind}: ${batch.items} items, ${batch.bytes} bytes`);
      break;
    case "profiles":
      for (const each of batch.profiles) if (pick()) shown.push(`profile: ${each.labels}, ${each.pprof.length} bytes`);
  }
  return shown;
}
