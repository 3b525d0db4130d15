import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";

/** The names of these files. */
export const ACK_FILE = /^reader-.+\.ack$/;

export function ackFileName(reader: string): string {
  const encoded = encodeURIComponent(reader);
  const name = encoded.length <= 100 ? encoded : createHash("sha256").update(reader).digest("hex");
  return `reader-${name}.ack`;
}

/** How far a reader's records are acknowledged without a gap, and where the next one lies. */
export interface Acknowledged {
  readonly sequence: number;
  /** The segment of the last acknowledged record and the offset behind it; 0 when unknown. */
  readonly segment: number;
  readonly offset: number;
  /** What of that segment is acknowledged. */
  readonly records: number;
  readonly items: number;
  readonly bytes: number;
}

const MAGIC = 0x31415149;
const SLOT_BYTES = 72;
/** Slots lie in sectors of their own, so that a torn write harms one of them only. */
const SLOT_STRIDE = 512;

/**
 * The file with a reader's acknowledged position: two slots written in turn, the valid one with the higher generation
 * counts. Written in place, which needs no space on a full disk; never more than one write at a time, the newest position wins.
 */
export class AcknowledgedFile {
  readonly path: string;
  readonly #onFailure: (error: unknown) => void;
  readonly #retryMs: number;
  #handle: FileHandle | undefined;
  #generation = 0;
  #wanted: Acknowledged | undefined;
  #writing: Promise<void> | undefined;
  #unsynced = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(path: string, retryMs: number, onFailure: (error: unknown) => void) {
    this.path = path;
    this.#retryMs = retryMs;
    this.#onFailure = onFailure;
  }

  /** The stored position; undefined if there is none or both slots are damaged. */
  async load(): Promise<Acknowledged | undefined> {
    const data = Buffer.alloc(SLOT_STRIDE * 2);
    const handle = await this.#open();
    await handle.read(data, 0, data.length, 0);
    let best: Acknowledged | undefined;
    for (const slot of [data.subarray(0, SLOT_BYTES), data.subarray(SLOT_STRIDE, SLOT_STRIDE + SLOT_BYTES)]) {
      if (slot.readUInt32LE(0) !== MAGIC || slot.readUInt32LE(4) !== crc32(slot.subarray(8))) continue;
      const field = (index: number) => slot.readDoubleLE(8 + index * 8);
      if (field(0) <= this.#generation) continue;
      this.#generation = field(0);
      best = {
        sequence: field(1),
        segment: field(2),
        offset: field(3),
        records: field(4),
        items: field(5),
        bytes: field(6),
      };
    }
    return best;
  }

  /** Stores the position soon; see `flush`. */
  save(position: Acknowledged): void {
    this.#wanted = position;
    this.#writing ??= this.#write();
  }

  /** Resolves when what was saved is written (or, after `close`, given up). */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Forces what is written to the disk. */
  async sync(): Promise<void> {
    if (!this.#unsynced || this.#handle === undefined) return;
    this.#unsynced = false;
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#writing;
    await this.sync().catch(this.#onFailure);
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Clears `#writing` in the moment in which nothing is left, so that no `save` falls between two runs. */
  async #write(): Promise<void> {
    await Promise.resolve(); // `#writing` is set before it is cleared
    while (this.#wanted !== undefined) {
      const position = this.#wanted;
      try {
        const slot = encode(this.#generation + 1, position);
        const handle = await this.#open();
        await handle.write(slot, 0, SLOT_BYTES, ((this.#generation + 1) % 2) * SLOT_STRIDE);
        this.#generation += 1;
        this.#unsynced = true;
        if (this.#wanted === position) this.#wanted = undefined;
      } catch (error) {
        this.#onFailure(error);
        if (this.#closed) break;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, this.#retryMs);
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        this.#wake = undefined;
      }
    }
    this.#writing = undefined;
  }

  async #open(): Promise<FileHandle> {
    this.#handle ??= await open(this.path, constants.O_RDWR | constants.O_CREAT, 0o600);
    return this.#handle;
  }
}

function encode(generation: number, position: Acknowledged): Buffer {
  const { sequence, segment, offset, records, items, bytes } = position;
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeUInt32LE(MAGIC, 0);
  for (const [index, value] of [generation, sequence, segment, offset, records, items, bytes].entries()) {
    slot.writeDoubleLE(value, 8 + index * 8);
  }
  slot.writeUInt32LE(crc32(slot.subarray(8)), 4);
  return slot;
}
