import { Labels, quote } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { PushError } from "./loki-push.ts";

/**
 * Decodes the JSON form of Loki's push API, `{"streams":[{"stream":{…},"values":[["NANOSECONDS","line",{metadata}]]}]}`.
 * Throws a PushError that says which stream and value is wrong.
 */
export function decodePushJson(bytes: Uint8Array): LogBatch {
  let root: unknown;
  try {
    root = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new PushError(`not JSON: ${(cause as Error).message}`, { cause });
  }
  if (!isObject(root)) throw new PushError("the body must be a JSON object with `streams`");
  const builder = new LogBatchBuilder();
  for (const [s, stream] of list(root.streams, "streams").entries()) {
    const at = `streams[${s}]`;
    if (!isObject(stream)) throw new PushError(`${at} must be an object`);
    const labels = Object.entries(isObject(stream.stream) ? stream.stream : {}).map(([name, value]) => {
      if (typeof value !== "string") throw new PushError(`${at}.stream: the value of ${quote(name)} must be a string`);
      return [name, value] as const;
    });
    const id = builder.streamId(Labels.from(labels.filter(([, value]) => value !== "")));
    for (const [v, value] of list(stream.values, `${at}.values`).entries()) {
      if (value !== null) addEntry(builder, id, value, `${at}.values[${v}]`);
    }
  }
  return builder.take(Acknowledgement.none);
}

function addEntry(builder: LogBatchBuilder, stream: number, value: unknown, at: string): void {
  if (!Array.isArray(value)) throw new PushError(`${at} must be an array of a time and a line`);
  const [time, line, extra] = value as unknown[];
  if (typeof time !== "string" || !/^-?\d{1,19}$/.test(time)) {
    throw new PushError(`${at}: the time must be nanoseconds since 1970, as a string`);
  }
  if (typeof line !== "string") throw new PushError(`${at}: the line must be a string`);
  const nanos = BigInt(time);
  const ns = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n;
  builder.addText(stream, Number((nanos - ns) / 1_000_000n), Number(ns), line, metadataOf(extra, at));
}

function metadataOf(extra: unknown, at: string): string[] | undefined {
  if (extra === undefined) return undefined;
  if (!isObject(extra)) throw new PushError(`${at}: structured metadata must be an object`);
  return Object.entries(extra).flatMap(([name, value]) => {
    if (typeof value !== "string") throw new PushError(`${at}: metadata ${quote(name)} must be a string`);
    return [name, value];
  });
}

function list(value: unknown, name: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new PushError(`${name} must be an array`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
