import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { systemClock } from "#base/clock";

/** A port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** What a program answers that may still be starting. */
export async function fetchWhenReady(url: string): Promise<string> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return await (await fetch(url, { headers: { connection: "close" } })).text();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await systemClock.sleep(20);
    }
  }
}
