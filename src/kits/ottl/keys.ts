import { type AnyValue, AttributeKey, EncodedEntry, KeyValues, ValueList } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import { asInt, asString, attributeValue, OttlError, type OttlValue, typeOf } from "./value.ts";

/** Indexing: `attributes["a"][0]`. Matches contexts/internal/ctxutil and getIndexedValue of pkg/ottl. */

export type Get = (c: OttlContext) => OttlValue;
export type Set = (c: OttlContext, value: OttlValue) => void;

/** A readable place, and a writable one if `set` is there. */
export interface Accessor {
  readonly get: Get;
  readonly set: Set;
}

export type CompiledKey =
  | { readonly kind: "string"; readonly key: AttributeKey }
  | { readonly kind: "int"; readonly index: bigint }
  | { readonly kind: "expression"; readonly get: Get };

/** Lists grow to an index that is set in a value that was empty; Go would go on until the memory is used up. */
const LARGEST_NEW_LIST = 10_000n;

function mapKey(c: OttlContext, key: CompiledKey): AttributeKey {
  if (key.kind === "string") return key.key;
  if (key.kind === "int") throw OttlError.of("a map is indexed with a number; it needs a string");
  return new AttributeKey(asString(key.get(c)));
}
function listIndex(c: OttlContext, key: CompiledKey, length: number): number {
  if (key.kind === "string") throw OttlError.of("a list is indexed with a string; it needs a number");
  const index = key.kind === "int" ? key.index : asInt(key.get(c));
  if (index < 0n || index >= BigInt(length)) throw OttlError.of(`index ${index} is out of bounds of ${length} items`);
  return Number(index);
}

/** The value under the keys from `from` on; nil for a key that a map does not have. */
export function getIndexed(c: OttlContext, value: AnyValue, keys: readonly CompiledKey[], from = 0): AnyValue {
  let current = value;
  for (let i = from; i < keys.length; i++) {
    if (current instanceof KeyValues) {
      const at = current.find(mapKey(c, keys[i]!));
      if (at < 0) return undefined;
      current = current.valueAt(at);
    } else if (current instanceof ValueList) {
      current = current.items[listIndex(c, keys[i]!, current.items.length)];
    } else throw OttlError.of(`a value of type ${typeOf(current)} cannot be indexed`);
  }
  return current;
}

/** The same for what a converter gave, where a missing key is an error. */
export function indexResult(c: OttlContext, value: OttlValue, keys: readonly CompiledKey[]): OttlValue {
  let current = value;
  for (const key of keys) {
    const by = key.kind === "expression" ? key.get(c) : key.kind === "int" ? key.index : key.key.text;
    if (typeof by === "string" && current instanceof KeyValues) {
      const at = current.find(key.kind === "string" ? key.key : new AttributeKey(by));
      if (at < 0) throw OttlError.of(`the key ${JSON.stringify(by)} is not in the map`);
      current = current.valueAt(at);
    } else if (typeof by === "bigint" && current instanceof ValueList) {
      if (by < 0n || by >= BigInt(current.items.length)) throw OttlError.of(`index ${by} is out of bounds`);
      current = current.items[Number(by)];
    } else if (typeof by === "bigint" && current instanceof Uint8Array) {
      if (by < 0n || by >= BigInt(current.length)) throw OttlError.of(`index ${by} is out of bounds`);
      current = BigInt(current[Number(by)]!);
    } else throw OttlError.of(`a ${typeOf(current)} cannot be indexed with a ${typeOf(by)}`);
  }
  return current;
}

/** Puts values under one key. Most often each item gets the same one, whose entry is encoded only once then. */
export function entrySetter(mapOf: (c: OttlContext) => KeyValues, key: AttributeKey): Set {
  let encoded: EncodedEntry | undefined;
  let latest: OttlValue;
  return (c, value) => {
    const map = mapOf(c);
    const at = map.find(key);
    if (at >= 0 && Object.is(map.valueAt(at), value)) return;
    let next: AnyValue | EncodedEntry = attributeValue(value);
    if (typeof next !== "object" && next !== undefined) {
      if (Object.is(encoded?.value, next)) next = encoded!;
      else if (Object.is(latest, next)) next = encoded = new EncodedEntry(key, next);
      else latest = next;
    }
    if (at < 0) map.append(key, next);
    else map.setAt(at, next);
  };
}

/** Puts a value under the keys of a map, with the maps and lists that are missing on the way. */
export function setIndexed(c: OttlContext, map: KeyValues, keys: readonly CompiledKey[], value: OttlValue): void {
  const key = mapKey(c, keys[0]!);
  const at = map.find(key);
  const before = at < 0 ? undefined : map.valueAt(at);
  const after = within(c, before, keys, 1, value);
  if (at >= 0 && Object.is(after, before)) return;
  if (at < 0) map.append(key, after);
  else map.setAt(at, after);
}
export function setListItem(c: OttlContext, list: ValueList, keys: readonly CompiledKey[], value: OttlValue): void {
  const at = listIndex(c, keys[0]!, list.items.length);
  list.items[at] = within(c, list.items[at], keys, 1, value);
  list.edited = true;
}

/** What the value becomes when something inside of it is set: itself, edited, or what takes its place. */
function within(
  c: OttlContext,
  current: AnyValue,
  keys: readonly CompiledKey[],
  depth: number,
  value: OttlValue,
): AnyValue {
  if (depth === keys.length) return value === current ? current : attributeValue(value);
  const key = keys[depth]!;
  if (current instanceof KeyValues) {
    setIndexed(c, current, keys.slice(depth), value);
    return current;
  }
  if (current instanceof ValueList) {
    setListItem(c, current, keys.slice(depth), value);
    return current;
  }
  if (current !== undefined) throw OttlError.of(`a value of type ${typeOf(current)} cannot be indexed`);
  const by = key.kind === "expression" ? key.get(c) : key.kind === "int" ? key.index : key.key.text;
  if (typeof by === "bigint") {
    if (by < 0n || by > LARGEST_NEW_LIST) throw OttlError.of(`index ${by} is out of bounds for a new list`);
    const items: AnyValue[] = new Array(Number(by)).fill(undefined);
    items.push(within(c, undefined, keys, depth + 1, value));
    return new ValueList(items);
  }
  const made = new KeyValues();
  made.append(asString(by), within(c, undefined, keys, depth + 1, value));
  return made;
}
