import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { countItems, encodeRequest, resourceGroups } from "#formats/otlp/walk";
import { ProtobufError } from "#formats/protobuf";
import type { OtlpBatch } from "#pipeline/batch";
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

/** Edits a request in place. What it removes it counts itself. Throws ProtobufError for what is no request. */
export type RequestEdit = (
  request: OtlpRecord,
  clientMetadata: OtlpBatch["clientMetadata"],
  clientAddress: OtlpBatch["clientAddress"],
) => void;

/**
 * The input of a processor that edits requests one by one and holds nothing back: what has no edit passes as it is, and so
 * does a request that nobody changed. A batch of which nothing is left is acknowledged.
 */
export function editingInput(
  ctx: Pick<ComponentContext, "receiver">,
  outputs: Readonly<Record<OtlpKind, Fanout<"otlp">>>,
  edits: Readonly<Partial<Record<OtlpKind, RequestEdit>>>,
): Consumer<"otlp"> {
  const request = new OtlpRecord();

  function editBatch(batch: OtlpBatch, edit: RequestEdit): OtlpBatch | undefined {
    const parts: Uint8Array[] = [];
    const same: Uint8Array[] = [];
    let items = 0;
    for (const part of batch.parts) {
      edit(request.reset(part), batch.clientMetadata, batch.clientAddress);
      if (resourceGroups(request).length === 0) continue;
      const edited = encodeRequest(request, part);
      parts.push(edited);
      if (edited === part) same.push(part);
      else items += countItems(batch.kind, request);
    }
    if (parts.length === 0) return undefined;
    if (same.length === batch.parts.length) return batch;
    for (const part of same) items += countItems(batch.kind, request.reset(part));
    return withParts(batch, parts, items);
  }

  return ctx.receiver(
    "otlp",
    (batch, signal) => {
      const edit = edits[batch.kind];
      const left = edit === undefined ? batch : attempt(() => editBatch(batch, edit));
      if (left !== undefined) return outputs[batch.kind].consume(left, signal);
      batch.acknowledgement.release();
    },
    { mutates: false },
  );
}
