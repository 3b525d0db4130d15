import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { bundleExecutable, bundlePackage, escapeNonAscii, WORKER_PROGRAM } from "./bundle.ts";

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

test("the program of worker threads is one file without the rest of the agent, and runs as text", async () => {
  await withFolder(async (folder) => {
    const modules = await bundleExecutable(process.cwd(), join(folder, "worker.cjs"), WORKER_PROGRAM);
    const sources = modules.map((path) => relative(process.cwd(), path));
    assert.ok(sources.includes("src/components/loki.process/worker.ts"));
    assert.deepEqual(
      sources.filter((path) => /^src\/(?:kits|runtime)\/|^src\/app\/(?!worker\.ts)/.test(path)),
      [],
    );
    const worker = new Worker(readFileSync(join(folder, "worker.cjs"), "utf8"), { eval: true });
    try {
      worker.postMessage({ channel: 1, open: "loki.process", body: { stages: [], keepsEntries: false } });
      worker.postMessage({ channel: 1, body: { task: 7, flush: "all", traces: undefined } });
      const [answer] = await once(worker, "message");
      assert.equal(answer.body.task, 7);
      assert.equal(answer.body.failed, undefined);
    } finally {
      await worker.terminate();
    }
  });
});

test("the npm package keeps components in files of their own and chooses the regex engines first", async () => {
  await withFolder(async (folder) => {
    const imports = await bundlePackage(process.cwd(), folder);
    const files = readdirSync(folder);
    for (const name of ["main.js", "v8-flags.js", "prometheus.scrape.js", "loki.write.js", "run.js", "worker.js"]) {
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
