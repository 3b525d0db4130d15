import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Labels } from "#base/labels";
import { RequestParts } from "#formats/remote-write/2-parts";
import { readWriteRequest } from "#formats/remote-write/reader";
import { uncompress } from "#formats/snappy";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";
import { type StartOptions, startComponent } from "#pipeline/testing";
import remoteWrite from "./prometheus.remote_write.ts";

export const NOW = Date.now();

export interface Received {
  /** Milliseconds since some start. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The version of its message. */
  readonly version: 1 | 2;
  /** As it came, and uncompressed. */
  readonly raw: Buffer;
  readonly body: Uint8Array;
  /** `{labels} value@timestamp` of each sample. */
  readonly samples: readonly string[];
  readonly metadata: readonly string[];
}

/** A status, or one with what the receiver says about it. */
type Answer = number | { readonly status: number; readonly body: string };

/** A receiver of both versions that keeps what it accepts; `answer` decides about each request. */
export async function receiver(t: TestContext) {
  const requests: Received[] = [];
  /** Those that were not accepted as well. */
  const all: Received[] = [];
  const state = {
    answer: (_response: ServerResponse, _request: Received): Answer | undefined => 204,
    asked: 0,
    /** Whether it says how much it wrote, as receivers of version 2 must. */
    countsWritten: true,
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    const body = uncompress(raw, 10_000_000);
    const isVersion2 = request.headers["content-type"]?.includes("proto=io.prometheus.write.v2.Request") === true;
    const parts = isVersion2 ? new RequestParts([{ version: 2, bytes: body }]) : undefined;
    const { series, metadata } = readWriteRequest(parts === undefined ? body : parts.write(0, parts.count, 1));
    const received: Received = {
      at: performance.now(),
      method: request.method!,
      path: request.url!,
      headers: request.headers,
      version: isVersion2 ? 2 : 1,
      raw,
      body,
      samples: series.flatMap(({ labels, samples }) =>
        samples.map(({ value, timestamp, stale }) => `${labels} ${stale ? "stale" : value}@${timestamp - NOW}`),
      ),
      metadata: metadata.map(({ family, type, help }) => `${family} ${type} ${help}`),
    };
    state.asked += 1;
    all.push(received);
    const answer = state.answer(response, received);
    if (answer === undefined) return;
    const { status, body: text } =
      typeof answer === "number" ? { status: answer, body: "because of the test" } : answer;
    if (status < 300) {
      requests.push(received);
      if (isVersion2 && state.countsWritten) {
        const { length } = received.samples;
        response.setHeader("x-prometheus-remote-write-samples-written", length);
        response.setHeader("x-prometheus-remote-write-histograms-written", series.length - length);
      }
    }
    response.writeHead(status).end(status < 300 ? "" : text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/write`;
  const samples = () => requests.flatMap((each) => each.samples);
  return { url, requests, all, samples, state };
}

export async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "remote-write-"));
  t.after(() => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return path;
}

const QUICK: string = 'queue_config {\nbatch_send_deadline = "20ms"\nmin_backoff = "5ms"\nmax_backoff = "20ms"\n}';

export function endpoint(url: string, more = "", queue = QUICK): string {
  return `endpoint {\nurl = "${url}"\n${more}\n${queue}\n}\n`;
}

/** The same for an endpoint that is sent version 2. */
export function endpoint2(url: string, more = "", queue = QUICK): string {
  return endpoint(url, `protobuf_message = "io.prometheus.write.v2.Request"\n${more}`, queue);
}

export interface Sample {
  readonly labels: Record<string, string>;
  readonly value?: number;
  readonly at?: number;
}

export function batchOf(registry: SeriesRegistry, samples: readonly Sample[], onSafe?: () => void): MetricBatch {
  return {
    signal: "metrics",
    count: samples.length,
    registry,
    ref: Int32Array.from(samples, ({ labels }) => registry.intern(Labels.from(Object.entries(labels)))),
    timestamp: Float64Array.from(samples, ({ at }) => NOW + (at ?? 0)),
    value: Float64Array.from(samples, ({ value }) => value ?? NaN),
    flags: Uint8Array.from(samples, ({ value }) => (value === undefined ? SAMPLE_STALE : 0)),
    exemplars: undefined,
    histograms: undefined,
    metadata: undefined,
    acknowledgement: onSafe === undefined ? Acknowledgement.none : new Acknowledgement(onSafe),
  };
}

export async function start(t: TestContext, config: string, dataPath?: string, more: StartOptions = {}) {
  const component = await startComponent(remoteWrite, config, { dataPath: dataPath ?? (await folder(t)), ...more });
  t.after(() => component.stop(1_000));
  const { signal } = new AbortController();
  const send = (samples: readonly Sample[], onSafe?: () => void) =>
    component.exports.receiver.consume(batchOf(component.services.series, samples, onSafe), signal);
  return { component, send };
}

export async function until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > end) assert.fail(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
