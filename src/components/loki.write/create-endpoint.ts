import { HttpClient } from "#kits/http/client";
import type { ComponentContext } from "#pipeline/component";
import { type EndpointArguments, endpointNames, type WriteArguments } from "./arguments.ts";
import type { PushTransport } from "./delivery.ts";
import { Endpoint, type EndpointListener, type EndpointOptions } from "./endpoint.ts";
import type { StreamTable } from "./streams.ts";
import type { WRITE_METRICS } from "./write-metrics.ts";

export type WriteContext = ComponentContext<
  { receiver: ReturnType<ComponentContext["receiver"]> },
  typeof WRITE_METRICS
>;

export function createEndpoint(
  ctx: WriteContext,
  args: EndpointArguments,
  options: EndpointOptions,
  streams: StreamTable,
  status: EndpointListener,
): Endpoint {
  const { clock, log, metrics } = ctx;
  return new Endpoint(options, httpTransport(ctx, args), streams, { clock, log, metrics, status });
}

/** Of every `endpoint` block, in order. */
export function allEndpointOptions(args: WriteArguments): EndpointOptions[] {
  const names = endpointNames(args.endpoint);
  return args.endpoint.map((each, i) => endpointOptions(names[i]!, each, args.max_streams));
}

function endpointOptions(name: string, args: EndpointArguments, maxStreams: number): EndpointOptions {
  const { host } = new URL(args.url);
  const { queue_config: queue } = args;
  return {
    name,
    host,
    tenant: args.tenant_id,
    headers: args.headers ?? new Map(),
    minBackoffMs: args.min_backoff_period,
    maxBackoffMs: args.max_backoff_period,
    maxRetries: args.max_backoff_retries,
    retryRateLimited: args.retry_on_http_429,
    batchBytes: args.batch_size,
    batchWaitMs: args.batch_wait,
    capacityBytes: Math.max(1, queue.capacity),
    maxStreams,
    shards: queue.min_shards,
    drainTimeoutMs: queue.drain_timeout,
    remoteTimeoutMs: args.remote_timeout,
    blockOnOverflow: queue.block_on_overflow,
  };
}

/** Of an error answer this much is read: Loki names each rejected entry, unless it says the same of several. */
const MAX_ANSWER_BYTES = 1024 * 1024;

export function httpTransport(ctx: WriteContext, args: EndpointArguments): PushTransport {
  const client = HttpClient.create(args, { userAgent: `Invar/${ctx.services.version}` });
  return {
    async post(chunks, headers, signal) {
      const response = await client.request(
        {
          method: "POST",
          url: args.url,
          headers,
          body: chunks,
          timeoutMs: args.remote_timeout,
          maxBytes: MAX_ANSWER_BYTES,
          truncate: true,
        },
        signal,
      );
      return {
        status: response.status,
        type: response.headers.get("content-type"),
        retryAfter: response.headers.get("retry-after"),
        date: response.headers.get("date"),
        text: response.body.toString("utf8"),
      };
    },
    close: () => client.close(),
  };
}
