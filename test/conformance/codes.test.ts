import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { RUN_FLAGS } from "#app/run-flags";
import { codes } from "#lang/codes";
import { configCodes } from "#lang/codes-config";
import { CONFIG_BLOCKS, UNSUPPORTED_BLOCKS } from "#runtime/blocks/blocks";

const listed = new Set(Object.keys({ ...codes, ...configCodes }));

/** Strings of the same form that are no codes: flags such as `config.watch` and Promtail's `config.file`, blocks such as `import.file`. */
const others = new Set([
  "config.file",
  ...RUN_FLAGS.map((flag) => flag.name),
  ...CONFIG_BLOCKS.keys(),
  ...UNSUPPORTED_BLOCKS.keys(),
  "import.file",
  "import.string",
]);

/** Everything in the sources that has the form of a code. */
function raisedCodes(): Map<string, string> {
  const groups = [...new Set([...listed].map((code) => code.split(".", 1)[0]!))].join("|");
  const form = new RegExp(`"((?:${groups})\\.[a-z_]+)"|\`(component)\\.\\$\\{verb\\}\``, "g");
  const raised = new Map<string, string>();
  for (const file of globSync("src/**/*.ts").filter((path) => !/\.test\.ts$|codes(-config)?\.ts$/.test(path))) {
    for (const [, code, ofComponent] of readFileSync(file, "utf8").matchAll(form)) {
      if (ofComponent !== undefined) for (const verb of ["build", "update"]) raised.set(`component.${verb}`, file);
      else if (!others.has(code!)) raised.set(code!, file);
    }
  }
  return raised;
}

test("every code that is raised is explained, and every one explained is raised", () => {
  const raised = raisedCodes();
  const unlisted = [...raised].filter(([code]) => !listed.has(code)).map(([code, file]) => `${code} in ${file}`);
  assert.deepEqual(unlisted, [], "not in src/lang/codes.ts or codes-config.ts, so not in docs/errors.md");
  const unused = [...listed].filter((code) => !raised.has(code));
  assert.deepEqual(unused, [], "explained, but nothing raises them");
});

test("codes have no spelling but those that the search above finds", () => {
  for (const file of globSync("src/**/*.ts").filter((path) => !path.endsWith(".test.ts"))) {
    for (const [, code] of readFileSync(file, "utf8").matchAll(/severity: "(?:error|warning)",\s*code: "([^"]+)"/g))
      assert.ok(listed.has(code!), `${code} in ${file}`);
  }
});
