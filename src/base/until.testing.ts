import assert from "node:assert/strict";

/** Waits until `holds` gives true; fails with `what` (a text, or what makes one) if that takes longer than `timeoutMs`. */
export async function until(holds: () => boolean, what: string | (() => string), timeoutMs = 60_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > end) {
      assert.fail(`not within ${timeoutMs} ms: ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
