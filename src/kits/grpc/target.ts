import { lookup } from "node:dns/promises";
import { shownUrl } from "../http/url.ts";

/** Where a client connects to: a host that may have several addresses, or a Unix socket. */
export type GrpcTarget =
  | { readonly kind: "host"; readonly host: string; readonly port: number; readonly resolve: boolean }
  | { readonly kind: "unix"; readonly path: string };

/** That of grpc-go for endpoints without one. */
const DEFAULT_PORT = 443;

export interface GrpcEndpoint {
  readonly target: GrpcTarget;
  /** The endpoint began with `https://`. */
  readonly https: boolean;
  /** What `:authority` says unless told otherwise. */
  readonly authority: string;
}

/**
 * Reads an endpoint as grpc-go and configgrpc do: `host:port`, `host` for port 443, `http://` and `https://` before it, `dns:///host:port`,
 * `passthrough:///host:port`, `unix:path` and `unix:///path`. Throws an error that says what is wrong.
 */
export function parseGrpcEndpoint(endpoint: string): GrpcEndpoint {
  const unix = /^unix:(?:\/\/)?(.+)$/.exec(endpoint);
  if (unix !== null) return { target: { kind: "unix", path: unix[1]! }, https: false, authority: "localhost" };
  const https = endpoint.startsWith("https://");
  let rest = endpoint.replace(/^https?:\/\//, "");
  let resolve = true;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/]*\/(.*)$/.exec(rest);
  if (scheme !== null) {
    if (scheme[1] !== "dns" && scheme[1] !== "passthrough") {
      throw new Error(
        `endpoint ${JSON.stringify(shownUrl(endpoint))}: the scheme ${scheme[1]} is not supported; use dns, passthrough or unix`,
      );
    }
    resolve = scheme[1] === "dns";
    rest = scheme[2]!;
  }
  rest = rest.replace(/\/$/, "");
  const match = /^(?:\[([^\]]+)\]|([^:/@\s]+))(?::(\d+))?$/.exec(rest);
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (match === null || port > 65_535) {
    if (rest.includes("@")) {
      // Not shown: what comes before the @ may be a password.
      throw new Error(
        "endpoint has a user before the @, which gRPC does not know: write it as host:port and set `auth`",
      );
    }
    const why = rest.includes("/") ? "has a path, which gRPC does not know" : "is no address";
    throw new Error(`endpoint ${JSON.stringify(shownUrl(endpoint))} ${why}; write it as host:port`);
  }
  return {
    target: { kind: "host", host: match[1] ?? match[2]!, port, resolve },
    https,
    authority: rest,
  };
}

/** What is wrong with an endpoint, to complete "`endpoint` …"; undefined if nothing is. */
export function grpcEndpointProblem(endpoint: string): string | undefined {
  if (endpoint === "") return "must not be empty; write it as host:port";
  try {
    parseGrpcEndpoint(endpoint);
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^endpoint /, "");
  }
}

/** The addresses to connect to, in the resolver's order. Rejects when the name is unknown. */
export async function resolveTarget(target: GrpcTarget): Promise<readonly string[]> {
  if (target.kind === "unix") return [target.path];
  if (!target.resolve) return [target.host];
  const found = await lookup(target.host, { all: true });
  return [...new Set(found.map((each) => each.address))];
}
