import { setFlagsFromString } from "node:v8";
import { configureRegexEngine } from "#base/regex";

/** What the agent needs of V8, whatever Node it runs on. */
export const V8_FLAGS: readonly string[] = [
  // Linear-time regular expressions, on request (flag `l`) and when backtracking gets out of hand: see base/regex.ts.
  "--enable-experimental-regexp-engine",
  "--enable-experimental-regexp-engine-on-excessive-backtracks",
  // V8 14's middle compiler, when it replaces a running loop, may read a stale copy of a `let` that a closure in the
  // loop changes: silently wrong results. Loops wait for the top compiler instead.
  "--no-maglev-osr",
];

// Here and not in a function: main.ts imports this file first, so that the flags hold before any module that compiles a
// pattern is evaluated.
for (const flag of V8_FLAGS) setFlagsFromString(flag);
configureRegexEngine({ linear: true });
