import type { TlsOptions } from "node:tls";
import { errorText } from "#base/log";
import { GRPC, GrpcError } from "#formats/grpc";
import { JaegerProtoDecoder } from "#formats/jaeger/proto";
import { JaegerThriftDecoder } from "#formats/jaeger/thrift";
import type { GrpcHandler, GrpcServer } from "#kits/grpc/server";
import { callMetadata, otelGrpcServer } from "#kits/otelcol/grpc-server";
import { OtelHttpServer } from "#kits/otelcol/http-server";
import type { rpcRecorder } from "#kits/otelcol/metrics";
import { type BareGrpcServerArguments, withKeepalive } from "#kits/otelcol/server-schema";
import { callError, refusal, type TraceIntake, textAnswer } from "#kits/otelcol/trace-receiver";
import type { ComponentContext } from "#pipeline/component";
import type { HttpArguments, UdpArguments } from "./schema.ts";
import { UdpAgent } from "./udp-agent.ts";

const POST_SPANS = "/jaeger.api_v2.CollectorService/PostSpans";
const THRIFT_TYPES = ["application/x-thrift", "application/vnd.apache.thrift.binary"];
const NOTHING = new Uint8Array(0);
const ACCEPTED = { status: 202, headers: {}, body: "" };

/** Makes the servers of a receiver, which share what turns messages into requests of OTLP. */
export class JaegerServers {
  readonly #ctx: Pick<ComponentContext, "log" | "signal">;
  readonly #intake: TraceIntake;
  readonly #recordCall: ReturnType<typeof rpcRecorder>;
  readonly #proto = new JaegerProtoDecoder();
  readonly #thrift = new JaegerThriftDecoder();

  constructor(
    ctx: Pick<ComponentContext, "log" | "signal">,
    intake: TraceIntake,
    recordCall: ReturnType<typeof rpcRecorder>,
  ) {
    this.#ctx = ctx;
    this.#intake = intake;
    this.#recordCall = recordCall;
  }

  grpc(args: BareGrpcServerArguments, tls: TlsOptions | undefined): GrpcServer {
    const handlers = new Map([[POST_SPANS, this.#postSpans(args.include_metadata)]]);
    return otelGrpcServer({ args: withKeepalive(args), tls, handlers, recordCall: this.#recordCall });
  }

  http(args: HttpArguments, tls: TlsOptions | undefined): OtelHttpServer {
    const intake = this.#intake;
    return new OtelHttpServer({
      args,
      tls,
      check(method, path, headers) {
        if (path !== "/api/traces" || !intake.taken) return textAnswer(404, "404 page not found");
        if (method !== "POST") return { status: 405, headers: {}, body: "" };
        const type = (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
        if (THRIFT_TYPES.includes(type)) return undefined;
        return textAnswer(400, `Unsupported content type: ${type}; use ${THRIFT_TYPES.join(" or ")}`);
      },
      refuse: textAnswer,
      handle: (request) => {
        try {
          const result = intake.accept({
            transport: "collector_http",
            decode: () => this.#thrift.body(request.body),
            from: request.remoteAddress,
            clientMetadata: args.include_metadata ? request.allHeaders() : undefined,
            clientAttributes: request.clientAttributes,
            signal: () => request.signal,
          });
          return result === undefined ? ACCEPTED : result.then(() => ACCEPTED, refusal);
        } catch (error) {
          return refusal(error);
        }
      },
    });
  }

  udp(format: "binary" | "compact", args: UdpArguments): UdpAgent {
    return new UdpAgent({
      endpoint: args.endpoint,
      maxPacketBytes: args.max_packet_size,
      queueSize: args.queue_size,
      workers: args.workers,
      socketBufferBytes: args.socket_buffer_size,
      take: (packet, from) => this.#takePacket(packet, format, from),
      drop: (reason, packets, why) => this.#intake.drop(reason, packets, why),
      failed: (error) => this.#ctx.log.warn("the socket failed", { format, error }),
    });
  }

  #postSpans(includeMetadata: boolean): GrpcHandler {
    return (bytes, call) => {
      if (!this.#intake.taken) throw new GrpcError(GRPC.UNIMPLEMENTED, "no component takes traces here");
      try {
        const result = this.#intake.accept({
          transport: "grpc",
          decode: () => this.#proto.request(bytes),
          from: call.remoteAddress,
          clientMetadata: includeMetadata ? callMetadata(call.headers) : undefined,
          clientAttributes: call.clientAttributes,
          signal: () => call.signal,
        });
        return result === undefined ? NOTHING : result.then(() => NOTHING);
      } catch (error) {
        throw callError(error);
      }
    };
  }

  /** A client that sends packets cannot be told: what is refused is lost, and counted. */
  #takePacket(packet: Uint8Array, format: "binary" | "compact", from: string): void | Promise<void> {
    const lost = (error: unknown) => {
      if (error instanceof GrpcError) this.#intake.drop("pipeline_full", 1, error.message);
      else this.#ctx.log.debug("a packet that cannot be read", { from, error: errorText(error) });
    };
    try {
      const result = this.#intake.accept({
        transport: `udp_thrift_${format}`,
        decode: () => this.#thrift.packet(packet, format),
        from,
        clientMetadata: undefined,
        isOneWay: true,
        signal: () => this.#ctx.signal,
      });
      return result?.catch(lost);
    } catch (error) {
      lost(error);
    }
  }
}
