import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type PositionReset, readResets, resetsPath, takeResets, writeResets } from "./position-resets.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "position-resets-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const reset = (path: string, to: "start" | "end", labels = "{}"): PositionReset => ({ path, labels, to });

test("requests add up, the later one for a position counts, and they are taken over once", async () => {
  await using at = await folder();
  const directory = join(at.path, "new");
  assert.deepEqual(await takeResets(directory), []);
  await writeResets(directory, [reset("/a", "start"), reset("/b", "start")]);
  await writeResets(directory, [reset("/a", "end"), reset("/a", "start", '{job="x"}')]);
  const all = [reset("/a", "end"), reset("/b", "start"), reset("/a", "start", '{job="x"}')];
  assert.deepEqual(await readResets(directory), all);
  assert.equal((await stat(resetsPath(directory))).mode & 0o777, 0o600);
  assert.deepEqual(await takeResets(directory), all);
  assert.deepEqual(await readdir(directory), []);
  assert.deepEqual(await takeResets(directory), []);
});

test("damaged requests are refused with the file's name, and stay", async () => {
  await using at = await folder();
  const damaged = [
    "",
    "{",
    "null",
    '{"version":2,"resets":[]}',
    '{"version":1,"resets":{}}',
    '{"version":1,"resets":[{"path":"/a","labels":"{}","to":"middle"}]}',
    '{"version":1,"resets":[{"path":"/a","to":"end"}]}',
    '{"version":1,"resets":[{"labels":"{}","to":"end"}]}',
  ];
  for (const text of damaged) {
    await writeFile(resetsPath(at.path), text);
    await assert.rejects(
      takeResets(at.path),
      { message: `${resetsPath(at.path)} is damaged. Remove it, and reset the positions again` },
      text,
    );
    await assert.rejects(writeResets(at.path, [reset("/a", "end")]), /is damaged/, text);
  }
  await rm(resetsPath(at.path));
  await mkdir(resetsPath(at.path));
  await assert.rejects(takeResets(at.path), { code: "EISDIR" });
});
