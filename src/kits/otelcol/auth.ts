/**
 * What an `otelcol.auth.*` component exports as `handler` and what servers and clients do with it.
 * Matches internal/component/otelcol/auth of Alloy.
 */
import { s } from "#lang/schema";
import type { OtlpClient } from "#pipeline/batch";

/** A request about to be sent. Handlers change `headers` (lower-case names) in place. */
export interface OutgoingRequest extends Pick<OtlpClient, "clientMetadata" | "clientAttributes"> {
  readonly method: string;
  readonly url: string;
  readonly headers: Map<string, string>;
  readonly body: Uint8Array;
}

/** Adds credentials. May do I/O, such as fetching a token; rejects if there are none to be had. */
export type ClientAuth = (request: OutgoingRequest, signal: AbortSignal) => void | Promise<void>;

/** What is known of an authenticated client, such as its `username`; undefined for nothing. */
export type ClientAttributes = OtlpClient["clientAttributes"];

/** Checks credentials and tells whose they are. `headers` has lower-case names. Rejects with an AuthenticationError. */
export type ServerAuth = (headers: ReadonlyMap<string, string>) => ClientAttributes | Promise<ClientAttributes>;

/** The value in the capsule. A side that the component does not support is undefined. */
export interface AuthHandler {
  readonly componentId: string;
  readonly client: ClientAuth | undefined;
  readonly server: ServerAuth | undefined;
  /** The client side signs HTTP requests as a whole, which calls of gRPC are not. */
  readonly isHttpOnly?: boolean;
}

/** A request without valid credentials. */
export class AuthenticationError extends Error {
  override readonly name = "AuthenticationError";
}

/** The `auth` argument of servers and clients. */
export const authArgument = () => s.capsule<AuthHandler>("otelcol.Handler").optional();

/** The exports of every `otelcol.auth.*` component. */
export const authExports = s.object({ handler: s.capsule<AuthHandler>("otelcol.Handler") });

/** The handler's client side. Throws if the component only guards servers, or cannot serve this protocol. */
export function clientAuth(handler: AuthHandler | undefined, protocol: "http" | "grpc"): ClientAuth | undefined {
  if (protocol === "grpc" && handler?.isHttpOnly) {
    throw new Error(`${handler.componentId} signs HTTP requests only; send with otelcol.exporter.otlphttp`);
  }
  if (handler === undefined || handler.client !== undefined) return handler?.client;
  throw new Error(`${handler.componentId} does not support client authentication`);
}

/** The handler's server side. Throws if the component only serves clients. */
export function serverAuth(handler: AuthHandler | undefined): ServerAuth | undefined {
  if (handler === undefined || handler.server !== undefined) return handler?.server;
  throw new Error(`${handler.componentId} does not support server authentication`);
}
