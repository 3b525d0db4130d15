import type { TlsOptions } from "node:tls";
import { GRPC, GrpcError } from "#formats/grpc";
import {
  decodeServiceName,
  encodeSamplingStrategy,
  type SamplingStrategy,
  samplingStrategyToJson,
} from "#formats/jaeger/sampling";
import { ProtobufError } from "#formats/protobuf";
import type { GrpcHandler } from "#kits/grpc/server";
import { callMetadata } from "#kits/otelcol/grpc-server";
import { type OtelHttpResponse, OtelHttpServer } from "#kits/otelcol/http-server";
import type { HttpServerArguments } from "#kits/otelcol/server-schema";
import { textAnswer } from "#kits/otelcol/trace-receiver";
import type { StrategySource } from "./file-source.ts";
import { GET_STRATEGY } from "./remote-source.ts";

const HEALTH_CHECK = "/grpc.health.v1.Health/Check";
const SERVICES = ["", "jaeger.api_v2.SamplingManager"];
/** A HealthCheckResponse: SERVING. */
const SERVING = new Uint8Array([8, 1]);

/** Jaeger's SamplingManager, and gRPC's health check for it. */
export function samplingHandlers(source: StrategySource, includeMetadata: boolean): ReadonlyMap<string, GrpcHandler> {
  const serviceOf = (bytes: Uint8Array) => {
    try {
      return decodeServiceName(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      throw new GrpcError(GRPC.INTERNAL, `the request cannot be read: ${error.message}`, { cause: error });
    }
  };
  return new Map<string, GrpcHandler>([
    [
      GET_STRATEGY,
      (bytes, call) => {
        const clientMetadata = includeMetadata ? callMetadata(call.headers) : undefined;
        const client = { clientMetadata, clientAttributes: call.clientAttributes };
        const found = source.strategyFor(serviceOf(bytes), client, call.signal);
        return found instanceof Promise ? found.then(encodeSamplingStrategy) : encodeSamplingStrategy(found);
      },
    ],
    [
      HEALTH_CHECK,
      (bytes) => {
        const service = serviceOf(bytes);
        if (!SERVICES.includes(service)) throw new GrpcError(GRPC.NOT_FOUND, `unknown service ${service}`);
        return SERVING;
      },
    ],
  ]);
}

/** Answers as Jaeger's agent does on its port 5778. */
export function samplingHttpServer(
  args: HttpServerArguments,
  tls: TlsOptions | undefined,
  source: StrategySource,
): OtelHttpServer {
  const answer = (strategy: SamplingStrategy): OtelHttpResponse => ({
    status: 200,
    headers: { "content-type": "application/json" },
    body: samplingStrategyToJson(strategy),
  });
  return new OtelHttpServer({
    args,
    tls,
    check: (_method, path) => (path === "/sampling" ? undefined : textAnswer(404, "404 page not found")),
    refuse: textAnswer,
    handle({ query, allHeaders, clientAttributes, signal }) {
      const service = new URLSearchParams(query).get("service") ?? "";
      if (service === "") return textAnswer(400, "'service' parameter must be provided");
      const failed = ({ message }: Error) =>
        textAnswer(500, `failed to get sampling strategy for service ${JSON.stringify(service)}: ${message}`);
      const clientMetadata = args.include_metadata ? allHeaders() : undefined;
      const found = source.strategyFor(service, { clientMetadata, clientAttributes }, signal);
      return found instanceof Promise ? found.then(answer, failed) : answer(found);
    },
  });
}
