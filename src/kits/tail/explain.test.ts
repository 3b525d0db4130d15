import assert from "node:assert/strict";
import { chmod, chown, mkdir, mkdtemp, open, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { explainFailure } from "./explain.ts";

/** What using the path fails with, as a user that is not root, and the explanation. */
async function failure(
  path: string,
  use: (path: string) => Promise<unknown> = async (each) => (await open(each)).close(),
): Promise<string> {
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid!(65534);
  try {
    await use(path);
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
      /permission denied: the file .*\/secret \(mode 0200, owner \S+:\S+\) lacks read \(r\) permission for the agent, which runs as user \S+ in group \S+: run (setfacl|chmod) .*\/secret/,
    );
    assert.match(
      await failure(join(root, "closed/file")),
      /the directory .*\/closed \(mode 0600, owner \S+:\S+\) lacks search \(x\) permission/,
    );
    assert.match(
      await failure(join(root, "closed"), (path) => readdir(path)),
      /the directory .*\/closed \(mode 0600, .*\) lacks list \(r and x\) permission/,
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

test("names the group whose members may read", { skip: process.geteuid?.() !== 0 }, async () => {
  const root = await mkdtemp(join(tmpdir(), "explain-"));
  try {
    await chmod(root, 0o755);
    const path = join(root, "log");
    await writeFile(path, "");
    await chmod(path, 0o640);
    await chown(path, 0, 4); // adm on Debian
    assert.match(
      await failure(path),
      /members of group (adm|4) may, so run usermod -aG (adm|4) \S+ and restart the agent \(in Kubernetes: supplementalGroups: \[4\]\)/,
    );
    await chown(path, 0, 54_321);
    assert.match(await failure(path), /owner root:54321.*members of group 54321 may/);
    await chmod(path, 0o600);
    assert.match(await failure(path), /: run setfacl -m u:\S+:r \S+, or run the agent as a user who may$/);
  } finally {
    await rm(root, { recursive: true });
  }
});
