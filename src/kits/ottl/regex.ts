import { compileRegex, type Regex, RegexError } from "#base/regex";
import type { OttlContext } from "./context.ts";
import type { Typed } from "./parameters.ts";
import { OttlError } from "./value.ts";

/** Expressions that come with the data are kept, as many as this. */
const MOST_KEPT = 256;

function compile(source: string): Regex {
  try {
    return compileRegex(source);
  } catch (error) {
    if (error instanceof RegexError) throw OttlError.of(`invalid regular expression: ${error.message}`);
    throw error;
  }
}

/** The expression that a pattern gives; one that stands in the statement is compiled once, and refused at once. */
export function regexOf(pattern: Typed<string>): (c: OttlContext) => Regex {
  return keep(pattern, compile);
}

/** What is made of a text that is mostly the same one; made once if it stands in the statement. */
export function keep<T>(source: Typed<string>, make: (text: string) => T): (c: OttlContext) => T {
  if (source.literal !== undefined) {
    const made = make(source.literal.value);
    return () => made;
  }
  const known = new Map<string, T>();
  return (c) => {
    const text = source.get(c);
    let made = known.get(text);
    if (made === undefined) {
      made = make(text);
      if (known.size >= MOST_KEPT) known.clear();
      known.set(text, made);
    }
    return made;
  };
}
