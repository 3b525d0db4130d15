import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { explainScrape, SCRAPE_RULES, scrapeRule } from "./failure.ts";
import type { ScrapeLoop } from "./loop.ts";

type Loops = ReadonlyMap<string, ScrapeLoop>;

/** Adds the flow rules of a pool: those about its scrapes, and `others` by name. */
export function addScrapeRules(
  ctx: Pick<ComponentContext, "rule">,
  loops: Loops,
  others: Readonly<Record<string, () => Judgement>>,
): void {
  for (const rule of SCRAPE_RULES) {
    ctx.rule(rule, () =>
      judgeFailures(loops, (each) => each.lastError !== undefined && scrapeRule(each.lastError) === rule),
    );
  }
  for (const [name, judge] of Object.entries(others)) ctx.rule(name, judge);
  ctx.rule("duplicate_samples", () =>
    judgePages(loops, (each) => each.duplicates, "samples of series that are there before on the same page"),
  );
  ctx.rule("histograms_not_converted", () =>
    judgePages(
      loops,
      (each) => each.unconverted,
      "samples of classic histograms that cannot be converted to native ones",
      (each) => each.conversionError,
    ),
  );
  ctx.rule("invalid_exemplars", () =>
    judgePages(
      loops,
      (each) => each.invalidExemplars,
      "exemplars with a label that is there twice, or with more than 128 characters in their labels,",
    ),
  );
  ctx.rule("timestamp_out_of_bounds", () =>
    judgePages(loops, (each) => each.outOfBounds, "samples whose timestamps lie more than 10 min in the future"),
  );
}

function judgeFailures(loops: Loops, isSuch: (loop: ScrapeLoop) => boolean): Judgement {
  let down = 0;
  let such = 0;
  let judged = 0;
  let example: ScrapeLoop | undefined;
  for (const loop of loops.values()) {
    if (loop.health === "unknown") continue;
    judged += 1;
    if (loop.health === "up") continue;
    down += 1;
    if (!isSuch(loop)) continue;
    such += 1;
    example ??= loop;
  }
  if (example === undefined) return undefined;
  const { target, lastError, contentType } = example;
  const subject =
    judged === 1
      ? `the scrape of ${target.shownUrl} fails`
      : such === judged
        ? `every scrape of ${judged} targets fails, such as ${target.shownUrl}`
        : `${such} of ${judged} targets fail, such as ${target.shownUrl}`;
  const cause = `${subject}: ${explainScrape(lastError!, target, contentType)}`;
  return { state: down === judged ? "failing" : "degraded", cause };
}

function judgePages(
  loops: Loops,
  count: (loop: ScrapeLoop) => number,
  what: string,
  why?: (loop: ScrapeLoop) => string,
): Judgement {
  let samples = 0;
  let pages = 0;
  let example: ScrapeLoop | undefined;
  for (const loop of loops.values()) {
    if (count(loop) === 0) continue;
    samples += count(loop);
    pages += 1;
    example ??= loop;
  }
  if (example === undefined) return undefined;
  const where = pages === 1 ? example.target.shownUrl : `${pages} targets, such as ${example.target.shownUrl}`;
  return {
    state: "degraded",
    cause: `dropped ${samples} ${what} in the last scrape of ${where}${why === undefined ? "" : ` (${why(example)})`}: mend what the target exposes`,
  };
}
