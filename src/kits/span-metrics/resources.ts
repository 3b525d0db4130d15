import { hash } from "node:crypto";
import { RESOURCE } from "#formats/otlp/fields";
import { type AnyValue, KeyValues, ValueList, writeAny } from "#formats/otlp/values";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { hashBytes } from "#pipeline/series-hash";
import { compareUtf8 } from "../ottl/value.ts";

/** Resources whose spans are counted apart, told from one another by their attributes in any order. */

/** Forms in which resources come that are remembered: the same attributes in another order are another form. */
const MOST_FORMS = 4096;
const LONGEST_FORM = 4096;

const writer = new ProtoWriter();

/** Writes a map so that others with the same entries in whatever order give the same bytes. */
function writeCanonical(map: KeyValues, isPart: (name: string) => boolean): void {
  const names: string[] = [];
  for (let i = 0; i < map.size; i++) if (isPart(map.keyAt(i))) names.push(map.keyAt(i));
  for (const name of [...new Set(names)].sort(compareUtf8)) {
    writer.string(1, name);
    for (let i = 0; i < map.size; i++) {
      if (map.keyAt(i) !== name) continue;
      writeCanonicalValue(map.valueAt(i));
      break;
    }
  }
}

function writeCanonicalValue(value: AnyValue): void {
  const mark = writer.begin(2);
  if (value instanceof KeyValues) {
    const inner = writer.begin(6);
    writeCanonical(value, () => true);
    writer.end(inner);
  } else if (value instanceof ValueList) {
    const inner = writer.begin(5);
    for (const item of value.items) writeCanonicalValue(item);
    writer.end(inner);
  } else writeAny(writer, value);
  writer.end(mark);
}

/** What a resource is known by, and its attributes as fields of a Resource. */
export interface ResourceIdentity {
  readonly key: string;
  readonly attributes: Uint8Array;
}

/** Reads the pieces of a group's Resource: beginning and end of each. Without `names` all attributes tell resources apart. */
export function identify(bytes: Buffer, pieces: readonly number[], names: ReadonlySet<string>): ResourceIdentity {
  const map = new KeyValues();
  map.reset(bytes);
  const fields: Buffer[] = [];
  for (let i = 0; i < pieces.length; i += 2) {
    const reader = new ProtoReader(bytes, pieces[i], pieces[i + 1]);
    while (!reader.done) {
      const at = reader.position;
      const tag = reader.tag();
      if (tag !== ((RESOURCE.attributes << 3) | 2)) {
        reader.skip(tag);
        continue;
      }
      const length = reader.length();
      map.add(at, reader.position, reader.position + length);
      reader.position += length;
      fields.push(bytes.subarray(at, reader.position));
    }
  }
  writer.reset();
  writeCanonical(map, (name) => names.size === 0 || names.has(name));
  return { key: hash("sha256", writer.view(), "base64"), attributes: Buffer.concat(fields) };
}

interface Form<T> {
  readonly bytes: Buffer;
  readonly resource: T;
}

/** Which resource these bytes were last time, so that what recurs with every request is not decoded again. */
export class KnownForms<T> {
  readonly #forms = new Map<number, Form<T>>();

  find(bytes: Buffer, from: number, to: number): T | undefined {
    const known = this.#forms.get(hashBytes(bytes, from, to));
    return known !== undefined && known.bytes.compare(bytes, from, to) === 0 ? known.resource : undefined;
  }
  add(bytes: Buffer, from: number, to: number, resource: T): void {
    if (to - from > LONGEST_FORM) return;
    if (this.#forms.size >= MOST_FORMS) this.#forms.clear();
    this.#forms.set(hashBytes(bytes, from, to), { bytes: Buffer.from(bytes.subarray(from, to)), resource });
  }
  clear(): void {
    this.#forms.clear();
  }
}

/**
 * The resources last seen, so many of them. One that had to go is still there until `forgetEvicted`, and comes back when
 * it is asked for. Matches connector/spanmetricsconnector/internal/cache.
 */
export class ResourceCache<T> {
  readonly #size: number;
  readonly #recent = new Map<string, T>();
  readonly #evicted = new Map<string, T>();

  constructor(size: number) {
    this.#size = size;
  }

  get size(): number {
    return this.#recent.size + this.#evicted.size;
  }
  *values(): Generator<T> {
    yield* this.#recent.values();
    yield* this.#evicted.values();
  }
  *recent(): Generator<readonly [string, T]> {
    yield* this.#recent;
  }

  /** Finds a resource and makes it the one seen last. */
  get(key: string): T | undefined {
    const known = this.#recent.get(key) ?? this.#evicted.get(key);
    if (known === undefined) return undefined;
    if (this.#recent.delete(key)) this.#recent.set(key, known);
    else {
      this.#evicted.delete(key);
      this.add(key, known);
    }
    return known;
  }
  add(key: string, resource: T): void {
    this.#recent.set(key, resource);
    if (this.#recent.size <= this.#size) return;
    for (const [oldest, value] of this.#recent) {
      this.#recent.delete(oldest);
      this.#evicted.set(oldest, value);
      return;
    }
  }
  evict(key: string): void {
    const known = this.#recent.get(key);
    if (known === undefined) return;
    this.#recent.delete(key);
    this.#evicted.set(key, known);
  }
  /** The resources that had to go since the last time; they are gone for good. */
  takeEvicted(): T[] {
    const gone = [...this.#evicted.values()];
    this.#evicted.clear();
    return gone;
  }
  takeAll(): T[] {
    const all = [...this.values()];
    this.#recent.clear();
    this.#evicted.clear();
    return all;
  }
}
