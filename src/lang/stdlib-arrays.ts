import { Labels } from "#base/labels";
import { ConversionError, toArray, toObject, typeName, wrongType } from "./convert.ts";
import { isNumber, numberKind, toFloat } from "./number.ts";
import { equalValues } from "./operators.ts";
import { isObjectValue, Secret, type Value, ValueError } from "./value.ts";

/**
 * The functions that move values without looking into them: secrets pass through as they are. They refuse what Alloy's
 * `syntax/internal/stdlib` refuses: null is no array here.
 */

function arrayArgument(args: readonly Value[], at: number): readonly Value[] {
  if (!Array.isArray(args[at])) throw wrongType("array", args[at]!).ofArgument(at);
  return toArray(args[at]!);
}

/** `array.concat(list…)`. */
export function concat(args: readonly Value[]): Value {
  const lists = args.map((_, i) => arrayArgument(args, i));
  return lists.length === 1 ? lists[0]! : lists.flat(1);
}

/** `coalesce(value…)`: the first that is neither null nor empty nor zero, else the last. */
export function coalesce(args: readonly Value[]): Value {
  return args.find((value) => !isEmpty(value)) ?? args.at(-1) ?? null;
}

function isEmpty(value: Value): boolean {
  if (value === null || value === "" || value === false) return true;
  if (isNumber(value)) return Object.is(toFloat(value), 0);
  if (Array.isArray(value)) return value.length === 0;
  if (value instanceof Secret) return value.reveal() === "";
  return isObjectValue(value) && value.size === 0;
}

/**
 * `array.combine_maps(left, right, keys, passthrough?)`: each left object merged with each right one that agrees with it
 * on all keys. As in Alloy, `passthrough` keeps the left object once for every right one that it does not match.
 */
export function combineMaps(args: readonly Value[]): Value {
  const left = objectsArgument(args, 0);
  const right = objectsArgument(args, 1);
  const keys = arrayArgument(args, 2).map((key, i) => {
    if (typeof key !== "string") throw wrongType("string", key).inside(i).ofArgument(2);
    return key;
  });
  if (keys.length === 0) {
    throw new ConversionError("combine_maps: merge conditions must not be empty").ofArgument(2);
  }
  const passthrough = args[3] ?? false;
  if (typeof passthrough !== "boolean") throw wrongType("bool", passthrough).ofArgument(3);
  const result: Value[] = [];
  for (const a of left) {
    for (const b of right) {
      if (keys.every((key) => agree(a, b, key))) result.push(merge(a, b));
      else if (passthrough) result.push(a);
    }
  }
  return result;
}

type ObjectLike = ReadonlyMap<string, Value> | Labels;

function objectsArgument(args: readonly Value[], at: number): readonly ObjectLike[] {
  return arrayArgument(args, at).map((item, i) => {
    if (!isObjectValue(item)) throw wrongType("object", item).inside(i).ofArgument(at);
    return item;
  });
}

function agree(a: ObjectLike, b: ObjectLike, key: string): boolean {
  const left = a.get(key);
  const right = b.get(key);
  if (left === undefined || right === undefined || typeName(left) !== typeName(right)) return false;
  // Unlike `==`, this tells a float from an int.
  return equalValues(left, right) && (!isNumber(left) || numberKind(left) === numberKind(right));
}

function merge(a: ObjectLike, b: ObjectLike): Value {
  if (a instanceof Labels && b instanceof Labels) return a.merge(b);
  return new Map([...toObject(a), ...toObject(b)]);
}

/** `array.group_by(items, key, drop_missing)`: objects `{ KEY = value, items = […] }`, in order of first appearance. */
export function groupBy(args: readonly Value[]): Value {
  const items = objectsArgument(args, 0);
  const [, key, dropMissing] = args;
  if (typeof key !== "string") throw wrongType("string", key!).ofArgument(1);
  if (typeof dropMissing !== "boolean") throw wrongType("bool", dropMissing!).ofArgument(2);
  const groups = new Map<string, Value[]>();
  for (const [i, item] of items.entries()) {
    const value = item.get(key) ?? (item instanceof Map && item.has(key) ? null : undefined);
    if (value === undefined && dropMissing) continue;
    const name = value === undefined ? "" : value;
    if (typeof name !== "string") throw wrongType("string", name).inside(key).inside(i).ofArgument(0);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return [...groups].map(([name, members]): Value => new Map<string, Value>([[key, name]]).set("items", members));
}

/** `encoding.to_json(object)` takes objects only. */
export function objectArgument(args: readonly Value[], at: number): Value {
  const value = args[at]!;
  if (!isObjectValue(value)) throw new ValueError("jsonEncode only supports map");
  return value;
}
