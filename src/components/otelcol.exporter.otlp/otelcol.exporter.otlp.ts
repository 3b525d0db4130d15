import { errorText } from "#base/log";
import { GRPC, GrpcError, grpcCodeName } from "#formats/grpc";
import type { OtlpKind } from "#formats/otlp";
import { decodeExportResponse, type PartialSuccess } from "#formats/otlp-response";
import { GrpcClient } from "#kits/grpc-client";
import { parseGrpcEndpoint } from "#kits/grpc-target";
import { type ClientAuth, clientAuth } from "#kits/otelcol-auth";
import { type GrpcClientArguments, grpcClientSchema, otlpCredentials } from "#kits/otelcol-client-schema";
import { EXPORT_PATHS } from "#kits/otelcol-intake";
import { exporterInstruments, exporterMetrics, rpcClientMetrics, rpcRecorder } from "#kits/otelcol-metrics";
import { SendError } from "#kits/otelcol-retry";
import { debugMetricsSchema, inputExports, queueSchema, retrySchema } from "#kits/otelcol-schema";
import { OtlpSender, type SenderOptions } from "#kits/otelcol-sender";
import { loadClientTls } from "#kits/otelcol-tls";
import { credentialsRemedy } from "#kits/refused-credentials";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { type ComponentContext, defineComponent } from "#pipeline/component";

const args = s.object({
  timeout: s.duration().default("5s").doc("Time for a call to be answered; 0 for none."),
  sending_queue: s.block(queueSchema).presentByDefault().doc("What waits to be sent."),
  retry_on_failure: s.block(retrySchema).presentByDefault().doc("How failed requests are repeated."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  client: s.block(grpcClientSchema).required().doc("Where and how to send."),
});

type Arguments = Infer<typeof args>;

/** A connection that was replaced ends after this time at the latest, when calls have no time limit of their own. */
const LONGEST_CALL_MS = 60_000;

export default defineComponent({
  name: "otelcol.exporter.otlp",
  stability: "generally-available",
  summary: "Sends traces, metrics and logs in OTLP over gRPC.",
  example: `otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: { ...exporterMetrics, ...rpcClientMetrics },

  start(ctx, first) {
    let backend = connect(first);
    const record = rpcRecorder(ctx.metrics);
    const options = (): SenderOptions => ({
      queue: backend.args.sending_queue,
      retry: backend.args.retry_on_failure,
      destination: backend.args.client.endpoint,
      send,
    });
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `otlp_grpc/${ctx.id}`), options());
    ctx.stack.defer(() => {
      sender.close();
      backend.connection.close();
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => sender.consume(batch, signal), { mutates: false }),
    });
    return {
      update(next) {
        const old = backend;
        backend = connect(next);
        sender.configure(options());
        // Calls under way end with the old connection.
        ctx.run(async (signal) => {
          await ctx.clock.sleep(old.args.timeout || LONGEST_CALL_MS, signal).catch(() => {});
          old.connection.close();
        });
      },
      drain: (deadline) => sender.drain(deadline),
    };

    /** Throws for an endpoint that is none, and for an auth handler that only guards servers. */
    function connect(given: Arguments): Backend {
      const connection = new Connection(ctx, given.client);
      const auth = clientAuth(given.client.auth);
      ctx.run(async () => {
        // The first call says what is wrong, if something is.
        await connection.client().then(
          (each) => each.connect(),
          () => {},
        );
      });
      return { args: given, connection, auth };
    }

    async function send(batch: OtlpBatch, signal: AbortSignal): Promise<PartialSuccess> {
      const current = backend;
      const began = performance.now();
      try {
        const result = await call(current, batch, signal);
        record(EXPORT_PATHS[batch.kind], GRPC.OK, performance.now() - began, batch.bytes, 0);
        return result;
      } catch (error) {
        const code = error instanceof GrpcError ? error.code : GRPC.UNKNOWN;
        record(EXPORT_PATHS[batch.kind], code, performance.now() - began, batch.bytes, 0);
        throw signal.aborted ? signal.reason : asSendError(error, batch.kind, current.args.client);
      }
    }
  },
});

/** Where calls go, as the arguments say. */
interface Backend {
  readonly args: Arguments;
  readonly connection: Connection;
  readonly auth: ClientAuth | undefined;
}

/** Makes the client once the certificates are read, and again when they are due. */
class Connection {
  readonly #ctx: Pick<ComponentContext, "clock" | "services">;
  readonly #args: GrpcClientArguments;
  readonly #endpoint: ReturnType<typeof parseGrpcEndpoint>;
  #client: Promise<GrpcClient> | undefined;
  #loadedAt = 0;
  #closed = false;

  /** Throws for an endpoint that is none. */
  constructor(ctx: Pick<ComponentContext, "clock" | "services">, args: GrpcClientArguments) {
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

async function call(
  { args, connection, auth }: Backend,
  batch: OtlpBatch,
  signal: AbortSignal,
): Promise<PartialSuccess> {
  const path = EXPORT_PATHS[batch.kind];
  const headers = new Map<string, string>();
  for (const [name, value] of args.client.headers) headers.set(name.toLowerCase(), value);
  const { clientMetadata } = batch;
  try {
    const url = connection.url + path;
    await auth?.({ method: "POST", url, headers, body: new Uint8Array(0), clientMetadata }, signal);
  } catch (error) {
    const message = `there are no credentials to send: ${errorText(error)}`;
    throw new SendError("unauthorized", message, { retryable: true, isRefusal: true });
  }
  const client = await connection.client();
  return decodeExportResponse(await client.call(path, batch.parts, { timeoutMs: args.timeout, headers, signal }));
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
