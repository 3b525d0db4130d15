import { GROUP } from "#formats/otlp/fields";
import { type Fragments, OtlpIndex, type OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { copyPoints, type OtlpChunk } from "#formats/otlp/split";
import { asBuffer, ProtoReader, ProtoWriter } from "#formats/protobuf";

const EMPTY = Buffer.alloc(0);
/** A buffer that grew beyond this is not kept. */
const LARGEST_KEPT = 8 * 1024 * 1024;

/** In the place of an entry's group: its data points have groups of their own. */
const BY_POINT = -2;
/** In the place of a group: left out. */
export const LEFT_OUT = -1;

/**
 * Cuts a request into requests by what its entries say: `read`, then give each entry (or each data point of a metric) the
 * number of a group, then `write`. Everything is copied as it is, with the resources and scopes around it, in order;
 * a request of which all entries are in one group is that group's as it came. One is reused for many requests.
 */
export class RequestPartition {
  readonly index = new OtlpIndex();
  /** The group of each entry, LEFT_OUT at first. */
  groups = new Int32Array(1024);
  readonly #points = new Map<number, Int32Array>();
  readonly #reader = new ProtoReader(EMPTY);
  readonly #resource = new OtlpRecord();
  readonly #scope = new OtlpRecord();
  readonly #entry = new OtlpRecord();
  #writer = new ProtoWriter(64 * 1024);
  #counts = new Int32Array(16);
  #order = new Int32Array(1024);

  /** Throws ProtobufError for what is no request. */
  read(kind: OtlpKind, bytes: Uint8Array): void {
    this.index.read(kind, bytes);
    const { entries } = this.index;
    if (this.groups.length < entries) this.groups = new Int32Array(entries * 2);
    this.groups.fill(LEFT_OUT, 0, entries);
    this.#points.clear();
  }

  /** Forgets the request. */
  clear(): void {
    this.index.clear();
    this.#points.clear();
  }

  /** Resource r, to be read until the next is asked for. */
  resource(r: number): OtlpRecord {
    return this.#header(this.index.resourceFragments, r, this.#resource);
  }
  /** The scope of scope group s, likewise. */
  scope(s: number): OtlpRecord {
    return this.#header(this.index.scopeFragments, s, this.#scope);
  }
  /** Entry e, likewise. */
  entry(e: number): OtlpRecord {
    const { bytes, entryBody, entryEnd } = this.index;
    return this.#entry.reset(bytes, entryBody[e]!, entryEnd[e]!);
  }

  /** Gives all entries of a resource group one group. */
  setResource(r: number, group: number): void {
    const { resourceScopes, scopeEntries } = this.index;
    this.groups.fill(group, scopeEntries[resourceScopes[r]!]!, scopeEntries[resourceScopes[r + 1]!]!);
  }
  /** Gives each data point of the metric e a group. */
  setPoints(e: number, groups: Int32Array): void {
    this.groups[e] = BY_POINT;
    this.#points.set(e, groups);
  }

  /** The requests of the groups 0 … `count` − 1; undefined for those without items. */
  write(count: number): (OtlpChunk | undefined)[] {
    const { entries, entryItems, bytes, items } = this.index;
    const only = this.#onlyGroup();
    const requests: (OtlpChunk | undefined)[] = new Array(count).fill(undefined);
    if (only === LEFT_OUT) return requests;
    if (only !== undefined) {
      requests[only] = { bytes, items };
      return requests;
    }
    if (this.#points.size > 0) {
      // Rare enough for going through all entries once for each group.
      for (let g = 0; g < count; g++) requests[g] = this.#writeGroup(g, undefined, 0, entries);
      return requests;
    }
    if (this.#counts.length < count + 1) this.#counts = new Int32Array(count + 1);
    if (this.#order.length < entries) this.#order = new Int32Array(entries * 2);
    const ends = this.#counts.fill(0, 0, count + 1);
    for (let e = 0; e < entries; e++) if (this.groups[e]! >= 0 && entryItems[e]! > 0) ends[this.groups[e]!]! += 1;
    let sum = 0;
    for (let g = 0; g < count; g++) {
      const own = ends[g]!;
      ends[g] = sum;
      sum += own;
    }
    for (let e = 0; e < entries; e++) {
      const group = this.groups[e]!;
      if (group >= 0 && entryItems[e]! > 0) this.#order[ends[group]!++] = e;
    }
    for (let g = 0; g < count; g++)
      requests[g] = this.#writeGroup(g, this.#order, g === 0 ? 0 : ends[g - 1]!, ends[g]!);
    return requests;
  }

  /** The group of all entries, if there is one only. */
  #onlyGroup(): number | undefined {
    const { entries } = this.index;
    if (entries === 0) return LEFT_OUT;
    const first = this.groups[0]!;
    if (first === BY_POINT) return undefined;
    for (let e = 1; e < entries; e++) if (this.groups[e] !== first) return undefined;
    return first;
  }

  /** The request of one group: its entries are `order[from … to)`, or those that have points in it. */
  #writeGroup(group: number, order: Int32Array | undefined, from: number, to: number): OtlpChunk | undefined {
    const { bytes, entryField, entryEnd, entryItems, resourceScopes, scopeEntries } = this.index;
    const source = asBuffer(bytes);
    const writer = this.#writer;
    writer.reset();
    let [resource, scope, openResource, openScope] = [0, 0, -1, -1];
    let [resourceMark, scopeMark, items] = [0, 0, 0];
    let [runStart, runEnd] = [0, 0];
    const flush = () => {
      if (runEnd > runStart) writer.raw(source, runStart, runEnd);
      runStart = runEnd = 0;
    };
    const closeScope = () => {
      if (openScope >= 0) writer.end(scopeMark);
    };
    for (let at = from; at < to; at++) {
      const e = order === undefined ? at : order[at]!;
      const points = this.#points.get(e);
      const own = points === undefined ? (this.groups[e] === group ? entryItems[e]! : 0) : countOf(points, group);
      if (own === 0) continue;
      while (scopeEntries[scope + 1]! <= e) scope += 1;
      while (resourceScopes[resource + 1]! <= scope) resource += 1;
      if (scope !== openScope) {
        flush();
        closeScope();
        if (resource !== openResource) {
          if (openResource >= 0) writer.end(resourceMark);
          resourceMark = writer.begin(1);
          copyFragments(writer, source, this.index.resourceFragments, resource);
          openResource = resource;
        }
        scopeMark = writer.begin(GROUP.members);
        copyFragments(writer, source, this.index.scopeFragments, scope);
        openScope = scope;
      }
      items += own;
      if (points !== undefined && own < entryItems[e]!) {
        flush();
        this.#writePoints(writer, source, e, points, group);
      } else {
        if (entryField[e] !== runEnd) {
          flush();
          runStart = entryField[e]!;
        }
        runEnd = entryEnd[e]!;
      }
    }
    if (items === 0) return undefined;
    flush();
    closeScope();
    writer.end(resourceMark);
    const request = { bytes: writer.finish(), items };
    if (writer.length > LARGEST_KEPT) this.#writer = new ProtoWriter(64 * 1024);
    return request;
  }

  /** The metric e with just the points of one group. */
  #writePoints(writer: ProtoWriter, source: Buffer, e: number, groups: Int32Array, group: number): void {
    const { entryBody, entryEnd } = this.index;
    const reader = this.#reader;
    reader.reset(source, entryBody[e]!, entryEnd[e]!);
    const metricMark = writer.begin(GROUP.members);
    copyPoints(reader, writer, source, (point) => groups[point] === group);
    writer.end(metricMark);
  }

  #header({ first, ranges }: Fragments, group: number, record: OtlpRecord): OtlpRecord {
    const { bytes } = this.index;
    const reader = this.#reader;
    let found = false;
    for (let f = first[group]!; f < first[group + 1]!; f++) {
      reader.reset(bytes, ranges[f * 2]!, ranges[f * 2 + 1]!);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag !== ((GROUP.resource << 3) | 2)) {
          reader.skip(tag);
          continue;
        }
        const length = reader.length();
        record.reset(bytes, reader.position, reader.position + length);
        found = true;
        reader.position += length;
      }
    }
    return found ? record : record.reset(EMPTY);
  }
}

function countOf(groups: Int32Array, group: number): number {
  let count = 0;
  for (let i = 0; i < groups.length; i++) if (groups[i] === group) count += 1;
  return count;
}

function copyFragments(writer: ProtoWriter, source: Buffer, { first, ranges }: Fragments, group: number): void {
  for (let f = first[group]!; f < first[group + 1]!; f++) writer.raw(source, ranges[f * 2]!, ranges[f * 2 + 1]!);
}
