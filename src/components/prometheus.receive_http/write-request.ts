import { ProtobufError } from "#formats/protobuf";
import { readWriteRequest1 } from "#formats/remote-write/1-reader";
import { countSymbols, readWriteRequest2 } from "#formats/remote-write/2-reader";
import { SnappyError, uncompress, uncompressedLength } from "#formats/snappy";
import { WriteColumns } from "#formats/write-columns";
import { HttpError } from "#kits/http/server";
import type { PushVisit } from "#kits/push/server";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";
import type { Exemplars } from "./exemplars.ts";
import type { HeldSeries } from "./held-series.ts";
import { Intake } from "./intake.ts";

/** Bytes of a request, as it comes and unpacked: that of Prometheus (client_golang/exp/api/remote). */
export const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

export const WRITE_1 = "prometheus.WriteRequest";
export const WRITE_2 = "io.prometheus.write.v2.Request";
export type WriteMessage = typeof WRITE_1 | typeof WRITE_2;

/** What the consumers have accepted of a request. */
export class Written {
  samples = 0;
  histograms = 0;
  exemplars = 0;

  /** The headers of an answer of remote write 2.0. */
  get headers(): Readonly<Record<string, string>> {
    return {
      "x-prometheus-remote-write-samples-written": String(this.samples),
      "x-prometheus-remote-write-histograms-written": String(this.histograms),
      "x-prometheus-remote-write-exemplars-written": String(this.exemplars),
    };
  }
}

export interface WriteSettings {
  readonly append_metadata: boolean;
  readonly enable_type_and_unit_labels: boolean;
}

/** What requests share. */
export interface WriteMemory {
  readonly registry: SeriesRegistry;
  readonly held: HeldSeries;
  readonly exemplars: Exemplars;
}

/**
 * The message of a request by its `Content-Type`: that of 1.0 if it names none. Throws an HttpError with 415 for others, and
 * for those that are not accepted. Matches ParseProtoMsg of client_golang/exp/api/remote.
 */
export function messageOf(contentType: string | undefined, accepted: readonly WriteMessage[]): WriteMessage {
  const [media = "", ...parameters] = (contentType || "application/x-protobuf").trim().split(";");
  if (media !== "application/x-protobuf") {
    throw new HttpError(415, `the content type "${media}" is not supported; send application/x-protobuf`);
  }
  const [, named = WRITE_1] = parameters.map((each) => each.trim().split("=")).find(([name]) => name === "proto") ?? [];
  const message = named.replace(/^"(.*)"$/, "$1") as WriteMessage;
  if (accepted.includes(message)) return message;
  const only = `this server accepts ${accepted.join(" and ")}`;
  throw new HttpError(415, `the protobuf message ${message} is not accepted: ${only}`);
}

/**
 * Reads a request and hands its samples on; resolves once the consumers have accepted all of them, with what is wrong with
 * the others in the intake. Throws an HttpError for a body that cannot be read. `written` is kept up to date meanwhile.
 */
export async function receiveWrite(
  visit: PushVisit<"metrics">,
  message: WriteMessage,
  settings: WriteSettings,
  memory: WriteMemory,
  now: number,
  written: Written,
): Promise<Intake> {
  const bytes = await readBody(visit);
  const { registry, held, exemplars } = memory;
  const intake = new Intake(registry, held, now);
  const columns = new WriteColumns(intake, bytes.length);
  const { append_metadata: metadata, enable_type_and_unit_labels: typeAndUnit } = settings;
  let pin = registry.pin();
  try {
    if (message === WRITE_2) visit.lease.take(countSymbols(bytes) * 4);
    const steps =
      message === WRITE_1
        ? readWriteRequest1(bytes, intake, columns, metadata)
        : readWriteRequest2(bytes, intake, columns, { metadata, typeAndUnit });
    for (let isDone = false; !isDone; ) {
      isDone = steps.next().done === true;
      await deliver(visit, columns, registry, exemplars, intake, written);
      columns.clear();
      intake.fresh = 0;
      // A new pin first: series of this request that nobody holds may go, but not be given to others meanwhile.
      const next = registry.pin();
      registry.unpin(pin);
      pin = next;
    }
  } catch (error) {
    // What did not arrive is told of again when the client comes back.
    held.forgetMetadata();
    if (error instanceof ProtobufError) throw new HttpError(400, `the body is no ${message}: ${error.message}`);
    throw error;
  } finally {
    registry.unpin(pin);
  }
  return intake;
}

async function deliver(
  visit: PushVisit<"metrics">,
  columns: WriteColumns,
  registry: SeriesRegistry,
  exemplars: Exemplars,
  intake: Intake,
  written: Written,
): Promise<void> {
  if (columns.isEmpty) return;
  const { count, ref, timestamp, value, flags, histograms, metadata } = columns;
  const batch: MetricBatch = {
    signal: "metrics",
    count,
    registry,
    ref,
    timestamp,
    value,
    flags,
    exemplars: undefined,
    histograms: histograms.length > 0 ? histograms : undefined,
    metadata: metadata.length > 0 ? metadata : undefined,
    acknowledgement: Acknowledgement.none,
  };
  const lost = exemplars.attach(batch, columns.exemplars);
  if (lost > 0) intake.reject("invalid_exemplar", lost, "too many exemplars wait for a sample of their series");
  await visit.deliver(batch);
  written.samples += count - histograms.length;
  written.histograms += histograms.length;
  written.exemplars += columns.exemplars.length - lost;
}

async function readBody(visit: PushVisit<"metrics">): Promise<Uint8Array> {
  const encoding = visit.request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "snappy") {
    throw new HttpError(415, `the content encoding ${encoding} is not supported; compress the request with snappy`);
  }
  const body = await visit.content(MAX_REQUEST_BYTES);
  try {
    visit.lease.take(Math.min(uncompressedLength(body), MAX_REQUEST_BYTES));
    return uncompress(body, MAX_REQUEST_BYTES);
  } catch (error) {
    if (error instanceof SnappyError) throw new HttpError(error.tooLarge ? 413 : 400, error.message);
    throw error;
  }
}
