import { bareGrpcServerSchema, bareHttpServerFields } from "#kits/otelcol/server-schema";
import { type Infer, s } from "#lang/schema";

function udpSchema(endpoint: string) {
  return s.object({
    endpoint: s.string().default(endpoint).doc("`host:port` to listen on, UDP."),
    queue_size: s.int(0).default(1000).doc("Packets that wait while all workers are busy; more are dropped."),
    max_packet_size: s.byteSize().default("65KiB").doc("Longer packets are dropped."),
    workers: s.int(1).default(10).doc("Packets that are handed on at once."),
    socket_buffer_size: s
      .byteSize()
      .default("0B")
      .doc("Room in the system for packets that were not read yet; 0 for what the system gives."),
  });
}
export type UdpArguments = Infer<ReturnType<typeof udpSchema>>;

const httpSchema = s.object(bareHttpServerFields("0.0.0.0:14268"));
export type HttpArguments = Infer<typeof httpSchema>;

/** The `protocols` block. Its ports are those of Jaeger's agent and collector. */
export const protocolsSchema = s
  .object({
    grpc: s.block(bareGrpcServerSchema("0.0.0.0:14250")).doc("Listens for batches in protobuf over gRPC."),
    thrift_http: s.block(httpSchema).doc("Listens for batches in thrift over HTTP."),
    thrift_binary: s.block(udpSchema("0.0.0.0:6832")).doc("Listens for packets in thrift's binary protocol."),
    thrift_compact: s.block(udpSchema("0.0.0.0:6831")).doc("Listens for packets in thrift's compact protocol."),
  })
  .rule(
    "grpc",
    (a) => [a.grpc, a.thrift_http, a.thrift_binary, a.thrift_compact].some((each) => each !== undefined),
    "or another protocol must be there: at least one protocol must be enabled",
  );
export type Protocols = Infer<typeof protocolsSchema>;

export const PROTOCOLS = ["grpc", "thrift_http", "thrift_binary", "thrift_compact"] as const;
export const UDP_PROTOCOLS = ["thrift_binary", "thrift_compact"] as const;
