import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { RedisConnection, RedisTimeoutError } from "./redis-connection.ts";
import { RedisError } from "./redis-protocol.ts";

async function open(t: TestContext, serve: (socket: Socket) => void, signal = new AbortController().signal) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    cleanUp(t, () => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  const { port } = server.address() as { port: number };
  const connection = await RedisConnection.open({ address: { host: "127.0.0.1", port }, timeoutMs: 200, signal });
  cleanUp(t, () => connection[Symbol.dispose]());
  return connection;
}

test("commands sent at once are answered in their order, errors among them", async (t) => {
  const connection = await open(t, (socket) =>
    socket.once("data", () => socket.write("+A\r\n-ERR no\r\n:3\r\n-NOPERM x\r\n")),
  );
  const first = connection.pipeline([["A"], ["B"]]);
  const third = connection.command("C");
  const fourth = connection.command("D");
  const [a, b] = await first;
  assert.equal(a, "A");
  assert.ok(b instanceof RedisError);
  assert.equal(await third, 3);
  await assert.rejects(fourth, (error) => error instanceof RedisError && error.code === "NOPERM");
});

test("silence, an end and an abort reject what waits and what comes after", async (t) => {
  const silent = await open(t, () => {});
  await assert.rejects(silent.command("PING"), RedisTimeoutError);
  await assert.rejects(silent.command("PING"), RedisTimeoutError);

  const ending = await open(t, (socket) => socket.once("data", () => socket.end("+ONE\r\n")));
  const two = ending.pipeline([["A"], ["B"]]);
  await assert.rejects(two, { code: "ECONNRESET" });

  const controller = new AbortController();
  const aborted = await open(t, () => {}, controller.signal);
  const waiting = aborted.command("PING");
  controller.abort(new Error("given up"));
  await assert.rejects(waiting, /given up/);
});

test("a connection that nobody takes is an error of the network stack", async () => {
  const { signal } = new AbortController();
  const missing = RedisConnection.open({ address: { path: "/nowhere.sock" }, timeoutMs: 200, signal });
  await assert.rejects(missing, { code: "ENOENT" });
  const aborted = RedisConnection.open({
    address: { path: "/nowhere.sock" },
    timeoutMs: 200,
    signal: AbortSignal.abort(),
  });
  await assert.rejects(aborted, { name: "AbortError" });
});
