import { errorText } from "#base/log";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import { positionOf } from "#lang/position";
import { unstartedController } from "../unstarted/unstarted.ts";

/**
 * What the agent would say to a converted configuration: components that this version does not have yet, features that
 * need a flag, and values that the source's program took and it does not. Nothing runs.
 */
export async function acceptanceProblems(text: string): Promise<readonly string[]> {
  const flags = new Map<string, string>([["stability.level", "generally-available"]]);
  const line = { flags, given: new Set<string>(), positional: [], warnings: [] };
  const controller = unstartedController(line, () => {});
  try {
    await controller.load([{ name: "output", text }], ".");
    return [];
  } catch (error) {
    if (!(error instanceof DiagnosticError)) return [`the output could not be checked: ${errorText(error)}`];
    return describe(error.diagnostics.filter((each) => each.severity === "error"));
  } finally {
    await controller.stop(0);
  }
}

/** One line for each message, however often it comes. */
function describe(diagnostics: readonly Diagnostic[]): readonly string[] {
  const lines = new Map<string, number[]>();
  for (const { message, hint, span } of diagnostics) {
    const text = hint === undefined ? message : `${message}; ${hint}`;
    const line = span === undefined ? 1 : positionOf(span.source, span.start).line;
    lines.set(text, [...(lines.get(text) ?? []), line]);
  }
  return [...lines].map(([text, [first, ...more]]) => {
    const where = more.length === 0 ? `line ${first}` : `lines ${[first, ...more].join(", ")}`;
    return `invar validate says of the output, ${where}: ${text}`;
  });
}
