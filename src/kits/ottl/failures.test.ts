import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "#base/log";
import { ManualClock } from "#base/manual-clock.testing";
import { StatementFailures } from "./failures.ts";
import { OttlError } from "./value.ts";

test("the statement that fails most is in the status, and each in the log once a minute", async () => {
  const clock = new ManualClock();
  const logged: unknown[] = [];
  const log = createLogger({
    enabled: () => true,
    write: ({ fields }) => void logged.push(Object.fromEntries(fields)),
  });
  const failures = new StatementFailures({ clock, log });
  assert.equal(failures.judge(), undefined);
  const error = OttlError.of("x is no int");
  for (const statement of ["a", "b", "b"]) failures.add(statement, error);
  assert.match(
    failures.judge()!.cause,
    /^b failed on 2 items in the last 5 min .*: x is no int, and 1 more fail too; /,
  );
  await clock.advance(60_000);
  failures.add("b", error);
  assert.deepEqual(logged, [
    { statement: "a", error: "x is no int", times: 1 },
    { statement: "b", error: "x is no int", times: 1 },
    { statement: "b", error: "x is no int", times: 2 },
  ]);
  await clock.advance(300_000);
  assert.equal(failures.judge(), undefined);
});
