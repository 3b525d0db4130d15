import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { passfilePassword } from "./passfile.ts";

test("the first line that fits has the password", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "invar-passfile-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const path = join(folder, "pgpass");
  writeFileSync(
    path,
    "# host:port:database:user:commented\nbroken line\ndb\\:1:5432:app:monitor:with\\:colon\\\\and:more\r\nlocalhost:*:*:monitor:socket\n*:5433:*:*:any\n",
  );
  const ask = (host: string, port: number, database: string, user: string) =>
    passfilePassword(path, { host, port, database, user });
  assert.equal(await ask("db:1", 5432, "app", "monitor"), "with:colon\\and:more");
  assert.equal(await ask("/var/run", 1, "x", "monitor"), "socket");
  assert.equal(await ask("elsewhere", 5433, "x", "y"), "any");
  assert.equal(await ask("elsewhere", 5432, "x", "y"), undefined);
  assert.equal(
    await passfilePassword(join(folder, "none"), { host: "h", port: 1, database: "d", user: "u" }),
    undefined,
  );
  await assert.rejects(
    ask
      .call(undefined, "a", 1, "b", "c")
      .then(() => passfilePassword(folder, { host: "h", port: 1, database: "d", user: "u" })),
    /cannot be read \(EISDIR\)/,
  );
});
