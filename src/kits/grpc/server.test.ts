import assert from "node:assert/strict";
import * as http2 from "node:http2";
import { after, test } from "node:test";
import * as grpcjs from "@grpc/grpc-js";
import { GRPC, GrpcError } from "#formats/grpc";
import { compressBody } from "../otelcol/compression.ts";
import { type GrpcCallReport, type GrpcHandler, GrpcServer, type GrpcServerOptions } from "./server.ts";

const PATH = "/test.Service/Call";
const reports: GrpcCallReport[] = [];
const clean: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});

async function serve(handler: GrpcHandler, more: Partial<GrpcServerOptions> = {}): Promise<string> {
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    maxMessageBytes: 1 << 20,
    maxConcurrentStreams: 0,
    keepalive: {
      maxConnectionIdleMs: undefined,
      maxConnectionAgeMs: undefined,
      maxConnectionAgeGraceMs: undefined,
      pingAfterMs: 7_200_000,
      pingTimeoutMs: 20_000,
      minPingIntervalMs: 300_000,
      permitWithoutStream: false,
      ...more.keepalive,
    },
    handlers: new Map([[PATH, handler]]),
    authenticate: undefined,
    onCall: (report) => void reports.push(report),
    ...more,
  });
  const address = await server.listen();
  clean.push(() => server.close(AbortSignal.abort()));
  return address;
}

const identity = (bytes: Buffer) => bytes;

/** Calls with grpc-js; resolves with the response or the error. */
function call(
  address: string,
  message: Buffer,
  options: { path?: string; deadlineMs?: number; client?: grpcjs.ClientOptions; cancelAfterMs?: number } = {},
): Promise<Buffer | grpcjs.ServiceError> {
  const client = new grpcjs.Client(address, grpcjs.credentials.createInsecure(), options.client ?? {});
  return new Promise((resolve) => {
    const metadata = new grpcjs.Metadata();
    const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    const under = client.makeUnaryRequest<Buffer, Buffer>(
      options.path ?? PATH,
      identity,
      identity,
      message,
      metadata,
      deadline,
      (error, response) => {
        client.close();
        resolve(error ?? response!);
      },
    );
    if (options.cancelAfterMs !== undefined) setTimeout(() => under.cancel(), options.cancelAfterMs);
  });
}

function failure(result: Buffer | grpcjs.ServiceError): [code: number, details: string] {
  assert.ok(!Buffer.isBuffer(result), "the call succeeded");
  return [result.code, result.details];
}

test("messages of all sizes go both ways", async () => {
  const address = await serve((message) => Buffer.concat([Buffer.from("got "), message]));
  for (const size of [0, 1, 100, 16_384, 65_536, 1 << 20]) {
    const message = Buffer.alloc(size, "x");
    const response = await call(address, message, { client: { "grpc.max_receive_message_length": -1 } });
    assert.ok(Buffer.isBuffer(response), String(response));
    assert.equal(response.length, size + 4);
  }
  assert.deepEqual(
    reports.splice(0).map((report) => [report.code, report.requestBytes]),
    [0, 1, 100, 16_384, 65_536, 1 << 20].map((size) => [0, size]),
  );
});

test("errors come with code, message and RetryInfo", async () => {
  const address = await serve(async () => {
    throw new GrpcError(GRPC.UNAVAILABLE, "full – später", { retryDelayMs: 1_500 });
  });
  const result = (await call(address, Buffer.from("x"))) as grpcjs.ServiceError;
  assert.deepEqual(failure(result), [GRPC.UNAVAILABLE, "full – später"]);
  const details = result.metadata.get("grpc-status-details-bin")[0] as Buffer;
  assert.ok(details.includes("google.rpc.RetryInfo"));
  const bug = await serve(() => {
    throw new TypeError("oops");
  });
  assert.deepEqual(failure(await call(bug, Buffer.alloc(0))), [GRPC.UNKNOWN, "oops"]);
});

test("what is too large, unknown or compressed with something unknown is refused, and the connection lives on", async () => {
  const address = await serve((message) => message);
  const client = { "grpc.max_send_message_length": -1 };
  const large = failure(await call(address, Buffer.alloc((1 << 20) + 1), { client }));
  assert.deepEqual(large, [GRPC.RESOURCE_EXHAUSTED, "received message larger than max (1048577 vs. 1048576)"]);
  const unknown = failure(await call(address, Buffer.alloc(3), { path: "/test.Service/Other" }));
  assert.deepEqual(unknown, [GRPC.UNIMPLEMENTED, "unknown method /test.Service/Other"]);

  const session = http2.connect(`http://${address}`);
  clean.push(() => session.destroy());
  const raw = (flag: number, body: Uint8Array, headers: http2.OutgoingHttpHeaders = {}, declared = body.length) => {
    const head = Buffer.alloc(5);
    head[0] = flag;
    head.writeUInt32BE(declared, 1);
    return exchange(session, Buffer.concat([head, body]), headers);
  };
  assert.equal((await raw(1, Buffer.from("x"), { "grpc-encoding": "br" })).status, "12");
  assert.equal((await raw(1, Buffer.from("x"))).status, "13");
  assert.equal((await raw(1, Buffer.from("x"), { "grpc-encoding": "gzip" })).status, "13");
  assert.equal((await raw(7, Buffer.from("x"))).status, "13");
  assert.deepEqual(await raw(0, Buffer.from("x"), {}, 5), { status: "13", message: "the call is truncated", body: "" });
  assert.equal((await raw(0, Buffer.from("xyz"), {}, 2)).message, "the call has more than one message");
  const bomb = await compressBody(Buffer.alloc(5 << 20), "gzip", 9, "grpc");
  assert.equal((await raw(1, bomb, { "grpc-encoding": "gzip" })).status, "8");
  assert.equal((await exchange(session, Buffer.alloc(0), {})).message, "the call has no message");
  assert.equal((await exchange(session, Buffer.alloc(0), { "content-type": "text/plain" })).http, 415);
  for (const encoding of ["gzip", "zstd", "snappy"] as const) {
    const packed = await compressBody(Buffer.from("hello".repeat(99)), encoding, undefined, "grpc");
    const answer = await raw(1, packed, { "grpc-encoding": encoding });
    assert.deepEqual([answer.status, answer.body], ["0", "hello".repeat(99)], encoding);
  }
  assert.equal((await raw(0, Buffer.from("still here"))).body, "still here");
});

/** One call by hand, for what grpc-js would not send. */
function exchange(session: http2.ClientHttp2Session, body: Buffer, headers: http2.OutgoingHttpHeaders) {
  return new Promise<{ status?: string; message?: string; body?: string; http?: number }>((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": PATH,
      "content-type": "application/grpc",
      ...headers,
    });
    const chunks: Buffer[] = [];
    let seen: http2.IncomingHttpHeaders = {};
    stream.on("response", (response) => Object.assign(seen, response));
    stream.on("trailers", (trailers) => Object.assign(seen, trailers));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      seen = { ...seen };
      if (seen["grpc-status"] === undefined) return resolve({ http: Number(seen[":status"]) });
      resolve({
        status: String(seen["grpc-status"]),
        message: String(seen["grpc-message"] ?? ""),
        body: Buffer.concat(chunks).subarray(5).toString(),
      });
    });
    stream.end(body);
  });
}

test("a deadline ends the call and the handler's signal", async () => {
  let reason: unknown;
  const address = await serve(
    (_message, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          reject(signal.reason);
        }),
      ),
  );
  assert.equal(failure(await call(address, Buffer.from("x"), { deadlineMs: 60 }))[0], GRPC.DEADLINE_EXCEEDED);
  assert.equal(failure(await call(address, Buffer.from("x"), { cancelAfterMs: 60 }))[0], GRPC.CANCELLED);
  for (let i = 0; i < 100 && !(reason instanceof GrpcError && reason.code === GRPC.CANCELLED); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(reason instanceof GrpcError);
});

test("credentials are checked before the handler sees anything", async () => {
  let handled = 0;
  const address = await serve(
    (message) => {
      handled += 1;
      return message;
    },
    {
      authenticate: async (headers) => {
        if (headers.authorization !== "Bearer t") throw new GrpcError(GRPC.UNAUTHENTICATED, "no");
      },
    },
  );
  assert.deepEqual(failure(await call(address, Buffer.from("x"))), [GRPC.UNAUTHENTICATED, "no"]);
  assert.equal(handled, 0);
});

test("closing waits for calls under way until its deadline", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let arrived: () => void = () => {};
  const started = new Promise<void>((done) => {
    arrived = done;
  });
  const slow = async (message: Uint8Array) => {
    arrived();
    await promise;
    return message;
  };
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    maxMessageBytes: 100,
    maxConcurrentStreams: 0,
    keepalive: {
      maxConnectionIdleMs: undefined,
      maxConnectionAgeMs: undefined,
      maxConnectionAgeGraceMs: undefined,
      pingAfterMs: 7_200_000,
      pingTimeoutMs: 20_000,
      minPingIntervalMs: 300_000,
      permitWithoutStream: false,
    },
    handlers: new Map([[PATH, slow]]),
    authenticate: undefined,
    onCall: () => {},
  });
  const address = await server.listen();
  const answer = call(address, Buffer.from("late"));
  await started;
  const closed = server.close(new AbortController().signal);
  resolve();
  assert.equal(String(await answer), "late");
  await closed;
});

test("a port in use is named with what to do", async () => {
  const address = await serve((message) => message);
  const port = Number(address.split(":")[1]);
  await assert.rejects(
    serve((message) => message, { address: { host: "127.0.0.1", port } }),
    {
      message: `cannot listen on 127.0.0.1:${port}: another program listens there; stop it or change \`endpoint\``,
    },
  );
});

test("connections end after their age, and rude pings are not borne", async () => {
  const keepalive = {
    maxConnectionIdleMs: undefined,
    maxConnectionAgeMs: 60,
    maxConnectionAgeGraceMs: 20,
    pingAfterMs: 7_200_000,
    pingTimeoutMs: 20_000,
    minPingIntervalMs: 300_000,
    permitWithoutStream: true,
  };
  const aged = http2.connect(`http://${await serve((message) => message, { keepalive })}`);
  await new Promise((resolve) => aged.once("close", resolve));
  const address = await serve((message) => message, { keepalive: { ...keepalive, maxConnectionAgeMs: 60_000 } });
  const rude = http2.connect(`http://${address}`);
  rude.on("error", () => {});
  const goaway = new Promise<number>((resolve) => rude.once("goaway", resolve));
  const closed = new Promise((resolve) => rude.once("close", resolve));
  await new Promise((resolve) => rude.once("connect", resolve));
  for (let i = 0; i < 5; i++) rude.ping(() => {});
  assert.equal(await goaway, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  await closed;
});
