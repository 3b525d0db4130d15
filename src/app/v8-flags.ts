import { setFlagsFromString } from "node:v8";
import { configureRegexEngine } from "#base/regex";

/** V8's linear-time regular expressions, on request (flag `l`) and when backtracking gets out of hand: see base/regex.ts. */
export const REGEX_ENGINE_FLAGS: readonly string[] = [
  "--enable-experimental-regexp-engine",
  "--enable-experimental-regexp-engine-on-excessive-backtracks",
];

/**
 * Flags that only the start of the process can set; tools/node.mjs and the npm package's command repeat them.
 * - `--no-maglev-osr`: V8 14's middle compiler, when it replaces a running loop, may read a stale copy of a `let` that a
 *   closure in the loop changes, which is silently wrong. Loops wait for the top compiler instead.
 * - Half of the young generation may grow to 16 MiB: with less, batches in flight are copied into the old generation;
 *   with more, idle memory grows and nothing gets faster.
 * - With a small old generation V8 collects it at every scrape of a large page. The room is reserved, not used, while idle.
 */
export const START_FLAGS: readonly string[] = [
  "--no-maglev-osr",
  "--max-semi-space-size=16",
  "--initial-old-space-size=96",
];

// Here and not in a function: main.ts imports this file first, so that the engines are chosen before any module that
// compiles a pattern is evaluated.
for (const flag of REGEX_ENGINE_FLAGS) setFlagsFromString(flag);
configureRegexEngine({ linear: true });
