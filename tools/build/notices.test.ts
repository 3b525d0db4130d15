import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { packageFolder, packageNotices, thirdPartyNotices } from "./notices.ts";

test("a file's package is the innermost one, scopes included", () => {
  assert.equal(packageFolder("/a/node_modules/undici/index.js"), "/a/node_modules/undici");
  assert.equal(packageFolder("/a/node_modules/@x/y/dist/z.js"), "/a/node_modules/@x/y");
  assert.equal(packageFolder("/a/node_modules/x/node_modules/y/z.js"), "/a/node_modules/x/node_modules/y");
  assert.equal(packageFolder("/a/src/app/main.ts"), undefined);
  assert.equal(packageFolder("\0rolldown/runtime.js"), undefined);
});

test("each package is named once, with its licence", () => {
  const folder = join(process.cwd(), "node_modules");
  const text = thirdPartyNotices(join(folder, "undici", "bin", "node"), [
    join(folder, "yaml/dist/index.js"),
    join(folder, "yaml/dist/log.js"),
    "src/app/main.ts",
  ]);
  assert.match(text, /^undici \d+\.\d+\.\d+ \(MIT\)$/m);
  assert.equal(text.match(/^yaml \d/gm)?.length, 1);
  assert.match(text, /^snappy-wasm \d/m);
  assert.match(text, /Permission is hereby granted/);
});

test("a licence that is only in the README, or only in packages of the same scope, is found", () => {
  const folder = join(process.cwd(), "node_modules");
  const text = packageNotices([join(folder, "pgpass/lib/index.js"), join(folder, "@aws-sdk/nested-clients/index.js")]);
  assert.match(text, /^pgpass \d.*\(MIT\)\n\nCopyright \(c\)[\s\S]*Permission is hereby granted/m);
  assert.match(text, /^@aws-sdk\/nested-clients \d.*\(Apache-2\.0\)\n\n[\s\S]*Apache License/m);
});
