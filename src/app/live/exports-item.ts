import { type Filter, type Searchable, searchable } from "#base/filter";
import { Labels } from "#base/labels";
import { Capsule, isObjectValue, Secret, type Value } from "#lang/value";
import { alloyJsonBody } from "../api/alloy-json.ts";
import type { LiveItem } from "../api/json.ts";
import { hideNamed } from "../api/redact.ts";
import { shownText } from "./shown.ts";

/** Elements of a list, such as targets, that are shown, and that are searched for some that match. */
const MOST_SHOWN = 50;
const MOST_SEARCHED = 10_000;

/**
 * The exports of a component that has values to give, such as targets; secrets are hidden, long lists are cut. With a
 * filter, only the elements and values that match. Undefined if nothing is left: consumers and other capsules are no data.
 */
export function exportsItem(exports: Value | undefined, filter: Filter | undefined): LiveItem | undefined {
  if (exports === undefined || !isObjectValue(exports)) return undefined;
  const shown = new Map<string, Value>();
  for (const [name, value] of exports) {
    const kept = shownValue(name, value, filter);
    if (kept !== undefined) shown.set(name, kept);
  }
  return shown.size === 0 ? undefined : { type: "exports", exports: alloyJsonBody(shown) };
}

function shownValue(name: string, value: Value, filter: Filter | undefined): Value | undefined {
  if (
    value instanceof Capsule ||
    (Array.isArray(value) && value.length > 0 && value.every((each) => each instanceof Capsule))
  )
    return undefined;
  if (!Array.isArray(value)) {
    const hidden = fieldOf(name, value);
    return filter === undefined || filter.matches(searchableValue(name, hidden)) ? cut(hidden) : undefined;
  }
  if (filter === undefined)
    return shortened(
      value.slice(0, MOST_SHOWN).map((each) => fieldOf(name, each)),
      value.length,
    );
  const matching = value
    .slice(0, MOST_SEARCHED)
    .map((each) => fieldOf(name, each))
    .filter((each) => filter.matches(searchableValue(name, each)));
  return matching.length === 0 ? undefined : shortened(matching, matching.length);
}

/** A value as if it stood in a field of this name, which may say that it is a secret. */
function fieldOf(name: string, value: Value): Value {
  return (hideNamed(new Map([[name, value]])) as ReadonlyMap<string, Value>).get(name)!;
}

function shortened(list: readonly Value[], count: number): Value {
  const shown = list.slice(0, MOST_SHOWN).map(cut);
  return count > shown.length ? [...shown, `… ${count - shown.length} more`] : shown;
}

function cut(value: Value): Value {
  if (typeof value === "string") return shownText(value);
  if (Array.isArray(value)) return shortened(value, value.length);
  if (value === null || typeof value !== "object" || !isObjectValue(value)) return value;
  return new Map([...value].map(([name, field]) => [name, cut(field as Value)]));
}

/** A target's labels are fields; anything else is a text under its own name. */
function searchableValue(name: string, value: Value): Searchable {
  if (value instanceof Labels) return searchable(value.flat, "exports");
  if (value instanceof Map)
    return searchable(
      [...value].flatMap(([key, field]) => [key, textOf(field)]),
      "",
    );
  return searchable([name, textOf(value)], "");
}

function textOf(value: Value): string {
  if (
    value === null ||
    typeof value === "boolean" ||
    typeof value === "number" ||
    typeof value === "bigint" ||
    value instanceof Secret
  )
    return String(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  return value instanceof Map ? [...value].map(([key, field]) => `${key}=${textOf(field)}`).join(", ") : String(value);
}
