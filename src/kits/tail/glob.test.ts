import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import picomatch from "picomatch";
import { Glob, GlobError } from "./glob.ts";

test("matches paths as doublestar does", () => {
  const cases: [pattern: string, path: string, matches: boolean][] = [
    ["/var/log/*.log", "/var/log/a.log", true],
    ["/var/log/*.log", "/var/log/.log", true],
    ["/var/log/*.log", "/var/log/sub/a.log", false],
    ["/var/log/**/*.log", "/var/log/a.log", true],
    ["/var/log/**/*.log", "/var/log/x/y/a.log", true],
    ["/var/log/**", "/var/log", true],
    ["/var/log/**", "/var/log/x/y", true],
    ["/var/log/**.log", "/var/log/x/a.log", false],
    ["/var/log/**.log", "/var/log/a.log", true],
    ["/a/{b,c{d,e}}/*.{log,txt}", "/a/ce/x.txt", true],
    ["/a/{b,c{d,e}}/*.{log,txt}", "/a/c/x.txt", false],
    ["/a/x{,.1}", "/a/x", true],
    ["/a/{b/c,d}/e", "/a/b/c/e", true],
    ["/a/[0-9a]?", "/a/5z", true],
    ["/a/[^0-9]", "/a/5", false],
    ["/a/[!0-9]", "/a/x", true],
    ["/a/[]]", "/a/]", false],
    ["/a/\\*", "/a/*", true],
    ["/a/\\*", "/a/b", false],
    ["/a/?", "/a/\u{1f600}", true],
    ["/a//b/../c", "/a/c", true],
    ["**/x", "a/b/x", true],
    ["/**/x", "/x", true],
    ["/a/**/**/b", "/a/b", true],
  ];
  for (const [pattern, path, matches] of cases) {
    if (pattern === "/a/[]]") assert.throws(() => new Glob(pattern), GlobError);
    else assert.equal(new Glob(pattern).match(path), matches, `${pattern} ${path}`);
  }
});

test("refuses broken patterns", () => {
  for (const pattern of ["/a/[b", "/a/{b", "/a/b}", "/a/[]", "/a/b\\", `/a/${"{0,1,2,3,4,5,6,7,8,9}".repeat(5)}`]) {
    assert.throws(() => new Glob(pattern), GlobError, pattern);
  }
});

test("agrees with another implementation on plain patterns", () => {
  const name = fc
    .string({ unit: fc.constantFrom("a", "b", "c", "."), minLength: 1, maxLength: 4 })
    .filter((each) => !/^\.+$/.test(each));
  const part = fc.string({
    unit: fc.constantFrom("a", "b", "*", "?", "[ab]", "{a,b}", "."),
    minLength: 1,
    maxLength: 4,
  });
  const segment = fc.oneof(part, fc.constant("**")).filter((each) => each === "**" || !/\*\*|^\.+$/.test(each));
  fc.assert(
    fc.property(
      fc.array(segment, { minLength: 1, maxLength: 4 }),
      fc.array(name, { minLength: 1, maxLength: 4 }),
      (pattern, names) => {
        const text = `/root/${pattern.join("/")}`;
        const path = `/root/${names.join("/")}`;
        // picomatch lets a trailing `/**` need a name; doublestar does not.
        const other = picomatch.isMatch(path, text, {
          dot: true,
          nonegate: true,
          noextglob: true,
          strictSlashes: false,
        });
        if (!text.endsWith("**")) assert.equal(new Glob(text).match(path), other, `${text} on ${path}`);
      },
    ),
    { numRuns: 2000 },
  );
});

test("finds files, through links, and reports what it cannot read", async () => {
  const root = await mkdtemp(join(tmpdir(), "glob-"));
  try {
    for (const path of ["a.log", "sub/b.log", "sub/deep/c.log", "sub/d.txt", ".hidden/e.log"]) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), "");
    }
    await symlink(join(root, "sub"), join(root, "link"));
    await symlink("loop", join(root, "loop"));
    const found = async (pattern: string) =>
      (await new Glob(join(root, pattern)).find()).map((each) => each.slice(root.length + 1));
    assert.deepEqual(await found("*.log"), ["a.log"]);
    assert.deepEqual(await found("**/*.log"), [
      ".hidden/e.log",
      "a.log",
      "link/b.log",
      "link/deep/c.log",
      "sub/b.log",
      "sub/deep/c.log",
    ]);
    assert.deepEqual(await found("{sub,none}/*.{log,txt}"), ["sub/b.log", "sub/d.txt"]);
    assert.deepEqual(await found("sub/**"), ["sub", "sub/b.log", "sub/d.txt", "sub/deep", "sub/deep/c.log"]);
    assert.deepEqual(await found("a.log"), ["a.log"]);
    assert.deepEqual(await found("missing.log"), []);
    assert.deepEqual(await found("missing/*.log"), []);
    const failures: string[] = [];
    await new Glob(join(root, "loop/*")).find((path, error) =>
      failures.push(`${path.slice(root.length)} ${error.code}`),
    );
    assert.deepEqual(failures, ["/loop ELOOP"]);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("found paths match", async () => {
  const root = await mkdtemp(join(tmpdir(), "glob-"));
  try {
    for (const path of ["a", "b.log", "c/a", "c/b.log", "c/d/b.log", "c/d/e/a"]) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), "");
    }
    const all = await new Glob(join(root, "**")).find();
    for (const pattern of ["**/b.log", "c/**", "*", "c/*/*", "{a,c}/**/a", "**/d/**", "c/**/b.log", "?/[a-d]"]) {
      const glob = new Glob(join(root, pattern));
      assert.deepEqual(
        await glob.find(),
        all.filter((path) => glob.match(path)),
        pattern,
      );
    }
  } finally {
    await rm(root, { recursive: true });
  }
});
