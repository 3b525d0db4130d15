import type { Clock } from "#base/clock";

/** How long a stop waits for confirmations of what is on its way; each one that comes renews the wait. */
const CONFIRM_WITHIN_MS = 2_000;
const CONFIRM_LOOK_MS = 20;

/** Waits until none of the batches that were handed on is outstanding, as long as confirmations come. Never rejects. */
export async function confirmed(clock: Clock, outstanding: () => number, deadline: AbortSignal): Promise<void> {
  let before = outstanding();
  let since = clock.monotonic();
  while (before > 0 && !deadline.aborted && clock.monotonic() - since < CONFIRM_WITHIN_MS) {
    await clock.sleep(CONFIRM_LOOK_MS, deadline).catch(() => {});
    if (outstanding() === before) continue;
    before = outstanding();
    since = clock.monotonic();
  }
}
