import type { Regex } from "#base/regex";
import { TemplateError } from "#formats/go-template/go-template";
import { StringMap } from "#formats/go-template/values";
import { type Infer, s } from "#lang/schema";
import type { Stage, StageContext } from "../stage.ts";
import { sourceReader } from "./source.ts";
import { compileTemplate, templateData, templateProblem } from "./template.ts";

export const replaceBody = s
  .object({
    expression: s.regex().doc("RE2 expression; what its groups match is replaced."),
    source: s.string().default("").doc("Extracted value to work on instead of the line."),
    replace: s.string().default("").doc("Go template of the replacement; `.Value` is what the group matched."),
  })
  .rule("expression", (args) => args.expression.source !== "", "must not be empty")
  .rule(
    "replace",
    (args) => templateProblem(args.replace) === undefined,
    (args) => templateProblem(args.replace)!,
  )
  .doc("Replaces what the groups of a regular expression match.");

/**
 * Alloy's stages/replace.go: every group of every match is replaced, nested groups once; without groups nothing is. Named
 * groups are extracted with what replaced them.
 */
export function buildReplace(args: Infer<typeof replaceBody>, context: StageContext): Stage {
  const { expression } = args;
  const template = compileTemplate(args.replace);
  const needsData = /\{\{/.test(args.replace);
  if (needsData) context.slots.keepsAll = true;
  const source = args.source === "" ? undefined : context.slots.of(args.source);
  const read = sourceReader(args.source, context);
  const groups = expression.groupNames
    .map((name, index) => ({ name, index }))
    .filter(({ name, index }) => index > 0 && name !== "")
    .map(({ name, index }) => ({ index, slot: context.slots.of(name) }));
  const unmatched = context.unmatched("do not match the regular expression", "the regular expression does not match");

  return {
    process(entry) {
      const text = read(entry);
      if (text === undefined) return true;
      const first = expression.matchRange(text);
      if (first === null) {
        unmatched.add();
        return true;
      }
      const data = needsData ? templateData(entry, new StringMap()) : new StringMap();
      const replaced = new Map<string, string>();
      let out = "";
      let copied = 0;
      try {
        for (let match: ArrayLike<number> | null = first; match !== null; ) {
          for (let group = 2; group < match.length; group += 2) {
            const start = match[group]!;
            const end = match[group + 1]!;
            if (start < 0) continue;
            const captured = text.slice(start, end);
            data.set("Value", captured);
            const replacement = template.execute(data);
            if (copied === 0 || copied <= start) {
              out += text.slice(copied, start) + replacement;
              copied = end;
            }
            replaced.set(captured, replacement);
          }
          match = nextMatch(expression, text, match);
        }
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        unmatched.add();
        return true;
      }
      out += text.slice(copied);
      if (source !== undefined) entry.setText(source, out);
      else if (out !== text) entry.setLine(out);
      for (const { index, slot } of groups) {
        const start = first[2 * index]!;
        const replacement = replaced.get(start < 0 ? "" : text.slice(start, first[2 * index + 1]!));
        if (replacement !== undefined) entry.setText(slot, replacement);
      }
      return true;
    },
  };
}

/** The next match behind one; as in Go, an empty one right behind a match does not count. */
export function nextMatch(expression: Regex, text: string, match: ArrayLike<number>): ArrayLike<number> | null {
  const end = match[1]!;
  const from = end > match[0]! ? end : behindCharacter(text, end);
  const next = from > text.length ? null : expression.matchRange(text, from);
  if (next === null || next[1]! > next[0]! || next[0] !== end) return next;
  const later = behindCharacter(text, end);
  return later > text.length ? null : expression.matchRange(text, later);
}

/** Where the character at `at` ends: two code units make one beyond the basic plane. */
function behindCharacter(text: string, at: number): number {
  return at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
}
