import assert from "node:assert/strict";
import { test } from "node:test";
import { shownAnswer } from "./shown-answer.ts";

test("credentials that a server repeats are hidden, with and without their scheme; tenants and short values are not", () => {
  const sent = new Map([
    ["authorization", "Bearer abcdef123"],
    ["x-api-key", "k$&y-1234"],
    ["x-scope-orgid", "team-seven"],
    ["x-flag", "on"],
    ["content-type", "application/x-protobuf"],
  ]);
  assert.equal(
    shownAnswer(
      "bad token abcdef123 (Bearer abcdef123) or key k$&y-1234 of team-seven: no application/x-protobuf on",
      sent,
    ),
    "bad token (secret) ((secret)) or key (secret) of team-seven: no application/x-protobuf on",
  );
});
