import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { explainFailure } from "./explain.ts";

/** What opening the file fails with, as a user that is not root, and the explanation. */
async function failure(path: string): Promise<string> {
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid!(65534);
  try {
    const handle = await open(path);
    await handle.close();
    return "";
  } catch (error) {
    return explainFailure(path, error as NodeJS.ErrnoException);
  } finally {
    if (root) process.seteuid!(0);
  }
}

test("names the missing permission, the missing directory, the circle of links", async () => {
  const root = await mkdtemp(join(tmpdir(), "explain-"));
  try {
    await chmod(root, 0o755);
    await writeFile(join(root, "secret"), "");
    await chmod(join(root, "secret"), 0o200);
    await mkdir(join(root, "closed"));
    await writeFile(join(root, "closed/file"), "");
    await chmod(join(root, "closed"), 0o600);
    await symlink("loop", join(root, "loop"));
    assert.match(
      await failure(join(root, "secret")),
      /permission denied: the file .*\/secret \(mode 0200, owner \d+:\d+\) lacks read \(r\) permission for the agent \(user \d+, group \d+\)/,
    );
    assert.match(
      await failure(join(root, "closed/file")),
      /the directory .*\/closed \(mode 0600, owner \d+:\d+\) lacks search \(x\) permission/,
    );
    assert.match(await failure(join(root, "loop")), /links in a circle/);
    assert.match(await failure(join(root, "secret/x")), /a part of the path is a file/);
    assert.match(await failure(join(root, "none")), /none does not exist; it will be read when it appears/);
    assert.match(
      await failure(join(root, "no/such/file")),
      /there is no directory .*no\/such \(deepest existing: .*explain-[^/]*\)/,
    );
  } finally {
    await chmod(join(root, "closed"), 0o700);
    await rm(root, { recursive: true });
  }
});
