import { parseCondition, parseStatement } from "#formats/ottl/parser";
import { type Condition, MentionCollector, OttlSyntaxError, pointAt, type Statement } from "#formats/ottl/syntax";
import { ArgumentError, within } from "#lang/faults";
import { type Check, type CompiledStatement, Compiler } from "./compiler.ts";
import { CONTEXTS, type ContextName, PRIORITY } from "./contexts.ts";
import { conditionFunctions, statementFunctions } from "./functions.ts";

/**
 * From texts to what runs: parsing, finding out the context, compiling. Matches pkg/ottl/parser_collection.go. An
 * ArgumentError names the text at fault, counted from 0, and shows it with a mark under the character.
 */

export type ErrorMode = "ignore" | "silent" | "propagate";

export interface CompiledCondition {
  readonly text: string;
  readonly check: Check;
}

/** The contexts that a signal has, in no order. */
export const SIGNAL_CONTEXTS = {
  traces: ["resource", "scope", "span", "spanevent"],
  metrics: ["resource", "scope", "metric", "datapoint", "exemplar"],
  logs: ["resource", "scope", "log"],
} as const satisfies Record<string, readonly ContextName[]>;

/** For a block's `context` that the signal does not have. */
export function noContext(kind: string, context: string, contexts: readonly string[]): ArgumentError {
  const options = contexts.join(", ");
  return new ArgumentError(`cannot be ${JSON.stringify(context)}: the contexts of ${kind} are ${options}`, "context");
}

/** Runs a step for text i and turns its errors into ones that show the place. */
function at<T>(texts: readonly string[], index: number, step: (text: string) => T): T {
  const text = texts[index]!;
  try {
    return step(text);
  } catch (error) {
    if (!(error instanceof OttlSyntaxError)) throw error;
    throw new ArgumentError(`has an error: ${pointAt(text, error.at, error.message)}`, `[${index}]`);
  }
}

/** Statements of a context that is given: paths may leave its name out. Throws ArgumentError. */
export function compileStatements(context: ContextName, texts: readonly string[]): CompiledStatement[] {
  const compiler = new Compiler(CONTEXTS[context], statementFunctions(context), { isExplicit: true });
  return texts.map((_, i) => at(texts, i, (text) => compiler.statement(parseStatement(text), text)));
}

/** Statements whose context is to be found out from their paths, which begin with it. Throws ArgumentError. */
export function inferStatements(
  contexts: readonly ContextName[],
  texts: readonly string[],
): { readonly context: ContextName; readonly statements: CompiledStatement[] } {
  const parsed = texts.map((_, i) => at(texts, i, parseStatement));
  const context = infer(contexts, "statements", (mentions) => {
    for (const statement of parsed) mentions.statement(statement);
  });
  const compiler = new Compiler(CONTEXTS[context], statementFunctions(context), { isExplicit: false });
  const statements = parsed.map((statement: Statement, i) =>
    at(texts, i, (text) => compiler.statement(statement, text)),
  );
  return { context, statements };
}

/** Conditions of a context that is given. Throws ArgumentError. */
export function compileConditions(context: ContextName, texts: readonly string[]): CompiledCondition[] {
  const compiler = new Compiler(CONTEXTS[context], conditionFunctions(context), { isExplicit: true });
  return texts.map((_, i) => at(texts, i, (text) => ({ text, check: compiler.condition(parseCondition(text)) })));
}

/** A condition whose context is to be found out. Throws ArgumentError. */
export function inferCondition(
  contexts: readonly ContextName[],
  texts: readonly string[],
  index: number,
): { readonly context: ContextName; readonly condition: CompiledCondition } {
  const parsed: Condition = at(texts, index, parseCondition);
  const context = within(`[${index}]`, () =>
    infer(contexts, "condition", (mentions) => mentions.condition(parsed), conditionFunctions),
  );
  const compiler = new Compiler(CONTEXTS[context], conditionFunctions(context), { isExplicit: false });
  return { context, condition: at(texts, index, (text) => ({ text, check: compiler.condition(parsed) })) };
}

/**
 * The context with the most details that a path begins with, or the first one with still more details that has all the
 * functions and enums. Matches pkg/ottl/context_inferrer.go.
 */
function infer(
  contexts: readonly ContextName[],
  what: string,
  collect: (mentions: MentionCollector) => void,
  functions = statementFunctions,
): ContextName {
  const mentions = new MentionCollector();
  collect(mentions);
  const rank = (name: string) => {
    const place = PRIORITY.indexOf(name);
    return place < 0 ? PRIORITY.length : place;
  };
  let found: string | undefined;
  for (const { segments } of mentions.paths) {
    const [first] = segments;
    if (segments.length < 2 || first!.keys.length > 0) continue;
    if (found === undefined || rank(first!.name) < rank(found)) found = first!.name;
  }
  const options = contexts.join(", ");
  if (found === undefined) {
    throw new ArgumentError(
      `has an error: no context can be told from the ${what}: paths must begin with one of ${options}`,
    );
  }
  const lacks = (name: ContextName): string | undefined => {
    const call = mentions.calls.find((each) => !functions(name).has(each.name));
    if (call !== undefined) return `the function ${call.name}`;
    const symbol = mentions.enums.find((each) => !CONTEXTS[name].enums.has(each.name));
    return symbol === undefined ? undefined : `the enum ${symbol.name}`;
  };
  const known = contexts.find((each) => each === found);
  const missing = known === undefined ? "" : lacks(known);
  if (known !== undefined && missing === undefined) return known;
  if (known !== undefined) {
    const lower = contexts
      .filter((each) => each !== known && CONTEXTS[each].fields.has(known))
      .sort((a, b) => rank(a) - rank(b))
      .find((each) => lacks(each) === undefined);
    // A function or enum that no context has: compiling says where it is.
    return lower ?? known;
  }
  throw new ArgumentError(
    `has an error: the ${what} use the context ${found}, which this signal does not have: ${options}`,
  );
}
