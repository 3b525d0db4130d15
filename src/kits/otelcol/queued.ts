import { joinParts } from "#formats/otlp/otlp";
import { type OtlpChunk, splitRequest } from "#formats/otlp/split";
import { ProtobufError } from "#formats/protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";

/** A batch that was taken over and holds its place in the queue until all of it is finished. */
export interface Taken {
  readonly batch: OtlpBatch;
  /** In units of the queue's sizer. */
  size: number;
  /** Epoch milliseconds. */
  readonly since: number;
  /** Requests that carry parts of it. */
  open: number;
  failure: unknown;
  /** For `wait_for_result`. */
  readonly settle: ((failure: unknown) => void) | undefined;
  /** Whoever waited for the result does not any more and will send the data again, or it will be read from disk again. */
  abandoned: boolean;
  /** It came from a queue on disk, and stays there until its acknowledgement fires. */
  readonly isStored: boolean;
}

/** A request to be sent: a batch, several, or a piece of one. */
export interface Queued {
  readonly batch: OtlpBatch;
  readonly taken: readonly Taken[];
}

/** Several requests as one. */
export function merge(group: readonly Queued[]): Queued {
  if (group.length === 1) return group[0]!;
  const batches = group.map((each) => each.batch);
  const { clientMetadata } = batches[0]!;
  const batch: OtlpBatch = {
    ...batches[0]!,
    parts: batches.flatMap((each) => each.parts),
    items: batches.reduce((sum, each) => sum + each.items, 0),
    bytes: batches.reduce((sum, each) => sum + each.bytes, 0),
    clientMetadata: batches.every((each) => each.clientMetadata === clientMetadata) ? clientMetadata : undefined,
  };
  return { batch, taken: group.flatMap((each) => each.taken) };
}

/** A request in pieces, the first of at most `first`, the others of at most `rest`. */
export function split(queued: Queued, first: number, rest: number, sizer: "items" | "bytes"): Queued[] {
  const { batch, taken } = queued;
  let chunks: OtlpChunk[];
  try {
    chunks = splitRequest(batch.kind, joinParts(batch.parts), Math.max(1, first), rest, sizer);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    return [queued]; // the backend will say what it thinks of it
  }
  if (chunks.length <= 1) return [queued];
  for (const each of taken) each.open += chunks.length - 1;
  return chunks.map(({ bytes, items }) => ({ batch: { ...batch, parts: [bytes], items, bytes: bytes.length }, taken }));
}

/** A request whose acknowledgement has a reference of each batch in it, to be released by whoever asked. */
export function withAllAcknowledgements({ batch, taken }: Queued): OtlpBatch {
  if (taken.length === 1) return batch;
  const all = taken.map((each) => each.batch.acknowledgement);
  for (const each of all) each.retain();
  return { ...batch, acknowledgement: Acknowledgement.merge(all) };
}
