import { ProtoWriter } from "#formats/protobuf";
import type { TraceRequest } from "./output.ts";

/** Copies single spans of a request, with their resource and scope, into another one: those that need not wait. */
export class LateSpans {
  readonly #writer = new ProtoWriter(4096);
  #spans = 0;
  #resource = -1;
  #scope = -1;
  #resourceMark = 0;
  #scopeMark = 0;

  /**
   * Adds the span whose field, with tag and length, is `bytes[from, to)`. Resources and scopes are told apart by number;
   * the headers are the other fields of theirs.
   */
  add(
    bytes: Uint8Array,
    from: number,
    to: number,
    resource: number,
    resourceHeader: Uint8Array,
    scope: number,
    scopeHeader: Uint8Array,
  ): void {
    const writer = this.#writer;
    if (scope !== this.#scope) {
      if (this.#scope >= 0) writer.end(this.#scopeMark);
      if (resource !== this.#resource) {
        if (this.#resource >= 0) writer.end(this.#resourceMark);
        this.#resourceMark = writer.begin(1);
        writer.raw(resourceHeader);
        this.#resource = resource;
      }
      this.#scopeMark = writer.begin(2);
      writer.raw(scopeHeader);
      this.#scope = scope;
    }
    writer.raw(bytes, from, to);
    this.#spans += 1;
  }

  /** What was added since the last call; undefined if nothing was. */
  take(): TraceRequest | undefined {
    if (this.#spans === 0) return undefined;
    this.#writer.end(this.#scopeMark);
    this.#writer.end(this.#resourceMark);
    const request = { bytes: this.#writer.finish(), spans: this.#spans };
    this.#writer.reset();
    this.#spans = 0;
    this.#resource = -1;
    this.#scope = -1;
    return request;
  }
}
