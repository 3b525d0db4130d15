import { setFlagsFromString } from "node:v8";

/** V8's linear-time regular expressions, on request (flag `l`) and when backtracking gets out of hand: see base/regex.ts. */
export const REGEX_ENGINE_FLAGS: readonly string[] = [
  "--enable-experimental-regexp-engine",
  "--enable-experimental-regexp-engine-on-excessive-backtracks",
];

// Here and not in a function: main.ts imports this file first, so that the engines are chosen before any module that
// compiles a pattern is evaluated.
for (const flag of REGEX_ENGINE_FLAGS) setFlagsFromString(flag);
