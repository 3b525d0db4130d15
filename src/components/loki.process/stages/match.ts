import type { Regex } from "#base/regex";
import { type LineFilter, LogqlError, type LogSelector, parseLogSelector } from "#formats/logql";
import { type BodySchema, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import type { NestedStages } from "../pipeline.ts";
import { type Stage, type StageContext, StageError } from "../stage.ts";
import { type StageConfig, stageBodies } from "../stages.ts";

export interface MatchArguments {
  readonly selector: string;
  readonly action: "keep" | "drop";
  readonly pipeline_name: string;
  readonly drop_counter_reason: string;
  readonly stage: readonly StageConfig[];
}

export const matchBody: BodySchema<MatchArguments> = s
  .object({
    selector: s.string().nonEmpty().doc("LogQL selector with line filters."),
    action: s.oneOf(["keep", "drop"]).default("keep").doc("Run the inner stages on what matches, or drop it."),
    pipeline_name: s.string().default("").doc("Name of the inner stages.").withoutEffect("as in Alloy"),
    drop_counter_reason: s.string().default("match_stage").doc("Reason under which dropped lines are counted."),
    stage: s.enumBlocks(() => stageBodies).doc("Stages for the entries that match."),
  })
  .rule(
    "selector",
    (args) => selectorProblem(args.selector) === undefined,
    (args) => selectorProblem(args.selector)!,
  )
  .rule("stage", (args) => args.action === "drop" || args.stage.length > 0, 'is required unless `action` is "drop"')
  .rule("stage", (args) => args.action === "keep" || args.stage.length === 0, 'must be left out if `action` is "drop"')
  .doc("Runs stages on, or drops, the entries that match a selector.") as BodySchema<MatchArguments>;

function selectorProblem(selector: string): string | undefined {
  try {
    parseLogSelector(selector);
    return undefined;
  } catch (error) {
    if (error instanceof LogqlError) return `is not a valid selector: ${error.message}`;
    throw error;
  }
}

/** Alloy's stages/match.go. */
export function buildMatch(
  args: MatchArguments,
  context: StageContext,
  nested: (stages: readonly StageConfig[]) => NestedStages,
): Stage {
  const matches = entryMatcher(parse(args.selector));
  const unmatched = () => `no match: the selector ${args.selector} does not match`;
  if (args.action === "drop") {
    const reason = context.drop(
      args.drop_counter_reason === "" ? "match_stage" : args.drop_counter_reason,
      `the selector ${args.selector} matches`,
    );
    return {
      explain: unmatched,
      process(entry) {
        if (!matches(entry)) return true;
        reason.add();
        return false;
      },
    };
  }
  const inner = nested(args.stage);
  return {
    explain: unmatched,
    process: (entry) => !matches(entry) || inner.run(entry),
    ...(inner.keepsEntries && { flush: (all: boolean) => inner.flush(all) }),
    close: () => inner.close(),
  };
}

function parse(selector: string): LogSelector {
  try {
    return parseLogSelector(selector);
  } catch (cause) {
    throw new StageError(`invalid selector syntax for match stage: ${(cause as Error).message}`, { cause });
  }
}

/** The label part is decided once per label set, as long as the same one comes again. */
function entryMatcher(selector: LogSelector): (entry: Entry) => boolean {
  const { matchers, filters } = selector;
  let lastLabels: Entry["labels"] | undefined;
  let lastVerdict = false;
  return (entry) => {
    const { labels } = entry;
    if (labels !== lastLabels) {
      lastLabels = labels;
      lastVerdict = matchers.every((each) => each.matches(labels.get(each.name) ?? ""));
    }
    if (!lastVerdict) return false;
    for (let i = 0; i < filters.length; i++) if (!passes(filters[i]!, entry)) return false;
    return true;
  };
}

function passes(filter: LineFilter, entry: Entry): boolean {
  if (filter.regex !== undefined) return matchesLine(filter.regex, entry) === (filter.op === "|~");
  const at = entry.store.data.subarray(entry.start, entry.end).indexOf(filter.bytes);
  return (at !== -1) === (filter.op === "|=");
}

function matchesLine(regex: Regex, entry: Entry): boolean {
  return regex.test(entry.line);
}
