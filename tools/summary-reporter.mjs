import { relative } from "node:path";

// A reporter: a dot for each test, then the failures, the slowest files, and how many tests passed, failed and were skipped.

/** Files that took longer than this, in milliseconds, are named. */
const SLOW_MS = 20_000;

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* summary(source) {
  const failures = [];
  let passed = 0;
  let skipped = 0;
  let column = 0;
  /** @type {Map<string, { began: number, ended: number }>} */
  const files = new Map();
  for await (const { type, data } of source) {
    if (type === "test:stderr" && process.env.VERBOSE) yield data.message;
    if (type === "test:dequeue" || type === "test:complete") {
      const now = performance.now();
      const file = files.get(data.file);
      if (file === undefined) files.set(data.file, { began: now, ended: now });
      else file.ended = now;
    }
    if (type !== "test:pass" && type !== "test:fail") continue;
    // Suites and parents of subtests only repeat what their tests said.
    if (data.details.type === "suite" || data.details.error?.failureType === "subtestsFailed") continue;
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
  const slow = [...files]
    .map(([file, { began, ended }]) => ({ file, ms: ended - began }))
    .filter(({ ms }) => ms > SLOW_MS)
    .sort((a, b) => b.ms - a.ms)
    .map(({ file, ms }) => `${relative(process.cwd(), file)} ${Math.round(ms / 1_000)} s`);
  if (slow.length > 0) yield `\nslowest: ${slow.join(", ")}\n`;
  // In CI nothing may be skipped: what a test needs, tools/test-setup.sh installs.
  if (skipped > 0 && process.env.CI === "true") process.exitCode = 1;
  yield `\n${passed} passed, ${failures.length} failed, ${skipped} skipped\n`;
}
