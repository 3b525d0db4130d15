import { splitPush } from "#formats/loki-push/loki-push";
import { joinStreams, pushStreams } from "#formats/loki-push/streams";
import { compress, uncompress } from "#formats/snappy";
import type { Rejection } from "./rejections.ts";
import { type DropReason, MAX_REQUEST_BYTES } from "./write-metrics.ts";

/** A finished push request. */
export interface PushBody {
  readonly tenant: string;
  /** A snappy block, in chunks. */
  readonly chunks: readonly Uint8Array[];
  readonly entries: number;
}

export function byteLength(chunks: readonly Uint8Array[]): number {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

/** How many entries of the request each rejection is about. */
export function countRejected(
  body: PushBody,
  rejections: readonly Rejection[],
): { readonly reason: DropReason; readonly text: string; readonly entries: number }[] {
  const ofStream = rejections.some(({ streams }) => streams.length > 0) ? entriesByStream(body) : undefined;
  let left = body.entries;
  return rejections.map(({ reason, text, entries, streams }) => {
    let count = entries;
    for (const each of streams) count += ofStream!.get(each) ?? ofStream!.get(withoutServiceName(each)) ?? 1;
    count = Math.min(count, left);
    left -= count;
    return { reason, text, entries: count };
  });
}

function entriesByStream(body: PushBody): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const content = contentOf(body);
  for (const { labels, entries } of pushStreams(content)) {
    for (const text of new Set([labels, withoutServiceName(labels)]))
      counts.set(text, (counts.get(text) ?? 0) + entries);
  }
  return counts;
}

/** Loki names a stream with a label that it has made itself (discover_service_name). */
function withoutServiceName(labels: string): string {
  return labels.replace(/([{ ])service_name="(?:[^"\\]|\\.)*"(?:, |(?=\}))/, "$1").replace(/, \}$/, "}");
}

/** The labels of a request's first stream. */
export function firstStream(body: PushBody): string {
  return pushStreams(contentOf(body))[0]?.labels ?? "{}";
}

/** A request as two with half of the entries each. */
export function halve(body: PushBody): PushBody[] | undefined {
  const halves = splitPush(contentOf(body));
  const first = body.entries >> 1;
  return halves?.map((half, i) => ({
    tenant: body.tenant,
    chunks: [compress(half)],
    entries: i === 0 ? first : body.entries - first,
  }));
}

/** A request as two with half of the streams each. */
export function part(body: PushBody): PushBody[] | undefined {
  const content = contentOf(body);
  const streams = pushStreams(content);
  if (new Set(streams.map(({ labels }) => labels)).size < 2) return undefined;
  const middle = streams.length >> 1;
  return [streams.slice(0, middle), streams.slice(middle)].map((some) => ({
    tenant: body.tenant,
    chunks: [compress(joinStreams(content, some))],
    entries: some.reduce((sum, { entries }) => sum + entries, 0),
  }));
}

function contentOf(body: PushBody): Uint8Array {
  return uncompress(Buffer.concat(body.chunks), MAX_REQUEST_BYTES);
}
