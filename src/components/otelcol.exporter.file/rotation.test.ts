import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { removeOld } from "./rotation.ts";

test("files that were put aside go after max_days, and no others", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "rotation-"));
  cleanUp(t, () => rm(folder, { recursive: true }));
  const names = ["out-2026-01-01T12-00-00.000-size.json", "out-2026-01-03T12-00-00.000.json", "out.json", "out-x.json"];
  for (const name of names) await writeFile(join(folder, name), "");
  const rotation = { max_megabytes: 1, max_days: 2, max_backups: 0, localtime: false };
  await removeOld(join(folder, "out.json"), rotation, Date.UTC(2026, 0, 3, 12));
  assert.deepEqual((await readdir(folder)).sort(), names.toSorted(), "two days are not more than two");
  await removeOld(join(folder, "out.json"), rotation, Date.UTC(2026, 0, 3, 13));
  assert.deepEqual((await readdir(folder)).sort(), names.slice(1).sort());
});
