import type { BodyRules } from "./body.ts";
import { grpcServer, httpServer } from "./shared-blocks.ts";

export const OTLP: BodyRules = {
  from: { grpc: "protocols::grpc", http: "protocols::http" },
  blocks: { grpc: grpcServer("localhost:4317"), http: httpServer("localhost:4318", true) },
};

function thrift(endpoint: string): BodyRules {
  return { isSwitch: true, defaults: { endpoint: `"${endpoint}"`, max_packet_size: '"63KiB488B"' } };
}

export const JAEGER: BodyRules = {
  blocks: {
    protocols: {
      isSwitch: true,
      blocks: {
        grpc: grpcServer("localhost:14250"),
        thrift_http: httpServer("localhost:14268", false),
        thrift_binary: thrift("localhost:6832"),
        thrift_compact: thrift("localhost:6831"),
      },
    },
  },
  missing: ["remote_sampling"],
};

export const ZIPKIN: BodyRules = { ...httpServer("localhost:9411", false) };
