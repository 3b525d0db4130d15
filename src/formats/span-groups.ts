import { GROUP } from "./otlp/fields.ts";
import { ProtoWriter } from "./protobuf.ts";

const REQUEST_GROUPS = 1;
const NOTHING = new Uint8Array(0);
/** A run is three numbers: where it begins and ends, and which run of its scope is next. */
const RUN = 3;

interface Scope {
  readonly bytes: Uint8Array;
  /** The first and the last of its runs; −1 for none. */
  first: number;
  last: number;
}
interface Group {
  bytes: Uint8Array;
  readonly scopes: Map<string, Scope>;
}

/**
 * Puts together a request of spans that come in any order of resources and scopes: spans are written once, one after the
 * other, and copied to their places in the end.
 */
export class SpanGroups {
  /** Where spans are written to, between `begin` and `end`. */
  readonly writer = new ProtoWriter(4096);
  readonly #groups = new Map<string, Group>();
  /** Neighbours that belong to one scope. */
  #runs: Int32Array = new Int32Array(RUN * 16);
  #count = 0;
  #scope: Scope | undefined;
  #mark = 0;
  #from = 0;

  /** Empty again; the memory is kept. */
  reset(): void {
    this.writer.reset();
    this.#groups.clear();
    this.#count = 0;
  }

  hasGroup(key: string): boolean {
    return this.#groups.has(key);
  }
  /** Adds a group for a resource or gives it another one: the bytes of a Resource message. */
  setGroup(key: string, resource: Uint8Array): void {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, { bytes: resource, scopes: new Map() });
    else group.bytes = resource;
  }
  hasScope(group: string, key: string): boolean {
    return this.#groups.get(group)!.scopes.has(key);
  }
  /** Adds a scope to a group: the bytes of an InstrumentationScope message. */
  addScope(group: string, key: string, scope: Uint8Array): void {
    this.#groups.get(group)!.scopes.set(key, { bytes: scope, first: -1, last: -1 });
  }

  /** Begins a span of this scope, which is there already; `end` ends it. */
  begin(group: string, scope: string): void {
    this.#scope = this.#groups.get(group)!.scopes.get(scope)!;
    this.#from = this.writer.length;
    this.#mark = this.writer.begin(GROUP.members);
  }
  end(): void {
    this.writer.end(this.#mark);
    const scope = this.#scope!;
    const { last } = scope;
    if (last >= 0 && this.#runs[last * RUN + 1] === this.#from) {
      this.#runs[last * RUN + 1] = this.writer.length;
      return;
    }
    const run = this.#count++;
    if (run * RUN === this.#runs.length) {
      const larger = new Int32Array(this.#runs.length * 2);
      larger.set(this.#runs);
      this.#runs = larger;
    }
    this.#runs[run * RUN] = this.#from;
    this.#runs[run * RUN + 1] = this.writer.length;
    this.#runs[run * RUN + 2] = -1;
    if (last < 0) scope.first = run;
    else this.#runs[last * RUN + 2] = run;
    scope.last = run;
  }

  /** The ExportTraceServiceRequest; groups and scopes without spans are not in it. */
  finish(): Uint8Array {
    if (this.#count === 0) return NOTHING;
    const spans = this.writer.view();
    const request = new ProtoWriter(spans.length + 256);
    for (const { bytes, scopes } of this.#groups.values()) {
      const filled = [...scopes.values()].filter((scope) => scope.first >= 0);
      if (filled.length === 0) continue;
      const group = request.begin(REQUEST_GROUPS);
      request.bytes(GROUP.resource, bytes);
      for (const scope of filled) {
        const inner = request.begin(GROUP.members);
        request.bytes(GROUP.scope, scope.bytes);
        for (let run = scope.first; run >= 0; run = this.#runs[run * RUN + 2]!) {
          request.raw(spans, this.#runs[run * RUN], this.#runs[run * RUN + 1]);
        }
        request.end(inner);
      }
      request.end(group);
    }
    return request.finish();
  }
}
