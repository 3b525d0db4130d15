import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { zip } from "./zip.ts";

test("an archive is read by another program", () => {
  const folder = mkdtempSync(join(tmpdir(), "invar-zip-"));
  try {
    const path = join(folder, "a.zip");
    const files = [
      { name: "a/one.txt", content: "one\n".repeat(1000) },
      { name: "a/empty", content: "" },
      { name: "a/bytes", content: Uint8Array.from({ length: 300 }, (_, i) => i & 255) },
    ];
    writeFileSync(path, zip(files, new Date("2026-11-20T12:34:56Z")));
    const script = `import zipfile,sys
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
for i in z.infolist(): print(i.filename, i.file_size, i.date_time)`;
    const listing = execFileSync("python3", ["-c", script, path], { encoding: "utf8" });
    assert.equal(
      listing,
      "a/one.txt 4000 (2026, 11, 20, 12, 34, 56)\na/empty 0 (2026, 11, 20, 12, 34, 56)\na/bytes 300 (2026, 11, 20, 12, 34, 56)\n",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
