import { strict as assert } from "node:assert";
import { test } from "node:test";
import { toJsonSchema } from "./json-schema.ts";
import { type AnyBody, s } from "./schema.ts";
import { schemaToCatalogue } from "./schema-catalogue.ts";

const tls = s.object({ ca_file: s.string().default("").doc("A file.") });
const schema = s.object({
  names: s.list(s.string()).min(1).doc("Names."),
  action: s.oneOf(["keep", "drop"]).default("keep"),
  count: s.int(1, 5).default(3),
  interval: s.duration().default("30s"),
  password: s.secret().optional(),
  extra: s.any().default(null),
  handler: s.capsule<object>("auth.Handler").optional(),
  cache: s.record({ size: s.int() }).optional(),
  gone: s.string().default("").unsupported("not here"),
  tls: s.block(tls).required(),
  rule: s.blocks(tls).max(2),
  stage: s.enumBlocks({ json: tls.doc("Reads JSON."), drop: tls.unsupported("not here") }),
  free: s.mapBlock(s.int()),
  template: s.rawBlock(),
});

test("a body becomes an object with its attributes and blocks", () => {
  const result = toJsonSchema(schema, "test") as {
    properties: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    required: readonly string[];
  };
  assert.deepEqual(result.required, ["names", "tls"]);
  const { interval, ...properties } = result.properties;
  const body = {
    type: "object",
    properties: { ca_file: { description: "A file.", type: "string", default: "" } },
    additionalProperties: false,
  };
  assert.deepEqual(properties, {
    names: { description: "Names.", type: "array", items: { type: "string" }, minItems: 1 },
    action: { type: "string", enum: ["keep", "drop"], default: "keep" },
    count: { type: "integer", default: 3, minimum: 1, maximum: 5 },
    password: { type: "string", writeOnly: true },
    extra: {},
    handler: { type: "string", title: "auth.Handler" },
    cache: {
      type: "object",
      properties: { size: { type: "integer" } },
      required: ["size"],
      additionalProperties: false,
    },
    tls: body,
    rule: { type: "array", items: body, maxItems: 2 },
    "stage.json": { description: "Reads JSON.", type: "array", items: body },
    free: { type: "object", additionalProperties: { type: "integer" } },
    template: { type: "object" },
  });
  const pattern = new RegExp(interval!.pattern as string);
  for (const text of ["30s", "1h30m", "1.5s", "-2m", "0", "10µs"]) assert.match(text, pattern);
  for (const text of ["", "30", "s", "1d", "1h 30m"]) assert.doesNotMatch(text, pattern);
});

test("a body inside itself is a reference", () => {
  const stages = (): Readonly<Record<string, AnyBody>> => ({ match, drop: s.object({}) });
  const match: AnyBody = s.object({ selector: s.string(), stage: s.enumBlocks(stages) });
  const result = toJsonSchema(s.object({ stage: s.enumBlocks(stages) })) as {
    $defs: Readonly<Record<string, unknown>>;
  };
  assert.deepEqual(Object.keys(result.$defs), ["body1"]);
  assert.ok(JSON.stringify(result).includes('"$ref":"#/$defs/body1"'));
  const [catalogued] = schemaToCatalogue(match).blocks;
  assert.deepEqual([catalogued!.name, catalogued!.recursive, catalogued!.blocks], ["stage.match", true, []]);
});
