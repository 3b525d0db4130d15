import { errorText } from "#base/log";
import { GRPC, GrpcError, grpcCodeName } from "#formats/grpc";
import type { OtlpKind } from "#formats/otlp/otlp";
import { decodeExportResponse, type PartialSuccess } from "#formats/otlp/response";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { GrpcClient } from "../grpc/client.ts";
import { parseGrpcEndpoint } from "../grpc/target.ts";
import { credentialsRemedy } from "../refused-credentials.ts";
import { type ClientAuth, clientAuth } from "./auth.ts";
import { type GrpcClientArguments, otlpCredentials } from "./client-schema.ts";
import { EXPORT_PATHS } from "./intake.ts";
import type { rpcRecorder } from "./metrics.ts";
import { SendError } from "./retry.ts";
import { shownAnswer } from "./shown-answer.ts";
import { loadClientTls } from "./tls.ts";

/** A connection that was replaced ends after this time at the latest, when calls have no time limit of their own. */
const LONGEST_CALL_MS = 60_000;

type Context = Pick<ComponentContext, "clock" | "services" | "run">;

export interface OtlpGrpcArguments {
  /** For each call (ms); 0 for none. */
  readonly timeout: number;
  readonly client: GrpcClientArguments;
}

/** A server that takes OTLP over gRPC, as arguments say. */
export class OtlpGrpcBackend<A extends OtlpGrpcArguments> {
  readonly args: A;
  readonly #ctx: Context;
  readonly #record: ReturnType<typeof rpcRecorder>;
  readonly #connection: Connection;
  readonly #auth: ClientAuth | undefined;

  /** Connects at once. Throws for an endpoint that is none, and for an auth handler that only guards servers. */
  constructor(ctx: Context, args: A, record: ReturnType<typeof rpcRecorder>) {
    this.args = args;
    this.#ctx = ctx;
    this.#record = record;
    const connection = new Connection(ctx, args.client);
    this.#connection = connection;
    this.#auth = clientAuth(args.client.auth, "grpc");
    ctx.run(async () => {
      // The first call says what is wrong, if something is.
      await connection.client().then(
        (each) => each.connect(),
        () => {},
      );
    });
  }

  /** One attempt. Rejects with a SendError, or with the signal's reason. */
  async send(batch: OtlpBatch, signal: AbortSignal): Promise<PartialSuccess> {
    const began = performance.now();
    try {
      const result = await this.#call(batch, signal);
      this.#record(EXPORT_PATHS[batch.kind], GRPC.OK, performance.now() - began, batch.bytes, 0);
      return result;
    } catch (error) {
      const code = error instanceof GrpcError ? error.code : GRPC.UNKNOWN;
      this.#record(EXPORT_PATHS[batch.kind], code, performance.now() - began, batch.bytes, 0);
      throw signal.aborted ? signal.reason : asSendError(error, batch.kind, this.args.client);
    }
  }

  /** Ends the connection once calls under way have had their time. */
  retire(): void {
    this.#ctx.run(async (signal) => {
      await this.#ctx.clock.sleep(this.args.timeout || LONGEST_CALL_MS, signal).catch(() => {});
      this.close();
    });
  }

  close(): void {
    this.#connection.close();
  }

  async #call(batch: OtlpBatch, signal: AbortSignal): Promise<PartialSuccess> {
    const { client: given, timeout: timeoutMs } = this.args;
    const path = EXPORT_PATHS[batch.kind];
    const headers = new Map<string, string>();
    for (const [name, value] of given.headers) headers.set(name.toLowerCase(), value);
    const { clientMetadata, clientAttributes } = batch;
    try {
      const url = this.#connection.url + path;
      const body = new Uint8Array(0);
      await this.#auth?.({ method: "POST", url, headers, body, clientMetadata, clientAttributes }, signal);
    } catch (error) {
      const message = `there are no credentials to send: ${errorText(error)}`;
      throw new SendError("unauthorized", message, { retryable: true, isRefusal: true });
    }
    const client = await this.#connection.client();
    try {
      return decodeExportResponse(await client.call(path, batch.parts, { timeoutMs, headers, signal }));
    } catch (error) {
      if (error instanceof GrpcError) error.message = shownAnswer(error.message, headers);
      throw error;
    }
  }
}

/** Makes the client once the certificates are read, and again when they are due. */
export class Connection {
  readonly #ctx: Context;
  readonly #args: GrpcClientArguments;
  readonly #endpoint: ReturnType<typeof parseGrpcEndpoint>;
  #client: Promise<GrpcClient> | undefined;
  #loadedAt = 0;
  #closed = false;

  /** Throws for an endpoint that is none. */
  constructor(ctx: Context, args: GrpcClientArguments) {
    this.#ctx = ctx;
    this.#args = args;
    this.#endpoint = parseGrpcEndpoint(args.endpoint);
  }

  get url(): string {
    return `${this.#endpoint.https ? "https" : "http"}://${this.#endpoint.authority}`;
  }

  client(): Promise<GrpcClient> {
    const { reload_interval: interval } = this.#args.tls;
    const now = this.#ctx.clock.monotonic();
    if (this.#client === undefined || (interval > 0 && now - this.#loadedAt >= interval)) {
      const before = this.#client;
      const made = this.#make();
      this.#client = made;
      this.#loadedAt = now;
      made.then(
        () => void before?.then((each) => each.close()).catch(() => {}),
        () => {
          if (this.#client === made) this.#client = before;
        },
      );
    }
    return this.#client;
  }

  close(): void {
    this.#closed = true;
    void this.#client?.then((each) => each.close()).catch(() => {});
  }

  async #make(): Promise<GrpcClient> {
    const { tls, keepalive, balancer_name, compression, authority, wait_for_ready } = this.#args;
    const { target, https } = this.#endpoint;
    // As in the Collector: `insecure` counts only without a CA, and `https://` is always TLS.
    const plain = tls.insecure && tls.ca_file === "" && tls.ca_pem === "" && !https;
    const secure = plain ? undefined : await loadClientTls(tls);
    const client = new GrpcClient({
      target,
      tls: secure?.options,
      tlsFacts: secure?.facts,
      authority: authority || this.#endpoint.authority,
      pingWaitMs: keepalive?.ping_wait ?? 0,
      pingTimeoutMs: keepalive?.ping_response_timeout ?? 0,
      pingWithoutStream: keepalive?.ping_without_stream ?? false,
      clock: this.#ctx.clock,
      balancer: balancer_name === "" ? "round_robin" : balancer_name,
      compression,
      waitForReady: wait_for_ready,
      userAgent: `Invar/${this.#ctx.services.version} (${process.platform}/${process.arch})`,
    });
    if (this.#closed) client.close();
    return client;
  }
}

/** Which codes may pass. Matches `shouldRetry` of the Collector's OTLP exporter, but for refused credentials, which wait. */
function asSendError(error: unknown, kind: OtlpKind, client: GrpcClientArguments): SendError {
  if (error instanceof SendError) return error;
  // No certificate: the next attempt may find it.
  if (!(error instanceof GrpcError)) return new SendError("no_answer", errorText(error), { retryable: true });
  const { endpoint } = client;
  const { code, retryDelayMs } = error;
  const said = error.message.includes(endpoint) ? error.message : `${endpoint}: ${error.message}`;
  if (code === GRPC.UNAUTHENTICATED || code === GRPC.PERMISSION_DENIED) {
    const remedy = credentialsRemedy(error.message, otlpCredentials(client, ""));
    return new SendError("unauthorized", `${said} (${remedy})`, { retryable: true, isRefusal: true });
  }
  const passing: readonly number[] = [
    GRPC.CANCELLED,
    GRPC.DEADLINE_EXCEEDED,
    GRPC.ABORTED,
    GRPC.OUT_OF_RANGE,
    GRPC.UNAVAILABLE,
    GRPC.DATA_LOSS,
  ];
  const retryable = passing.includes(code) || (code === GRPC.RESOURCE_EXHAUSTED && retryDelayMs !== undefined);
  const reason = `grpc_${grpcCodeName(code).toLowerCase().replaceAll(" ", "_")}`;
  const message = code === GRPC.UNIMPLEMENTED ? `${said} (the server takes no ${kind}, or not at this endpoint)` : said;
  return new SendError(reason, message, { retryable, retryAfterMs: retryDelayMs });
}
