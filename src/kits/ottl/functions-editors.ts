import type { Regex } from "#base/regex";
import { type AnyValue, AttributeKey, copyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { sprintf } from "#lang/stdlib-format";
import type { OttlContext } from "./context.ts";
import { compileGlob } from "./glob.ts";
import * as p from "./parameters.ts";
import { define, listOf, type OttlFunction, optional, type Typed } from "./parameters.ts";
import { keep, regexOf } from "./regex.ts";
import {
  attributeText,
  attributeValue,
  bounded,
  MOST_CHARACTERS,
  OttlError,
  type OttlValue,
  tooLong,
} from "./value.ts";

/** Functions that change the data. Matches pkg/ottl/ottlfuncs. */

type TextFunction = ((input: string) => OttlValue) | undefined;
type Format = Typed<string> | undefined;

/** What a function of the statement makes of a text, in the format that goes with it. */
function applied(c: OttlContext, input: string, apply: NonNullable<TextFunction>, format: Format): string {
  const result = apply(input);
  if (typeof result !== "string") throw OttlError.of("the function of a replacement must give a string");
  if (format === undefined) return result;
  const text = format.get(c);
  if (!/^.*%s.*$/.test(text) || /%[^s]/.test(text)) {
    throw OttlError.of("replacement_format must be one line with %s, and nothing else with a percent sign");
  }
  return bounded(sprintf(text, [result]));
}

/** Replaces what matches, after a function was applied to each replacement if there is one. */
function replaced(
  c: OttlContext,
  regex: Regex,
  text: string,
  replacement: string,
  apply: TextFunction,
  format: Format,
): string {
  // Each character of the replacement stands for at most two texts as long as the whole.
  const isSmall = 2 * replacement.length * (text.length + 1) <= MOST_CHARACTERS;
  if (apply === undefined && isSmall) return regex.replaceAll(text, replacement);
  let made = text.length;
  return regex.replaceAllFunction(text, (match) => {
    const expanded = regex.expand(replacement, match);
    const next = apply === undefined ? expanded : applied(c, expanded, apply, format);
    made += next.length;
    if (made > MOST_CHARACTERS) throw tooLong();
    return next;
  });
}

const set = define("set", { target: p.path, value: p.any }, ({ target, value }) => (c) => {
  const next = value.get(c);
  // Nothing can be set to nil, and upstream leaves the field as it is.
  if (next !== undefined) target.set(c, next);
  return undefined;
});

const deleteKey = define("delete_key", { target: p.mapPath, key: p.text }, ({ target, key }) => {
  const keyOf = keep(key, (text) => new AttributeKey(text));
  return (c) => {
    const map = target.get(c);
    map.remove(keyOf(c));
    target.set(c, map);
    return undefined;
  };
});

function matchingKeys(name: string, isKept: boolean): OttlFunction {
  return define(name, { target: p.mapPath, pattern: p.text }, ({ target, pattern }) => {
    const regexFor = regexOf(pattern);
    return (c) => {
      const regex = regexFor(c);
      const map = target.get(c);
      map.removeIf((i) => regex.test(map.keyAt(i)) !== isKept);
      target.set(c, map);
      return undefined;
    };
  });
}

const keepKeys = define("keep_keys", { target: p.mapPath, keys: listOf(p.text) }, ({ target, keys }) => {
  const literal = keys.every((key) => key.literal !== undefined)
    ? new Set(keys.map((key) => key.literal!.value))
    : undefined;
  return (c) => {
    const map = target.get(c);
    const kept = literal ?? new Set(keys.map((key) => key.get(c)));
    map.removeIf((i) => !kept.has(map.keyAt(i)));
    target.set(c, map);
    return undefined;
  };
});

const limit = define(
  "limit",
  { target: p.mapPath, limit: p.intLiteral, priority_keys: listOf(p.textLiteral) },
  ({ target, limit: most, priority_keys: priority }) => {
    if (most < 0n) throw OttlError.of(`the limit ${most} is negative`);
    if (most < BigInt(priority.length))
      throw OttlError.of(`the limit ${most} is less than the number of priority keys`);
    const kept = new Set(priority);
    const keys = priority.map((text) => new AttributeKey(text));
    return (c) => {
      const map = target.get(c);
      if (BigInt(map.size) <= most) return undefined;
      let count = keys.filter((key) => map.has(key)).length;
      map.removeIf((i) => {
        if (kept.has(map.keyAt(i))) return false;
        if (BigInt(count) >= most) return true;
        count += 1;
        return false;
      });
      target.set(c, map);
      return undefined;
    };
  },
);

const truncateAll = define(
  "truncate_all",
  {
    target: p.mapPath,
    limit: p.intLiteral,
    utf8_safe: optional(p.boolLiteral),
    truncation_marker: optional(p.textLiteral),
  },
  ({ target, limit: most, utf8_safe: isSafe = true, truncation_marker: marker = "" }) => {
    const bytes = Number(most);
    const markerBytes = Buffer.byteLength(marker);
    if (bytes < 0) throw OttlError.of(`the limit ${most} is negative`);
    if (markerBytes > bytes) throw OttlError.of("the truncation marker is longer than the limit");
    return (c) => {
      const map = target.get(c);
      for (let i = 0; i < map.size; i++) {
        const value = map.valueAt(i);
        // A UTF-16 unit takes three bytes at most.
        if (typeof value !== "string" || value.length * 3 <= bytes) continue;
        const encoded = Buffer.from(value);
        if (encoded.length <= bytes) continue;
        let end = bytes - markerBytes;
        if (isSafe) while (end > 0 && (encoded[end]! & 0xc0) === 0x80) end -= 1;
        map.setAt(i, encoded.toString("utf8", 0, end) + marker);
      }
      target.set(c, map);
      return undefined;
    };
  },
);

const flatten = define(
  "flatten",
  {
    target: p.mapPath,
    prefix: optional(p.textLiteral),
    depth: optional(p.intLiteral),
    resolve_conflicts: optional(p.boolLiteral),
  },
  ({ target, prefix = "", depth, resolve_conflicts: resolves = false }) => {
    if (depth !== undefined && depth < 1n) throw OttlError.of(`the depth ${depth} is not greater than 0`);
    return (c) => {
      const flattener = new Flattener(resolves, depth === undefined ? Infinity : Number(depth));
      flattener.map(target.get(c), prefix, 0);
      target.set(c, flattener.result);
      return undefined;
    };
  },
);

class Flattener {
  readonly result = new KeyValues();
  readonly #resolves: boolean;
  readonly #most: number;
  readonly #conflicts = new Map<string, number>();
  constructor(resolves: boolean, most: number) {
    this.#resolves = resolves;
    this.#most = most;
  }

  map(map: KeyValues, prefix: string, depth: number): void {
    const before = prefix === "" ? "" : `${prefix}.`;
    for (let i = 0; i < map.size; i++) this.#value(map.keyAt(i), map.valueAt(i), depth, before);
  }
  #value(key: string, value: AnyValue, depth: number, prefix: string): void {
    const full = prefix + key;
    if (value instanceof KeyValues && depth < this.#most) this.map(value, full, depth + 1);
    else if (value instanceof ValueList && depth < this.#most) this.#list(value, full, depth);
    else this.#put(full, full, value);
  }
  #list(list: ValueList, full: string, depth: number): void {
    for (const [i, item] of list.items.entries()) {
      const place = `${full}.${i}`;
      if (item instanceof KeyValues && depth + 1 < this.#most) this.map(item, place, depth + 2);
      else if (item instanceof ValueList && depth + 1 < this.#most) {
        // Upstream joins lists in lists without a dot before the inner number.
        for (const [k, inner] of item.items.entries()) this.#value(String(k), inner, depth + 3, place);
      } else this.#put(full, place, item);
    }
  }
  /** `conflicting` is the key for which conflicts are resolved, `plain` the one without. */
  #put(conflicting: string, plain: string, value: AnyValue): void {
    const copy = copyValue(value);
    if (!this.#resolves) {
      this.result.set(new AttributeKey(plain), copy);
      return;
    }
    const key = new AttributeKey(conflicting);
    const count = this.#conflicts.get(conflicting) ?? 0;
    if (!this.result.has(key)) {
      this.#conflicts.set(conflicting, 0);
      this.result.append(conflicting, copy);
      return;
    }
    this.#conflicts.set(conflicting, count + 1);
    this.result.set(new AttributeKey(`${conflicting}.${count}`), copy);
  }
}

const mergeMaps = define(
  "merge_maps",
  { target: p.mapPath, source: p.map, strategy: p.textLiteral },
  ({ target, source, strategy }) => {
    if (!["insert", "update", "upsert"].includes(strategy)) {
      throw OttlError.of(`the strategy is "insert", "update" or "upsert", not ${JSON.stringify(strategy)}`);
    }
    return (c) => {
      const into = target.get(c);
      const from = source.get(c);
      if (from !== into) {
        for (let i = 0; i < from.size; i++) {
          const key = new AttributeKey(from.keyAt(i));
          const isThere = into.has(key);
          if (strategy === "insert" ? isThere : strategy === "update" && !isThere) continue;
          into.set(key, copyValue(from.valueAt(i)));
        }
      }
      target.set(c, into);
      return undefined;
    };
  },
);

const stringifyAll = define("stringify_all", { target: p.mapPath }, ({ target }) => (c) => {
  const map = target.get(c);
  for (let i = 0; i < map.size; i++) {
    const value = map.valueAt(i);
    if (typeof value !== "string") map.setAt(i, attributeText(value));
  }
  target.set(c, map);
  return undefined;
});

const replacing = {
  replacement: p.text,
  function: optional(p.textFunction),
  replacement_format: optional(p.text),
};

const replacePattern = define(
  "replace_pattern",
  { target: p.path, regex_pattern: p.text, ...replacing },
  ({ target, regex_pattern: pattern, replacement, function: apply, replacement_format: format }) => {
    const regexFor = regexOf(pattern);
    return (c) => {
      const value = target.get(c);
      if (value === undefined) return undefined;
      const template = replacement.get(c);
      if (typeof value !== "string") return undefined;
      const regex = regexFor(c);
      const next = replaced(c, regex, value, template, apply, format);
      if (next !== value) target.set(c, next);
      return undefined;
    };
  },
);

const replaceAllPatterns = define(
  "replace_all_patterns",
  { target: p.mapPath, mode: p.textLiteral, regex_pattern: p.text, ...replacing },
  ({ target, mode, regex_pattern: pattern, replacement, function: apply, replacement_format: format }) => {
    if (mode !== "key" && mode !== "value") {
      throw OttlError.of(`the mode is "key" or "value", not ${JSON.stringify(mode)}`);
    }
    const regexFor = regexOf(pattern);
    /** The new text, or undefined where the function fails, which upstream passes over. */
    const attempt = (c: OttlContext, regex: Regex, text: string, template: string): string | undefined => {
      try {
        return replaced(c, regex, text, template, apply, format);
      } catch (error) {
        if (error instanceof OttlError) return undefined;
        throw error;
      }
    };
    return (c) => {
      const map = target.get(c);
      const template = replacement.get(c);
      const regex = regexFor(c);
      if (mode === "value") {
        for (let i = 0; i < map.size; i++) {
          const value = map.valueAt(i);
          if (typeof value !== "string" || !regex.test(value)) continue;
          const next = attempt(c, regex, value, template);
          if (next !== undefined) map.setAt(i, next);
        }
      } else renameKeys(map, (key) => (regex.test(key) ? attempt(c, regex, key, template) : key));
      target.set(c, map);
      return undefined;
    };
  },
);

/** Gives keys other names; undefined takes the entry out, and of two equal names the last entry's value stays. */
function renameKeys(map: KeyValues, rename: (key: string) => string | undefined): void {
  const renamed: (string | undefined)[] = [];
  let isSame = true;
  for (let i = 0; i < map.size; i++) {
    const key = map.keyAt(i);
    const next = rename(key);
    if (next !== key) isSame = false;
    renamed.push(next);
  }
  if (isSame) return;
  const result = new KeyValues();
  for (const [i, key] of renamed.entries()) {
    if (key !== undefined) result.set(new AttributeKey(key), copyValue(map.valueAt(i)));
  }
  map.assign(result);
}

const matching = { pattern: p.text, ...replacing };

const replaceMatch = define(
  "replace_match",
  { target: p.path, ...matching },
  ({ target, pattern, replacement, function: apply, replacement_format: format }) => {
    const globFor = keep(pattern, compileGlob);
    return (c) => {
      const matches = globFor(c);
      const value = target.get(c);
      const text = replacement.get(c);
      const next = apply === undefined ? text : applied(c, text, apply, format);
      if (typeof value === "string" && matches(value)) target.set(c, next);
      return undefined;
    };
  },
);

const replaceAllMatches = define(
  "replace_all_matches",
  { target: p.mapPath, ...matching },
  ({ target, pattern, replacement, function: apply, replacement_format: format }) => {
    const globFor = keep(pattern, compileGlob);
    return (c) => {
      const matches = globFor(c);
      const map = target.get(c);
      const text = replacement.get(c);
      const next = apply === undefined ? text : applied(c, text, apply, format);
      for (let i = 0; i < map.size; i++) {
        const value = map.valueAt(i);
        if (typeof value === "string" && matches(value)) map.setAt(i, next);
      }
      target.set(c, map);
      return undefined;
    };
  },
);

const append = define(
  "append",
  { target: p.path, value: optional(p.any), values: optional(listOf(p.any)) },
  ({ target, value, values }) => {
    if (value === undefined && values === undefined) throw OttlError.of("needs a value or values");
    return (c) => {
      const current = target.get(c);
      const items =
        current === undefined ? [] : current instanceof ValueList ? current.copy().items : [attributeValue(current)];
      for (const each of [...(value === undefined ? [] : [value]), ...(values ?? [])]) {
        items.push(attributeValue(each.get(c)));
      }
      target.set(c, new ValueList(items));
      return undefined;
    };
  },
);

const deleteIndex = define(
  "delete_index",
  { target: p.listPath, start_index: p.int, end_index: optional(p.int) },
  ({ target, start_index: startIndex, end_index: endIndex }) =>
    (c) => {
      const list = target.get(c);
      const start = startIndex.get(c);
      const end = endIndex === undefined ? start + 1n : endIndex.get(c);
      const length = BigInt(list.items.length);
      if (!(start === 0n && end === length)) {
        if (start < 0n || start >= length)
          throw OttlError.of(`start_index ${start} is out of bounds of ${length} items`);
        if (end < start) throw OttlError.of(`end_index ${end} is less than start_index ${start}`);
        if (end > length) throw OttlError.of(`end_index ${end} is out of bounds of ${length} items`);
      }
      const left = list.copy().items.filter((_, i) => i < Number(start) || i >= Number(end));
      target.set(c, new ValueList(left));
      return undefined;
    },
);

export const editors: readonly OttlFunction[] = [
  set,
  deleteKey,
  matchingKeys("delete_matching_keys", false),
  matchingKeys("keep_matching_keys", true),
  keepKeys,
  limit,
  truncateAll,
  flatten,
  mergeMaps,
  stringifyAll,
  replacePattern,
  replaceAllPatterns,
  replaceMatch,
  replaceAllMatches,
  append,
  deleteIndex,
];
