import { AttributeKey, KeyValues, ValueList } from "#formats/otlp/values";
import {
  type Argument,
  type Call,
  type Comparator,
  type Condition,
  type Expression,
  type Key,
  type Lambda,
  type MathNode,
  OttlSyntaxError,
  type Path,
  pathText,
  type Segment,
  type Statement,
} from "#formats/ottl/syntax";
import { nearest } from "#lang/suggest";
import { OttlContext } from "./context.ts";
import type { ContextDefinition } from "./contexts.ts";
import type { Field } from "./fields.ts";
import { type Accessor, type CompiledKey, type Get, indexResult } from "./keys.ts";
import { negate, operate } from "./math.ts";
import { type Evaluate, type OttlFunction, text as textParam } from "./parameters.ts";
import { attributeValue, compare, isNil, OttlError, type OttlValue, typeOf } from "./value.ts";
import { goCamel } from "./words.ts";

/** Paths that the Collector has and this agent does not, since batches do not carry what they tell. */
const UNSUPPORTED_PATHS = ["client.addr", "grpc.metadata"];

/** A value: computed, or one that stands in the statement itself. */
export interface Getter {
  readonly get: Get;
  readonly literal: { readonly value: OttlValue } | undefined;
  /** For an attribute with a literal key: where it is, so that a comparison need not decode it. */
  readonly attribute?: { readonly map: (c: OttlContext) => KeyValues; readonly key: AttributeKey };
}
export type Check = (c: OttlContext) => boolean;

export interface CompiledStatement {
  readonly text: string;
  /** Whether the function is to be called. */
  readonly condition: Check | undefined;
  readonly execute: Evaluate;
}
/** Calls the body of a lambda with values for its parameters. */
export type CompiledLambda = (c: OttlContext, ...values: OttlValue[]) => OttlValue;

/** A condition; `constant` is there if it does not depend on the data. */
interface Checked {
  readonly check: Check;
  readonly constant: boolean | undefined;
}
function constant(value: boolean): Checked {
  return { check: value ? () => true : () => false, constant: value };
}

function literalGetter(value: OttlValue): Getter {
  return { get: () => value, literal: { value } };
}
function computed(get: Get): Getter {
  return { get, literal: undefined };
}

/** Turns the trees of statements and conditions into closures, for one context and one set of functions. */
export class Compiler {
  readonly #context: ContextDefinition;
  readonly #functions: ReadonlyMap<string, OttlFunction>;
  /** Paths without a context's name belong to this one. */
  readonly #isExplicit: boolean;
  /** Parameters of the lambdas around what is compiled, with their places in `OttlContext.locals`. */
  readonly #locals: Map<string, number>[] = [];
  #nextLocal = 0;

  constructor(
    context: ContextDefinition,
    functions: ReadonlyMap<string, OttlFunction>,
    options: { readonly isExplicit: boolean },
  ) {
    this.#context = context;
    this.#functions = functions;
    this.#isExplicit = options.isExplicit;
  }

  /** Throws OttlSyntaxError for what the context does not have. */
  statement({ editor, where }: Statement, text: string): CompiledStatement {
    const execute = this.#call(editor);
    const condition = where === undefined ? undefined : this.condition(where);
    return { text, condition, execute };
  }

  condition(condition: Condition): Check {
    return this.#checked(condition).check;
  }

  #checked(condition: Condition): Checked {
    switch (condition.kind) {
      case "constant":
        return constant(condition.value);
      case "not": {
        const of = this.#checked(condition.of);
        if (of.constant !== undefined) return constant(!of.constant);
        return { check: (c) => !of.check(c), constant: undefined };
      }
      case "and":
      case "or":
        return this.#joined(condition.kind, condition.terms);
      case "call": {
        const { get } = this.#converter(condition.call);
        const check: Check = (c) => {
          const value = get(c);
          if (typeof value !== "boolean") {
            throw OttlError.of(`${condition.call.name} gave a ${typeOf(value)} where a condition needs a bool`);
          }
          return value;
        };
        return { check, constant: undefined };
      }
      case "comparison":
        return this.#comparison(condition);
    }
  }

  /** Constants are left out, so that they do not keep the other terms from being looked at, as upstream. */
  #joined(kind: "and" | "or", terms: readonly Condition[]): Checked {
    const isOr = kind === "or";
    const checks = terms.map((term) => this.#checked(term));
    if (checks.some((each) => each.constant === isOr)) return constant(isOr);
    const left = checks.filter((each) => each.constant === undefined).map((each) => each.check);
    if (left.length === 0) return constant(!isOr);
    if (left.length === 1) return { check: left[0]!, constant: undefined };
    const [first, second] = left as [Check, Check];
    let check: Check;
    if (left.length === 2) check = isOr ? (c) => first(c) || second(c) : (c) => first(c) && second(c);
    else check = isOr ? (c) => left.some((each) => each(c)) : (c) => left.every((each) => each(c));
    return { check, constant: undefined };
  }

  #comparison(condition: Extract<Condition, { kind: "comparison" }>): Checked {
    const left = this.getter(condition.left);
    const right = this.getter(condition.right);
    const { operator } = condition;
    if (left.literal !== undefined && right.literal !== undefined) {
      return constant(compare(left.literal.value, right.literal.value, operator));
    }
    return { check: comparing(left, right, operator), constant: undefined };
  }

  getter(expression: Expression): Getter {
    switch (expression.kind) {
      case "nil":
        return literalGetter(undefined);
      case "bool":
      case "string":
      case "bytes":
      case "int":
      case "float":
        return literalGetter(expression.value);
      case "name":
        return literalGetter(this.#enum(expression.name, expression.at));
      case "path":
        return this.#pathGetter(expression.path);
      case "call":
        return this.#converter(expression.call);
      case "list":
        return this.#list(expression.items);
      case "map":
        return this.#map(expression.entries);
      case "math":
        return this.#math(expression.math);
      case "lambda":
        throw new OttlSyntaxError("a lambda is no value; only some functions take one", expression.at);
    }
  }

  /** A place that may be read and written. */
  path(path: Path): Accessor {
    const local = this.#local(path);
    if (local !== undefined) {
      return {
        get: local,
        set: () => {
          throw OttlError.of(`${pathText(path)} is a parameter of a lambda and cannot be set`);
        },
      };
    }
    const { field, keys, last } = this.#field(path);
    if (keys.length === 0) return field;
    if (field.indexed === undefined) {
      throw new OttlSyntaxError(`${pathText(path)} cannot be indexed`, last.keys[0]!.at);
    }
    const [only] = keys;
    try {
      return field.indexed(keys, only?.kind === "string" ? only.key : undefined);
    } catch (error) {
      if (error instanceof OttlError) throw new OttlSyntaxError(error.message, last.keys[0]!.at);
      throw error;
    }
  }

  lambda({ parameters, value, condition }: Lambda): CompiledLambda {
    const frame = new Map<string, number>();
    const slots: number[] = [];
    for (const { name, at } of parameters) {
      if (name !== "_" && frame.has(name)) throw new OttlSyntaxError(`the parameter ${name} is there twice`, at);
      const slot = name === "_" ? -1 : this.#nextLocal++;
      slots.push(slot);
      if (slot >= 0) frame.set(name, slot);
    }
    this.#locals.push(frame);
    const body: Get = value === undefined ? this.condition(condition!) : this.getter(value).get;
    this.#locals.pop();
    return (c, ...values) => {
      c.countLambdaCall();
      for (let i = 0; i < slots.length; i++) if (slots[i]! >= 0) c.locals[slots[i]!] = values[i];
      return body(c);
    };
  }

  /** A converter with one parameter, for functions that take one to apply to text. */
  textFunction(name: string, at: number): (input: string) => OttlValue {
    const known = this.#known(name, at);
    const [first, ...others] = Object.entries(known.params);
    if (first === undefined || others.length > 0 || first[1] !== textParam) {
      throw new OttlSyntaxError(`${name} does not take exactly one argument, a string`, at);
    }
    let input = "";
    const compiled: Evaluate = this.#create(
      known,
      { [first[0]]: { get: () => input, literal: undefined } },
      { name, arguments: [], keys: [], at },
    );
    return (next) => {
      input = next;
      return compiled(NO_CONTEXT);
    };
  }

  #enum(name: string, at: number): bigint {
    const value = this.#context.enums.get(name);
    if (value !== undefined) return value;
    const guess = nearest(name, this.#context.enums.keys());
    const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
    throw new OttlSyntaxError(`the context ${this.#context.name} has no enum ${name}${hint}`, at);
  }

  #pathGetter(path: Path): Getter {
    const { get } = this.path(path);
    if (this.#local(path) !== undefined) return computed(get);
    const { field, keys } = this.#field(path);
    const [key] = keys;
    if (field.map === undefined || keys.length !== 1 || key?.kind !== "string") return computed(get);
    return { get, literal: undefined, attribute: { map: field.map, key: key.key } };
  }

  #local(path: Path): Get | undefined {
    const [first, ...others] = path.segments;
    const frame = this.#locals.findLast((each) => each.has(first!.name));
    if (frame === undefined) return undefined;
    if (others.length > 0) {
      throw new OttlSyntaxError(`${first!.name} is a parameter of a lambda; index it with [ ]`, others[0]!.at);
    }
    const slot = frame.get(first!.name)!;
    const keys = this.#keys(first!.keys);
    if (keys.length === 0) return (c) => c.locals[slot];
    return (c) => indexResult(c, c.locals[slot], keys);
  }

  #field(path: Path): { field: Field; keys: readonly CompiledKey[]; last: Segment } {
    const { segments } = path;
    const names = [...this.#context.fields.keys()];
    const [first] = segments;
    const hasContext = segments.length > 1 && first!.keys.length === 0 && names.includes(first!.name);
    if (!hasContext && !this.#isExplicit) {
      const options = names.map((name) => `${name}.${pathText(path)}`).join(", ");
      throw new OttlSyntaxError(`the path ${pathText(path)} does not begin with a context: ${options}`, path.at);
    }
    const contextName = hasContext ? first!.name : this.#context.name;
    const rest = hasContext ? segments.slice(1) : segments;
    const fields = this.#context.fields.get(contextName)!;
    const name = rest.map((each) => each.name).join(".");
    const last = rest.at(-1)!;
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) throw this.#noField(contextName, name, Object.keys(fields), rest[0]!.at);
    for (const each of rest.slice(0, -1)) {
      if (each.keys.length > 0) throw new OttlSyntaxError(`${each.name} cannot be indexed here`, each.keys[0]!.at);
    }
    return { field, keys: this.#keys(last.keys), last };
  }
  #noField(contextName: string, name: string, fields: readonly string[], at: number): OttlSyntaxError {
    if (contextName === "otelcol" && UNSUPPORTED_PATHS.includes(name)) {
      return new OttlSyntaxError(`otelcol.${name} is not supported: batches do not carry it`, at);
    }
    if (name === "cache") return new OttlSyntaxError(`${contextName}.cache belongs to another context`, at);
    const guess = nearest(name, fields);
    const hint = guess === undefined ? `it has ${fields.join(", ")}` : `did you mean ${guess}?`;
    return new OttlSyntaxError(`${contextName} has no path ${name}; ${hint}`, at);
  }

  #keys(keys: readonly Key[]): CompiledKey[] {
    return keys.map((key): CompiledKey => {
      if (key.kind === "string") return { kind: "string", key: new AttributeKey(key.value) };
      if (key.kind === "int") return { kind: "int", index: key.value };
      return { kind: "expression", get: this.getter(key.value).get };
    });
  }

  #converter(call: Call): Getter {
    const evaluate = this.#call(call);
    const keys = this.#keys(call.keys);
    return computed(keys.length === 0 ? evaluate : (c) => indexResult(c, evaluate(c), keys));
  }

  #list(items: readonly Expression[]): Getter {
    const getters = items.map((item) => this.getter(item));
    const make: Get = (c) => new ValueList(getters.map(({ get }) => attributeValue(get(c))));
    if (getters.every(({ literal }) => literal !== undefined)) return literalGetter(make(NO_CONTEXT));
    return computed(make);
  }
  #map(entries: readonly (readonly [string, Expression])[]): Getter {
    // Of equal keys the last one counts; the others are not even looked at.
    const last = new Map(entries);
    const getters = [...last].map(([key, value]) => [new AttributeKey(key), this.getter(value)] as const);
    const make: Get = (c) => {
      const map = new KeyValues();
      for (const [key, { get }] of getters) map.set(key, attributeValue(get(c)));
      return map;
    };
    if (getters.every(([, { literal }]) => literal !== undefined)) return literalGetter(make(NO_CONTEXT));
    return computed(make);
  }

  #math(node: MathNode): Getter {
    switch (node.kind) {
      case "literal":
        return this.getter(node.literal);
      case "negation": {
        const { get, literal } = this.#math(node.of);
        const { value } = literal ?? {};
        if (node.of.kind === "literal" && (typeof value === "bigint" || typeof value === "number")) {
          return literalGetter(negate(value));
        }
        return computed((c) => negate(get(c)));
      }
      case "operation": {
        const left = this.#math(node.left).get;
        const right = this.#math(node.right).get;
        const apply = operate(node.operator);
        return computed((c) => apply(left(c), right(c)));
      }
    }
  }

  #known(name: string, at: number): OttlFunction {
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    const guess = nearest(name, this.#functions.keys());
    const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
    throw new OttlSyntaxError(`there is no function ${name} for the context ${this.#context.name}${hint}`, at);
  }

  #call(call: Call): Evaluate {
    const known = this.#known(call.name, call.at);
    const names = Object.keys(known.params);
    const params = Object.values(known.params);
    const required = params.filter((each) => !each.isOptional).length;
    const { length } = call.arguments;
    if (length < required || length > params.length) {
      const wanted = required === params.length ? `${required}` : `${required} to ${params.length}`;
      const list = names.length === 0 ? "" : ` (${names.join(", ")})`;
      throw new OttlSyntaxError(`${call.name} takes ${wanted} arguments${list}, and has ${length}`, call.at);
    }
    const given: Record<string, unknown> = {};
    let namedBefore = false;
    for (const [i, argument] of call.arguments.entries()) {
      if (argument.name === undefined && namedBefore) {
        throw new OttlSyntaxError("an argument without a name comes after one with a name", argument.at);
      }
      namedBefore = argument.name !== undefined;
      const name = this.#parameter(call, argument, names, i);
      try {
        given[name] = known.params[name]!.build(argument.value, this);
      } catch (error) {
        if (!(error instanceof OttlSyntaxError) || error.at !== argument.value.at) throw error;
        throw new OttlSyntaxError(`argument ${name} of ${call.name}: ${error.message}`, error.at);
      }
    }
    const missing = names.find((name) => !known.params[name]!.isOptional && !(name in given));
    if (missing !== undefined) throw new OttlSyntaxError(`${call.name} needs the argument ${missing}`, call.at);
    return this.#create(known, given, call);
  }
  #parameter(call: Call, { name, at }: Argument, names: readonly string[], i: number): string {
    if (name === undefined) return names[i]!;
    const found = names.find((each) => goCamel(each) === goCamel(name));
    if (found === undefined) {
      throw new OttlSyntaxError(`${call.name} has no argument ${name}, but ${names.join(", ")}`, at);
    }
    return found;
  }
  #create(known: OttlFunction, given: Readonly<Record<string, unknown>>, call: Call): Evaluate {
    try {
      return known.create(given);
    } catch (error) {
      if (error instanceof OttlError) throw new OttlSyntaxError(`${call.name}: ${error.message}`, call.at);
      throw error;
    }
  }
}

function comparing(left: Getter, right: Getter, operator: Comparator): Check {
  if (operator === "==" || operator === "!=") {
    const [attribute, literal] = left.attribute === undefined ? [right, left] : [left, right];
    if (attribute.attribute !== undefined && literal.literal !== undefined) {
      const quick = attributeIs(attribute.attribute, literal.literal.value, operator === "==");
      if (quick !== undefined) return quick;
    }
  }
  if (right.literal !== undefined) {
    const { get } = left;
    const { value } = right.literal;
    if (operator === "==" && typeof value === "bigint") {
      return (c) => {
        const found = get(c);
        return typeof found === "bigint" ? found === value : compare(found, value, "==");
      };
    }
    return (c) => compare(get(c), value, operator);
  }
  return (c) => compare(left.get(c), right.get(c), operator);
}

/** Compares an attribute with a literal on its bytes; undefined where that needs the value. */
function attributeIs(
  { map, key }: { readonly map: (c: OttlContext) => KeyValues; readonly key: AttributeKey },
  literal: OttlValue,
  isEqual: boolean,
): Check | undefined {
  if (literal === undefined) {
    return (c) => {
      const attributes = map(c);
      const i = attributes.find(key);
      return (i < 0 || isNil(attributes.valueAt(i))) === isEqual;
    };
  }
  if (typeof literal !== "string") return undefined;
  const text = new AttributeKey(literal);
  return (c) => {
    const attributes = map(c);
    const i = attributes.find(key);
    return (i >= 0 && attributes.textIs(i, text)) === isEqual;
  };
}

/** For what is computed once, from literals only: nothing reads it. */
const NO_CONTEXT = new OttlContext();
