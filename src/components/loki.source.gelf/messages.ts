import { gunzipSync, inflateSync } from "node:zlib";
import { Labels } from "#base/labels";
import { GelfError, type GelfMessage, gelfLevelName, parseGelf } from "#formats/gelf";
import type { RelabelRules } from "#kits/relabel";

/** Most bytes that a message may have once it is decompressed. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_KNOWN = 10_000;

/** Reads a message, compressed or not. Throws a GelfError. */
export function readMessage(bytes: Uint8Array): GelfMessage {
  let text: string;
  try {
    text = decompress(bytes).toString();
  } catch (error) {
    const isTooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    const why = isTooLarge ? `it has more than ${MAX_BYTES} bytes` : (error as Error).message;
    throw new GelfError(`it cannot be decompressed: ${why}`, { cause: error });
  }
  // Some senders end a message with a NUL, as over TCP.
  return parseGelf(text.replace(/\0+$/, ""));
}

function decompress(bytes: Uint8Array): Buffer {
  const options = { maxOutputLength: MAX_BYTES };
  const [first = 0, second = 0] = bytes;
  if (first === 0x1f && second === 0x8b) return gunzipSync(bytes, options);
  if (first === 0x78 && (first * 256 + second) % 31 === 0) return inflateSync(bytes, options);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The labels of messages, by what rules make of them. */
export class MessageLabels {
  readonly #rules: RelabelRules;
  readonly #fallback: Labels;
  readonly #known = new Map<string, Labels | undefined>();

  /** `job` is the label of what would have none otherwise, which Loki does not take. */
  constructor(rules: RelabelRules, job: string) {
    this.#rules = rules;
    this.#fallback = Labels.from([["job", job]]);
  }

  /** Undefined for a message that the rules drop. */
  of({ level, host, version, facility }: GelfMessage): Labels | undefined {
    const key = [level, host, version, facility].join("\0");
    if (this.#known.has(key)) return this.#known.get(key);
    const all = new Map([
      ["__gelf_message_level", gelfLevelName(level)],
      ["__gelf_message_host", host],
      ["__gelf_message_version", version],
      ["__gelf_message_facility", facility],
    ]);
    const { labels, dropped } = this.#rules.run(Labels.from(all));
    const shown = labels.filter((name) => !name.startsWith("__"));
    const made = dropped ? undefined : shown.size === 0 ? this.#fallback : shown;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, made);
    return made;
  }
}

/** Epoch milliseconds and the nanoseconds beyond them. */
export function timeOf(seconds: number): { readonly ms: number; readonly ns: number } {
  const nanos = BigInt(Math.trunc(seconds * 1e9));
  const ns = Number(((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n);
  return { ms: Number((nanos - BigInt(ns)) / 1_000_000n), ns };
}
