/** One kind of diagnostic, as docs/errors.md explains it. */
export interface CodeEntry {
  /** What it is called, in a few words. */
  readonly title: string;
  /** When it is raised and why it is an error (or a warning). */
  readonly meaning: string;
  /** What to do. */
  readonly remedy: string;
}

/** Every code that a `Diagnostic` can have; docs/errors.md is generated from this table. Sorted by group, then by name. */
export const codes = {
  "internal.unexpected": {
    title: "Unexpected failure",
    meaning: "Something failed that the agent has no better explanation for; that is an error of the agent's own.",
    remedy: "Report it, with the message and the block that it points at.",
  },
  "syntax.attribute_name": {
    title: "Malformed attribute name",
    meaning: "The name left of `=` is dotted or followed by a label. Only blocks have such names.",
    remedy: "Write a single identifier left of `=`, or write a block: `name { … }`.",
  },
  "syntax.block_as_value": {
    title: "Block used as a value",
    meaning: 'A block, such as `local.file "x" { … }`, stands where an expression is expected.',
    remedy:
      "Write the block as a statement of its own, and refer to what it exports; for an object, leave out the name.",
  },
  "syntax.block_label": {
    title: "Malformed block label",
    meaning:
      "A block's label is not an identifier in double quotes. Labels become part of references, so they have the form of identifiers: letters, digits and underscores, not starting with a digit.",
    remedy: 'Write the label as `"name"`, with letters, digits and underscores only.',
  },
  "syntax.character": {
    title: "Illegal character",
    meaning: "The character has no meaning in the configuration language outside of strings and comments.",
    remedy: "Remove it, or put the text that it belongs to in quotes. Comments start with `//`.",
  },
  "syntax.encoding": {
    title: "Illegal encoding",
    meaning: "The file holds bytes that are not UTF-8, a NUL character, or a byte order mark other than at its start.",
    remedy: "Save the file as UTF-8.",
  },
  "syntax.escape": {
    title: "Illegal escape sequence",
    meaning:
      'A string in double quotes holds a backslash that starts no escape sequence. There are `\\a \\b \\f \\n \\r \\t \\v \\\\ \\"`, three octal digits, `\\x` and two, `\\u` and four, `\\U` and eight hexadecimal digits.',
    remedy: "Double the backslash, or write the string in backticks, where backslashes stand for themselves.",
  },
  "syntax.missing_comma": {
    title: "Missing comma",
    meaning:
      "Two elements of a list, an object or a call are not separated by a comma, or the last element is followed by a line end without one.",
    remedy: "Put a comma after the element; where the closing bracket is on its own line, after the last one as well.",
  },
  "syntax.number": {
    title: "Malformed number",
    meaning: "A number has an `e` without digits behind it.",
    remedy: "Complete the exponent, such as `1e6`.",
  },
  "syntax.operator": {
    title: "Incomplete operator",
    meaning: "There are `&&` and `||`, but no `&` and `|`.",
    remedy: "Double the character.",
  },
  "syntax.too_deep": {
    title: "Nested too deeply",
    meaning: "Blocks, brackets or operators are nested beyond what the parser takes.",
    remedy: "Split the expression; give parts of it to components or modules as arguments.",
  },
  "syntax.too_many_errors": {
    title: "Too many errors",
    meaning: "The file has so many errors that the rest of it was not looked at. Is it a configuration at all?",
    remedy: "Mend the errors listed so far, and try again.",
  },
  "syntax.unclosed": {
    title: "Missing closing bracket",
    meaning: "A block, list, object, call or parenthesis is opened and not closed.",
    remedy: "Close it where it should end.",
  },
  "syntax.unexpected": {
    title: "Unexpected text",
    meaning: "The configuration language has no construct that goes on like this.",
    remedy: "See what the message expects here.",
  },
  "syntax.unterminated_comment": {
    title: "Unterminated comment",
    meaning: "A comment opened by `/*` is not closed before the end of the file.",
    remedy: "Close it with `*/`.",
  },
  "syntax.unterminated_string": {
    title: "Unterminated string",
    meaning: "A string is not closed: one in double quotes ends at the latest where its line ends.",
    remedy: "Close it with the quote that opened it; texts of several lines go in backticks.",
  },
} as const satisfies Record<string, CodeEntry>;
