import { GRPC, GrpcError, grpcCodeName } from "#formats/grpc";
import { decodeSamplingStrategy, encodeServiceName, type SamplingStrategy } from "#formats/jaeger/sampling";
import { ProtobufError } from "#formats/protobuf";
import { type ClientAuth, clientAuth } from "#kits/otelcol/auth";
import type { GrpcClientArguments } from "#kits/otelcol/client-schema";
import { Connection } from "#kits/otelcol/grpc-exporter";
import type { OtlpClient } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { StrategySource } from "./file-source.ts";

export const GET_STRATEGY = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";
/** The client that asks does not wait for longer. */
const CALL_MS = 10_000;
/** Clients choose the names of services: of more than this many the oldest are forgotten. */
const MAX_CACHED = 10_000;

/** Strategies that another collector tells of, over gRPC. */
export class RemoteSource implements StrategySource {
  readonly #args: GrpcClientArguments;
  readonly #clock: ComponentContext["clock"];
  /** How long an answer counts, in milliseconds; 0 for not at all. */
  readonly #keepMs: number;
  readonly #connection: Connection;
  readonly #auth: ClientAuth | undefined;
  /** By service, the oldest first. */
  readonly #answers = new Map<string, { readonly strategy: SamplingStrategy; readonly until: number }>();
  /** Why the last call failed; undefined if it did not. */
  problem: string | undefined;

  /** Throws for an endpoint that is none, and for an auth handler that only guards servers. */
  constructor(ctx: Pick<ComponentContext, "clock" | "services" | "run">, args: GrpcClientArguments, keepMs: number) {
    this.#args = args;
    this.#clock = ctx.clock;
    this.#keepMs = keepMs;
    this.#connection = new Connection(ctx, args);
    this.#auth = clientAuth(args.auth, "grpc");
  }

  async ready(): Promise<void> {}

  async strategyFor(service: string, client: OtlpClient, signal: AbortSignal): Promise<SamplingStrategy> {
    const now = this.#clock.monotonic();
    const known = this.#answers.get(service);
    if (known !== undefined && now <= known.until) return known.strategy;
    try {
      const strategy = await this.#ask(service, client, signal);
      this.#keep(service, strategy);
      this.problem = undefined;
      return strategy;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const [code, text] =
        error instanceof GrpcError
          ? [error.code, `${grpcCodeName(error.code)}: ${error.message}`]
          : [GRPC.UNKNOWN, (error as Error).message];
      this.problem = `${this.#args.endpoint} tells no strategies: ${text}`;
      throw new GrpcError(code, `remote call failed: ${this.problem}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #ask(service: string, asker: OtlpClient, signal: AbortSignal): Promise<SamplingStrategy> {
    const headers = new Map<string, string>();
    for (const [name, value] of this.#args.headers) headers.set(name.toLowerCase(), value);
    const url = this.#connection.url + GET_STRATEGY;
    const { clientMetadata, clientAttributes } = asker;
    const body = new Uint8Array(0);
    await this.#auth?.({ method: "POST", url, headers, body, clientMetadata, clientAttributes }, signal);
    const client = await this.#connection.client();
    const answer = await client.call(GET_STRATEGY, [encodeServiceName(service)], {
      timeoutMs: CALL_MS,
      headers,
      signal,
    });
    try {
      return decodeSamplingStrategy(answer);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      throw new GrpcError(GRPC.INTERNAL, `the answer cannot be read: ${error.message}`, { cause: error });
    }
  }

  #keep(service: string, strategy: SamplingStrategy): void {
    if (this.#keepMs <= 0) return;
    this.#answers.delete(service);
    this.#answers.set(service, { strategy, until: this.#clock.monotonic() + this.#keepMs });
    if (this.#answers.size > MAX_CACHED) this.#answers.delete(this.#answers.keys().next().value!);
  }
}
