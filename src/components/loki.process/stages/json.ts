import { compile, type JSONValue, TreeInterpreter } from "@jmespath-community/jmespath";
import {
  FIELD_COMPLEX,
  FIELD_ESCAPED,
  FIELD_FALSE,
  FIELD_NUMBER,
  FIELD_STRING,
  FIELD_TRUE,
  type FieldValue,
  JsonFields,
  marshalJsoniter,
} from "#formats/json-fields";
import { type Infer, s } from "#lang/schema";
import { type Entry, VALUE_ESCAPED, VALUE_NUMBER, VALUE_RANGE } from "../entry.ts";
import { type Stage, type StageContext, StageError } from "../stage.ts";
import { missingSource } from "./source.ts";

export const jsonBody = s
  .object({
    expressions: s.map(s.string()).optional().doc("Names of extracted values and the JMESPath expressions for them."),
    regex: s.regex().default("").doc("Top-level keys to extract under their own names."),
    source: s.string().nonEmpty().optional().doc("Extracted value to parse instead of the line."),
    drop_malformed: s.bool().default(false).doc("Whether to drop lines that are not JSON objects."),
  })
  .rule(
    "expressions",
    (args) => (args.expressions !== undefined && args.expressions.size > 0) || args.regex.source !== "",
    "or `regex` is required: say what to extract",
  )
  .doc("Extracts values from JSON.");

/** A chain of plain identifiers, quoted or not, which needs no JMESPath engine. */
const PLAIN_PATH = /^\s*(?:[A-Za-z_]\w*|"[^"\\]+")(?:\s*\.\s*(?:[A-Za-z_]\w*|"[^"\\]+"))*\s*$/;

/** The keys of a plain path; undefined for other expressions. */
export function plainPath(expression: string): string[] | undefined {
  if (!PLAIN_PATH.test(expression)) return undefined;
  return [...expression.matchAll(/[A-Za-z_]\w*|"([^"]+)"/g)].map((match) => match[1] ?? match[0]);
}

/**
 * Alloy's stages/json.go: what an expression does not find is extracted as null. Malformed lines pass unchanged or are
 * dropped. Plain paths are found by a scanner of the bytes; other expressions and `regex` need the parsed object.
 */
export function buildJson(args: Infer<typeof jsonBody>, context: StageContext): Stage {
  const plain: { readonly slot: number; readonly path: string[] }[] = [];
  const complex: { readonly slot: number; readonly expression: ReturnType<typeof compile>; readonly text: string }[] =
    [];
  for (const [name, expression] of args.expressions ?? []) {
    const text = expression === "" ? name : expression;
    const slot = context.slots.of(name);
    const path = plainPath(text);
    if (path !== undefined) plain.push({ slot, path });
    else complex.push({ slot, text, expression: compileExpression(text) });
  }
  const fields = new JsonFields(
    plain.map(({ path }) => path),
    { finite: true },
  );
  const source = args.source === undefined ? undefined : context.slots.of(args.source);
  const keys = args.regex.source === "" ? undefined : args.regex;
  const needsObject = complex.length > 0 || keys !== undefined;
  const isNone = `${args.source === undefined ? "the line" : `\`${args.source}\``} is not a JSON object`;
  const unmatched = context.unmatched("are not JSON objects", isNone);
  const malformed = args.drop_malformed ? context.drop("json_malformed", isNone) : undefined;
  const missing = missingSource(args.source, context);

  function take(entry: Entry, isLine: boolean): void {
    for (let i = 0; i < plain.length; i++) {
      const { slot } = plain[i]!;
      const start = fields.start[i]!;
      const end = fields.end[i]!;
      switch (fields.kind[i]) {
        case FIELD_STRING:
          if (isLine) entry.setRange(slot, VALUE_RANGE, start, end);
          else entry.setText(slot, fields.value(i) as string);
          break;
        case FIELD_ESCAPED:
          if (isLine) entry.setRange(slot, VALUE_ESCAPED, start, end);
          else entry.setText(slot, fields.value(i) as string);
          break;
        case FIELD_NUMBER:
          if (isLine) entry.setRange(slot, VALUE_NUMBER, start, end);
          else entry.setValue(slot, fields.value(i)!);
          break;
        case FIELD_TRUE:
        case FIELD_FALSE:
        case FIELD_COMPLEX:
          entry.setValue(slot, fields.value(i)!);
          break;
        default:
          entry.setValue(slot, null);
      }
    }
  }

  function takeObject(entry: Entry, text: string): void {
    const object = JSON.parse(text) as Record<string, JSONValue> | null;
    for (const { slot, expression } of complex) {
      let found: unknown;
      try {
        found = TreeInterpreter.search(expression, object);
      } catch {
        continue; // as in Alloy: an expression that fails on a line extracts nothing from it
      }
      entry.setValue(slot, simplify(found));
    }
    if (keys === undefined || object === null) return;
    for (const [key, value] of Object.entries(object)) if (keys.test(key)) entry.setNamed(key, simplify(value));
  }

  return {
    process(entry) {
      let found: boolean;
      let text: string | undefined;
      if (source === undefined) found = fields.scan(entry.store.data, entry.start, entry.end);
      else {
        text = entry.text(source);
        if (text === undefined) {
          missing.add();
          return true;
        }
        const bytes = Buffer.from(text);
        found = fields.scan(bytes, 0, bytes.length);
      }
      if (!found) {
        (malformed ?? unmatched).add();
        return malformed === undefined;
      }
      take(entry, source === undefined);
      if (needsObject) takeObject(entry, text ?? entry.line);
      return true;
    },
  };
}

/** Throws a StageError for what is no JMESPath. */
export function compileExpression(text: string): ReturnType<typeof compile> {
  try {
    return compile(text);
  } catch (cause) {
    throw new StageError(`could not compile the JMESPath expression \`${text}\`: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A value as extracted values hold it: lists and objects as JSON. */
export function simplify(value: unknown): FieldValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return marshalJsoniter(value);
}
