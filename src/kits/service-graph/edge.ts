import { decodeAny } from "#formats/otlp/values";
import { attributeText } from "../ottl/value.ts";

/** What lies between the two ends; from several spans the last one says it. */
export const CONNECTIONS = ["", "messaging_system", "database", "virtual_node"] as const;
export const CONNECTION = { unknown: 0, messaging: 1, database: 2, virtual: 3 } as const;

/** Texts of an edge by number; those of dimensions follow: for each one the client's, then the server's. */
export const CLIENT = 0;
export const SERVER = 1;
export const PEER = 2;
export const FIRST_DIMENSION = 3;

const NONE = Buffer.alloc(0);

/**
 * One request between two services as far as it is known, in memory that is used again for each span. Its texts are ranges
 * of the request's bytes, or of those of the store.
 */
export class Edge {
  readonly texts: number;
  connection: number = CONNECTION.unknown;
  isFailed = false;
  clientSeconds = 0;
  serverSeconds = 0;
  /** Which of the peer attributes the peer is from; the first has precedence. */
  peerRank = 0;
  readonly #sources: Buffer[];
  readonly #from: Int32Array;
  readonly #to: Int32Array;

  constructor(dimensions: number) {
    this.texts = FIRST_DIMENSION + 2 * dimensions;
    this.#sources = new Array(this.texts).fill(NONE);
    this.#from = new Int32Array(this.texts);
    this.#to = new Int32Array(this.texts);
  }

  clear(): void {
    this.connection = CONNECTION.unknown;
    this.isFailed = false;
    this.clientSeconds = this.serverSeconds = 0;
    this.peerRank = 0;
    for (let i = 0; i < this.texts; i++) {
      this.#from[i] = -1;
      this.#to[i] = -1;
      this.#sources[i] = NONE;
    }
  }

  set(text: number, source: Buffer, from: number, to: number): void {
    this.#sources[text] = source;
    this.#from[text] = from;
    this.#to[text] = to;
  }
  /** Sets a text to what pdata's AsString makes of the AnyValue `bytes[from, to)`. */
  setValue(text: number, bytes: Buffer, from: number, to: number): void {
    if (from === to) this.set(text, NONE, 0, 0);
    else if (bytes[from] === 10 && bytes[from + 1]! < 0x80 && from + 2 + bytes[from + 1]! === to) {
      this.set(text, bytes, from + 2, to);
    } else {
      const made = Buffer.from(attributeText(decodeAny(bytes, from, to)));
      this.set(text, made, 0, made.length);
    }
  }

  has(text: number): boolean {
    return this.#from[text]! >= 0;
  }
  /** The bytes of a text; 0 for one that is missing. */
  length(text: number): number {
    return this.#to[text]! - this.#from[text]!;
  }
  source(text: number): Buffer {
    return this.#sources[text]!;
  }
  from(text: number): number {
    return this.#from[text]!;
  }
  to(text: number): number {
    return this.#to[text]!;
  }

  /** Both ends are known by name. */
  get isComplete(): boolean {
    return this.length(CLIENT) > 0 && this.length(SERVER) > 0;
  }
}
