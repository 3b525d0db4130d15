import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { parseIp, splitHostPort } from "./address.ts";
import { CookieJar } from "./http-cookies.ts";
import { isEncodingAccepted, readBody } from "./http-encoding.ts";
import { checksum, encodeEcho } from "./icmp-prober.ts";
import { LineReader } from "./line-reader.ts";

const never = new AbortController().signal;

test("addresses", () => {
  const bytes = (text: string) => Buffer.from(parseIp(text)!.bytes).toString("hex");
  assert.equal(bytes("10.0.0.255"), "0a0000ff");
  assert.equal(bytes("::1"), `${"00".repeat(15)}01`);
  assert.equal(bytes("2001:db8::8:800:200c:417a"), "20010db80000000000080800200c417a");
  assert.equal(bytes("fe80::1%eth0"), "fe800000000000000000000000000001");
  assert.equal(bytes("64:ff9b::192.0.2.33"), "0064ff9b0000000000000000c0000221");
  assert.deepEqual(parseIp("::ffff:10.0.0.1"), { ip: "10.0.0.1", family: 4, bytes: Uint8Array.of(10, 0, 0, 1) });
  assert.equal(parseIp("localhost"), undefined);
  assert.deepEqual(splitHostPort("[::1]:80"), { host: "::1", port: "80" });
  assert.deepEqual(splitHostPort("a:http"), { host: "a", port: "http" });
  for (const text of ["a", "::1", "[::1]", "a:b:c"]) assert.equal(splitHostPort(text), undefined);
});

test("the checksum of a message with its checksum is zero", () => {
  const payload = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.nat(255), fc.nat(65_535), fc.nat(65_535), payload, (type, sequence, identifier, payload) => {
      assert.equal(checksum(encodeEcho(type, { family: 4, sequence, identifier, payload })), 0);
    }),
  );
  assert.equal(checksum(Buffer.from("0001f203f4f5f6f7", "hex")), 0x220d); // the example of RFC 1071
});

test("cookies go where they belong", () => {
  const jar = new CookieJar();
  const store = (url: string, ...lines: string[]) => jar.store(new URL(url), lines);
  const sent = (url: string) => jar.header(new URL(url));
  store(
    "http://a.test/x/y",
    "plain=1",
    "path=2; Path=/z",
    "safe=3; Secure",
    "wide=4; Domain=.a.test; Path=/",
    "=5",
    "bad",
  );
  assert.equal(sent("http://a.test/x/other"), "plain=1; wide=4");
  assert.equal(sent("https://a.test/x"), "plain=1; safe=3; wide=4");
  assert.equal(sent("http://a.test/zz"), "wide=4");
  assert.equal(sent("http://b.a.test/z"), "wide=4");
  assert.equal(sent("http://b.test/"), undefined);
  store("http://a.test/", "stolen=1; Domain=b.test", "all=1; Domain=test");
  store("http://a.test/x/", "plain=6; Path=/x", "wide=; Max-Age=0; Domain=a.test; Path=/");
  assert.equal(sent("http://a.test/x/"), "plain=6");
  store("http://a.test/x/", "plain=; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
  assert.equal(sent("http://a.test/x/"), undefined);
});

test("encodings that are accepted", () => {
  for (const [encoding, accepted, expected] of [
    ["", "br", true],
    ["gzip", "", true],
    ["gzip", "gzip", true],
    ["gzip", "br, gzip;q=0.5", true],
    ["gzip", "br", false],
    ["gzip", "*", true],
    ["gzip", "*;q=0", false],
    ["gzip", "gzip;q=0, *;q=1", true],
    ["gzip", "br;q=1.0, gzip;q=0.0001", false],
    ["gzip", "gzip;q=x", false],
  ] as const) {
    assert.equal(isEncodingAccepted(encoding, accepted), expected, `${encoding} in ${accepted}`);
  }
});

test("bodies are bounded after decompression, and damage is told of", async () => {
  const zeros = gzipSync(Buffer.alloc(50_000_000));
  const read = (body: Buffer, limit: number, keep: boolean) =>
    readBody(Readable.from([body]), "gzip", limit, keep, never);
  assert.deepEqual(await read(zeros, 0, false), { length: 50_000_000, content: undefined, problem: undefined });
  const limited = await read(zeros, 1000, true);
  assert.deepEqual([limited.length, limited.content!.length], [1000, 1000]);
  assert.match(limited.problem!, /larger than 1000 bytes \(body_size_limit\)/);
  const large = await read(zeros, 0, true);
  assert.equal(large.content!.length, 16 * 1024 * 1024);
  assert.match(large.problem!, /larger than 16777216 bytes, which expressions are not matched against/);
  assert.match((await read(zeros.subarray(0, -8), 0, false)).problem!, /compression: gzip.*unexpected end/);
  assert.match((await read(Buffer.from("plain"), 0, false)).problem!, /incorrect header check/);
  const aborted = new AbortController();
  const endless = new Readable({ read() {} });
  setTimeout(() => aborted.abort(new Error("late")), 10);
  assert.match((await readBody(endless, "", 0, false, aborted.signal)).problem!, /late/);
});

async function pair(t: TestContext): Promise<{ readonly reader: LineReader; readonly peer: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise((resolve) => server.once("listening", resolve));
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  socket.on("error", () => {});
  const peer = await accepted;
  peer.on("error", () => {});
  cleanUp(t, () => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  return { reader: new LineReader(socket), peer };
}

test("lines come as Go's scanner gives them, however they arrive", async (t) => {
  const { reader, peer } = await pair(t);
  for (const part of ["on", "e\r", "\ntwo\n\nthr", "ee\r\n", "rest"]) {
    peer.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  peer.end();
  const lines: (string | undefined)[] = [];
  for (let i = 0; i < 6; i++) lines.push((await reader.next(never))?.toString());
  assert.deepEqual(lines, ["one", "two", "", "three", "rest", undefined]);
});

test("a line is bounded, a reset is an error, and nobody waits after the time", async (t) => {
  const long = await pair(t);
  long.peer.write(Buffer.alloc(100_000, "a"));
  await assert.rejects(long.reader.next(never), /a line is longer than 65536 bytes/);
  const reset = await pair(t);
  reset.peer.resetAndDestroy();
  await assert.rejects(reset.reader.next(never), /ECONNRESET/);
  const silent = await pair(t);
  const aborted = new AbortController();
  const waiting = silent.reader.next(aborted.signal);
  aborted.abort(new Error("late"));
  await assert.rejects(waiting, /late/);
});
