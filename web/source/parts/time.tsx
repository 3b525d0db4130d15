import { clockText } from "../text.ts";

/** A time of day with the full date in its title. */
export function Time({ ms }: { readonly ms: number }) {
  const valid = Number.isFinite(ms) && Math.abs(ms) < 8.64e15;
  const full = valid ? new Date(ms).toISOString() : "";
  return (
    <time dateTime={full} title={full} class="mono quiet">
      {clockText(ms)}
    </time>
  );
}
