import { promisify } from "node:util";
import { inflate, inflateRaw } from "node:zlib";
import type { Labels } from "#base/labels";
import { decodePush, PushError } from "#formats/loki-push";
import { decodePushJson } from "#formats/loki-push-json";
import type { LabelTextCache } from "#formats/loki-push-labels";
import { SnappyError, uncompress } from "#formats/snappy";
import { HttpError, type ServedRequest } from "#kits/http-server";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";

const inflateAsync = promisify(inflate);
const inflateRawAsync = promisify(inflateRaw);

/** The body of a request without its Content-Encoding. "deflate" is read with and without zlib's frame, as Go's clients send it. */
export async function readContent(request: ServedRequest, limit: number): Promise<Uint8Array> {
  if (request.headers.get("content-encoding")?.trim().toLowerCase() !== "deflate") return request.content(limit);
  const body = await request.body(limit);
  for (const attempt of [inflateRawAsync, inflateAsync]) {
    try {
      return await attempt(body, { maxOutputLength: limit });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
        throw new HttpError(413, `the request body is larger than the ${limit} bytes allowed after decompression`);
      }
    }
  }
  throw new HttpError(400, "the deflate body is damaged");
}

/**
 * A push request as a batch (Alloy's loghttp/request.go): JSON, or protobuf in a snappy block, which clients send with and
 * without saying so in Content-Encoding; protobuf without snappy is read, too.
 */
export async function readPush(
  request: ServedRequest,
  limit: number,
  labelTexts: LabelTextCache,
): Promise<{ readonly batch: LogBatch; readonly problem: string | undefined; readonly rejected: number }> {
  const content = await readContent(request, limit);
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
  try {
    if (type === "application/json") return { batch: decodePushJson(content), problem: undefined, rejected: 0 };
    const encoding = request.headers.get("content-encoding")?.trim().toLowerCase();
    return decodePush(encoding === "snappy" ? content : unsnap(content, limit), labelTexts);
  } catch (error) {
    if (error instanceof PushError) throw new HttpError(400, error.message);
    throw error;
  }
}

function unsnap(content: Uint8Array, limit: number): Uint8Array {
  try {
    return uncompress(content, limit);
  } catch (error) {
    if (!(error instanceof SnappyError)) throw error;
    // A message begins with the tag of its first stream; as a snappy block that is a length of ten bytes.
    if (content.length === 0 || content[0] === 0x0a) return content;
    if (error.tooLarge)
      throw new HttpError(413, `the request is larger than the ${limit} bytes allowed after decompression`);
    throw new HttpError(400, `neither a snappy block nor a push request: ${error.message}`);
  }
}

/** The lines of a plain body; carriage returns at their ends and empty lines are left out. */
export function readLines(body: Uint8Array, labels: Labels, nowMs: number): LogBatch {
  const builder = new LogBatchBuilder();
  const stream = builder.streamId(labels);
  let ns = 0;
  for (let start = 0; start < body.length; ) {
    const newline = body.indexOf(0x0a, start);
    let end = newline === -1 ? body.length : newline;
    const next = end + 1;
    while (end > start && (body[end - 1] === 0x0d || body[end - 1] === 0x0a)) end -= 1;
    if (end > start) builder.add(stream, nowMs + Math.floor(ns / 1_000_000), ns % 1_000_000, body, start, end);
    ns += 1;
    start = next;
  }
  return builder.take();
}
