import type { Labels } from "#base/labels";
import type { ComponentContext } from "#pipeline/component";
import { NoTargets } from "./no-targets.ts";

export interface EnricherOptions {
  readonly targets: readonly Labels[];
  /** Label of targets → the label of data that must have the same value; all of them must. */
  readonly match: ReadonlyMap<string, string>;
  /** Labels to copy; all when empty. */
  readonly copy: readonly string[];
  /** An empty value of a target takes the label off, as in Prometheus; else it is copied with all others. */
  readonly emptyRemoves: boolean;
}

/** Adds labels of targets to label sets: Alloy's internal/component/loki/enrich and prometheus/enrich. */
export class TargetEnricher {
  readonly options: EnricherOptions;
  readonly #own: readonly string[];
  /** What is added, by the values of the labels. */
  readonly #additions = new Map<string, Labels>();
  /** Label sets that met a target. */
  matched = 0;
  /** A label set that met none. */
  example: Labels | undefined;

  constructor(options: EnricherOptions) {
    this.options = options;
    const { targets, match, copy, emptyRemoves } = options;
    this.#own = [...match.values()];
    const wanted = new Set(copy);
    for (const target of targets) {
      const key = keyOf(target, match.keys());
      if (key === undefined) continue;
      const additions = target.filter(
        (name, text) => wanted.size === 0 || (wanted.has(name) && (emptyRemoves || text !== "")),
      );
      this.#additions.set(key, additions);
    }
  }

  /** The number of different values that targets have. */
  get size(): number {
    return this.#additions.size;
  }

  enrich(labels: Labels): Labels {
    const key = keyOf(labels, this.#own);
    const additions = key === undefined ? undefined : this.#additions.get(key);
    if (additions === undefined) {
      this.example ??= labels;
      return labels;
    }
    this.matched += 1;
    const enriched = labels.merge(additions);
    return this.options.emptyRemoves ? enriched.filter((_, value) => value !== "") : enriched;
  }
}

/** The values of the labels, in order; undefined if one is missing or empty, or there are none. */
function keyOf(labels: Labels, names: Iterable<string>): string | undefined {
  const values: string[] = [];
  for (const name of names) {
    const value = labels.get(name) ?? "";
    if (value === "") return undefined;
    values.push(value);
  }
  return values.length === 0 ? undefined : JSON.stringify(values);
}

/**
 * The status rules of a component that enriches. `noun` is what one item is called, `argument` where the labels of targets
 * are configured. Returns what to call with changed targets.
 */
export function enricherRules(
  ctx: Pick<ComponentContext, "clock" | "references" | "rule" | "flow">,
  current: () => TargetEnricher,
  noun: string,
  argument: string,
): () => void {
  const noTargets = new NoTargets(ctx);
  const update = () => noTargets.update(current().options.targets.length);
  update();
  const listed = (names: Iterable<string>) => {
    const all = [...names];
    return all.length === 1 ? `label ${all[0]}` : `labels ${all.join(", ")}`;
  };
  ctx.rule("no_targets", () => noTargets.judge());
  ctx.rule("targets_without_label", () => {
    const { options, size } = current();
    const { targets, match } = options;
    if (targets.length === 0 || size > 0) return undefined;
    const cause = `none of ${targets.length} targets has the ${listed(match.keys())}, so nothing is added: correct \`${argument}\``;
    return { state: "degraded", cause };
  });
  ctx.rule("nothing_matches", () => {
    const { size, matched, example, options } = current();
    if (size === 0 || matched > 0 || example === undefined) return undefined;
    const cause = `no ${noun} has met a target by its ${listed(options.match.values())}, such as one with the labels ${example}`;
    return { state: "degraded", cause };
  });
  return () => {
    update();
    ctx.flow.judge();
  };
}
