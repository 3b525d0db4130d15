import { Labels } from "#base/labels";

/**
 * What expressions evaluate to. Objects are maps, never plain objects, since their keys come from outside; `Labels`
 * stand for objects of strings, so that thousands of targets need no copy. Integers that a double cannot hold are bigints.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Value[]
  | ObjectValue
  | Labels
  | Secret
  | Capsule
  | FunctionValue;

export type ObjectValue = ReadonlyMap<string, Value>;

/** A string that is never shown: printing, logging and JSON give `(secret)`. */
export class Secret {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  /** The text, for the one place that sends it. */
  reveal(): string {
    return this.#text;
  }
  toString(): string {
    return "(secret)";
  }
  toJSON(): string {
    return "(secret)";
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "(secret)";
  }
}

/** A Go value that the language can only pass on, such as a consumer. `type` is Alloy's name of it: `loki.LogsReceiver`. */
export class Capsule<T = unknown> {
  readonly type: string;
  readonly value: T;
  constructor(type: string, value: T) {
    this.type = type;
    this.value = value;
  }
  toString(): string {
    return `capsule("${this.type}")`;
  }
  toJSON(): string {
    return this.toString();
  }
}

export interface FunctionValue {
  readonly kind: "function";
  readonly name: string;
  /** Called with evaluated arguments. Throws a ValueError that names the argument at fault. */
  call(args: readonly Value[]): Value;
}

/** An error about a value; `argument` is the index of the faulty call argument. Becomes a diagnostic with the span of its source. */
export class ValueError extends Error {
  override readonly name = "ValueError";
  readonly argument: number | undefined;
  constructor(message: string, options: { argument?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.argument = options.argument;
  }
}

export function isObjectValue(value: Value): value is ObjectValue | Labels {
  return value instanceof Map || value instanceof Labels;
}
