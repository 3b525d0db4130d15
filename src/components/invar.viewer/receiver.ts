import { decodePushJson } from "#formats/loki-push/json";
import { LabelTextCache } from "#formats/loki-push/labels";
import { decodePush, PushError } from "#formats/loki-push/loki-push";
import { OtlpJsonError, requestFromJson } from "#formats/otlp/json";
import type { OtlpKind } from "#formats/otlp/otlp";
import { ProtobufError } from "#formats/protobuf";
import { readWriteRequest } from "#formats/remote-write/reader";
import { SnappyError, uncompress } from "#formats/snappy";
import { HttpError, type HttpServer, type ServedRequest, type ServedResponse } from "#kits/http/server";
import type { LogBatch } from "#pipeline/batch";
import { storeOtlp } from "./otlp.ts";
import type { Stores } from "./stores.ts";

const MAX_BODY = 32 * 1024 * 1024;
const MAX_CONTENT = 128 * 1024 * 1024;

export interface ReceiverEvents {
  /** A request was taken in. `refused` of its items found no room. */
  received(signal: "logs" | "metrics" | "otlp", items: number, bytes: number, refused: number): void;
}

/** Adds the routes of the three protocols. Bodies that are no such thing get 400. */
export function addReceiverRoutes(server: HttpServer, stores: Stores, now: () => number, events: ReceiverEvents): void {
  const labelTexts = new LabelTextCache();
  const accepted: ServedResponse = { status: 204, body: "" };

  server.route("POST", "/loki/api/v1/push", async (request) => {
    const json = contentType(request) === "application/json";
    const body = json ? await request.content(MAX_BODY, MAX_CONTENT) : await snappyBody(request);
    const { batch } = judged(() => (json ? decodePushJson(body, labelTexts) : decodePush(body, labelTexts)));
    storeLogs(batch, stores, now());
    events.received("logs", batch.count, body.length, 0);
    return accepted;
  });

  server.route("POST", "/api/v1/write", async (request) => {
    if (/io\.prometheus\.write\.v2/.test(request.headers.get("content-type") ?? "")) {
      throw new HttpError(415, "the viewer takes remote write 1.0 (prometheus.WriteRequest)");
    }
    const body = await snappyBody(request);
    const { series, metadata } = judged(() => readWriteRequest(body));
    const time = now();
    let items = 0;
    let refused = 0;
    for (const { family, type } of metadata) stores.series.setType(family, type);
    for (const { labels, samples } of series) {
      const name = labels.get("__name__") ?? "";
      const flat = labels.filter((each) => each !== "__name__").flat;
      for (const { timestamp, value, stale } of samples) {
        items += 1;
        if (!stores.series.add(time, name, flat, timestamp, stale ? Number.NaN : value)) refused += 1;
      }
    }
    events.received("metrics", items, body.length, refused);
    return accepted;
  });

  for (const kind of ["traces", "metrics", "logs"] satisfies OtlpKind[]) {
    server.route("POST", `/v1/${kind}`, async (request) => {
      const type = contentType(request);
      if (type !== "application/json" && type !== "application/x-protobuf") {
        throw new HttpError(415, "OTLP comes as application/x-protobuf or application/json");
      }
      const json = type === "application/json";
      const body = await request.content(MAX_BODY, MAX_CONTENT);
      const { items, refused } = judged(() => {
        const message = json ? requestFromJson(kind, Buffer.from(body).toString("utf8")) : body;
        return storeOtlp(kind, message, stores, now());
      });
      events.received("otlp", items, body.length, refused);
      return { status: 200, headers: { "content-type": type }, body: json ? "{}" : "" };
    });
  }
}

function storeLogs(batch: LogBatch, stores: Stores, now: number): void {
  const data = Buffer.from(batch.data.buffer, batch.data.byteOffset, batch.data.length);
  for (let i = 0; i < batch.count; i++) {
    const labels = batch.streams[batch.stream[i]!]!;
    const line = data.toString("utf8", batch.start[i]!, batch.end[i]!);
    stores.logs.add(now, batch.ms[i]! + batch.ns[i]! / 1e6, labels.flat, batch.metadata?.[i] ?? [], line);
  }
}

function contentType(request: ServedRequest): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/** Loki and Prometheus compress with snappy, whether they say so in a header or not. */
async function snappyBody(request: ServedRequest): Promise<Uint8Array> {
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "snappy") return request.content(MAX_BODY, MAX_CONTENT);
  const body = await request.body(MAX_BODY);
  return judged(() => uncompress(body, MAX_CONTENT));
}

/** Turns errors about the body into 400 and 413. */
function judged<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof SnappyError && error.tooLarge) throw new HttpError(413, error.message);
    const expected = [PushError, ProtobufError, OtlpJsonError, SnappyError].some((type) => error instanceof type);
    if (expected) throw new HttpError(400, (error as Error).message);
    throw error;
  }
}
