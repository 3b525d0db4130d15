import { useRef } from "preact/hooks";
import type { StatusJson } from "../agent.ts";
import { useNow } from "../hooks.ts";
import { agoText } from "../text.ts";

/** How long ago a time was, with the time itself in its title. `now` is epoch milliseconds of the agent's clock. */
export function Age({ time, now }: { readonly time: string; readonly now: number }) {
  return (
    <time dateTime={time} title={fullTime(time)}>
      {agoText(time, now)}
    </time>
  );
}

/** `2026-08-21 14:03:07 (2026-08-21T12:03:07.123Z)`: local time and UTC. */
export function fullTime(iso: string): string {
  const date = new Date(iso);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} (${iso})`;
}

/** The agent's clock, for ages: this machine's may be another one. Runs on while the page waits for an answer. */
export function useAgentNow(status: StatusJson | undefined): number {
  const now = useNow();
  const seen = useRef<{ status: StatusJson | undefined; ahead: number }>({ status: undefined, ahead: 0 });
  if (status !== undefined && seen.current.status !== status)
    seen.current = { status, ahead: Date.parse(status.now) - Date.now() };
  return now + seen.current.ahead;
}
