import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { attributesOf, itemsIn, logsOf, startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import { decodeArguments, recordOtlp, refusals } from "#pipeline/testing";
import definition from "./otelcol.processor.attributes.ts";

const sha256 = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
const action = (fields: Readonly<Record<string, string>>) =>
  `action {\n${Object.entries(fields)
    .map(([name, value]) => `${name} = ${value}`)
    .join("\n")}\n}\n`;

/** The attributes of a span after these actions. */
async function after(actions: readonly Readonly<Record<string, string>>[], before: Readonly<Record<string, unknown>>) {
  await using processor = await startProcessor(definition, actions.map(action).join(""));
  const client = { metadata: { "x-tenant": ["a", "b"] }, address: "10.0.0.7", attributes: { username: "blue" } };
  const [span] = itemsIn(await processor.run("traces", tracesOf([{ attributes: attributesOf(before) }]), client));
  return valuesOf(span);
}

test("insert, update and upsert set values, attributes and what is known of the client", async () => {
  const before = { a: "1", b: 2n };
  assert.deepEqual(
    await after(
      [
        { action: '"insert"', key: '"a"', value: '"x"' },
        { action: '"insert"', key: '"c"', value: "1.5" },
        { action: '"update"', key: '"d"', value: "true" },
        { action: '"UPDATE"', key: '"b"', from_attribute: '"a"' },
        { action: '"upsert"', key: '"e"', from_context: '"metadata.X-Tenant"' },
        { action: '"upsert"', key: '"f"', from_context: '"x-none"' },
        { action: '"upsert"', key: '"g"', from_context: '"client.address"' },
        { action: '"upsert"', key: '"h"', value: "7" },
        { action: '"upsert"', key: '"i"', from_attribute: '"none"' },
        { action: '"upsert"', key: '"j"', from_context: '"auth.username"' },
        { action: '"upsert"', key: '"k"', from_context: '"auth.subject"' },
      ],
      before,
    ),
    { a: "1", b: "1", c: 1.5, e: "a;b", g: "10.0.0.7", h: "7n", j: "blue" },
  );
  const nested = { kvlistValue: { values: attributesOf({ k: { arrayValue: { values: [{ intValue: "1" }] } } }) } };
  await using processor = await startProcessor(
    definition,
    action({ action: '"insert"', key: '"m"', value: "{k = [1]}" }),
  );
  const [span] = itemsIn(await processor.run("traces", tracesOf([{ attributes: [] }])));
  assert.deepEqual(span, { attributes: [{ key: "m", value: nested }] });
});

test("delete, hash, extract and convert", async () => {
  const one = Buffer.alloc(8);
  one.writeBigInt64LE(1n);
  assert.deepEqual(
    await after(
      [
        { action: '"delete"', key: '"a"', pattern: '"^secret[.]"' },
        { action: '"hash"', key: '"text"' },
        { action: '"hash"', pattern: '"^hash"' },
        { action: '"extract"', key: '"path"', pattern: '"^/users/(?P<user>\\\\d+)(?P<rest>/.*)?"' },
        { action: '"convert"', key: '"n"', converted_type: '"int"' },
        { action: '"convert"', key: '"d"', converted_type: '"double"' },
        { action: '"convert"', key: '"bad"', converted_type: '"int"' },
        { action: '"convert"', key: '"yes"', converted_type: '"string"' },
      ],
      { a: "1", "secret.b": "2", text: "x", "hash.n": 1n, path: "/users/42", n: "+17", d: 3n, bad: "1x", yes: true },
    ),
    {
      text: sha256("x"),
      "hash.n": sha256(one),
      path: "/users/42",
      n: "17n",
      d: 3,
      bad: "1x",
      yes: "true",
      user: "42",
      rest: "",
    },
  );
});

test("data points of all kinds, log records, and nothing of what is not selected", async () => {
  const metrics = {
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: ["gauge", "sum", "histogram", "exponentialHistogram", "summary"].map((type, i) => ({
              name: `m${i}`,
              [type]: { dataPoints: [{ attributes: attributesOf({ a: "1" }), timeUnixNano: "5" }] },
            })),
          },
          { metrics: [{ name: "m0" }] },
        ],
      },
    ],
  };
  await using processor = await startProcessor(
    definition,
    `exclude {
       match_type = "regexp"
       metric_names = ["m[12]"]
     }
     ${action({ action: '"upsert"', key: '"a"', value: '"2"' })}`,
    ["metrics"],
  );
  const points = itemsIn(await processor.run("metrics", metrics)).flatMap((metric) =>
    Object.values(metric).flatMap((data) => (data as { dataPoints?: object[] }).dataPoints ?? []),
  );
  assert.deepEqual(
    points.map(valuesOf),
    ["2", "1", "1", "2", "2"].map((a) => ({ a })),
  );
});

test("include and exclude select by everything that spans and log records have", async () => {
  await using spans = await startProcessor(
    definition,
    `include {
       match_type = "strict"
       services   = ["shop"]
       span_names = ["a", "b"]
       span_kinds = ["SPAN_KIND_SERVER"]
       attribute { key = "n", value = 1 }
       attribute { key = "any" }
       resource { key = "env", value = "prod" }
       library {
         name = "lib"
         version = "1"
       }
     }
     exclude {
       match_type = "regexp"
       span_names = ["^b"]
     }
     ${action({ action: '"insert"', key: '"x"', value: '"1"' })}`.replaceAll(", value", "\n value"),
    ["traces"],
  );
  const attributes = attributesOf({ n: 1n, any: "" });
  const resource = { "service.name": "shop", env: "prod" };
  const scope = { name: "lib", version: "1" };
  const selected = { name: "a", kind: 2, attributes };
  const others = [
    { ...selected, name: "b" },
    { ...selected, name: "c" },
    { ...selected, kind: 3 },
    { ...selected, attributes: attributesOf({ n: 1, any: "" }) },
    { ...selected, attributes: attributesOf({ n: 1n }) },
  ];
  const isSet = async (request: object) =>
    itemsIn(await spans.run("traces", request)).map((span) => valuesOf(span).x === "1");
  assert.deepEqual(await isSet(tracesOf([selected, ...others], resource, scope)), [true, ...others.map(() => false)]);
  assert.deepEqual(await isSet(tracesOf([selected], { ...resource, env: "dev" }, scope)), [false]);
  assert.deepEqual(await isSet(tracesOf([selected], { ...resource, "service.name": "cart" }, scope)), [false]);
  assert.deepEqual(await isSet(tracesOf([selected], resource, { name: "lib" })), [false]);
  assert.ok(spans.isSame);

  await using logs = await startProcessor(
    definition,
    `include {
       match_type = "regexp"
       log_bodies = ["^out of memory"]
       log_severity_texts = ["^(?i)error$"]
       log_severity {
         min = "WARN"
         match_undefined = true
       }
       attribute {
         key = "code"
         value = "^5"
       }
     }
     ${action({ action: '"insert"', key: '"x"', value: '"1"' })}`,
    ["logs"],
  );
  const record = {
    body: { stringValue: "out of memory" },
    severityText: "Error",
    severityNumber: 17,
    attributes: attributesOf({ code: 503n }),
  };
  const records = [
    record,
    { ...record, severityNumber: 0 },
    { ...record, severityNumber: 12 },
    { ...record, severityText: "info" },
    { ...record, body: { stringValue: "fine" } },
    { ...record, attributes: attributesOf({ code: 404n }) },
    { ...record, attributes: attributesOf({ code: { bytesValue: Buffer.from("5") } }) },
  ];
  const out = itemsIn(await logs.run("logs", logsOf(records))).map((each) => valuesOf(each).x === "1");
  assert.deepEqual(out, [true, true, false, false, false, false, false]);
});

test("a request that no action changes passes as it is, and so does one of which nothing goes on", async () => {
  await using processor = await startProcessor(definition, action({ action: '"delete"', key: '"none"' }));
  await processor.run("traces", tracesOf([{ name: "a", attributes: attributesOf({ a: "1" }) }]));
  assert.ok(processor.isSame);
});

test("refuses actions and selections that cannot be", () => {
  const scope = { sink: recordOtlp().value };
  const refused = (config: string, message: RegExp, outputs = "traces = [sink]") =>
    assert.throws(() => decodeArguments(definition, `${config}\noutput { ${outputs} }`, { scope }), message);
  const wrong = (fields: Readonly<Record<string, string>>, message: RegExp) => refused(action(fields), message);
  wrong({ action: '"insert"', value: "1" }, /`action\[0\]` needs `key`/);
  wrong({ action: '"hash"' }, /needs `key` or `pattern`/);
  wrong({ action: '"insert"', key: '"a"' }, /needs one of `value`/);
  wrong({ action: '"upsert"', key: '"a"', value: "1", from_attribute: '"b"' }, /has more than one of `value`/);
  wrong(
    { action: '"insert"', key: '"a"', value: "1", pattern: '"x"' },
    /`action\[0\].pattern` means nothing to `insert`/,
  );
  wrong({ action: '"delete"', key: '"a"', value: "1" }, /`action\[0\].value` means nothing to `delete`/);
  wrong(
    { action: '"delete"', pattern: '"("' },
    /`action\[0\].pattern` is an invalid regular expression: .*missing closing/,
  );
  wrong({ action: '"extract"', key: '"a"', pattern: '"x"' }, /`action\[0\].pattern` has no groups/);
  wrong({ action: '"extract"', key: '"a"', pattern: '"(x)"' }, /group that has no name/);
  wrong({ action: '"convert"', key: '"a"' }, /`action\[0\].converted_type` must be "string"/);
  wrong({ action: '"convert"', key: '"a"', converted_type: '"bool"' }, /`action\[0\].converted_type` must be "string"/);
  wrong({ action: '"remove"', key: '"a"' }, /cannot be "remove"/);
  refused(
    `include { match_type = "strict"\n metric_names = ["a"] }`.replace("{ ", "{\n").replace(" }", "\n}"),
    /`include.metric_names` is something that spans do not have/,
  );
  refused('include {\n match_type = "strict"\n}', /selects no spans: give at least one of/);
  refused(
    'include {\n match_type = "regexp"\n span_names = ["("]\n}',
    /`include.span_names\[0\]` is an invalid regular expression: .*missing closing/,
  );
  refused(
    'include {\n match_type = "strict"\n span_kinds = ["server"]\n}',
    /`include.span_kinds\[0\]` is the unknown span kind "server"/,
  );
  refused(
    'exclude {\n match_type = "regexp"\n attribute {\n key = "a"\n value = 1\n}\n}',
    /`exclude.attribute\[0\].value` is no text/,
  );
  refused(
    'include {\n match_type = "strict"\n span_names = ["a"]\n}',
    /`include.span_names` is something that log records do not have/,
    "logs = [sink]",
  );
  refused('include {\n match_type = "exact"\n span_names = ["a"]\n}', /match_type.*cannot be "exact"/);
});

test("what is wrong is told at the block and the argument that have it", () => {
  const scope = { sink: recordOtlp().value };
  const good = action({ action: '"delete"', key: '"a"' });
  const blocks =
    good +
    action({ action: '"insert"', key: '"a"' }) +
    action({ action: '"delete"', key: '"a"', from_context: '"x"' }) +
    action({ action: '"hash"', pattern: '"("' });
  const match =
    'include {\n match_type = "regexp"\n services = ["a", "(", "b"]\n}\nexclude {\n match_type = "strict"\n log_bodies = ["x"]\n}\n';
  const found = refusals(definition, `${match}${blocks}output {\n traces = [sink]\n}`, { scope });
  assert.deepEqual(
    found.map((each) => each.split("` ")[0]),
    [
      '3 "(": `include.services[1]',
      '7 ["x"]: `exclude.log_bodies',
      "13 action: `action[1]",
      '20 "x": `action[2].from_context',
      '24 "(": `action[3].pattern',
    ],
  );
});
