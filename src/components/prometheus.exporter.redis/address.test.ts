import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRedisAddress, passwordMapKey } from "./address.ts";

test("addresses are read as redis_exporter reads them", () => {
  const cases: readonly (readonly [text: string, shown: string, more: string])[] = [
    ["localhost:6379", "localhost:6379", ""],
    ["cache", "cache:6379", ""],
    ["redis://:pw@cache:1/3", "cache:1", "password pw database 3"],
    ["redis://user:p%40w@cache", "cache:6379", "user user password p@w"],
    ["rediss://pw@cache", "cache:6379", "TLS password pw"],
    ["valkeys://cache/", "cache:6379", "TLS"],
    ["valkey://[::1]:7000", "[::1]:7000", ""],
    ["tcp://10.0.0.1:7000", "10.0.0.1:7000", ""],
    ["redis://", "localhost:6379", ""],
    ["unix:///var/run/redis.sock", "/var/run/redis.sock", ""],
  ];
  for (const [text, shown, more] of cases) {
    const target = parseRedisAddress(text);
    const { isTls, user, password, database } = target;
    const found = [
      ...[isTls ? "TLS" : "", user === undefined ? "" : `user ${user}`],
      ...[password === undefined ? "" : `password ${password}`, database === 0 ? "" : `database ${database}`],
    ];
    assert.deepEqual([target.shown, found.filter((part) => part !== "").join(" ")], [shown, more], text);
  }
});

test("other addresses are refused with what to write", () => {
  const refused = (text: string, why: RegExp) => assert.throws(() => parseRedisAddress(text), why);
  refused("http://cache", /use redis:\/\/, rediss:\/\/ \(TLS\) or unix:\/\//);
  refused("redis://cache/users", /ends in \/users, which is no number of a database/);
  refused("cache:99999", /the port 99999/);
  refused("fe80::1:6379:x", /write host:port, and \[address\]:port for IPv6/);
  refused("my cache:1", /names no host and port/);
  refused("unix://", /has no path/);
  refused("redis://%zz@cache", /a % that begins no code/);
});

test("keys of the password map have the user and no password", () => {
  const key = (address: string, user = "") => passwordMapKey(parseRedisAddress(address), user);
  assert.equal(key("localhost:6379"), "redis://localhost:6379");
  assert.equal(key("localhost:6379", "me"), "redis://me@localhost:6379");
  assert.equal(key("valkeys://me:@cache"), "rediss://me@cache");
});
