import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, type LogRecord } from "#base/log";
import { Problems } from "./problems.ts";

test("only changes are logged, and the rule tells of what fails now", () => {
  const records: LogRecord[] = [];
  const problems = new Problems(
    createLogger({ enabled: () => true, write: (record) => void records.push(record) }),
    "query",
  );
  problems.note("a", undefined);
  assert.equal(problems.judge(), undefined);
  problems.note("a", "it is slow");
  problems.note("a", "it is slow");
  problems.note("b", "it is broken");
  assert.deepEqual(problems.judge(3), { state: "degraded", cause: "a: it is slow; b: it is broken" });
  assert.equal(problems.judge(2)!.state, "failing");
  problems.sweep();
  problems.note("b", undefined);
  problems.sweep(); // nobody asks for a any more
  assert.equal(problems.judge(), undefined);
  assert.deepEqual(
    records.map(({ level, message }) => `${level} ${message}`),
    ["error query failed", "error query failed", "info query works again"],
  );
  for (const part of "cdefg") problems.note(part, "no");
  assert.equal(problems.judge()!.cause, "c: no; d: no; e: no; and 2 more");
});
