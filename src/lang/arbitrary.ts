import fc from "fast-check";

/**
 * Random configuration text for property tests: random trees in random layout, with comments wherever one may stand.
 * Nearly all of it is valid.
 */

const word = fc.stringMatching(/^[a-z_][a-z0-9_]{0,12}$/);
const unicodeWord = fc.constantFrom("été", "ключ", "名前", "ß", "x²", "a٣", "𝒳y");
const identifierText = fc
  .oneof({ weight: 8, arbitrary: word }, { weight: 1, arbitrary: unicodeWord })
  .map((name) => (name === "true" || name === "false" || name === "null" ? "x" : name));

const commentText = fc.oneof(
  fc.stringMatching(/^[a-z ,.\t]{0,12}$/),
  fc.constantFrom("", " é世界", " trailing  ", "*", " // nested", " 🦄\t"),
);
const blockComment = commentText.map((text) => `/*${text.replaceAll("*/", "")}*/`);
const longBlockComment = fc
  .array(commentText, { minLength: 2, maxLength: 3 })
  .map((lines) => `/*${lines.join("\n").replaceAll("*/", "")} */`);
const lineEnd = fc.constantFrom("\n", "\n", "\n", "\r\n");
const lineComment = fc.tuple(commentText, lineEnd).map(([text, end]) => `//${text}${end}`);
const blank = fc.constantFrom("", " ", " ", " ", "  ", "\t");

function joined(parts: readonly fc.Arbitrary<string>[], maxLength: number): fc.Arbitrary<string> {
  return fc.array(fc.oneof(...parts), { maxLength }).map((found) => found.join(""));
}

/** What may stand between tokens, by place. */
interface Gaps {
  /** Where a line end would end the statement. */
  readonly tight: fc.Arbitrary<string>;
  /** Where a line end means nothing. */
  readonly loose: fc.Arbitrary<string>;
  /** Around the elements of a list. */
  readonly list: fc.Arbitrary<string>;
  readonly statement: fc.Arbitrary<string>;
}

function concatenated(...parts: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> {
  return fc.tuple(...parts).map((texts) => texts.join(""));
}

const wildTight = fc.oneof(
  { weight: 12, arbitrary: blank },
  { weight: 1, arbitrary: concatenated(blank, blockComment, blank) },
);
const wildLoose = fc.oneof(
  { weight: 12, arbitrary: blank },
  { weight: 3, arbitrary: concatenated(lineEnd, blank) },
  { weight: 2, arbitrary: joined([blank, lineEnd, lineComment, blockComment, longBlockComment], 5) },
);
const statementEnd = fc.oneof({ weight: 3, arbitrary: lineEnd }, { weight: 1, arbitrary: lineComment });
/** Comments and line ends wherever they may stand. */
const wild: Gaps = {
  tight: wildTight,
  loose: wildLoose,
  list: wildLoose,
  statement: concatenated(wildTight, statementEnd, wildLoose, wildLoose),
};
/** As people write: line ends between the elements of lists, comments behind statements and on lines of their own. */
const calm: Gaps = {
  tight: blank,
  loose: blank,
  list: fc.oneof({ weight: 2, arbitrary: blank }, { weight: 1, arbitrary: concatenated(lineEnd, blank) }),
  statement: concatenated(blank, statementEnd, joined([lineEnd, concatenated(blank, lineComment)], 3), blank),
};

const doubleQuoted = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.stringMatching(/^[a-z {}:/]{1,6}$/) },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          "\\n",
          "\\t",
          '\\"',
          "\\\\",
          "\\u00e9",
          "\\U0001F984",
          "\\x41",
          "\\303\\251",
          "é",
          "界",
        ),
      },
    ),
    { maxLength: 4 },
  )
  .map((parts) => `"${parts.join("")}"`);
const rawQuoted = fc
  .array(fc.constantFrom("a", "bc", " ", "\n", '"', "\\d", "é", "// x", "\n  x", "\r\n"), { maxLength: 6 })
  .map((parts) => `\`${parts.join("").replaceAll(/ +(?=\r?\n)/g, "")}\``);
const hostileRaw = fc
  .array(fc.constantFrom("a", "bcdefghijk", " ", "\n", "\t", "\v", "\f", "\n\t\t"), { maxLength: 8 })
  .map((parts) => `\`${parts.join("")}\``);
const numberText = fc.constantFrom("0", "1", "42", "010", "3.25", ".5", "1e9", "2.5E-3", "18446744073709551615", "7.");

const simple = fc.oneof(
  { weight: 3, arbitrary: identifierText },
  { weight: 3, arbitrary: doubleQuoted },
  { weight: 1, arbitrary: rawQuoted },
  { weight: 3, arbitrary: numberText },
  { weight: 1, arbitrary: fc.constantFrom("true", "false", "null") },
);
const operator = fc.constantFrom("||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "^");

interface Grammar {
  readonly expression: fc.Arbitrary<string>;
  readonly file: fc.Arbitrary<string>;
}

function grammar(gaps: Gaps, literal: fc.Arbitrary<string>): Grammar {
  const gapSigns: ReadonlyMap<string, fc.Arbitrary<string>> = new Map([
    ["~", gaps.tight],
    ["_", gaps.loose],
    ["#", gaps.list],
  ]);
  /** Parts of text; `~` is a tight gap, `_` a loose one, `#` one in a list. */
  const sequence = (...parts: readonly (fc.Arbitrary<string> | string)[]) =>
    concatenated(...parts.map((part) => (typeof part === "string" ? (gapSigns.get(part) ?? fc.constant(part)) : part)));
  const list = (open: string, element: fc.Arbitrary<string>, close: string) => {
    const others = fc.array(sequence("~", ",", "#", element), { maxLength: 3 }).map((texts) => texts.join(""));
    const end = fc.oneof(gaps.tight, sequence("~", ",", "#"));
    const elements = sequence(element, others, end);
    return sequence(
      open,
      "#",
      fc.oneof({ weight: 1, arbitrary: fc.constant("") }, { weight: 4, arbitrary: elements }),
      close,
    );
  };

  const { expression } = fc.letrec<{ expression: string; operand: string; field: string }>((tie) => ({
    operand: fc.oneof(
      { weight: 2, arbitrary: identifierText },
      { weight: 1, arbitrary: sequence("(", "_", tie("expression"), "~", ")") },
    ),
    field: sequence(fc.oneof(identifierText, identifierText, doubleQuoted), "~", "=", "_", tie("expression")),
    expression: fc.oneof(
      { maxDepth: 5, depthSize: "small" },
      { weight: 6, arbitrary: literal },
      { weight: 2, arbitrary: list("[", tie("expression"), "]") },
      { weight: 2, arbitrary: list("{", tie("field"), "}") },
      { weight: 1, arbitrary: sequence(tie("operand"), "~", ".", "_", identifierText) },
      { weight: 1, arbitrary: sequence(tie("operand"), "~", "[", "_", tie("expression"), "~", "]") },
      { weight: 2, arbitrary: sequence(tie("operand"), "~", list("(", tie("expression"), ")")) },
      { weight: 1, arbitrary: sequence(fc.constantFrom("!", "-"), "_", tie("operand")) },
      { weight: 2, arbitrary: sequence(tie("expression"), "~", operator, "_", tie("expression")) },
      { weight: 1, arbitrary: tie("operand") },
    ),
  }));

  const { body } = fc.letrec<{ body: string; statement: string }>((tie) => ({
    statement: fc.oneof(
      { maxDepth: 3, depthSize: "small" },
      { weight: 3, arbitrary: sequence(identifierText, "~", "=", "_", expression) },
      {
        weight: 2,
        arbitrary: sequence(
          fc.array(identifierText, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(".")),
          "~",
          fc.oneof(
            fc.constant(""),
            identifierText.map((label) => `"${label}"`),
          ),
          "~",
          "{",
          "_",
          tie("body"),
          "~",
          "}",
        ),
      },
    ),
    body: fc
      .array(fc.tuple(tie("statement"), gaps.statement), { maxLength: 4 })
      .map((statements) => statements.flat().join("")),
  }));

  return { expression, file: sequence("_", body, "_") };
}

const wildGrammar = grammar(wild, simple);

export const expressionText: fc.Arbitrary<string> = wildGrammar.expression;

/** Whole files. */
export const fileText: fc.Arbitrary<string> = wildGrammar.file;

/** Whole files with tabs, form feeds and trailing blanks in raw strings. */
export const hostileFileText: fc.Arbitrary<string> = grammar(
  wild,
  fc.oneof({ weight: 2, arbitrary: simple }, { weight: 1, arbitrary: hostileRaw }),
).file;

/** Whole files laid out as people do. */
export const calmFileText: fc.Arbitrary<string> = grammar(calm, simple).file;
