import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DEPRECATED_NAMES, EXPERIMENTAL_NAMES, isStandardName } from "#lang/stdlib";
import { standardFunctions } from "#lang/stdlib-functions";
import { standard } from "./placeholders.ts";

interface Catalogue {
  readonly functions: readonly {
    readonly fullName: string;
    readonly stability: string;
    readonly deprecatedAliases: readonly string[];
    readonly params: readonly { readonly variadic?: boolean; readonly optional?: boolean }[];
  }[];
  readonly constants: readonly { readonly name: string }[];
  readonly deprecatedAliases: Readonly<Record<string, string>>;
}

const catalogue = JSON.parse(readFileSync(join(import.meta.dirname, "../catalog/stdlib.json"), "utf8")) as Catalogue;
const functions = standardFunctions({ environment: () => undefined, hostname: "", os: "", arch: "", version: "" });

test("the functions are Alloy's, no more and no less", () => {
  assert.deepEqual([...functions.keys()].sort(), catalogue.functions.map((each) => each.fullName).sort());
  for (const each of catalogue.functions) {
    assert.equal(EXPERIMENTAL_NAMES.has(each.fullName), each.stability === "experimental", each.fullName);
    assert.ok(isStandardName(each.fullName.split(".")[0]!));
  }
});

test("the number of arguments is checked as the catalogue has it", () => {
  for (const { fullName, params } of catalogue.functions) {
    const least = params.filter((each) => !each.variadic && !each.optional).length;
    const tooFew = () => functions.get(fullName)!.call(Array.from({ length: least - 1 }, () => ""));
    if (least > 0) assert.throws(tooFew, /^ValueError: expected (at least )?\d( or \d)? args, got \d$/, fullName);
    if (params.some((each) => each.variadic)) continue;
    const tooMany = () => functions.get(fullName)!.call(Array.from({ length: params.length + 1 }, () => ""));
    assert.throws(tooMany, /args, got/, fullName);
  }
});

test("the deprecated aliases are Alloy's and mean the same functions", () => {
  assert.deepEqual(Object.fromEntries(DEPRECATED_NAMES), catalogue.deprecatedAliases);
  for (const [old, current] of DEPRECATED_NAMES) {
    const [namespace, name] = current.split(".") as [string, string];
    assert.equal(standard.lookup(old), (standard.lookup(namespace) as ReadonlyMap<string, unknown>).get(name));
  }
});

test("the constants are Alloy's", () => {
  const constants = standard.lookup("constants") as ReadonlyMap<string, unknown>;
  assert.deepEqual([...constants.keys()].sort(), catalogue.constants.map((each) => each.name).sort());
});
