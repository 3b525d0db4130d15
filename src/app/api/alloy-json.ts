import { Labels } from "#base/labels";
import { Capsule, isObjectValue, Secret, type Value } from "#lang/value";
import type { DebugValue } from "#pipeline/component";
import type { AlloyJsonStatement, AlloyJsonValue } from "./json.ts";

/** Values in the JSON form of Alloy's web API (`syntax/encoding/alloyjson`): every value says its type. Secrets are `(secret)`. */

/** An object's fields as attributes; anything else gives an empty body. */
export function alloyJsonBody(value: Value | undefined): readonly AlloyJsonStatement[] {
  if (value === undefined || !isObjectValue(value)) return [];
  return [...value].map(([name, field]) => ({ name, type: "attr", value: alloyJsonValue(field) }));
}

export function alloyJsonValue(value: Value): AlloyJsonValue {
  if (value === null) return { type: "null", value };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "number") return { type: "number", value };
  if (typeof value === "bigint") return { type: "number", value: Number(value) };
  if (typeof value === "string") return { type: "string", value };
  if (value instanceof Secret) return { type: "capsule", value: "(secret)" };
  if (value instanceof Capsule) return { type: "capsule", value: value.toString() };
  if (value instanceof Map || value instanceof Labels) {
    return {
      type: "object",
      value: [...value].map(([key, field]) => ({ key, value: alloyJsonValue(field as Value) })),
    };
  }
  if (Array.isArray(value)) return { type: "array", value: value.map(alloyJsonValue) };
  return { type: "function", value: "function" };
}

/** Debug info: plain objects become blocks, lists of objects repeated blocks, the rest attributes. */
export function alloyJsonDebug(info: DebugValue | undefined): readonly AlloyJsonStatement[] {
  if (!isRecord(info)) return [];
  return Object.entries(info).flatMap(([name, value]): AlloyJsonStatement[] => {
    if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) {
      return value.map((each) => ({ name, type: "block", body: alloyJsonDebug(each) }));
    }
    if (isRecord(value)) return [{ name, type: "block", body: alloyJsonDebug(value) }];
    return [{ name, type: "attr", value: debugValue(value as DebugValue) }];
  });
}

function debugValue(value: DebugValue): AlloyJsonValue {
  if (value === null) return { type: "null", value };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "number") return { type: "number", value };
  if (typeof value === "string") return { type: "string", value };
  if (Array.isArray(value)) return { type: "array", value: value.map(debugValue) };
  return { type: "object", value: Object.entries(value).map(([key, field]) => ({ key, value: debugValue(field) })) };
}

function isRecord(value: DebugValue | undefined): value is { readonly [key: string]: DebugValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
