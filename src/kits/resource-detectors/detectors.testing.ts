/** For tests of detectors: metadata services on the loopback, and what detectors may reach. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createLogger, type LogRecord } from "#base/log";
import { createAuthority } from "../certificates.testing.ts";
import { type Detected, type Detector, type DetectorContext, MetadataClient } from "./detector.ts";

export const signal = new AbortController().signal;

export type Answer = string | object | undefined;
/** `METHOD /path` → the answer; a function sees the request. */
export type Routes = Readonly<Record<string, Answer | ((request: IncomingMessage) => Answer)>>;

export function answering(routes: Routes): RequestListener {
  return (request, response) => {
    const route =
      routes[`${request.method} ${request.url}`] ?? routes[`${request.method} ${request.url!.split("?")[0]}`];
    const answer = typeof route === "function" ? route(request) : route;
    if (answer === undefined) response.writeHead(404).end();
    else response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
  };
}
export async function serve(t: TestContext, routes: Routes): Promise<string> {
  const server = createServer(answering(routes));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
export async function serveTls(t: TestContext, routes: Routes): Promise<{ port: number; ca: string }> {
  const authority = createAuthority();
  const server = createTlsServer(authority.issue({}), answering(routes));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, ca: authority.cert };
}
export function files(t: TestContext, contents: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(os.tmpdir(), "detectors-"));
  cleanUp(t, () => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

export function contextOf(
  t: TestContext,
  more: Partial<DetectorContext> = {},
): DetectorContext & { logs: LogRecord[] } {
  const logs: LogRecord[] = [];
  const http = MetadataClient.plain("test");
  cleanUp(t, () => http.close());
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  return { environment: {}, log, http, userAgent: "test", logs, ...more };
}
/** What was found, without what says nothing. */
export async function detect(detector: Detector): Promise<Record<string, unknown>> {
  const { attributes, extras = new Map() }: Detected = await detector.detect(signal);
  const found = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== "");
  return { ...Object.fromEntries(found), ...Object.fromEntries(extras) };
}
/** An address where nobody listens. */
export async function nobody(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
