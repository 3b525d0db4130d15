import { Labels } from "#base/labels";
import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { ArgumentError } from "#lang/faults";
import type { Value } from "#lang/value";

const LARGEST = 2n ** 63n;

/**
 * A value of the configuration as the value of an attribute, as `pcommon.Value.FromRaw` makes it. Numbers that are whole
 * become ints, however they are written. Throws ArgumentError.
 */
export function valueFromConfig(value: Value): AnyValue {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case "bigint":
      if (value >= LARGEST) throw new ArgumentError("is larger than an int64 holds");
      return value;
  }
  if (value === null) return undefined;
  if (Array.isArray(value)) return new ValueList(value.map(valueFromConfig));
  if (value instanceof Map) {
    const map = new KeyValues();
    for (const [key, item] of value) map.append(key, valueFromConfig(item));
    return map;
  }
  if (value instanceof Labels) {
    const map = new KeyValues();
    for (const [name, text] of value) map.append(name, text);
    return map;
  }
  throw new ArgumentError(
    "is a secret, a capsule or a function: attributes hold texts, numbers, bools, lists and objects",
  );
}
