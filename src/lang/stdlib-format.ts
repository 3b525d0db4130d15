import { Labels, quote } from "#base/labels";
import { quoteString } from "./literal.ts";
import { isNumber, numberKind, toFloat, toInt64, toUint64 } from "./number.ts";
import { compareText } from "./operators.ts";
import { type FloatFormat, formatGoFloat } from "./stdlib-float.ts";
import type { Value } from "./value.ts";

/**
 * Go's `fmt.Sprintf` for the values of the language: all verbs, flags, widths, precisions and argument indexes, and the
 * `%!verb(type=value)` notes about what does not fit. Follows Go's fmt/print.go and fmt/format.go. Never throws.
 */
export function sprintf(format: string, args: readonly Value[]): string {
  return new Printer(args).print(format);
}

/** Widths and precisions beyond this are refused, as in Go. */
const LARGEST = 1_000_000;

const FLOAT_VERBS: ReadonlyMap<string, FloatFormat> = new Map<string, FloatFormat>([
  ["v", "g"],
  ["g", "g"],
  ["G", "g"],
  ["e", "e"],
  ["E", "e"],
  ["f", "f"],
  ["F", "f"],
  ["b", "b"],
  ["x", "x"],
  ["X", "x"],
]);

class Flags {
  sharp = false;
  zero = false;
  plus = false;
  minus = false;
  space = false;
  sharpV = false;
  width: number | undefined;
  precision: number | undefined;
}

class Printer {
  readonly #args: readonly Value[];
  readonly #out: string[] = [];
  #flags = new Flags();
  #next = 0;
  #reordered = false;
  #goodIndex = true;

  constructor(args: readonly Value[]) {
    this.#args = args;
  }

  print(format: string): string {
    let at = 0;
    while (at < format.length) {
      const percent = format.indexOf("%", at);
      if (percent < 0) {
        this.#out.push(format.slice(at));
        break;
      }
      this.#out.push(format.slice(at, percent));
      at = this.#directive(format, percent + 1);
    }
    if (!this.#reordered && this.#next < this.#args.length) this.#extra();
    return this.#out.join("");
  }

  /** Prints what stands behind one `%`; returns where it ends. */
  #directive(format: string, start: number): number {
    const flags = (this.#flags = new Flags());
    this.#goodIndex = true;
    let at = start;
    for (; at < format.length; at++) {
      const flag = format[at];
      if (flag === "#") flags.sharp = true;
      else if (flag === "0") flags.zero = true;
      else if (flag === "+") flags.plus = true;
      else if (flag === "-") flags.minus = true;
      else if (flag === " ") flags.space = true;
      else break;
    }
    let afterIndex: boolean;
    [at, afterIndex] = this.#index(format, at);
    if (format[at] === "*") {
      at += 1;
      flags.width = this.#numberArgument();
      if (flags.width === undefined) this.#out.push("%!(BADWIDTH)");
      else if (flags.width < 0) {
        flags.width = -flags.width;
        flags.minus = true;
        flags.zero = false;
      }
      afterIndex = false;
    } else {
      [flags.width, at] = parseNumber(format, at);
      if (afterIndex && flags.width !== undefined) this.#goodIndex = false;
    }
    if (format[at] === ".") {
      at += 1;
      if (afterIndex) this.#goodIndex = false;
      [at, afterIndex] = this.#index(format, at);
      if (format[at] === "*") {
        at += 1;
        flags.precision = this.#numberArgument();
        if (flags.precision !== undefined && flags.precision < 0) flags.precision = undefined;
        if (flags.precision === undefined) this.#out.push("%!(BADPREC)");
        afterIndex = false;
      } else {
        [flags.precision, at] = parseNumber(format, at);
        flags.precision ??= 0;
      }
    }
    if (!afterIndex) [at, afterIndex] = this.#index(format, at);
    if (at >= format.length) {
      this.#out.push("%!(NOVERB)");
      return at;
    }
    const verb = String.fromCodePoint(format.codePointAt(at)!);
    this.#verb(verb);
    return at + verb.length;
  }

  #verb(verb: string): void {
    if (verb === "%") this.#out.push("%");
    else if (!this.#goodIndex) this.#out.push(`%!${verb}(BADINDEX)`);
    else if (this.#next >= this.#args.length) this.#out.push(`%!${verb}(MISSING)`);
    else {
      if (verb === "v" || verb === "w") {
        this.#flags.sharpV = this.#flags.sharp;
        this.#flags.sharp = false;
        // A plus only adds the names of fields to structs, of which there are none here.
        this.#flags.plus = false;
      }
      const value = this.#args[this.#next++]!;
      if (verb === "w") this.#badVerb(value, verb);
      else this.#value(value, verb);
    }
  }

  /** An explicit argument index, `[3]`. */
  #index(format: string, at: number): [at: number, found: boolean] {
    if (format[at] !== "[") return [at, false];
    this.#reordered = true;
    const close = format.indexOf("]", at + 1);
    if (close < 0 || format.length - at < 3) {
      this.#goodIndex = false;
      return [at + 1, false];
    }
    const [number, end] = parseNumber(format, at + 1);
    const ok = number !== undefined && end === close;
    if (ok && number >= 1 && number <= this.#args.length) {
      this.#next = number - 1;
      return [close + 1, true];
    }
    this.#goodIndex = false;
    return [close + 1, ok];
  }

  /** The argument for a `*`. */
  #numberArgument(): number | undefined {
    const value = this.#args[this.#next];
    if (value === undefined) return undefined;
    this.#next += 1;
    if (!isNumber(value) || numberKind(value) === "float") return undefined;
    const number = Number(value);
    return Math.abs(number) <= LARGEST ? number : undefined;
  }

  #extra(): void {
    this.#flags = new Flags();
    this.#out.push("%!(EXTRA ");
    for (let i = this.#next; i < this.#args.length; i++) {
      if (i > this.#next) this.#out.push(", ");
      const value = this.#args[i]!;
      if (value === null) this.#out.push("<nil>");
      else {
        this.#out.push(`${goType(value)}=`);
        this.#value(value, "v");
      }
    }
    this.#out.push(")");
  }

  #value(value: Value, verb: string, isInner = false): void {
    if (value === null) {
      if (isInner) this.#out.push(this.#flags.sharpV ? "interface {}(nil)" : "<nil>");
      else if (verb === "v" || verb === "T") this.#pad("<nil>");
      else this.#badVerb(value, verb);
    } else if (verb === "T" && !isInner) this.#text(goType(value), "s");
    else if (typeof value === "boolean") {
      if (verb === "t" || verb === "v") this.#pad(String(value));
      else this.#badVerb(value, verb);
    } else if (typeof value === "string") {
      if (!this.#text(value, verb)) this.#badVerb(value, verb);
    } else if (isNumber(value)) {
      const printed = numberKind(value) === "float" ? this.#float(toFloat(value), verb) : this.#integer(value, verb);
      if (!printed) this.#badVerb(value, verb);
    } else if (Array.isArray(value)) this.#list(value as readonly Value[], verb);
    else if (value instanceof Map) this.#map(value as ReadonlyMap<string, Value>, verb);
    else if (!this.#text(opaqueText(value), verb)) this.#badVerb(value, verb);
  }

  #list(items: readonly Value[], verb: string): void {
    const [open, separator, close] = this.#flags.sharpV ? ["[]interface {}{", ", ", "}"] : ["[", " ", "]"];
    this.#out.push(open);
    for (const [i, item] of items.entries()) {
      if (i > 0) this.#out.push(separator);
      this.#value(item, verb, true);
    }
    this.#out.push(close);
  }

  #map(map: ReadonlyMap<string, Value>, verb: string): void {
    const [open, separator, close] = this.#flags.sharpV ? ["map[string]interface {}{", ", ", "}"] : ["map[", " ", "]"];
    this.#out.push(open);
    for (const [i, key] of [...map.keys()].sort(compareText).entries()) {
      if (i > 0) this.#out.push(separator);
      this.#value(key, verb, true);
      this.#out.push(":");
      this.#value(map.get(key)!, verb, true);
    }
    this.#out.push(close);
  }

  #badVerb(value: Value, verb: string): void {
    this.#out.push(`%!${verb}(`);
    if (value === null) this.#out.push("<nil>");
    else {
      this.#out.push(`${goType(value)}=`);
      this.#value(value, "v");
    }
    this.#out.push(")");
  }

  /** False if the verb is not one for text. */
  #text(text: string, verb: string): boolean {
    const flags = this.#flags;
    if (verb === "x" || verb === "X") {
      this.#hexadecimal(text, verb);
      return true;
    }
    if (verb === "q" || (verb === "v" && flags.sharpV)) this.#quoted(truncate(text, flags.precision));
    else if (verb === "s" || verb === "v") this.#pad(truncate(text, flags.precision));
    else return false;
    return true;
  }

  #quoted(text: string): void {
    if (this.#flags.sharp && canBackquote(text)) this.#pad(`\`${text}\``);
    else this.#pad(this.#flags.plus ? asciiQuote(text) : quoteString(text));
  }

  #hexadecimal(text: string, verb: string): void {
    const { sharp, space, precision } = this.#flags;
    const bytes = new TextEncoder().encode(text).subarray(0, precision);
    const prefix = sharp ? `0${verb}` : "";
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
    const digits = verb === "X" ? hex.map((each) => each.toUpperCase()) : hex;
    if (digits.length === 0) this.#pad("");
    else this.#pad(space ? digits.map((each) => prefix + each).join(" ") : prefix + digits.join(""));
  }

  #integer(value: Value, verb: string): boolean {
    const isSigned = numberKind(value) === "int";
    const number = isSigned ? toInt64(value) : toUint64(value);
    switch (verb) {
      case "v":
        if (!this.#flags.sharpV || isSigned) this.#digits(number, 10, verb);
        else this.#pad(`0x${number.toString(16)}`);
        return true;
      case "d":
        this.#digits(number, 10, verb);
        return true;
      case "b":
        this.#digits(number, 2, verb);
        return true;
      case "o":
      case "O":
        this.#digits(number, 8, verb);
        return true;
      case "x":
      case "X":
        this.#digits(number, 16, verb);
        return true;
      case "c":
        this.#pad(character(number));
        return true;
      case "q":
        this.#pad(this.#quotedCharacter(number));
        return true;
      case "U":
        this.#unicode(number);
        return true;
      default:
        return false;
    }
  }

  #digits(number: bigint, base: number, verb: string): void {
    const { sharp, zero, plus, minus, space, width, precision } = this.#flags;
    const negative = number < 0n;
    if (precision === 0 && number === 0n) {
      this.#out.push(" ".repeat(width ?? 0));
      return;
    }
    let least = precision ?? 0;
    if (precision === undefined && zero && !minus && width !== undefined) {
      least = width - (negative || plus || space ? 1 : 0);
    }
    let text = (negative ? -number : number).toString(base).padStart(least, "0");
    if (verb === "X") text = text.toUpperCase();
    if (sharp && base === 2) text = `0b${text}`;
    if (sharp && base === 8 && !text.startsWith("0")) text = `0${text}`;
    if (sharp && base === 16) text = `0${verb}${text}`;
    if (verb === "O") text = `0o${text}`;
    this.#pad((negative ? "-" : plus ? "+" : space ? " " : "") + text, " ");
  }

  #quotedCharacter(number: bigint): string {
    const text = character(number);
    if (text === "'") return "'\\''";
    if (text === '"') return "'\"'";
    return `'${(this.#flags.plus ? asciiQuote(text) : quoteString(text)).slice(1, -1)}'`;
  }

  #unicode(number: bigint): void {
    const unsigned = BigInt.asUintN(64, number);
    const hex = unsigned
      .toString(16)
      .toUpperCase()
      .padStart(Math.max(4, this.#flags.precision ?? 0), "0");
    const shown = character(unsigned);
    const printable =
      this.#flags.sharp &&
      unsigned <= 0x10ffffn &&
      quoteString(shown)
        .slice(1, -1)
        .replace(/^\\(["\\])$/, "$1") === shown;
    this.#pad(`U+${hex}${printable ? ` '${shown}'` : ""}`, " ");
  }

  #float(value: number, verb: string): boolean {
    const format = FLOAT_VERBS.get(verb);
    if (format === undefined) return false;
    const { sharp, zero, plus, minus, space, width } = this.#flags;
    const precision = this.#flags.precision ?? (format === "e" || format === "f" ? 6 : -1);
    let text = formatGoFloat(value, format, precision);
    if (verb === "E" || verb === "G" || verb === "X") text = text.replace(/[a-z]+/g, (each) => each.toUpperCase());
    const sign = text.startsWith("-") ? "-" : plus ? "+" : space ? " " : "";
    const unsigned = text.replace(/^[+-]/, "");
    if (!Number.isFinite(value)) {
      // Infinities show their sign, NaN only if asked to; neither is padded with zeros.
      this.#pad(Number.isNaN(value) ? sign + unsigned : (sign === "" ? "+" : sign) + unsigned, " ");
      return true;
    }
    const significant = format === "g" || verb === "x" ? (precision < 0 ? 6 : precision) : 0;
    const body = sharp && format !== "b" ? withPoint(unsigned, significant) : unsigned;
    if (zero && !minus && width !== undefined) this.#out.push(sign + body.padStart(width - sign.length, "0"));
    else this.#pad(sign + body, " ");
    return true;
  }

  #pad(text: string, fill = this.#flags.zero && !this.#flags.minus ? "0" : " "): void {
    const { width, minus } = this.#flags;
    const missing = (width ?? 0) - (width === undefined ? 0 : countCharacters(text));
    if (missing <= 0) this.#out.push(text);
    else this.#out.push(minus ? text + " ".repeat(missing) : fill.repeat(missing) + text);
  }
}

/** A decimal point even where there is no fraction, and zeros up to `significant` digits. */
function withPoint(unsigned: string, significant: number): string {
  const isHexadecimal = /^0[xX]/.test(unsigned);
  const [, number, tail] = (isHexadecimal ? /^([^pP]*)(.*)$/ : /^([^eE]*)(.*)$/).exec(unsigned) as unknown as string[];
  if (number === undefined || tail === undefined) return unsigned;
  let missing = significant - number.replace(".", "").replace(/^0+/, "").length;
  if (!number.includes(".") && number === "0") missing -= 1;
  return `${number}${number.includes(".") ? "" : "."}${"0".repeat(Math.max(missing, 0))}${tail}`;
}

function parseNumber(format: string, start: number): [number: number | undefined, end: number] {
  let at = start;
  let number = 0;
  while (at < format.length && format[at]! >= "0" && format[at]! <= "9") {
    if (number > LARGEST) return [undefined, format.length];
    number = number * 10 + Number(format[at]);
    at += 1;
  }
  return [at === start ? undefined : number, at];
}

function goType(value: Value): string {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (isNumber(value)) return { int: "int", uint: "uint64", float: "float64" }[numberKind(value)];
  if (Array.isArray(value)) return "[]interface {}";
  return value instanceof Map ? "map[string]interface {}" : "capsule";
}

/** Targets print like Alloy's `discovery.Target`; capsules and functions, which Go prints as addresses, by their kind. */
function opaqueText(value: Value): string {
  if (value instanceof Labels)
    return `{${[...value].map(([name, text]) => `${quote(name)}=${quote(text)}`).join(", ")}}`;
  return typeof (value as { call?: unknown }).call === "function" ? "function" : String(value);
}

function truncate(text: string, length: number | undefined): string {
  if (length === undefined || length >= text.length) return text;
  return Array.from(text).slice(0, length).join("");
}

function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function character(number: bigint): string {
  const code = number < 0n || number > 0x10ffffn ? 0xfffd : Number(number);
  return code >= 0xd800 && code < 0xe000 ? "\ufffd" : String.fromCodePoint(code);
}

function canBackquote(text: string): boolean {
  return !/[\x00-\x08\x0a-\x1f\x7f`\ufeff\ufffd]/.test(text);
}

/** Go's `strconv.QuoteToASCII`. */
function asciiQuote(text: string): string {
  return quoteString(text).replace(/[^\x00-\x7f]/gu, (each) => {
    const code = each.codePointAt(0)!;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
