import { GoTemplate, TemplateError, type TemplateValue } from "#formats/go-template/go-template";
import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import { type Stage, type StageContext, StageError } from "../stage.ts";

export const templateBody = s
  .object({
    source: s.string().nonEmpty().doc("Extracted value to set; it is made if it is not there."),
    template: s.string().doc("Go template over the extracted values; `.Value` is the source, `.Entry` the line."),
  })
  .rule(
    "template",
    (args) => templateProblem(args.template) === undefined,
    (args) => templateProblem(args.template)!,
  )
  .doc("Sets an extracted value from a template.");

/** Why a template cannot be parsed; undefined if it can. */
export function templateProblem(text: string): string | undefined {
  try {
    new GoTemplate(text);
    return undefined;
  } catch (error) {
    if (error instanceof TemplateError) return `cannot be parsed: ${error.message}`;
    throw error;
  }
}

export function compileTemplate(text: string): GoTemplate {
  const problem = templateProblem(text);
  if (problem !== undefined) throw new StageError(`the template ${problem}`);
  return new GoTemplate(text);
}

/** All extracted values as text, for templates; null values are left out. */
export function templateData(entry: Entry, data: Map<string, TemplateValue> = new Map()): Map<string, TemplateValue> {
  for (const [name, value] of entry.extracted()) {
    if (value !== null) data.set(name, typeof value === "string" ? value : entry.namedText(name)!);
  }
  return data;
}

/** Alloy's stages/template.go: an empty result removes the value, a template that fails leaves it. */
export function buildTemplate(args: Infer<typeof templateBody>, context: StageContext): Stage {
  const template = compileTemplate(args.template);
  const slot = context.slots.of(args.source);
  context.slots.keepsAll = true;
  const unmatched = context.unmatched("let the template fail", "the template fails");
  return {
    process(entry) {
      const data = templateData(entry);
      const value = data.get(args.source);
      if (value !== undefined) data.set("Value", value);
      data.set("Entry", entry.line);
      let result: string;
      try {
        result = template.execute(data);
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        unmatched.add();
        return true;
      }
      if (result === "") entry.remove(slot);
      else entry.setText(slot, result);
      return true;
    },
  };
}
