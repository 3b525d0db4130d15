import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { explainScrape, SCRAPE_RULES, scrapeRule } from "./failure.ts";
import type { PageTroubles, ScrapeLoop } from "./loop.ts";

/**
 * What the rules of a pool look at: how many targets were scraped, and those with which something is wrong. The others are
 * looked at when they are scraped and not at each judgement, since there may be tens of thousands.
 */
export class ScrapeOutcomes {
  readonly #scraped = new Set<ScrapeLoop>();
  readonly #troubled = new Set<ScrapeLoop>();

  /** After a scrape. */
  note(loop: ScrapeLoop): void {
    this.#scraped.add(loop);
    const { duplicates, outOfBounds, unconverted, invalidExemplars } = loop.troubles;
    const isFine = loop.health === "up" && duplicates + outOfBounds + unconverted + invalidExemplars === 0;
    if (isFine) this.#troubled.delete(loop);
    else this.#troubled.add(loop);
  }

  /** A target is gone. */
  forget(loop: ScrapeLoop): void {
    this.#scraped.delete(loop);
    this.#troubled.delete(loop);
  }

  get scraped(): number {
    return this.#scraped.size;
  }
  get troubled(): Iterable<ScrapeLoop> {
    return this.#troubled;
  }
}

/** Adds the flow rules of a pool: those about its scrapes, and `others` by name. */
export function addScrapeRules(
  ctx: Pick<ComponentContext, "rule">,
  outcomes: ScrapeOutcomes,
  others: Readonly<Record<string, () => Judgement>>,
): void {
  for (const rule of SCRAPE_RULES) {
    ctx.rule(rule, () =>
      judgeFailures(outcomes, (each) => each.lastError !== undefined && scrapeRule(each.lastError) === rule),
    );
  }
  for (const [name, judge] of Object.entries(others)) ctx.rule(name, judge);
  ctx.rule("duplicate_samples", () =>
    judgePages(outcomes, ({ duplicates }) => duplicates, "samples of series that are there before on the same page"),
  );
  ctx.rule("histograms_not_converted", () =>
    judgePages(
      outcomes,
      ({ unconverted }) => unconverted,
      "samples of classic histograms that cannot be converted to native ones",
      ({ conversionError }) => conversionError,
    ),
  );
  ctx.rule("invalid_exemplars", () =>
    judgePages(
      outcomes,
      ({ invalidExemplars }) => invalidExemplars,
      "exemplars with a label that is there twice, or with more than 128 characters in their labels,",
    ),
  );
  ctx.rule("timestamp_out_of_bounds", () =>
    judgePages(
      outcomes,
      ({ outOfBounds }) => outOfBounds,
      "samples whose timestamps lie more than 10 min in the future",
    ),
  );
}

function judgeFailures(outcomes: ScrapeOutcomes, isSuch: (loop: ScrapeLoop) => boolean): Judgement {
  const judged = outcomes.scraped;
  let down = 0;
  let such = 0;
  let example: ScrapeLoop | undefined;
  for (const loop of outcomes.troubled) {
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
  outcomes: ScrapeOutcomes,
  count: (troubles: PageTroubles) => number,
  what: string,
  why?: (troubles: PageTroubles) => string,
): Judgement {
  let samples = 0;
  let pages = 0;
  let example: ScrapeLoop | undefined;
  for (const loop of outcomes.troubled) {
    const dropped = count(loop.troubles);
    if (dropped === 0) continue;
    samples += dropped;
    pages += 1;
    example ??= loop;
  }
  if (example === undefined) return undefined;
  const where = pages === 1 ? example.target.shownUrl : `${pages} targets, such as ${example.target.shownUrl}`;
  return {
    state: "degraded",
    cause: `dropped ${samples} ${what} in the last scrape of ${where}${why === undefined ? "" : ` (${why(example.troubles)})`}: mend what the target exposes`,
  };
}
