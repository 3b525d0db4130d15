import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TimeZone } from "../go-time/zone.ts";
import { TEMPLATE_FUNCTIONS } from "./functions.ts";
import { GoTemplate, TemplateError, type TemplateValue } from "./go-template.ts";

/** What the functions do is compared with Go's in test/differential; here is what no comparison shows. */

const run = (template: string) => new GoTemplate(template).execute(new Map());

const values = fc.letrec<{ value: TemplateValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    fc.constant(undefined),
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom("2006-01-02", "1h", "a,b", "(", "%d %s", "http://u@h:1/p?q#f", "UTC", '{"a":[1]}', "a_bC 1d"),
    fc.double(),
    fc.bigInt({ min: -40n, max: 40n }),
    fc.boolean(),
    fc.constant({ ms: 1_700_000_000_000, ns: 1, zone: TimeZone.utc }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom("a", "b", "path", "__proto__"), tie("value")), { maxLength: 3 })
      .map((pairs) => new Map(pairs)),
  ),
})).value;

test("no function fails with anything but a TemplateError, whatever it is given", () => {
  const functions = [...TEMPLATE_FUNCTIONS];
  assert.ok(functions.length > 180);
  const args = fc.array(values, { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...functions), args, ([name, call], given) => {
      try {
        call(given);
      } catch (error) {
        assert.ok(error instanceof TemplateError, `${name}: ${(error as Error).stack}`);
      }
    }),
    { numRuns: 5_000 },
  );
});

test("no function makes more than a line can hold", () => {
  for (const call of [
    "repeat 1000001 .x",
    'repeat 1000001 "x"',
    'indent 1000001 "x"',
    "until 1000000",
    "untilStep 0 1000000 1",
    "seq 1000000",
    "randAlpha 1000001",
    "randBytes 1000001",
  ]) {
    assert.throws(() => run(`{{ ${call} }}`), TemplateError, call);
  }
});

test("what makes keys and passwords, and what asks the network, is no function", () => {
  for (const name of ["genPrivateKey", "genCA", "derivePassword", "bcrypt", "encryptAES", "getHostByName"]) {
    assert.throws(() => run(`{{ ${name} "x" }}`), /function ".*" not defined/, name);
  }
});

test("the environment is read", () => {
  assert.equal(run('{{ env "PATH" }}'), process.env.PATH);
  assert.equal(run('{{ expandenv "$PATH-${PATH}" }}'), `${process.env.PATH}-${process.env.PATH}`);
});
