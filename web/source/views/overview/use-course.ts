import { useEffect, useState } from "preact/hooks";
import { ask, type HistoryJson, type Signal, type StatusJson, webPath } from "../../agent.ts";
import { contributors, type Moment, pastTotals, type Total } from "./totals.ts";

/** How long the plots of the overview reach back. */
const KEPT_MS = 300_000;
/** The past of more components than this would take too many questions; the plots then begin when the page is opened. */
const MOST_QUESTIONS = 40;

/** Kept while other views are shown. */
let course: ReadonlyMap<Signal, readonly Moment[]> = new Map();
let latest = "";
let isSeeded = false;

/** The totals of the last minutes, with those of now as their end. */
export function useCourse(
  status: StatusJson | undefined,
  totals: readonly Total[],
): ReadonlyMap<Signal, readonly Moment[]> {
  const [, setSeeded] = useState(isSeeded);
  useEffect(() => {
    if (status === undefined || isSeeded || contributors(status).length === 0) return;
    isSeeded = true;
    const abort = new AbortController();
    void seed(status, abort.signal).then(() => setSeeded(true));
    return () => abort.abort();
  }, [status === undefined || contributors(status).length === 0]);
  if (status !== undefined && status.now !== latest) {
    latest = status.now;
    const ms = Date.parse(status.now);
    const next = new Map(course);
    for (const { signal, ...values } of totals)
      next.set(signal, trimmed([...(next.get(signal) ?? []), { ms, values }], ms));
    course = next;
  }
  return course;
}

function trimmed(moments: readonly Moment[], now: number): readonly Moment[] {
  return moments.filter(({ ms }) => ms > now - KEPT_MS);
}

async function seed(status: StatusJson, signal: AbortSignal): Promise<void> {
  const ids = contributors(status);
  if (ids.length > MOST_QUESTIONS) return;
  const answers = await Promise.allSettled(ids.map((id) => ask<HistoryJson>(webPath(`history/${id}`), signal)));
  const histories = new Map<string, HistoryJson>();
  for (const [i, answer] of answers.entries()) if (answer.status === "fulfilled") histories.set(ids[i]!, answer.value);
  const next = new Map(course);
  for (const [name, past] of pastTotals(status, histories)) {
    const seen = next.get(name) ?? [];
    const before = seen[0]?.ms ?? Number.POSITIVE_INFINITY;
    next.set(name, trimmed([...past.filter(({ ms }) => ms < before), ...seen], Date.parse(status.now)));
  }
  course = next;
}
