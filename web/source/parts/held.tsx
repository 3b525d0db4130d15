import { durationText } from "../text.ts";
import { fullTime } from "./age.tsx";

/** For how long something has been so: `for 4 min`. `now` is epoch milliseconds of the agent's clock. */
export function Held({ since, now }: { readonly since: string; readonly now: number }) {
  return (
    <time dateTime={since} title={`since ${fullTime(since)}`}>
      {heldText(since, now)}
    </time>
  );
}

export function heldText(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  return `for ${durationText(Math.max(1, seconds) * 1000)}`;
}
