import * as http2 from "node:http2";
import type { Socket } from "node:net";
import {
  codeOfProxyStatus,
  decodeGrpcMessage,
  FRAME_HEAD_BYTES,
  formatGrpcTimeout,
  GRPC,
  GrpcError,
  grpcCodeName,
} from "#formats/grpc";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { chooseAddress, splitHostPort } from "./address.ts";
import { type Peer, peerOf, setTlsMetrics } from "./certificate.ts";
import { connect, explain, secure, tlsState } from "./connection.ts";
import { grpc as metrics, tlsInfo } from "./metrics.ts";
import { type Probe, ProbeFailure, secondsSince } from "./probe.ts";

/** `ProbeGRPC` of prober/grpc.go: one call of grpc.health.v1.Health/Check. Unlike there, the time of the probe bounds it. */

const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const LARGEST_ANSWER = 64 * 1024;

export async function probeGrpc(probe: Probe): Promise<void> {
  const { metrics: gauges, target, signal } = probe;
  const config = probe.module.grpc;
  gauges.register(metrics.ssl, metrics.statusCode, tlsInfo.earliestExpiry);
  gauges.add(metrics.duration, 0, "resolve");
  const url = URL.parse(/^https?:\/\//.test(target) ? target : `http://${target}`);
  if (url === null) throw new ProbeFailure(`${JSON.stringify(target)} is no address: write it as host:port`);
  const authority = target.replace(/^https?:\/\//, "").replace(/[/?#].*$/, "");
  const parts = splitHostPort(authority);
  const host = parts?.host ?? authority.replace(/^\[(.*)\]$/, "$1");
  const port = Number(parts?.port || (config.tls ? 443 : 80));
  const { ip, lookupSeconds } = await chooseAddress(probe, host, config.ip);
  gauges.add(metrics.duration, lookupSeconds, "resolve");
  const shown = parts === undefined ? `${authority}:${port}` : authority;

  const start = performance.now();
  let status = "";
  let code: number = GRPC.OK;
  let failure: unknown;
  try {
    probe.stage = `connecting to ${shown}`;
    const answer = await check(ip, port, host, shown, probe);
    status = STATUSES[answer.status] ?? String(answer.status);
    gauges.set(metrics.ssl, answer.peer === undefined ? 0 : 1);
    if (answer.peer !== undefined) setTlsMetrics(gauges, answer.peer, false);
    answer.close();
  } catch (error) {
    failure = error;
    code = error instanceof GrpcError ? error.code : signal.aborted ? GRPC.DEADLINE_EXCEEDED : GRPC.UNAVAILABLE;
  }
  gauges.set(metrics.duration, secondsSince(start), "check");
  for (const name of STATUSES) gauges.set(metrics.response, name === status ? 1 : 0, name);
  gauges.set(metrics.statusCode, code);
  signal.throwIfAborted();
  if (failure instanceof GrpcError) throw new ProbeFailure(callProblem(failure, config.service), { cause: failure });
  if (failure !== undefined) throw explain(failure, shown, config.tls);
  if (status !== "SERVING") throw new ProbeFailure(`the server says that it is ${status}`);
}

function callProblem({ code, message }: GrpcError, service: string): string {
  if (code === GRPC.UNIMPLEMENTED) return `the server has no health service (grpc.health.v1.Health): ${message}`;
  if (code === GRPC.NOT_FOUND) return `the server does not know the service ${JSON.stringify(service)}: ${message}`;
  return `the health check failed: ${message}`;
}

interface HealthAnswer {
  readonly status: number;
  readonly peer: Peer | undefined;
  close(): void;
}

async function check(ip: string, port: number, host: string, shown: string, probe: Probe): Promise<HealthAnswer> {
  const config = probe.module.grpc;
  let socket: Socket = await connect({ host: ip, port }, probe.signal);
  let peer: Peer | undefined;
  try {
    if (config.tls) {
      const state = await tlsState(config.tlsConfig, probe.files);
      probe.stage = `in the TLS handshake with ${shown}`;
      const secured = await secure(socket, { state, name: host, protocols: ["h2"], shown }, probe);
      peer = peerOf(secured);
      socket = secured;
    }
    probe.stage = `waiting for the answer of ${shown}`;
    const writer = new ProtoWriter();
    if (config.service !== "") writer.string(1, config.service);
    const message = await call(socket, shown, writer.finish(), probe);
    return {
      status: readStatus(message),
      peer,
      close: () => void socket.destroy(),
    };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function readStatus(message: Uint8Array): number {
  const reader = new ProtoReader(message);
  let status = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 8) status = reader.int32();
    else reader.skip(tag);
  }
  return status;
}

/** Rejects with a GrpcError for what the server says, else with the connection's error. */
function call(socket: Socket, authority: string, message: Uint8Array, probe: Probe) {
  const { signal, version } = probe;
  return new Promise<Uint8Array>((resolve, reject) => {
    const scheme = probe.module.grpc.tls ? "https" : "http";
    const session = http2.connect(`${scheme}://${authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    session.on("error", reject);
    const closed = () => reject(Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" }));
    session.once("close", closed);
    const stream = session.request(
      {
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Check",
        te: "trailers",
        "content-type": "application/grpc",
        "user-agent": `Blackbox Exporter/${version}`,
        "grpc-timeout": formatGrpcTimeout(probe.timeoutMs),
      },
      { signal },
    );
    let seen: http2.IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    let length = 0;
    stream.on("error", reject);
    stream.on("response", (headers) => {
      seen = { ...headers };
    });
    stream.on("trailers", (trailers) => {
      seen = { ...seen, ...trailers };
    });
    stream.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= LARGEST_ANSWER) chunks.push(chunk);
      else stream.destroy(new GrpcError(GRPC.RESOURCE_EXHAUSTED, `the answer is larger than ${LARGEST_ANSWER} bytes`));
    });
    stream.on("end", () => {
      try {
        resolve(readAnswer(seen, Buffer.concat(chunks)));
      } catch (error) {
        reject(error as Error);
      }
    });
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  });
}

function readAnswer(headers: http2.IncomingHttpHeaders, frame: Buffer): Uint8Array {
  const httpStatus = Number(headers[":status"]);
  const given = headers["grpc-status"];
  if (given === undefined) {
    throw new GrpcError(
      codeOfProxyStatus(httpStatus),
      `this is no gRPC server: it answers with HTTP status ${httpStatus}`,
    );
  }
  const code = Number(given);
  if (code !== GRPC.OK) {
    const message = decodeGrpcMessage(String(headers["grpc-message"] ?? ""));
    throw new GrpcError(code, `${grpcCodeName(code)}: ${message}`);
  }
  if (frame.length < FRAME_HEAD_BYTES || frame.length !== FRAME_HEAD_BYTES + frame.readUInt32BE(1) || frame[0] !== 0) {
    throw new GrpcError(GRPC.INTERNAL, "the answer is no single message");
  }
  return frame.subarray(FRAME_HEAD_BYTES);
}
