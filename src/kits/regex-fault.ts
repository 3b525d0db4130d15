import { compileRegex, RegexError } from "#base/regex";

/** What is wrong with the first of these expressions that is wrong, in Go's words; undefined if none is. For rules of schemas. */
export function regexFault(...expressions: readonly string[]): string | undefined {
  for (const expression of expressions) {
    try {
      compileRegex(expression);
    } catch (error) {
      if (error instanceof RegexError) return error.message;
      throw error;
    }
  }
  return undefined;
}
