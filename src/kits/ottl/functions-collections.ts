import { type AnyValue, AttributeKey, copyValue, KeyValues, ValueList } from "#formats/otlp/values";
import type { CompiledLambda, Getter } from "./compiler.ts";
import type { OttlContext } from "./context.ts";
import * as p from "./parameters.ts";
import { define, lambda, listOf, type OttlFunction, optional } from "./parameters.ts";
import { attributeValue, OttlError, type OttlValue, typeOf, Weight } from "./value.ts";

/** Converters of maps and lists, with and without lambdas. Matches pkg/ottl/ottlfuncs. */

const keys = define("Keys", { target: p.map }, ({ target }) => (c) => {
  const map = target.get(c);
  return new ValueList(Array.from({ length: map.size }, (_, i) => map.keyAt(i)));
});

const values = define("Values", { target: p.map }, ({ target }) => (c) => {
  const map = target.get(c);
  return new ValueList(Array.from({ length: map.size }, (_, i) => copyValue(map.valueAt(i))));
});

/** What lies under a path of keys; throws where it ends too early. */
function under(map: KeyValues, path: readonly AttributeKey[]): AnyValue {
  let current: AnyValue = map;
  for (const key of path) {
    const at: number = current instanceof KeyValues ? current.find(key) : -1;
    if (at < 0) throw OttlError.of(`an element does not have the path ${path.map((each) => each.text).join(".")}`);
    current = (current as KeyValues).valueAt(at);
  }
  return current;
}

const sliceToMap = define(
  "SliceToMap",
  { target: p.list, key_path: optional(listOf(p.textLiteral)), value_path: optional(listOf(p.textLiteral)) },
  ({ target, key_path: keyPath, value_path: valuePath }) => {
    const keyKeys = keyPath?.map((key) => new AttributeKey(key));
    const valueKeys = valuePath?.map((key) => new AttributeKey(key));
    if (keyKeys?.length === 0 || valueKeys?.length === 0) throw OttlError.of("a path needs at least one key");
    return (c) => {
      const result = new KeyValues();
      for (const [i, item] of target.get(c).items.entries()) {
        let key: AnyValue = String(i);
        let value: AnyValue = item;
        if (keyKeys !== undefined || valueKeys !== undefined) {
          if (!(item instanceof KeyValues)) throw OttlError.of(`element ${i} is a ${typeOf(item)}, and must be a map`);
          if (keyKeys !== undefined) key = under(item, keyKeys);
          if (valueKeys !== undefined) value = under(item, valueKeys);
        }
        if (typeof key !== "string")
          throw OttlError.of(`the key of element ${i} is a ${typeOf(key)}, and must be a string`);
        result.set(new AttributeKey(key), copyValue(value));
      }
      return result;
    };
  },
);

type Entry = readonly [key: string | bigint, value: AnyValue];

/** The entries of a map, or the items of a list with their numbers. */
function entriesOf(value: OttlValue): readonly Entry[] {
  if (value instanceof KeyValues) {
    return Array.from({ length: value.size }, (_, i) => [value.keyAt(i), value.valueAt(i)] as const);
  }
  if (value instanceof ValueList) return value.items.map((item, i) => [BigInt(i), item] as const);
  throw OttlError.of(`expected a map or a list, got ${typeOf(value)}`);
}

function isTrue(value: OttlValue): boolean {
  if (typeof value === "boolean") return value;
  throw OttlError.of(`the lambda must give a bool, and gave a ${typeOf(value)}`);
}

const source = p.any;
const predicate = lambda(2);

function overAll(
  name: string,
  decide: (entries: readonly Entry[], matches: (entry: Entry) => boolean) => boolean,
): OttlFunction {
  return define(name, { source, predicate }, ({ source: from, predicate: test }) => (c) => {
    return decide(entriesOf(from.get(c)), ([key, value]) => isTrue(test(c, key, value)));
  });
}

/** A map or list like the one given, of the entries that `next` gives something for. */
function rebuilt(original: OttlValue, next: (entry: Entry) => { readonly value: AnyValue } | undefined): OttlValue {
  const weight = new Weight();
  if (original instanceof KeyValues) {
    const result = new KeyValues();
    for (const entry of entriesOf(original)) {
      const made = next(entry);
      if (made === undefined) continue;
      weight.add(made.value);
      result.append(entry[0] as string, made.value);
    }
    return result;
  }
  const items: AnyValue[] = [];
  for (const entry of entriesOf(original)) {
    const made = next(entry);
    if (made === undefined) continue;
    weight.add(made.value);
    items.push(made.value);
  }
  return new ValueList(items);
}

const filter = define("Filter", { source, predicate }, ({ source: from, predicate: test }) => (c) => {
  return rebuilt(from.get(c), ([key, value]) =>
    isTrue(test(c, key, value)) ? { value: copyValue(value) } : undefined,
  );
});

const mapEach = define("MapEach", { source, mapper: lambda(2) }, ({ source: from, mapper }) => (c) => {
  return rebuilt(from.get(c), ([key, value]) => ({ value: attributeValue(mapper(c, key, value)) }));
});

const mapKeys = define("MapKeys", { source: p.map, key_mapper: lambda(2) }, ({ source: from, key_mapper: mapper }) => {
  return (c) => {
    const result = new KeyValues();
    for (const [key, value] of entriesOf(from.get(c))) {
      const name = mapper(c, key, value);
      if (typeof name !== "string") throw OttlError.of(`the lambda must give a string, and gave a ${typeOf(name)}`);
      result.set(new AttributeKey(name), copyValue(value));
    }
    return result;
  };
});

const find = define(
  "Find",
  { source, predicate, mapper: optional(lambda(2)) },
  ({ source: from, predicate: test, mapper }) =>
    (c) => {
      for (const [key, value] of entriesOf(from.get(c))) {
        if (isTrue(test(c, key, value))) return mapper === undefined ? value : mapper(c, key, value);
      }
      return undefined;
    },
);

const reduce = define(
  "Reduce",
  { source, seed: p.any, accumulator: lambda(3) },
  ({ source: from, seed, accumulator }: { source: Getter; seed: Getter; accumulator: CompiledLambda }) =>
    (c: OttlContext) => {
      const entries = entriesOf(from.get(c));
      let result = seed.get(c);
      for (const [key, value] of entries) {
        result = accumulator(c, result, key, value);
        // What doubles with each entry is soon more than there is room for.
        new Weight().add(result);
      }
      return result;
    },
);

const when = define(
  "When",
  { condition: lambda(0), true_value: p.any, false_value: p.any },
  ({ condition, true_value: yes, false_value: no }) =>
    (c) =>
      isTrue(condition(c)) ? yes.get(c) : no.get(c),
);

export const collectionConverters: readonly OttlFunction[] = [
  keys,
  values,
  sliceToMap,
  overAll("All", (entries, matches) => entries.every(matches)),
  overAll("Any", (entries, matches) => entries.some(matches)),
  filter,
  mapEach,
  mapKeys,
  find,
  reduce,
  when,
];
