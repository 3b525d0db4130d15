import assert from "node:assert/strict";
import { test } from "node:test";
import { refusals } from "#pipeline/testing";
import definition from "./prometheus.remote_write.ts";

const endpoint = (name: string) => `endpoint {\n  name = "${name}"\n  url = "http://localhost:9090/api/v1/write"\n}\n`;

test("an endpoint that is there twice is told where it is there again", () => {
  const found = refusals(definition, endpoint("") + endpoint("a") + endpoint("") + endpoint("a"));
  assert.equal(found.length, 2);
  assert.match(found[0]!, /^9 endpoint: `endpoint\[2\]` is there twice .*give each a name of its own$/);
  assert.match(found[1]!, /^13 endpoint: `endpoint\[3\]` is there twice/);
});
