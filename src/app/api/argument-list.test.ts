import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { processorMs } from "#base/processor-time.testing";
import { decodeBody, encodeBody } from "#lang/decode";
import { scopeOf } from "#lang/evaluate";
import { parseFile } from "#lang/parser";
import { s } from "#lang/schema";
import { Capsule, Secret, type Value } from "#lang/value";
import { listArguments, valueText } from "./argument-list.ts";

const schema = s.object({
  name: s.string().default("none"),
  password: s.secret().default(""),
  optional: s.int().optional(),
  endpoint: s.blocks(
    s.object({ url: s.string(), tls: s.block(s.object({ ca: s.string().default("") })).presentByDefault() }),
  ),
  auth: s.block(s.object({ user: s.string() })),
  stage: s.enumBlocks({ json: s.object({ source: s.string().default("") }), drop: s.object({ value: s.string() }) }),
  labels: s.mapBlock(s.string()),
});

const TEXT = `test.x "a" {
  endpoint {
    url = "http://one"
  }
  stage.drop {
    value = other.b.value
  }
  endpoint {
    url = "http://two"
    tls {
      ca = "here"
    }
  }
  stage.json { }
  labels {
    env = "qa"
  }
  password = "hunter2"
}
`;

test("every argument has a path, a value, and its place in the text or none", () => {
  const { file } = parseFile({ name: "a.alloy", text: TEXT });
  const block = file.body[0]!;
  assert.ok(block.kind === "block");
  const other: Value = new Map([["b", new Map([["value", "dropped"]])]]);
  const { value, diagnostics } = decodeBody(schema, block.body, scopeOf(new Map([["other", other]])), {
    name: "test.x",
  });
  assert.deepEqual(diagnostics, []);
  const place = { block, references: () => ["other.b"] };
  const listed = listArguments(schema, encodeBody(schema, value!), place);
  assert.deepEqual(
    listed.map((each) => [each.path, each.value, each.origin, each.expression, each.line]),
    [
      ["endpoint[0].url", '"http://one"', "text", '"http://one"', 3],
      // Hidden in the text by its name, and no secret by the schema.
      ["stage[0].drop.value", '"dropped"', "text", "other.b.value", 6],
      ["endpoint[1].url", '"http://two"', "text", '"http://two"', 9],
      ["endpoint[1].tls.ca", '"here"', "text", '"here"', 11],
      ["labels.env", '"qa"', "text", '"qa"', 16],
      ["password", "(secret)", "text", '"(secret)"', 18],
      ["name", '"none"', "default", "", 0],
      ["optional", "null", "default", "", 0],
      ["endpoint[0].tls.ca", '""', "default", "", 0],
      ["stage[1].json.source", '""', "default", "", 0],
    ],
  );
  assert.deepEqual(listed[0]!.references, ["other.b"]);
  assert.deepEqual(listed.at(-1)!.references, []);
});

test("values: secrets are hidden, empty ones are not, consumers say whose they are", () => {
  assert.equal(valueText(new Secret("x")), "(secret)");
  assert.equal(valueText(new Secret("")), '""');
  const consumer = { signal: "logs", componentId: "mod.a/loki.write.x", mutates: false, consume() {} };
  assert.equal(
    valueText([new Capsule("loki.LogsReceiver", consumer)]),
    '[capsule("loki.LogsReceiver of mod.a/loki.write.x")]',
  );
  assert.equal(valueText(new Capsule("other", {})), 'capsule("other")');
});

test("long values end with a note, and soon", () => {
  const long = valueText("x".repeat(10_000));
  assert.ok(long.length < 2_100 && long.endsWith("… (the rest is not shown)"), long.slice(-60));
  const targets = Array.from({ length: 50_000 }, (_, i) => Labels.from([["__address__", `host-${i}:80`]]));
  let text = "";
  const ms = processorMs(() => (text = valueText(targets)));
  assert.ok(ms < 500, `${ms} ms`);
  assert.ok(text.length < 2_100 && text.endsWith("… (the rest of 50000 elements is not shown)"), text.slice(-60));
  assert.match(text, /^\[\{\s+__address__ = "host-0:80",/);
  const short = Array.from({ length: 3 }, () => new Map([["a", "b"]]));
  assert.doesNotMatch(valueText(short), /not shown/);
});
