import assert from "node:assert/strict";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { eventually, LABELS, startTailer } from "./tailer.testing.ts";

/**
 * The agent ends in the middle of a rotation under a pattern that covers the rotated names, after each of its steps: the
 * names of all files shift while it is away.
 */

const STYLES: readonly (readonly [name: string, steps: readonly ((log: string) => void)[]])[] = [
  [
    "create",
    [
      (log) => renameSync(`${log}.2`, `${log}.3`),
      (log) => renameSync(`${log}.1`, `${log}.2`),
      (log) => renameSync(log, `${log}.1`),
      (log) => writeFileSync(log, ""),
    ],
  ],
  [
    "copytruncate",
    [
      (log) => renameSync(`${log}.2`, `${log}.3`),
      (log) => renameSync(`${log}.1`, `${log}.2`),
      (log) => copyFileSync(log, `${log}.1`),
      (log) => truncateSync(log),
    ],
  ],
];

for (const [style, steps] of STYLES) {
  for (const end of ["stop", "kill"] as const) {
    for (let done = 0; done <= steps.length; done++) {
      test(`${end} after ${done} of ${steps.length} steps of a rotation with ${style}: nothing is lost or repeated`, async () => {
        const root = mkdtempSync(join(tmpdir(), "rotation-restart-"));
        const logs = join(root, "logs");
        const log = join(logs, "app.log");
        const sync = (life: Awaited<ReturnType<typeof startTailer>>) =>
          life.follow(...readdirSync(logs).map((name) => join(logs, name)));
        try {
          mkdirSync(logs);
          for (const name of ["app.log.2", "app.log.1", "app.log"])
            writeFileSync(join(logs, name), `a line of what was ${name}\n`);
          const first = await startTailer(root);
          sync(first);
          await eventually(() => first.lines.length === 3, "the lines come");
          await first.safe();
          for (const step of steps.slice(0, done)) {
            step(log);
            sync(first); // a pattern that is looked at between two renames
          }
          await new Promise((resolve) => setTimeout(resolve, 5 * (done % 3)));
          if (end === "kill") await first.kill();
          else await first[Symbol.asyncDispose]();
          assert.equal(first.lines.length, 3, "nothing came twice before the end");
          // What is written before the rotation goes on is in the old file, what is written after it in the new one.
          if (done < 3) appendFileSync(log, "written while nobody looked\n");
          for (const step of steps.slice(done)) step(log);
          appendFileSync(log, "the first line of the new file\n");
          const second = await startTailer(root);
          sync(second);
          const expected = ["the first line of the new file", ...(done < 3 ? ["written while nobody looked"] : [])];
          await eventually(() => second.lines.length >= expected.length, `${expected} come`).catch((error) => {
            throw new Error(`${second.lines}\n${second.messages.join("\n")}`, { cause: error });
          });
          // Both files were read to their ends by now; a third line that comes is one too many.
          appendFileSync(log, "the last line\n");
          await eventually(() => second.lines.includes("the last line"), "the last line comes");
          await second[Symbol.asyncDispose]();
          assert.deepEqual(second.lines.toSorted(), [...expected, "the last line"].toSorted());
        } finally {
          rmSync(root, { recursive: true, force: true });
        }
      });
    }
  }
}

test("two targets of one pattern with other labels each get every line once, over a rotation while the agent is away", async () => {
  const root = mkdtempSync(join(tmpdir(), "rotation-restart-"));
  const logs = join(root, "logs");
  const log = join(logs, "app.log");
  const targets = () =>
    readdirSync(logs).flatMap((name) =>
      [LABELS, Labels.from([["job", "y"]])].map((labels) => ({ path: join(logs, name), labels })),
    );
  try {
    mkdirSync(logs);
    writeFileSync(log, "one\n");
    const first = await startTailer(root);
    first.tailer.setTargets(targets());
    await eventually(() => first.lines.length === 2, "the line comes for both");
    await first.safe();
    await first.kill();
    appendFileSync(log, "two\n");
    renameSync(log, `${log}.1`);
    writeFileSync(log, "three\n");
    const second = await startTailer(root);
    second.tailer.setTargets(targets());
    await eventually(() => second.lines.length >= 4, "both lines come for both");
    appendFileSync(log, "four\n");
    await eventually(() => second.lines.filter((line) => line === "four").length === 2, "the last line comes for both");
    await second[Symbol.asyncDispose]();
    assert.deepEqual(second.lines.toSorted(), ["four", "four", "three", "three", "two", "two"]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
