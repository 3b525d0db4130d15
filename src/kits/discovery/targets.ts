import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { counter, histogram, summary } from "#base/metrics";
import { s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";

/** What components that look for targets share: their exports, metrics, and what they say of their source. */

export const discoveryExports = s.object({ targets: s.targets().doc("The targets that were found.") });

const LABELS = ["mechanism", "config"];
export const discoveryMetrics = {
  failures: counter(
    "prometheus_sd_refresh_failures_total",
    "Number of refresh failures for the given SD mechanism.",
    LABELS,
  ),
  duration: summary(
    "prometheus_sd_refresh_duration_seconds",
    "The duration of a refresh in seconds for the given SD mechanism.",
    [0.5, 0.9, 0.99],
    LABELS,
  ),
  durations: histogram(
    "prometheus_sd_refresh_duration_histogram_seconds",
    "The duration of a refresh for the given SD mechanism.",
    [0.01, 0.1, 1, 10],
    ["mechanism"],
  ),
};

/** What `DiscoveryTargets` needs, whatever metrics the component has. */
export type TargetsContext = ComponentContext<{ readonly targets: readonly Labels[] }, Record<never, never>>;
export type DiscoveryContext = ComponentContext<{ readonly targets: readonly Labels[] }, typeof discoveryMetrics>;

/** The targets of a part of the source, or why they are not known: what failed, why, and what to do. */
export type PartAnswer = readonly Labels[] | Error;

interface Part {
  readonly targets: readonly Labels[];
  /** When they were found (epoch ms); undefined for never. */
  readonly asOf: number | undefined;
  readonly failure: string | undefined;
}

/** Parts that a message names before it counts the rest. */
const SHOWN_PARTS = 3;

const NEVER: Part = { targets: [], asOf: undefined, failure: undefined };

/**
 * The targets that are known, part by part: a part is a file, a name, a service; a source without parts is one, with an
 * empty name. While a part cannot be asked its last targets stay: an outage of what knows the targets must not look as if
 * there were none. The flow status says so, with their age.
 */
export class DiscoveryTargets {
  readonly #ctx: TargetsContext;
  readonly #parts = new Map<string, Part>();
  #exported: readonly string[] = [];

  /** Exports no targets, until there are some. */
  constructor(ctx: TargetsContext) {
    this.#ctx = ctx;
    ctx.rule("refresh_failed", () => this.#judge());
    ctx.rule("nothing_found", () => {
      const isFound = [...this.#parts.values()].every(({ asOf }) => asOf !== undefined) && this.#parts.size > 0;
      return isFound && this.#exported.length === 0
        ? { state: "idle", cause: `the last look found no targets${this.#partsText()}` }
        : undefined;
    });
    ctx.export({ targets: [] });
  }

  /** What a part answers now. Shown with the next `publish`. */
  set(name: string, answer: PartAnswer): void {
    const { clock, log, flow } = this.#ctx;
    const before = this.#parts.get(name) ?? NEVER;
    const part = name === "" ? {} : { of: name };
    if (answer instanceof Error) {
      const failure = answer.message || errorText(answer); // the message says all of its cause that helps
      if (before.failure !== failure) log.error("cannot look for targets", { ...part, error: failure });
      flow.failed(failure);
      this.#parts.set(name, { ...before, failure });
      return;
    }
    if (before.failure !== undefined) log.info("targets are found again", { ...part, targets: answer.length });
    this.#parts.set(name, { targets: answer, asOf: clock.now(), failure: undefined });
  }

  /** Forgets all parts but these, with their targets. */
  retain(names: ReadonlySet<string>): void {
    for (const name of this.#parts.keys()) if (!names.has(name)) this.#parts.delete(name);
  }

  /** None of the parts can be asked. */
  fail(error: Error): void {
    for (const name of this.#parts.size === 0 ? [""] : [...this.#parts.keys()]) this.set(name, error);
  }

  /** Exports the targets, each once, if they are others than before; brings the status up to date. */
  publish(): void {
    const byText = new Map<string, Labels>();
    for (const { targets } of this.#parts.values()) for (const each of targets) byText.set(each.toString(), each);
    const texts = [...byText.keys()].sort();
    const isSame = texts.length === this.#exported.length && texts.every((text, i) => text === this.#exported[i]);
    this.#exported = texts;
    if (!isSame) this.#ctx.export({ targets: texts.map((text) => byText.get(text)!) });
    if ([...this.#parts.values()].every(({ failure }) => failure === undefined)) this.#ctx.flow.ok();
    this.#ctx.flow.judge();
  }

  /** Of a source in parts what they are: one of them may be misspelt. */
  #partsText(): string {
    const names = [...this.#parts.keys()].filter((name) => name !== "");
    if (names.length === 0) return "";
    const more = names.length > SHOWN_PARTS ? ` and ${names.length - SHOWN_PARTS} more` : "";
    return `: there are none of ${names.slice(0, SHOWN_PARTS).join(", ")}${more}`;
  }

  /** Tells of the part with the most targets among those that fail. */
  #judge(): Judgement {
    const failed = [...this.#parts].filter(([, { failure }]) => failure !== undefined);
    failed.sort(([, a], [, b]) => b.targets.length - a.targets.length);
    const [first] = failed;
    if (first === undefined) return undefined;
    const [name, { targets, asOf, failure }] = first;
    const of = name === "" ? "" : ` of ${name}`;
    const why = `: ${failure}${failed.length > 1 ? ` (and ${failed.length - 1} more)` : ""}`;
    const isKnown = [...this.#parts.values()].some((part) => part.asOf !== undefined);
    const state = isKnown ? "degraded" : "failing";
    if (asOf === undefined) return { state, cause: `no targets${of} yet${why}` };
    const age = `${roughDuration(this.#ctx.clock.now() - asOf)} ago`;
    if (targets.length === 0) return { state, cause: `nothing is known${of} since ${age}${why}` };
    return { state, cause: `the ${targets.length} targets${of} are as of ${age}${why}` };
  }
}
