import type { Labels } from "#base/labels";
import { decodePushJson } from "#formats/loki-push/json";
import type { LabelTextCache } from "#formats/loki-push/labels";
import { type DecodedPush, decodePush, PushError } from "#formats/loki-push/loki-push";
import { SnappyError } from "#formats/snappy";
import { HttpError } from "#kits/http/server";
import { contentEncoding, unsnap } from "#kits/push/body";
import type { PushVisit } from "#kits/push/server";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";

/** What an entry takes in memory beside its line. A request may not take more for its entries than for its bytes. */
const BYTES_PER_ENTRY = 24;
/** Plain lines are forwarded in batches of so many. */
const LINES_PER_BATCH = 32_768;

/**
 * A push request as a batch (Alloy's loghttp/request.go): JSON, or protobuf in a snappy block, which clients send with and
 * without saying so in Content-Encoding; protobuf without snappy is read, too.
 */
export async function readPush(visit: PushVisit, limit: number, labelTexts: LabelTextCache): Promise<DecodedPush> {
  const { request } = visit;
  const content = await visit.content(limit);
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
  const maxWeight = Math.max(1_000, limit / BYTES_PER_ENTRY);
  try {
    if (type !== "application/json") return decodePush(unsnapped(visit, content, limit), labelTexts, maxWeight);
    const isSnappy = contentEncoding(request) === "snappy";
    return decodePushJson(isSnappy ? unsnapped(visit, content, limit) : content, labelTexts, maxWeight);
  } catch (error) {
    if (error instanceof PushError) throw new HttpError(error.tooLarge ? 413 : 400, error.message);
    throw error;
  }
}

/** Takes snappy off; content without it is given back. */
function unsnapped(visit: PushVisit, content: Uint8Array, limit: number): Uint8Array {
  try {
    return unsnap(content, limit, visit.lease);
  } catch (error) {
    // A message begins with the tag of its first stream, and JSON, which Alloy takes as it is, with a brace. As snappy
    // that is a length of 10 or 123 bytes, which what follows does not have.
    const isPlain = content.length === 0 || content[0] === 0x0a || content[0] === 0x7b;
    if (isPlain && error instanceof SnappyError) return content;
    if (!(error instanceof SnappyError)) throw error;
    throw new HttpError(400, `neither a snappy block nor a push request: ${error.message}`);
  }
}

/** The lines of a plain body, in batches; carriage returns at their ends and empty lines are left out. */
export function* readLines(body: Uint8Array, labels: Labels, nowMs: number): Generator<LogBatch> {
  const builder = new LogBatchBuilder();
  let ns = 0;
  for (let start = 0; start < body.length; ) {
    const newline = body.indexOf(0x0a, start);
    let end = newline === -1 ? body.length : newline;
    const next = end + 1;
    while (end > start && body[end - 1] === 0x0d) end -= 1;
    if (end > start) {
      // Times of arrival differ, so that Loki keeps the order.
      builder.add(builder.streamId(labels), nowMs + Math.floor(ns / 1_000_000), ns % 1_000_000, body, start, end);
      ns += 1;
    }
    start = next;
    if (builder.count === LINES_PER_BATCH) yield builder.take();
  }
  yield builder.take();
}
