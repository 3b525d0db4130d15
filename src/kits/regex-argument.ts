import { compileRegex, type Regex, RegexError } from "#base/regex";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import type { Fault } from "#lang/schema";

/** The regular expression that an argument holds. Throws ArgumentError, in Go's words. */
export function regexArgument(source: string): Regex {
  try {
    return compileRegex(source);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new ArgumentError(`is an invalid regular expression: ${error.message}`);
  }
}

/** What is wrong with the regular expressions in an argument. For rules of schemas. */
export function regexFaults(field: string, sources: readonly string[]): Fault[] {
  return faultsOf(sources.map((source, i) => () => within(`${field}[${i}]`, () => regexArgument(source))));
}
