import { asBuffer } from "#formats/protobuf";
import { HASH_SEED } from "./ids.ts";

/** What spans have in common: the fields of their ResourceSpans and ScopeSpans beside the members. */
interface Header {
  readonly bytes: Buffer;
  readonly hash: number;
  references: number;
}
interface Group extends Header {
  readonly resource: number;
}

/** What a header takes beside its bytes. */
const OVERHEAD = 160;

/**
 * Headers of resources, and of scopes in them (groups), each kept once for all spans that have it, across requests, and for
 * as long as somebody holds it.
 */
export class SpanGroups {
  readonly #resources = new HeaderTable<Header>();
  readonly #groups = new HeaderTable<Group>();

  /** Headers that somebody holds, and their bytes. */
  get size(): number {
    return this.#resources.size + this.#groups.size;
  }
  get bytes(): number {
    return this.#resources.bytes + this.#groups.bytes;
  }

  /** The number of a resource's header, held once more; the bytes are copied if they are new. */
  holdResource(header: Uint8Array): number {
    const hash = hashOf(header, 0);
    const known = this.#resources.find(hash, (each) => sameBytes(each.bytes, header));
    if (known >= 0) return this.#resources.hold(known);
    return this.#resources.add({ bytes: copyOf(header), hash, references: 1 });
  }
  releaseResource(resource: number): void {
    this.#resources.release(resource);
  }

  /** The number of a scope's header in a resource, held once more. It holds the resource. */
  hold(resource: number, header: Uint8Array): number {
    const hash = hashOf(header, resource + 1);
    const known = this.#groups.find(hash, (each) => each.resource === resource && sameBytes(each.bytes, header));
    if (known >= 0) return this.#groups.hold(known);
    this.#resources.hold(resource);
    return this.#groups.add({ bytes: copyOf(header), hash, resource, references: 1 });
  }
  holdAgain(group: number): void {
    this.#groups.hold(group);
  }
  release(group: number): void {
    const { resource } = this.#groups.at(group);
    if (this.#groups.release(group)) this.#resources.release(resource);
  }

  resourceOf(group: number): number {
    return this.#groups.at(group).resource;
  }
  resourceHeader(resource: number): Buffer {
    return this.#resources.at(resource).bytes;
  }
  scopeHeader(group: number): Buffer {
    return this.#groups.at(group).bytes;
  }
}

/** Counted headers by number and by hash. */
class HeaderTable<H extends Header> {
  readonly #entries: (H | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #byHash = new Map<number, number[]>();
  bytes = 0;

  get size(): number {
    return this.#entries.length - this.#free.length;
  }
  at(i: number): H {
    return this.#entries[i]!;
  }
  find(hash: number, isWanted: (entry: H) => boolean): number {
    for (const i of this.#byHash.get(hash) ?? []) if (isWanted(this.#entries[i]!)) return i;
    return -1;
  }
  add(entry: H): number {
    const i = this.#free.pop() ?? this.#entries.length;
    this.#entries[i] = entry;
    this.bytes += entry.bytes.length + OVERHEAD;
    const same = this.#byHash.get(entry.hash);
    if (same === undefined) this.#byHash.set(entry.hash, [i]);
    else same.push(i);
    return i;
  }
  hold(i: number): number {
    this.#entries[i]!.references += 1;
    return i;
  }
  /** Returns whether it was the last reference. */
  release(i: number): boolean {
    const entry = this.#entries[i]!;
    entry.references -= 1;
    if (entry.references > 0) return false;
    this.#entries[i] = undefined;
    this.#free.push(i);
    this.bytes -= entry.bytes.length + OVERHEAD;
    const same = this.#byHash.get(entry.hash)!;
    if (same.length === 1) this.#byHash.delete(entry.hash);
    else same.splice(same.indexOf(i), 1);
    return true;
  }
}

/** Memory of its own: in the pool, a header would keep its neighbours alive. */
function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

function sameBytes(one: Buffer, other: Uint8Array): boolean {
  return one.length === other.length && one.equals(asBuffer(other));
}

function hashOf(bytes: Uint8Array, seed: number): number {
  let hash = Math.imul(HASH_SEED ^ seed, 0x01000193);
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}
