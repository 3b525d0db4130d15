import { relative } from "node:path";

// A reporter: a dot for each test, then the failures, the slowest files, and how many tests passed, failed and were skipped.

/** Files whose tests took longer than this together, in milliseconds, are named. */
const SLOW_MS = 20_000;

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* summary(source) {
  const failures = [];
  let passed = 0;
  let skipped = 0;
  let column = 0;
  /** @type {Map<string, number>} */
  const spent = new Map();
  for await (const { type, data } of source) {
    if (type === "test:stderr" && process.env.VERBOSE) yield data.message;
    if (type !== "test:pass" && type !== "test:fail") continue;
    // Suites and parents of subtests only repeat what their tests said.
    if (data.details.type === "suite" || data.details.error?.failureType === "subtestsFailed") continue;
    const path = relative(process.cwd(), data.file ?? "");
    spent.set(path, (spent.get(path) ?? 0) + data.details.duration_ms);
    if (type === "test:fail") failures.push(data);
    else if (data.skip !== undefined || data.todo !== undefined) skipped += 1;
    else passed += 1;
    column += 1;
    yield type === "test:fail" ? `\n✖ ${data.name}\n` : `.${column % 100 === 0 ? "\n" : ""}`;
  }
  for (const { name, file, line, details } of failures) {
    const error = details.error?.cause ?? details.error;
    yield `\n✖ ${name} (${file}:${line})\n${String(error?.stack ?? error).replace(/^/gm, "    ")}\n`;
  }
  const slow = [...spent].filter(([, ms]) => ms > SLOW_MS).sort(([, a], [, b]) => b - a);
  if (slow.length > 0)
    yield `\nslowest: ${slow.map(([path, ms]) => `${path} ${Math.round(ms / 1_000)} s`).join(", ")}\n`;
  // In CI nothing may be skipped: what a test needs, tools/test-setup.sh installs.
  if (skipped > 0 && process.env.CI === "true") process.exitCode = 1;
  yield `\n${passed} passed, ${failures.length} failed, ${skipped} skipped\n`;
}
