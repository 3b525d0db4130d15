import { useEffect, useRef, useState } from "preact/hooks";
import { AnswerError, type LiveEvent, webPath } from "../../agent.ts";

/** Events that are kept and shown; older ones go. */
const KEPT = 500;
/** Events that come in a burst are drawn together. */
const DRAW_EVERY_MS = 200;

export type ShownEvent = Exclude<LiveEvent, { event: "passed" }> & { readonly key: number };
export type Passed = Extract<LiveEvent, { event: "passed" }>;

export interface LiveState {
  /** Newest first. */
  readonly events: readonly ShownEvent[];
  /** What passed in the last second or so. */
  readonly passed: Passed | undefined;
  readonly error: Error | undefined;
  /** The agent watches: what passes from now on is seen. */
  readonly open: boolean;
  /** The agent ended the stream, or it broke. */
  readonly ended: boolean;
}

const EMPTY: LiveState = { events: [], passed: undefined, error: undefined, open: false, ended: false };

/**
 * Watches while `query` is given: `undefined` stops the stream and keeps what is there, another query begins anew.
 * `clear` empties what is shown.
 */
export function useLive(query: Readonly<Record<string, string>> | undefined): LiveState & { clear(): void } {
  const [state, setState] = useState(EMPTY);
  const last = useRef("");
  const key = query === undefined ? undefined : JSON.stringify(query);
  useEffect(() => {
    if (query === undefined || key === undefined) return;
    const abort = new AbortController();
    if (last.current !== key) setState(EMPTY);
    last.current = key;
    const pending: ShownEvent[] = [];
    let passed: Passed | undefined;
    const draw = () => {
      if (pending.length === 0 && passed === undefined) return;
      const fresh = pending.splice(0).reverse();
      const news = passed;
      passed = undefined;
      setState((before) => ({
        events: fresh.length === 0 ? before.events : [...fresh, ...before.events].slice(0, KEPT),
        passed: news ?? before.passed,
        error: undefined,
        open: before.open,
        ended: false,
      }));
    };
    const timer = setInterval(draw, DRAW_EVERY_MS);
    const take = (event: LiveEvent) => {
      if (event.event === "passed") passed = event;
      else pending.push({ ...event, key: nextKey++ });
    };
    const opened = () => setState((before) => ({ ...before, error: undefined, open: true, ended: false }));
    read(webPath("live", query), opened, take, abort.signal).then(
      () => setState((before) => ({ ...before, open: false, ended: true })),
      (error) => {
        if (!abort.signal.aborted) setState((before) => ({ ...before, error, open: false, ended: true }));
      },
    );
    return () => {
      clearInterval(timer);
      abort.abort();
      draw();
      setState((before) => ({ ...before, open: false }));
    };
  }, [key]);
  return { ...state, clear: () => setState((before) => ({ ...before, events: [] })) };
}

let nextKey = 0;

async function read(
  path: string,
  opened: () => void,
  take: (event: LiveEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(path, { signal });
  if (!response.ok || response.body === null) throw new AnswerError(response.status, await response.text());
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") take(JSON.parse(line) as LiveEvent);
  }
}
