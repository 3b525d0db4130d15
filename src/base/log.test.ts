import assert from "node:assert/strict";
import { test } from "node:test";
import { errorText } from "./log.ts";

test("an error's text has those of its causes, each once", () => {
  const root = new Error("connection refused");
  const said = new Error("no token (connection refused): check the server", { cause: root });
  assert.equal(errorText(new Error("cannot send", { cause: root })), "cannot send: connection refused");
  assert.equal(errorText(new Error(said.message, { cause: said })), "no token (connection refused): check the server");
  const wrapped = new Error("cannot read a.pem", { cause: new Error("cannot read a.pem", { cause: root }) });
  assert.equal(errorText(wrapped), "cannot read a.pem: connection refused");
});
