import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import protobuf from "protobufjs";

// It has no types.
const snappyjs: { uncompress(input: Uint8Array): Uint8Array } = createRequire(import.meta.url)("snappyjs");

/** A server that speaks Loki's push protocol, for tests: decodes with libraries that the product does not use. */

const SCHEMA = `
syntax = "proto3";
message PushRequest { repeated Stream streams = 1; }
message Stream { string labels = 1; repeated Entry entries = 2; }
message Entry { Timestamp timestamp = 1; string line = 2; repeated Pair structuredMetadata = 3; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Pair { string name = 1; string value = 2; }
`;
export const PushRequest = protobuf.parse(SCHEMA).root.lookupType("PushRequest");

export interface ReceivedEntry {
  readonly labels: string;
  readonly line: string;
  readonly time: bigint;
  readonly metadata: readonly string[];
  readonly tenant: string | undefined;
}

/** The entries of an uncompressed push request. */
function decodeOracle(bytes: Uint8Array, tenant?: string): ReceivedEntry[] {
  const request = PushRequest.toObject(PushRequest.decode(bytes), { longs: String, defaults: true }) as {
    streams: { labels: string; entries: OracleEntry[] }[];
  };
  return request.streams.flatMap(({ labels, entries }) =>
    entries.map((entry) => ({
      labels,
      line: entry.line,
      time: BigInt(entry.timestamp.seconds) * 1_000_000_000n + BigInt(entry.timestamp.nanos),
      metadata: entry.structuredMetadata.flatMap(({ name, value }) => [name, value]),
      tenant,
    })),
  );
}
interface OracleEntry {
  readonly timestamp: { readonly seconds: string; readonly nanos: number };
  readonly line: string;
  readonly structuredMetadata: readonly { readonly name: string; readonly value: string }[];
}

export interface LokiServer extends AsyncDisposable {
  readonly url: string;
  /** What came in requests that were answered with 2xx. */
  readonly entries: ReceivedEntry[];
  readonly requests: { readonly headers: IncomingHttpHeaders; readonly entries: number; readonly time: number }[];
  /** Answers requests; the default answers 204. `entries` are those of the request. */
  answer: (response: ServerResponse, entries: readonly ReceivedEntry[], nth: number) => void;
  /** Resolves once so many entries came; rejects after some seconds. */
  waitFor(count: number, timeoutMs?: number): Promise<void>;
}

export async function startLoki(): Promise<LokiServer> {
  let check = () => {};
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the client went away
    }
    const tenant = request.headers["x-scope-orgid"] as string | undefined;
    const entries = decodeOracle(snappyjs.uncompress(Buffer.concat(chunks)), tenant);
    self.requests.push({ headers: request.headers, entries: entries.length, time: performance.now() });
    response.on("finish", () => {
      if (response.statusCode < 300) self.entries.push(...entries);
      check();
    });
    self.answer(response, entries, self.requests.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const self: LokiServer = {
    url: `http://127.0.0.1:${port}/loki/api/v1/push`,
    entries: [],
    requests: [],
    answer: (response) => response.writeHead(204).end(),
    waitFor(count, timeoutMs = 5_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${self.entries.length} of ${count} entries came within ${timeoutMs} ms`)),
          timeoutMs,
        );
        check = () => {
          if (self.entries.length < count) return;
          clearTimeout(timer);
          resolve();
        };
        check();
      });
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}
