import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { Capsule, Secret } from "#lang/value";
import { alloyJsonBody, alloyJsonDebug, alloyJsonValue } from "./alloy-json.ts";

test("every value says its type", () => {
  const function_ = { kind: "function", name: "sys.env", call: () => null } as const;
  for (const [value, json] of [
    [null, { type: "null", value: null }],
    [true, { type: "bool", value: true }],
    [1.5, { type: "number", value: 1.5 }],
    [2n, { type: "number", value: 2 }],
    ["a", { type: "string", value: "a" }],
    [
      [1, "a"],
      {
        type: "array",
        value: [
          { type: "number", value: 1 },
          { type: "string", value: "a" },
        ],
      },
    ],
    [
      new Map([["__proto__", 1]]),
      { type: "object", value: [{ key: "__proto__", value: { type: "number", value: 1 } }] },
    ],
    [
      Labels.from([
        ["b", "2"],
        ["a", "1"],
      ]),
      {
        type: "object",
        value: [
          { key: "a", value: { type: "string", value: "1" } },
          { key: "b", value: { type: "string", value: "2" } },
        ],
      },
    ],
    [new Capsule("loki.LogsReceiver", {}), { type: "capsule", value: 'capsule("loki.LogsReceiver")' }],
    [function_, { type: "function", value: "function" }],
  ] as const) {
    assert.deepEqual(alloyJsonValue(value), json);
  }
});

test("secrets are not shown, however deep", () => {
  const value = new Map([["a", [new Map([["b", new Secret("hunter2")]])]]]);
  const text = JSON.stringify(alloyJsonBody(value));
  assert.doesNotMatch(text, /hunter2/);
  assert.match(text, /"type":"capsule","value":"\(secret\)"/);
});

test("a body is a list of attributes; anything but an object has none", () => {
  assert.deepEqual(alloyJsonBody(new Map([["x", 1]])), [
    { name: "x", type: "attr", value: { type: "number", value: 1 } },
  ]);
  assert.deepEqual(alloyJsonBody(undefined), []);
  assert.deepEqual(alloyJsonBody("text"), []);
});

test("debug info: objects are blocks, lists of objects repeated blocks, the rest attributes", () => {
  assert.deepEqual(
    alloyJsonDebug({
      targets: [{ url: "a" }, { url: "b" }],
      last: { error: null },
      names: ["x"],
      empty: [],
      mixed: [{ a: 1 }, 2],
    }),
    [
      { name: "targets", type: "block", body: [{ name: "url", type: "attr", value: { type: "string", value: "a" } }] },
      { name: "targets", type: "block", body: [{ name: "url", type: "attr", value: { type: "string", value: "b" } }] },
      { name: "last", type: "block", body: [{ name: "error", type: "attr", value: { type: "null", value: null } }] },
      { name: "names", type: "attr", value: { type: "array", value: [{ type: "string", value: "x" }] } },
      { name: "empty", type: "attr", value: { type: "array", value: [] } },
      {
        name: "mixed",
        type: "attr",
        value: {
          type: "array",
          value: [
            { type: "object", value: [{ key: "a", value: { type: "number", value: 1 } }] },
            { type: "number", value: 2 },
          ],
        },
      },
    ],
  );
  assert.deepEqual(alloyJsonDebug(undefined), []);
  assert.deepEqual(alloyJsonDebug([1]), []);
});
