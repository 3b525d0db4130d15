import { ProtoReader, ProtoWriter } from "../protobuf.ts";
import type { OtlpKind } from "./schema.ts";

/** What a backend says about a request that it took: some items may have been rejected for good. */
export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

const NOTHING: PartialSuccess = { rejected: 0, message: "" };

const NAMES: Readonly<Record<OtlpKind, string>> = {
  traces: "rejectedSpans",
  metrics: "rejectedDataPoints",
  logs: "rejectedLogRecords",
};

/** Writes an Export…ServiceResponse. */
export function encodeExportResponse({ rejected, message }: PartialSuccess): Uint8Array {
  const writer = new ProtoWriter(message.length + 16);
  const mark = writer.begin(1);
  if (rejected > 0) writer.int64(1, BigInt(rejected));
  if (message !== "") writer.string(2, message);
  writer.end(mark);
  return writer.finish();
}

/** The same as JSON text. */
export function exportResponseToJson(kind: OtlpKind, { rejected, message }: PartialSuccess): string {
  return JSON.stringify({ partialSuccess: { [NAMES[kind]]: String(rejected), errorMessage: message } });
}

/** Reads an Export…ServiceResponse, which is alike for all signals. Throws ProtobufError for what is none. */
export function decodeExportResponse(bytes: Uint8Array): PartialSuccess {
  if (bytes.length === 0) return NOTHING;
  const reader = new ProtoReader(bytes);
  let rejected = 0;
  let message = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== 10) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    while (!reader.done) {
      const inner = reader.tag();
      if (inner === 8) rejected = reader.int64Number();
      else if (inner === 18) message = reader.string();
      else reader.skip(inner);
    }
    reader.leave(outer);
  }
  return { rejected, message };
}

/** The same from JSON text, where the count has a name of its own per signal. Throws SyntaxError for what is no JSON. */
export function parseExportResponse(text: string): PartialSuccess {
  if (text.trim() === "") return NOTHING;
  const partial = member(JSON.parse(text), "partialSuccess", "partial_success");
  let rejected = 0;
  for (const name of Object.values(NAMES)) {
    const count = Number(
      member(
        partial,
        name,
        name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      ) ?? 0,
    );
    if (count > 0) rejected = count;
  }
  return { rejected, message: String(member(partial, "errorMessage", "error_message") ?? "") };
}

function member(value: unknown, ...names: string[]): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const members = new Map<string, unknown>(Object.entries(value));
  return names.map((name) => members.get(name)).find((each) => each !== undefined);
}
