import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { type TestContext, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { systemClock } from "#base/clock";
import { createAuthority } from "../certificates.testing.ts";
import { GrpcChannel } from "./channel.ts";

const authority = createAuthority();
const certificate = authority.issue({});

/** What the first session with a server fails with; "" if it does not. */
async function failure(t: TestContext, server: Server, tls: ConnectionOptions | undefined): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const channel = new GrpcChannel("127.0.0.1", {
    target: { kind: "host", host: "127.0.0.1", port, resolve: true },
    tls,
    authority: `127.0.0.1:${port}`,
    pingWaitMs: 0,
    pingTimeoutMs: 0,
    pingWithoutStream: false,
    clock: systemClock,
  });
  t.after(() => {
    channel.close();
    server.close();
  });
  try {
    await channel.session(false, new AbortController().signal);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

test("connections to the wrong kind of port say what the port is for and what to set", async (t) => {
  const http = () => createHttpServer((_, response) => response.end());
  const https = () => createHttpsServer(certificate, (_, response) => response.end());
  const h2s = () => createSecureServer(certificate) as unknown as Server;
  const trusting = { ca: authority.cert };
  assert.equal(await failure(t, h2s(), trusting), "");
  assert.match(
    await failure(t, http(), undefined),
    /does not speak HTTP\/2, as gRPC does, .* 4317 is gRPC and 4318 HTTP/,
  );
  assert.match(await failure(t, https(), trusting), /does not speak HTTP\/2, as gRPC does/);
  assert.match(await failure(t, h2s(), undefined), /closed the connection; if it wants TLS, leave `insecure` out/);
  assert.match(await failure(t, http(), trusting), /does not speak TLS on this port: set `insecure = true`/);
  assert.match(await failure(t, h2s(), {}), /not signed by a trusted authority \(issued by Test CA\): set ca_file/);
});
