import type { Regex } from "#base/regex";
import { type Infer, s } from "#lang/schema";
import type { Stage, StageContext } from "../stage.ts";
import { nextMatch } from "./replace.ts";
import { missingSource } from "./source.ts";

export const luhnBody = s
  .object({
    replacement: s.string().default("**REDACTED**").doc("Put in place of numbers."),
    source: s
      .string()
      .nonEmpty()
      .optional()
      .doc("Extracted string to look at instead of the line; the line is set to the result."),
    min_length: s.int().default(13).doc("Fewest digits of a number."),
    delimiters: s.string().default("").doc("Characters that may stand between digits."),
    skip_regex: s.regex().default("").doc("Numbers inside of what this RE2 expression matches are kept."),
  })
  .doc("Replaces numbers with a valid Luhn check digit, such as those of payment cards.");

/** Alloy's stages/luhn.go. As there, the result becomes the line, also with `source`. */
export function buildLuhn(args: Infer<typeof luhnBody>, context: StageContext): Stage {
  const slot = args.source === undefined ? undefined : context.slots.of(args.source);
  const options: LuhnOptions = {
    replacement: args.replacement === "" ? "**REDACTED**" : args.replacement,
    minLength: args.min_length < 1 ? 13 : args.min_length,
    delimiters: args.delimiters,
    skip: args.skip_regex.source === "" ? undefined : args.skip_regex,
  };
  const missing = missingSource(args.source, context);
  return {
    process(entry) {
      if (slot === undefined) {
        const text = entry.line;
        const redacted = redactLuhn(text, options);
        if (redacted !== text) entry.setLine(redacted);
      } else if (entry.isText(slot)) entry.setLine(redactLuhn(entry.text(slot)!, options));
      else missing.add();
      return true;
    },
  };
}

export interface LuhnOptions {
  readonly replacement: string;
  readonly minLength: number;
  readonly delimiters: string;
  readonly skip: Regex | undefined;
}

const MAX_INT64 = 2n ** 63n - 1n;
/** Digits of other scripts belong to a number for Alloy, and no such number passes the check. */
const OTHER_DIGIT = /\p{Nd}/u;

function isInt64(digits: string): boolean {
  return /^[0-9]+$/.test(digits) && BigInt(digits) <= MAX_INT64;
}

/** Replaces the runs of digits (with delimiters between them) that pass the Luhn check. */
export function redactLuhn(text: string, options: LuhnOptions): string {
  const { replacement, minLength, delimiters, skip } = options;
  let skipped: readonly (readonly [number, number])[] | undefined;
  let out = "";
  let copied = 0;
  let digits = "";
  let start = -1;
  let digitsEnd = -1;
  let textEnd = -1;
  let delimiter = "";

  const flush = () => {
    if (digits.length >= minLength && isInt64(digits) && isLuhn(digits)) {
      skipped ??= skip === undefined ? [] : allMatches(skip, text);
      if (!skipped.some(([from, to]) => from <= start && digitsEnd <= to)) {
        // Of delimiters behind the last digit the last one is kept, as in Alloy.
        out += text.slice(copied, start) + replacement + (textEnd > digitsEnd ? delimiter : "");
        copied = textEnd;
      }
    }
    digits = "";
    start = -1;
  };

  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const char = code < 0x80 ? text[at]! : String.fromCodePoint(text.codePointAt(at)!);
    if (code < 0x80 ? code >= 48 && code <= 57 : OTHER_DIGIT.test(char)) {
      if (start === -1) start = at;
      digits += char;
      digitsEnd = textEnd = at + char.length;
    } else if (start !== -1) {
      if (delimiters !== "" && delimiters.includes(char)) {
        textEnd = at + char.length;
        delimiter = char;
      } else flush();
    }
    at += char.length - 1;
  }
  if (start !== -1) flush();
  return copied === 0 ? text : out + text.slice(copied);
}

function allMatches(regex: Regex, text: string): [number, number][] {
  const found: [number, number][] = [];
  for (
    let match: ArrayLike<number> | null = regex.matchRange(text);
    match !== null;
    match = nextMatch(regex, text, match)
  ) {
    found.push([match[0]!, match[1]!]);
  }
  return found;
}

/** Alloy checks the number, so zeros in front do not count. */
function isLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const value = digits.charCodeAt(digits.length - 1 - i) - 48;
    sum += i % 2 === 0 ? value : value * 2 > 9 ? value * 2 - 9 : value * 2;
  }
  return sum % 10 === 0;
}
