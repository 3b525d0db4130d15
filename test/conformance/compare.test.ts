import { strict as assert } from "node:assert";
import { test } from "node:test";
import { s } from "#lang/schema";
import { compareWithCatalogue } from "./compare.ts";

const tls = s.object({ ca_file: s.string().default("") });
const args = s.object({
  names: s.list(s.string()),
  interval: s.duration().default("60s"),
  limit: s.byteSize().optional(),
  tls_config: s.block(tls).presentByDefault(),
  stage: s.enumBlocks({ json: tls }),
});

const entry = {
  name: "test.one",
  arguments: [
    { name: "names", type: "list(string)", default: null, required: true },
    { name: "interval", type: "duration", default: "1m", required: false, defaultFrom: "go" },
    { name: "limit", type: "string", default: "0B", required: false, defaultFrom: "zero" },
  ],
  blocks: [
    {
      name: "tls_config",
      required: false,
      repeatable: false,
      presentByDefault: true,
      arguments: [{ name: "ca_file", type: "string", default: "", required: false, defaultFrom: "zero" }],
      blocks: [],
    },
    {
      name: "stage.json",
      enumOf: "stage",
      required: false,
      repeatable: true,
      presentByDefault: false,
      arguments: [{ name: "ca_file", type: "string", default: "", required: false, defaultFrom: "zero" }],
      blocks: [],
    },
  ],
  exports: [],
};

test("equal schemas have no differences, however their defaults are spelt", () => {
  assert.deepEqual(compareWithCatalogue({ args }, entry, {}), []);
});

test("each kind of difference is found", () => {
  const changed = s.object({
    names: s.list(s.int()).default([]),
    interval: s.duration().default("30s"),
    extra: s.bool().default(false),
    tls_config: s.blocks(s.object({})),
    stage: s.enumBlocks({ json: tls }),
  });
  assert.deepEqual(
    compareWithCatalogue({ args: changed, exports: s.object({ receiver: s.consumer("logs") }) }, entry, {}),
    [
      "test.one: names: type: list(int) here, list(string) in the catalogue",
      "test.one: names: required: false here, true in the catalogue",
      'test.one: interval: default: "30s" here, "1m" in the catalogue',
      "test.one: extra: argument: there here, unknown in the catalogue",
      "test.one: limit: argument: missing here, there in the catalogue",
      "test.one: tls_config: repeatable: true here, false in the catalogue",
      "test.one: tls_config: present by default: false here, true in the catalogue",
      "test.one: tls_config > ca_file: argument: missing here, there in the catalogue",
      "test.one: exports > receiver: export: there here, unknown in the catalogue",
    ],
  );
});

test("an allowance hides its difference, and must not outlive it", () => {
  const changed = s.object({ ...Object.fromEntries(args.fields), interval: s.duration().default("30s") });
  const allowed = { "test.one": { "interval: default": "we poll more often" } };
  assert.deepEqual(compareWithCatalogue({ args: changed }, entry, allowed), []);
  assert.deepEqual(compareWithCatalogue({ args }, entry, allowed), [
    "test.one: interval: default: allowed in differences.ts, but there is no difference",
  ]);
});
