import { Labels } from "#base/labels";

/** The label by which stages and receivers name the tenant of an entry. */
export const TENANT_LABEL = "__tenant_id__";

/** What is to know of a label set for sending its entries. */
export interface WriteStream {
  /** The labels' text, which is also the identity of the stream. */
  readonly key: string;
  readonly encoded: Uint8Array;
  /** The tenant that the labels name, if they do. */
  readonly tenant: string | undefined;
  readonly hash: number;
}

const MAX_KNOWN = 16_384;

/** Turns label sets into what is sent: external labels added where they are missing, internal ones (`__…`) left out. */
export class StreamTable {
  readonly #external: Labels;
  readonly #known = new Map<Labels, WriteStream>();
  readonly #onUnknown: (labels: Labels, hash: number) => void;

  /** `onUnknown` is told of each label set that is not in the table, and of equal ones again. */
  constructor(external: ReadonlyMap<string, string>, onUnknown: (labels: Labels, hash: number) => void = () => {}) {
    this.#external = Labels.from(external);
    this.#onUnknown = onUnknown;
  }

  of(labels: Labels): WriteStream {
    let stream = this.#known.get(labels);
    if (stream !== undefined) return stream;
    const tenant = labels.get(TENANT_LABEL);
    const merged = this.#external.size === 0 ? labels : this.#external.merge(labels);
    const shown = merged.filter((name) => !name.startsWith("__"));
    const key = shown.toString();
    // Loki refuses the replacement character, however it is written; a byte that is no UTF-8 it takes, and shows as one.
    const encoded = Buffer.from(key.toWellFormed().replaceAll("\ufffd", "\\xff"));
    stream = { key, encoded, tenant, hash: hashText(key) };
    this.#onUnknown(shown, stream.hash);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(labels, stream);
    return stream;
  }
}

/** FNV-1a over the text's characters. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
