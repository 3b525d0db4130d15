import { useEffect, useState } from "preact/hooks";

/** What the page asks the agent for. The shapes of the answers are in src/app/api/json.ts. */
export type * from "#app/api/json";

/** An answer that is not the one asked for: the status and what the agent said. */
export class AnswerError extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(text.trim() || `the agent answered ${status}`);
    this.status = status;
  }
}

/** Asks for a path below the page's base, such as `api/v0/web/status`. Rejects with an AnswerError or a network error. */
export async function ask<T>(path: string, signal?: AbortSignal, as: "json" | "text" = "json"): Promise<T> {
  const response = await fetch(path, signal === undefined ? {} : { signal });
  if (!response.ok) throw new AnswerError(response.status, await response.text());
  return (await response[as]()) as T;
}

/** The path of the agent's web API for `name` (`status`, `explain/ID`) and a query. */
export function webPath(name: string, query: Readonly<Record<string, string>> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const search = given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  return `api/v0/web/${name.split("/").map(encodeURIComponent).join("/")}${search}`;
}

export interface Asked<T> {
  /** The last answer, also while a later one is missing. */
  readonly value: T | undefined;
  /** Why the last question had no answer. */
  readonly error: Error | undefined;
}

interface Poll {
  readonly as: "json" | "text";
  asked: Asked<unknown>;
  readonly listeners: Map<() => void, number>;
  timer: ReturnType<typeof setTimeout> | undefined;
  abort: AbortController | undefined;
}

/** One poll for each path, however many parts of the page look at it. */
const polls = new Map<string, Poll>();
/** Whether the page renews itself; what is there stays. */
let paused = false;

/** Asks again and again every `ms`, while the page is visible and not paused. `undefined` asks nothing. */
export function usePolled<T>(path: string | undefined, ms = 2000, as: "json" | "text" = "json"): Asked<T> {
  const [asked, setAsked] = useState<{ path: string | undefined; asked: Asked<T> }>({
    path: undefined,
    asked: NOTHING,
  });
  useEffect(() => {
    if (path === undefined) return;
    const poll = polls.get(path) ?? { as, asked: NOTHING, listeners: new Map(), timer: undefined, abort: undefined };
    polls.set(path, poll);
    const listener = () => setAsked({ path, asked: poll.asked as Asked<T> });
    poll.listeners.set(listener, ms);
    if (poll.asked !== NOTHING) listener();
    if (poll.listeners.size === 1) void renew(path, poll);
    return () => {
      poll.listeners.delete(listener);
      if (poll.listeners.size > 0) return;
      clearTimeout(poll.timer);
      poll.abort?.abort();
      polls.delete(path);
    };
  }, [path, ms]);
  return asked.path === path ? asked.asked : ((polls.get(path ?? "")?.asked ?? NOTHING) as Asked<T>);
}

const NOTHING: Asked<never> = { value: undefined, error: undefined };

async function renew(path: string, poll: Poll): Promise<void> {
  clearTimeout(poll.timer);
  poll.abort?.abort();
  const abort = new AbortController();
  poll.abort = abort;
  try {
    poll.asked = { value: await ask(path, abort.signal, poll.as), error: undefined };
  } catch (error) {
    if (abort.signal.aborted) return;
    poll.asked = { value: poll.asked.value, error: error instanceof Error ? error : new Error(String(error)) };
  }
  for (const listener of [...poll.listeners.keys()]) listener();
  if (poll.listeners.size === 0 || document.hidden || paused) return;
  poll.timer = setTimeout(() => void renew(path, poll), Math.min(...poll.listeners.values()));
}

function renewAll(): void {
  for (const [path, poll] of polls) void renew(path, poll);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) renewAll();
});

export function setPaused(value: boolean): void {
  paused = value;
  if (!paused) {
    renewAll();
    return;
  }
  for (const poll of polls.values()) {
    clearTimeout(poll.timer);
    // The first answer of a view is let through: a paused view that is empty helps nobody.
    if (poll.asked !== NOTHING) poll.abort?.abort();
  }
}
