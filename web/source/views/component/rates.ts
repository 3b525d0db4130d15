import { useRef } from "preact/hooks";

const WINDOW_MS = 30_000;

interface Reading {
  readonly time: number;
  readonly counts: ReadonlyMap<string, number>;
}

/**
 * How fast counts rise, per second over the last half minute that the page has seen; nothing before the second answer.
 * `answer` is what the counts are from: they are read again when it is another one.
 */
export function useRates(answer: unknown, counts: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const seen = useRef<{ answer: unknown; readings: Reading[] }>({ answer: undefined, readings: [] });
  if (seen.current.answer !== answer) {
    const now = Date.now();
    const readings = seen.current.readings.filter(({ time }) => now - time <= WINDOW_MS);
    seen.current = { answer, readings: [...readings, { time: now, counts }] };
  }
  const { readings } = seen.current;
  const last = readings.at(-1);
  const rates = new Map<string, number>();
  for (const [key, count] of last?.counts ?? []) {
    const first = readings.find(({ counts: earlier }) => earlier.has(key))!;
    const seconds = (last!.time - first.time) / 1000;
    if (seconds > 0) rates.set(key, Math.max(0, count - first.counts.get(key)!) / seconds);
  }
  return rates;
}
