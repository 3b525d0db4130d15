import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { UdpLosses } from "./udp-losses.ts";

for (const [type, address] of [
  ["udp4", "127.0.0.1"],
  ["udp4", "0.0.0.0"],
  ["udp6", "::"],
] as const) {
  test(`packets that come faster than they are read are counted at ${address}`, async () => {
    const socket = createSocket({ type, recvBufferSize: 4_096 });
    let received = 0;
    socket.on("message", () => void received++);
    await once(socket.bind(0, address), "listening");
    const { port } = socket.address();
    const losses = new UdpLosses(address, port);
    assert.equal(await losses.take(), 0);
    const sender = createSocket(type);
    const sent = 500;
    const done = Array.from({ length: sent }, () => {
      return new Promise((resolve) => sender.send("x", port, type === "udp4" ? "127.0.0.1" : "::1", resolve));
    });
    await Promise.all(done);
    let lost = 0;
    while (received + lost < sent) {
      await new Promise((resolve) => setImmediate(resolve));
      lost += await losses.take();
    }
    assert.ok(lost > 0, "the socket is too small for all of them");
    assert.equal(received + lost, sent);
    assert.equal(await losses.take(), 0);
    for (const each of [socket, sender]) each.close();
  });
}
