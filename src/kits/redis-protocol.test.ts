import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeCommand, RedisError, RedisProtocolError, type RedisReply, RedisReplyReader } from "./redis-protocol.ts";

const LIMIT = 1024 * 1024;

function readAll(chunks: readonly Buffer[], limit = LIMIT): RedisReply[] {
  const reader = new RedisReplyReader(limit);
  const replies: RedisReply[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let reply = reader.next(); reply !== undefined; reply = reader.next()) replies.push(reply);
  }
  return replies;
}
const read = (text: string, limit = LIMIT) => readAll([Buffer.from(text)], limit);

test("every kind of reply is read", () => {
  assert.deepEqual(read("+OK\r\n:-42\r\n$5\r\nh\r\n\xe9\r\n".replace("\xe9", "é")), ["OK", -42, "h\r\né"]);
  assert.deepEqual(read("$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"), [null, null, "", []]);
  assert.deepEqual(read("*2\r\n*1\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n:7\r\n"), [[[1], ["a", []]], 7]);
});

test("an error is a value with its code, inside of arrays too", () => {
  const [reply] = read("*2\r\n-NOPERM this user has no permissions\r\n-weird\r\n") as [RedisReply[]];
  const [denied, weird] = reply as [RedisError, RedisError];
  assert.ok(denied instanceof RedisError);
  assert.equal(denied.code, "NOPERM");
  assert.equal(weird.code, "ERR");
  const isUnknown = (text: string) => new RedisError(text).isUnknownCommand;
  assert.ok(isUnknown("ERR unknown command `CONFIG`, with args beginning with: `GET`"));
  assert.ok(isUnknown("ERR Unknown subcommand or wrong number of arguments for 'HISTOGRAM'"));
  assert.ok(!isUnknown("ERR syntax error"));
});

test("a command is an array of bulk strings, counted in bytes", () => {
  assert.equal(encodeCommand(["SELECT", 3, "é"]), "*3\r\n$6\r\nSELECT\r\n$1\r\n3\r\n$2\r\né\r\n");
});

test("what is not Redis, or too much, is refused", () => {
  assert.throws(() => read("HTTP/1.1 400 Bad Request\r\n"), /does not speak the protocol.*"HTTP\/1.1 400 Bad Request"/);
  assert.throws(() => read("x".repeat(70_000)), RedisProtocolError);
  assert.throws(() => read(":one\r\n"), /"one" where a number belongs/);
  assert.throws(() => read("*99999999999\r\n"), /announces 99999999999/);
  assert.throws(() => read("*1\r\n".repeat(40)), /arrays in arrays/);
  assert.throws(() => read("$2097152\r\n"), /larger than 1 MiB/);
  assert.throws(
    () => read(`*3000\r\n${"$1000\r\n".concat("x".repeat(1000), "\r\n").repeat(1100)}`),
    /larger than 1 MiB/,
  );
});

const reply: fc.Arbitrary<RedisReply> = fc.letrec<{ reply: RedisReply }>((tie) => ({
  reply: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary" }),
    fc.integer(),
    fc.constant(null),
    fc.array(tie("reply"), { maxLength: 4 }),
  ),
})).reply;

function encode(value: RedisReply): string {
  if (value === null) return "$-1\r\n";
  if (typeof value === "number") return `:${value}\r\n`;
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  return `*${(value as RedisReply[]).length}\r\n${(value as RedisReply[]).map(encode).join("")}`;
}

test("replies are the same however they are cut", () => {
  fc.assert(
    fc.property(fc.array(reply, { minLength: 1, maxLength: 5 }), fc.infiniteStream(fc.nat(20)), (replies, sizes) => {
      const bytes = Buffer.from(replies.map(encode).join(""));
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes.next().value! + 1;
        chunks.push(bytes.subarray(at, (at += size)));
      }
      assert.deepEqual(readAll(chunks), replies);
    }),
    { numRuns: 300 },
  );
});

test("whatever comes, reading ends in replies, in waiting or in a protocol error", () => {
  const piece = fc.oneof(fc.constantFrom("*", "$", ":", "+", "-", "\r\n", "1", "-1", "3"), fc.string());
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30, size: "max" }), (pieces) => {
      try {
        readAll(pieces.map((each) => Buffer.from(each)));
      } catch (error) {
        assert.ok(error instanceof RedisProtocolError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
