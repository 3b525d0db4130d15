import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#lang/value";
import { senderIdentity } from "./client-identity.ts";

const none = {
  basic_auth: undefined,
  authorization: undefined,
  oauth2: undefined,
  bearer_token_file: "",
  http_headers: undefined,
  headers: undefined,
};
const user = (username: string, password: string) => ({
  ...none,
  basic_auth: { username, password: new Secret(password), password_file: "" },
});

test("users, files and headers tell senders apart, secrets do not", () => {
  assert.notEqual(senderIdentity(user("1", "a")), senderIdentity(user("2", "a")));
  assert.equal(senderIdentity(user("1", "a")), senderIdentity(user("1", "b")));
  assert.notEqual(senderIdentity(none), senderIdentity({ ...none, bearer_token_file: "/token" }));
  const headers = (...pairs: [string, string][]) => senderIdentity({ ...none, headers: new Map(pairs) });
  assert.notEqual(headers(["X-Scope-OrgID", "a"]), headers(["X-Scope-OrgID", "b"]));
  assert.equal(headers(["a", "1"], ["b", "2"]), headers(["b", "2"], ["a", "1"]));
});
