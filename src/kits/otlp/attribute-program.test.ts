import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SPAN } from "#formats/otlp/fields";
import { oracleDecode, oracleEncode, requests } from "#formats/otlp/oracle.testing";
import { OtlpRecord } from "#formats/otlp/record";
import { members, resourceGroups } from "#formats/otlp/walk";
import { asBuffer, ProtoWriter } from "#formats/protobuf";
import { attributesOf } from "../otelcol/processor.testing.ts";
import { type ActionArguments, actionFaults, compileActions } from "./attribute-actions.ts";
import { AttributeProgram } from "./attribute-program.ts";

const CLIENT = { clientMetadata: new Map([["x-tenant", ["a", "b"]]]), clientAddress: "10.0.0.1" };
const NONE = { key: "", value: undefined, pattern: "", from_attribute: "", from_context: "", converted_type: "" };

const key = fc.constantFrom("a", "b", "c", "count");
const setter = fc.constantFrom("insert", "update", "upsert");
const action: fc.Arbitrary<ActionArguments> = fc
  .oneof(
    fc.record({ action: setter, key, value: fc.constantFrom("text", "", 5, -3, 2.5, true, null, ["x", 1]) }),
    fc.record({ action: setter, key, from_attribute: key }),
    fc.record({ action: setter, key, from_context: fc.constantFrom("x-tenant", "none", "client.address") }),
    fc.record({ action: fc.constantFrom("delete", "hash"), key }),
    fc.record({ action: fc.constant("extract"), key, pattern: fc.constant("(?P<a>.)(?P<n>[0-9]+)?") }),
    fc.record({ action: fc.constant("convert"), key, converted_type: fc.constantFrom("int", "double", "string") }),
  )
  .map((fields) => ({ ...NONE, ...fields }) as ActionArguments)
  .filter((given) => actionFaults([given]).length === 0);
const value = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.stringMatching(/^[0-9]{0,20}$/),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double(),
  fc.boolean(),
  fc.constant({}),
  fc.constant({ arrayValue: { values: [{ stringValue: "x" }] } }),
);
const span = fc
  .record({
    attributes: fc.dictionary(fc.oneof(key, fc.string({ minLength: 1 })), value, { maxKeys: 8 }),
    name: fc.string(),
  })
  .map(({ attributes, name }) =>
    oracleEncode("traces", wrapped({ name, attributes: attributesOf(attributes), kind: 3 })),
  );

function wrapped(each: object) {
  return { resourceSpans: [{ scopeSpans: [{ spans: [each] }] }] };
}
/** The bytes of each span. */
function spansOf(request: Uint8Array): Buffer[] {
  const spans: Buffer[] = [];
  const resources = resourceGroups(new OtlpRecord().reset(request));
  for (let r = 0; r < resources.length; r++) {
    const scopes = members(resources.at(r));
    for (let s = 0; s < scopes.length; s++) {
      const items = members(scopes.at(s));
      for (let k = 0; k < items.length; k++) spans.push(asBuffer(items.at(k).encode()));
    }
  }
  return spans;
}
function decoded(bytes: Uint8Array) {
  const out = new ProtoWriter();
  const marks = [out.begin(1), out.begin(2)];
  out.bytes(2, bytes);
  for (const mark of marks.reverse()) out.end(mark);
  return oracleDecode("traces", out.finish());
}

function check(actions: readonly ActionArguments[], request: Buffer, mayLeave: boolean): void {
  const program = AttributeProgram.compile(actions)!;
  const edit = compileActions(actions);
  for (const bytes of spansOf(request)) {
    const record = new OtlpRecord().reset(bytes);
    edit(record.map(SPAN.attributes), CLIENT);
    const out = new ProtoWriter();
    const isChanged = program.edit(bytes, 0, bytes.length, SPAN.attributes, CLIENT, out);
    if (isChanged === undefined) assert.ok(mayLeave);
    if (isChanged !== true) assert.equal(out.length, 0);
    if (isChanged === undefined) continue;
    assert.deepEqual(decoded(isChanged ? out.finish() : bytes), decoded(record.encode()));
  }
}

test("a program does to spans what the actions do one by one", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 1, maxLength: 5 }), span, (actions, request) =>
      check(actions, request, false),
    ),
    { numRuns: 300 },
  );
});
test("and leaves alone what it cannot work on, whatever the span", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 1, maxLength: 3 }), requests("traces"), (actions, request) =>
      check(actions, request, true),
    ),
    { numRuns: 10 },
  );
});
test("keys that come twice, and entries in another form, are left to others", () => {
  const [once] = spansOf(oracleEncode("traces", wrapped({ attributes: attributesOf({ a: "1" }) })));
  const program = AttributeProgram.compile([{ ...NONE, action: "delete", key: "a" }])!;
  const edited = (bytes: Buffer) => program.edit(bytes, 0, bytes.length, SPAN.attributes, CLIENT, new ProtoWriter());
  assert.equal(edited(once!), true);
  assert.equal(edited(Buffer.concat([once!, once!])), undefined);
  for (const bytes of ["4a050a0161120100", "4a030a01", "4a0812030a01310a0161", "4b", "4a"]) {
    assert.notEqual(edited(Buffer.from(bytes, "hex")), true, bytes);
  }
  assert.equal(AttributeProgram.compile([{ ...NONE, action: "delete", pattern: "x" }]), undefined);
  assert.equal(AttributeProgram.compile([{ ...NONE, action: "delete", key: "k".repeat(200) }]), undefined);
});
