import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { makeFolder, makeFolderSync } from "./make-folder.ts";

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "make-folder-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  return folder;
}

const ways = {
  "at once": async (path: string, mode?: number) => makeFolderSync(path, mode),
  later: makeFolder,
};

for (const [name, make] of Object.entries(ways)) {
  test(`makes what is missing, and says whether anything was (${name})`, async (t) => {
    const folder = temporary(t);
    assert.equal(await make(join(folder, "a", "b", "..", "c"), 0o700), true);
    assert.equal(statSync(join(folder, "a", "c")).mode & 0o777, 0o700);
    assert.equal(await make(join(folder, "a", "c")), false);
    symlinkSync(join(folder, "a"), join(folder, "link"));
    assert.equal(await make(join(folder, "link", "d")), true);
    assert.equal(await make("/"), false);
  });

  test(`says why a folder cannot be (${name})`, async (t) => {
    const folder = temporary(t);
    writeFileSync(join(folder, "file"), "");
    await assert.rejects(make(join(folder, "file")), { code: "EEXIST", message: /a file is in the way of the folder/ });
    await assert.rejects(make(join(folder, "file", "a", "b")), { code: "ENOTDIR" });
    // Node's own way never ends here.
    await assert.rejects(make("/proc/invar/data"), {
      message: "the file system of /proc takes no folders: choose another place than /proc/invar/data",
    });
  });
}
