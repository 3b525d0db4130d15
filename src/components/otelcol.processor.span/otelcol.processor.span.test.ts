import assert from "node:assert/strict";
import { test } from "node:test";
import { attributesOf, itemsIn, startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import { decodeArguments, recordOtlp } from "#pipeline/testing";
import definition from "./otelcol.processor.span.ts";

async function after(config: string, span: object) {
  await using processor = await startProcessor(definition, config, ["traces"]);
  return itemsIn(await processor.run("traces", tracesOf([span])))[0]!;
}

test("names spans after attributes, if they have all of them", async () => {
  const config = `name {
    from_attributes = ["db.svc", "n", "x", "yes"]
    separator = "::"
  }`;
  const attributes = attributesOf({ "db.svc": "location", n: 7n, x: 1e21, yes: true });
  assert.equal((await after(config, { name: "a", attributes })).name, "location::7::1000000000000000000000::true");
  assert.equal((await after(config, { name: "a", attributes: attributes.slice(1) })).name, "a");
  const list = [...attributes.slice(0, 3), { key: "yes", value: { arrayValue: {} } }];
  assert.match(String((await after(config, { name: "a", attributes: list })).name), /::<unknown-attribute-type>$/);
});

test("takes attributes out of names, rule after rule", async () => {
  const rules = (more: string) => `name {
    to_attributes {
      rules = ["^/api/(?P<version>v[0-9]+)/", "/documents/(?P<id>[^/]+)(?P<rest>/none)?"]
      ${more}
    }
  }`;
  const span = { name: "/api/v1/documents/42/update", attributes: attributesOf({ id: "old" }) };
  const both = await after(rules(""), span);
  assert.deepEqual(
    [both.name, valuesOf(both)],
    ["/api/{version}/documents/{id}/update", { id: "42", version: "v1", rest: "" }],
  );
  const first = await after(rules("break_after_match = true"), span);
  assert.deepEqual([first.name, valuesOf(first)], ["/api/{version}/documents/42/update", { id: "old", version: "v1" }]);
  const kept = await after(rules("keep_original_name = true"), span);
  assert.deepEqual([kept.name, valuesOf(kept)], [span.name, { id: "42", version: "v1", rest: "" }]);
  const nested = await after('name {\n to_attributes {\n rules = ["(?P<all>a(?P<b>b))c"]\n}\n}', { name: "xabc" });
  assert.deepEqual([nested.name, valuesOf(nested)], ["x{all}c", { all: "ab", b: "b" }]);
});

test("sets the status of selected spans", async () => {
  const config = `include {
    match_type = "strict"
    span_names = ["bad"]
  }
  status {
    code = "Error"
    description = "it says so"
  }`;
  const status = { code: 1, message: "fine" };
  assert.deepEqual((await after(config, { name: "bad", status })).status, { code: 2, message: "it says so" });
  assert.deepEqual((await after(config, { name: "good", status })).status, status);
});

test("refuses a configuration without work, and rules that are none", () => {
  const scope = { sink: recordOtlp().value };
  const refused = (config: string, message: RegExp) =>
    assert.throws(() => decodeArguments(definition, `${config}\noutput { traces = [sink] }`, { scope }), message);
  refused("", /says nothing to do/);
  refused(
    'name {\n to_attributes {\n rules = ["("]\n}\n}',
    /`name.to_attributes.rules\[0\]` is an invalid regular expression: /,
  );
  refused('status {\n code = "ok"\n}', /cannot be "ok"/);
  refused('status {\n code = "Ok"\n description = "x"\n}', /is only for `code = "Error"`/);
  refused('include {\n match_type = "strict"\n}\nstatus {\n code = "Ok"\n}', /selects no spans/);
});
