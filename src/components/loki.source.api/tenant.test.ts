import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpError } from "#kits/http/server";
import { tenantOf } from "./tenant.ts";

for (const [header, tenant] of [
  ["", ""],
  ["team-a_1.(x)'*!", "team-a_1.(x)'*!"],
  ["a:sub", "a"],
  ["a:x|a:y", "a"],
  ["a|a", "a"],
] as const) {
  test(`the tenant in ${JSON.stringify(header)}`, () => assert.equal(tenantOf(header), tenant));
}
for (const [header, message] of [
  ["a|b", /names several tenants/],
  ["a b", /has the character " "/],
  ["ü", /has the character/],
  ["..", /is a name of folders/],
  ["x".repeat(151), /longer than 150/],
] as const) {
  test(`refuses ${header.slice(0, 20)}`, () => {
    assert.throws(
      () => tenantOf(header),
      (error) => error instanceof HttpError && message.test(error.message),
    );
  });
}
test("whatever comes is a tenant of allowed characters or refused with 400", () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      try {
        assert.match(tenantOf(header), /^[a-zA-Z0-9!\-_.*'()]{0,150}$/);
      } catch (error) {
        assert.ok(error instanceof HttpError && error.status === 400, String(error));
      }
    }),
  );
});
