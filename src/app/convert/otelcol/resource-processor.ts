import { quoteString } from "#lang/literal";
import { Text } from "../environment.ts";
import { listOf } from "../output.ts";
import type { Section } from "../settings.ts";
import type { BodyContext, BodyRules } from "./body.ts";
import type { SettingsTree } from "./settings-tree.ts";

/** Signals as the argument names of `statements`. */
const STATEMENTS = { metrics: "metric", logs: "log", traces: "trace" } as const;

const nothing = () => {};

/**
 * The Collector's resource processor, which Alloy does not have: otelcol.processor.transform does the same with OTTL.
 * Matches internal/coreinternal/attraction of contrib.
 */
export const RESOURCE: BodyRules = {
  write: {
    error_mode: nothing,
    trace_statements: nothing,
    metric_statements: nothing,
    log_statements: nothing,
    statements: (tree, out, context: BodyContext) => {
      const statements = tree.children("attributes").flatMap((each) => statementsOf(each) ?? []);
      if (statements.length === 0) return;
      const body = out.block("statements");
      for (const signal of context.signals) body.attribute(STATEMENTS[signal], listOf(statements));
    },
  },
};

/** An action as statements; undefined, with a finding, for what OTTL has no function for. */
function statementsOf({ section }: SettingsTree): readonly string[] | undefined {
  const key = section.rawText("key")?.fixed;
  const action = section.text("action")?.fixed?.toLowerCase();
  if (key === undefined) return refuse(section, "needs a fixed key");
  const attribute = attributeOf(key);
  switch (action) {
    case "insert":
      return setTo(section, attribute, `${attribute} == nil`);
    case "update":
      return setTo(section, attribute, `${attribute} != nil`);
    case "upsert":
      return setTo(section, attribute, undefined);
    case "delete":
      return [written(`delete_key(resource.attributes, ${ottlText(key)})`), ...deletion(section)];
    case "extract":
      return extraction(section, attribute);
    case "convert":
      return conversion(section, attribute);
    default:
      section.skip(...section.names);
      return refuse(section, `has an action that OTTL has no statement for (${action ?? "none"})`);
  }
}

function setTo(section: Section, attribute: string, condition: string | undefined): readonly string[] | undefined {
  const end = condition === undefined ? ")" : `) where ${condition}`;
  const start = `set(${attribute}, `;
  const from = section.rawText("from_attribute")?.fixed;
  if (from !== undefined) return [written(`${start}${attributeOf(from)}${end}`)];
  const node = section.node("value");
  if (node?.kind !== "scalar") return refuse(section, "needs a value, or from_attribute");
  const { fixed, expression } = node.text;
  // Texts from the environment are put between the quotes of an OTTL text when the output is loaded.
  if (fixed === undefined) return [`${quoteString(`${start}"`)} + ${expression} + ${quoteString(`"${end}`)}`];
  const isNumberOrFlag = node.plain && /^(?:true|false|-?[0-9]+(?:\.[0-9]+)?)$/.test(fixed);
  return [written(`${start}${isNumberOrFlag ? fixed : ottlText(fixed)}${end}`)];
}

function deletion(section: Section): readonly string[] {
  const pattern = section.rawText("pattern")?.fixed;
  return pattern === undefined ? [] : [written(`delete_matching_keys(resource.attributes, ${ottlText(pattern)})`)];
}

function extraction(section: Section, attribute: string): readonly string[] | undefined {
  const pattern = section.rawText("pattern")?.fixed;
  if (pattern === undefined) return refuse(section, "needs a fixed pattern");
  const found = `ExtractPatterns(${attribute}, ${ottlText(pattern)})`;
  return [written(`merge_maps(resource.attributes, ${found}, "upsert") where IsString(${attribute})`)];
}

const CONVERTERS = new Map([
  ["int", "Int"],
  ["double", "Double"],
  ["string", "String"],
]);

function conversion(section: Section, attribute: string): readonly string[] | undefined {
  const converter = CONVERTERS.get(section.text("converted_type")?.fixed ?? "");
  if (converter === undefined) return refuse(section, "needs a converted_type: int, double or string");
  return [written(`set(${attribute}, ${converter}(${attribute})) where ${attribute} != nil`)];
}

function refuse(section: Section, why: string): undefined {
  section.report.add("Error", section.place, `${why}; it is left out`);
}

/** A statement as an expression. */
function written(statement: string): string {
  return new Text([statement]).expression;
}

function attributeOf(key: string): string {
  return `resource.attributes[${ottlText(key)}]`;
}

/** OTTL's texts have Go's escapes. */
function ottlText(text: string): string {
  return quoteString(text);
}
