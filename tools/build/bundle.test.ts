import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { bundleExecutable, bundlePackage, escapeNonAscii } from "./bundle.ts";

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "invar-bundle-"));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the executable's program is one file that requires Node's modules only, with components still lazy", async () => {
  await withFolder(async (folder) => {
    const modules = await bundleExecutable(process.cwd(), join(folder, "main.cjs"));
    const text = readFileSync(join(folder, "main.cjs"), "utf8");
    assert.deepEqual(readdirSync(folder), ["main.cjs"]);
    assert.doesNotMatch(text, /[^\0-\x7f]/);
    assert.ok(modules.some((path) => path.includes("node_modules/undici/")));
    assert.match(text, /\["prometheus\.scrape", \(\) => Promise\.resolve\(\)\.then\(\(\) => \(init_/);
    const required = [...text.matchAll(/^(?:let|const|var) \w+ = require\("([^"]+)"\);$/gm)].map((match) => match[1]!);
    assert.ok(required.length > 5);
    assert.deepEqual(
      required.filter((id) => !id.startsWith("node:")),
      [],
    );
  });
});

test("the npm package keeps components in files of their own and chooses the regex engines first", async () => {
  await withFolder(async (folder) => {
    const imports = await bundlePackage(process.cwd(), folder);
    const files = readdirSync(folder);
    for (const name of ["main.js", "v8-flags.js", "prometheus.scrape.js", "loki.write.js", "run.js"]) {
      assert.ok(files.includes(name), name);
    }
    assert.ok(imports.includes("undici"));
    const main = readFileSync(join(folder, "main.js"), "utf8");
    assert.match(main.split("\n").find((line) => line.startsWith("import "))!, /"\.\/v8-flags\d*\.js"/);
    assert.doesNotMatch(main, /from "\.\/prometheus\.scrape\.js"/);
  });
});

test("escaped literals mean the same", () => {
  const code = 'JSON.stringify(["…µ😀", `→${1}`, /^[€-₿]😀$/u.test("₱😀")])';
  const escaped = escapeNonAscii(code);
  assert.doesNotMatch(escaped, /[^\0-\x7f]/);
  assert.equal(runInNewContext(escaped), '["…µ😀","→1",true]');
  assert.equal(runInNewContext(escaped), runInNewContext(code));
});
