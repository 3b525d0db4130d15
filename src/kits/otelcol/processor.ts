import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { countItems, encodeRequest, resourceGroups } from "#formats/otlp/walk";
import { ProtobufError } from "#formats/protobuf";
import type { OtlpBatch, OtlpClient } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { PermanentError } from "#pipeline/errors";
import type { Fanout } from "#pipeline/fanout";
import { OttlError } from "../ottl/value.ts";
import type { OutputArguments } from "./schema.ts";

/** What processors that work batch by batch have in common. */

export const KINDS: readonly OtlpKind[] = ["traces", "metrics", "logs"];

/** The consumers of each signal. */
export function outputsOf(
  ctx: Pick<ComponentContext, "fanout">,
  output: OutputArguments,
): Readonly<Record<OtlpKind, Fanout<"otlp">>> {
  return {
    traces: ctx.fanout("otlp", output.traces),
    metrics: ctx.fanout("otlp", output.metrics),
    logs: ctx.fanout("otlp", output.logs),
  };
}

/** A batch with other parts, which takes the acknowledgement along. */
export function withParts(batch: OtlpBatch, parts: readonly Uint8Array[], items: number): OtlpBatch {
  return { ...batch, parts, items, bytes: parts.reduce((sum, part) => sum + part.length, 0) };
}

/** Runs a step on a batch; what the step cannot work on is refused for good. */
export function attempt<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof OttlError) throw new PermanentError("statement_error", error.message);
    if (error instanceof ProtobufError) throw new PermanentError("malformed", error.message);
    throw error;
  }
}

/** What is left of one request of a batch. */
export interface EditedPart {
  /** The same bytes if nothing was changed; undefined if nothing is left. */
  readonly bytes: Uint8Array | undefined;
  /** How many items less there are; negative if some were added. */
  readonly removed: number;
}
/** Works on one request of a batch. Throws ProtobufError for what is no request, and OttlError for a statement that fails. */
export type PartEdit = (part: Uint8Array, batch: OtlpBatch) => EditedPart;

/** What an edited record leaves of the request that it was made of. */
export function restOf(request: OtlpRecord, part: Uint8Array, removed: number): EditedPart {
  return { bytes: resourceGroups(request).length === 0 ? undefined : encodeRequest(request, part), removed };
}

const original = new OtlpRecord();
/** How many items less a record has than the request that it was made of. */
export function removedItems(kind: OtlpKind, part: Uint8Array, request: OtlpRecord): number {
  return countItems(kind, original.reset(part)) - countItems(kind, request);
}

/** What is left of a batch: the same one if nothing was changed, undefined if nothing is left. Throws as the edit does. */
export function editedBatch(batch: OtlpBatch, edit: PartEdit): OtlpBatch | undefined {
  const parts: Uint8Array[] = [];
  let { items } = batch;
  let isSame = true;
  for (const part of batch.parts) {
    const { bytes, removed } = edit(part, batch);
    items -= removed;
    isSame &&= bytes === part;
    if (bytes !== undefined) parts.push(bytes);
  }
  if (parts.length === 0) return undefined;
  return isSame ? batch : withParts(batch, parts, items);
}

/**
 * The input of a processor that works on requests one by one and holds nothing back: what has no edit passes as it is, and
 * so does a batch that nobody changed. One of which nothing is left is acknowledged. `onRemoved` hears of a batch that lost
 * items, once all of it was worked on; edits may also count themselves what they remove.
 */
export function processingInput(
  ctx: Pick<ComponentContext, "flow" | "receiver">,
  outputs: Readonly<Record<OtlpKind, Pick<Fanout<"otlp">, "consume">>>,
  edits: Readonly<Partial<Record<OtlpKind, PartEdit>>>,
  onRemoved: (kind: OtlpKind, items: number) => void = () => {},
): Consumer<"otlp"> {
  return ctx.receiver(
    "otlp",
    (batch, signal) => {
      const edit = edits[batch.kind];
      const left = edit === undefined ? batch : attempt(() => editedBatch(batch, edit));
      const removed = batch.items - (left?.items ?? 0);
      if (removed > 0) onRemoved(batch.kind, removed);
      if (left !== undefined) return outputs[batch.kind].consume(left, signal);
      batch.acknowledgement.release();
      ctx.flow.ok(); // it came to its end as it should
    },
    { mutates: false },
  );
}

/** Edits a request in place, without adding or removing items. Throws ProtobufError for what is no request. */
export type RequestEdit = (request: OtlpRecord, client: OtlpClient) => void;

/** The input of a processor that keeps all items, and changes them or moves them about. */
export function editingInput(
  ctx: Pick<ComponentContext, "flow" | "receiver">,
  outputs: Readonly<Record<OtlpKind, Fanout<"otlp">>>,
  edits: Readonly<Partial<Record<OtlpKind, RequestEdit>>>,
): Consumer<"otlp"> {
  const request = new OtlpRecord();
  const partEdit = (edit: RequestEdit): PartEdit => {
    return (part, batch) => {
      edit(request.reset(part), batch);
      return restOf(request, part, 0);
    };
  };
  const partEdits: Partial<Record<OtlpKind, PartEdit>> = {};
  for (const kind of KINDS) if (edits[kind] !== undefined) partEdits[kind] = partEdit(edits[kind]);
  return processingInput(ctx, outputs, partEdits);
}
