import { isUtf8 } from "node:buffer";
import { Labels, quote } from "#base/labels";
import { ProtoReader } from "#formats/protobuf";

const NAME = Buffer.from("__name__");
/** First byte of characters from which on the order of UTF-8 and that of UTF-16 differ. */
const HIGH_CHARACTERS = 0xee;

/**
 * What labels of a request are, as `Label` messages in `bytes[start, end)`: `true` if they are already as the registry
 * keeps them (sorted, none empty, shortest encoding), labels if they are good in another form, a text if they are not
 * good. The rules are those of Prometheus's write handler with UTF-8 names. Throws a ProtobufError for other messages.
 */
export function judgeLabels(bytes: Buffer, start: number, end: number): true | Labels | string {
  return isCanonical(bytes, start, end) || readLabels(bytes, start, end);
}

function isCanonical(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  let previousStart = 0;
  let previousEnd = 0;
  let hasName = false;
  while (at < end) {
    const outer = bytes[at] === 0x0a ? shortLength(bytes, at + 1, end) : -1;
    if (outer < 0) return false;
    const bodyEnd = lengthEnd + outer;
    const nameLength = bytes[lengthEnd] === 0x0a ? shortLength(bytes, lengthEnd + 1, bodyEnd) : -1;
    const nameStart = lengthEnd;
    const nameEnd = nameStart + nameLength;
    if (nameLength <= 0 || bytes[nameEnd] !== 0x12) return false;
    const valueLength = shortLength(bytes, nameEnd + 1, bodyEnd);
    const valueStart = lengthEnd;
    if (valueLength <= 0 || valueStart + valueLength !== bodyEnd) return false;
    const isAscending = previousEnd === 0 || bytes.compare(bytes, previousStart, previousEnd, nameStart, nameEnd) > 0;
    if (!isAscending || !isPlain(bytes, nameStart, nameEnd)) return false;
    if (!isUtf8(bytes.subarray(nameStart, nameEnd)) || !isUtf8(bytes.subarray(valueStart, bodyEnd))) return false;
    hasName ||= bytes.compare(NAME, 0, NAME.length, nameStart, nameEnd) === 0;
    previousStart = nameStart;
    previousEnd = nameEnd;
    at = bodyEnd;
  }
  return hasName;
}

/** Where the length ends that `shortLength` read last. */
let lengthEnd = 0;

/** A length in its shortest form, of something that ends at `end` at the latest; −1 for any other. */
function shortLength(bytes: Buffer, at: number, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 28 && at < end; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    lengthEnd = at;
    return (byte === 0 && shift > 0) || value > end - at ? -1 : value;
  }
  return -1;
}

function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= HIGH_CHARACTERS) return false;
  return true;
}

function readLabels(bytes: Buffer, start: number, end: number): Labels | string {
  const reader = new ProtoReader(bytes, start, end);
  const labels = new Map<string, string>();
  while (!reader.done) {
    reader.tag();
    const outer = reader.enter();
    let name = "";
    let value = "";
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x0a || tag === 0x12) {
        const text = reader.lengthDelimited();
        if (!isUtf8(text)) return `invalid metric name or labels: ${shown(text)} is not UTF-8`;
        if (tag === 0x0a) name = Buffer.from(text).toString();
        else value = Buffer.from(text).toString();
      } else reader.skip(tag);
    }
    reader.leave(outer);
    if (name === "") return "invalid metric name or labels: a label has no name";
    if (labels.has(name)) return `invalid labels for series: the label ${shown(Buffer.from(name))} is there twice`;
    labels.set(name, value);
  }
  for (const [name, value] of labels) if (value === "") labels.delete(name);
  const result = Labels.from(labels);
  if (labels.has("__name__")) return result;
  return `invalid metric name or labels: no metric name in ${result.toString().slice(0, SHOWN_BYTES)}`;
}

const SHOWN_BYTES = 200;

/** The beginning of a text from outside, in quotes. */
function shown(text: Uint8Array): string {
  const more = text.length > SHOWN_BYTES ? "…" : "";
  return quote(Buffer.from(text.subarray(0, SHOWN_BYTES)).toString()) + more;
}
