import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { clientDefaults, HttpClient } from "./client.ts";
import { type Resolve, roundRobinLookup } from "./client-round-robin.ts";

test("connections go to all addresses of a host, and a host without one is an error", async (t) => {
  const addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  const reached = new Map<string, number>();
  const server = createServer((request, response) => {
    const { localAddress } = request.socket;
    reached.set(localAddress!, (reached.get(localAddress!) ?? 0) + 1);
    response.setHeader("connection", "close");
    response.end(request.headers.host);
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  cleanUp(t, () => server.close());
  const { port } = server.address() as AddressInfo;
  const resolve: Resolve = (host, _options, done) => {
    if (host === "many.test") {
      done(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    } else done(null, []);
  };
  let turn = 0;
  const lookup = roundRobinLookup(resolve, () => (turn++ % 3) / 3);
  const client = HttpClient.create(clientDefaults(), { userAgent: "test", lookup });
  cleanUp(t, () => client.close());
  const { signal } = new AbortController();
  for (let i = 0; i < 6; i++) {
    const url = `http://many.test:${port}/`;
    const { body } = await client.request({ method: "GET", url, timeoutMs: 5_000 }, signal);
    assert.equal(String(body), `many.test:${port}`);
  }
  assert.deepEqual([...reached].sort(), [
    ["127.0.0.1", 2],
    ["127.0.0.2", 2],
    ["127.0.0.3", 2],
  ]);
  await assert.rejects(
    client.request({ method: "GET", url: `http://none.test:${port}/`, timeoutMs: 5_000 }, signal),
    /none\.test/,
  );
});
