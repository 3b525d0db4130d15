import assert from "node:assert/strict";
import { test } from "node:test";
import { isPattern, parseKeys } from "./key-arguments.ts";
import { splitPatterns } from "./key-groups.ts";

test("keys have a database, a coding and no twins", () => {
  const keys = parseKeys(["user:*", "db3=a%2Cb%3Dc", " 4 = queue ", "x,db1=y", "x", "", "db2="]);
  assert.deepEqual(
    keys.map(({ database, key }) => `${database} ${key}`),
    ["0 user:*", "3 a,b=c", "4 queue", "0 x", "1 y"],
  );
  assert.deepEqual(parseKeys(["a+b"]), [{ database: 0, key: "a b" }]);
});

test("what is no key is refused with what to write", () => {
  assert.throws(() => parseKeys(["a=b=c"]), /more than one =; write = within a key as %3D/);
  assert.throws(() => parseKeys(["dbx=b"]), /whose database is no number; write db0=key/);
  assert.throws(() => parseKeys(["50%"]), /write % itself as %25/);
});

test("patterns are told from keys", () => {
  assert.deepEqual(["a*", "a?", "[ab]", "a:b", "a\\b"].map(isPattern), [true, true, true, false, false]);
});

test("patterns of groups are a line of CSV", () => {
  assert.deepEqual(splitPatterns(["^(user):", " ^(.)$ ", ""]), ["^(user):", "^(.)$"]);
  assert.deepEqual(splitPatterns(['"^(a{1,2})"', '"say ""x"""']), ["^(a{1,2})", 'say "x"']);
  assert.deepEqual(splitPatterns(["a,b"]), ["a", "b"]);
  assert.deepEqual(splitPatterns([]), []);
});
